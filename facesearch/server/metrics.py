"""What the server counts: requests by route, how long they take, and how many wait."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one server, of its own registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "facesearch_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "facesearch_request_seconds", "How long they took.", ("route",), registry=self._registry
        )
        self._together = Histogram(
            "facesearch_pictures_together",
            "Pictures that went through the networks at one time.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self._registry,
        )

    def seen(self, method: str, route: str, status: int, seconds: float) -> None:
        """One more request."""
        known = method if method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT") else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def together(self, count: int) -> None:
        """So many pictures went through the networks together."""
        self._together.observe(count)

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Something that is looked at when somebody asks."""
        Gauge(f"facesearch_{name}", text, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
