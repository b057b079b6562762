"""Listening: one process, one socket, and patience with no client beyond its time."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import sys
from collections.abc import Callable
from functools import partial
from threading import Timer
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from faceedit.errors import UsageError
from facesearch.server.app import make_app
from facesearch.server.service import service_of
from facesearch.server.settings import Settings
from retrieval.face_search import FaceSearch

_LARGEST_HEAD = 16_384  # bytes
_GRACE = 5  # seconds that requests have to end in when the server does
_LIMIT = 20.0  # and whatever else is under way: schedulers kill after 30
_BACKLOG = 2_048


def serve(faces: FaceSearch, settings: Settings, listening: Callable[[str], None], *, demo: bool = False) -> None:
    """Serve a gallery until somebody interrupts.

    listening: told the address once it answers. Raises UsageError for an address that cannot be listened at, or a
    certificate that cannot be used.
    """
    tls = _tls(settings)
    log_to_stderr()
    with bind(settings.host, settings.port) as bound:
        app = make_app(service_of(faces, settings, demo=demo))
        told = partial(listening, address_at(bound, settings))
        Server(app, settings, told, ending=_end_in_time, **tls).run(sockets=[bound])


def _tls(settings: Settings) -> dict[str, Any]:
    """What HTTPS needs. Raises UsageError for a certificate that cannot be used."""
    if settings.certfile is None:
        return {}
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(settings.certfile, settings.keyfile)
    except (OSError, ValueError) as error:
        raise UsageError(f"the certificate cannot be used ({error}): give --certfile and --keyfile in PEM") from error
    return {"ssl_certfile": settings.certfile, "ssl_keyfile": settings.keyfile}


def bind(host: str, port: int) -> socket.socket:
    """A socket at this address. Raises UsageError where that is taken, or none of this machine's."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot listen at {host}, port {port} ({why}): give another --host or --port") from error


def address_at(bound: socket.socket, settings: Settings) -> str:
    """What to open in a browser."""
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.secure else 'http'}://{shown}:{port}{settings.root_path}/"


def log_to_stderr() -> None:
    """Requests and what goes wrong, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for name, level in (("facesearch.access", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def _end_in_time() -> None:
    """End this process before long, whatever is computed in it: nothing can be lost that was told to be kept."""

    def leave() -> None:
        logging.getLogger("uvicorn.error").error("something takes more than %.0f s: ended without it", _LIMIT)
        os._exit(1)

    timer = Timer(_LIMIT, leave)
    timer.daemon = True
    timer.start()


class Server(uvicorn.Server):
    """Listens, and says when it does and when it ends; `should_exit` ends it."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        listening: Callable[[], None],
        ending: Callable[[], None] = lambda: None,
        **tls: Any,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=_patient(settings.limits.seconds),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
            timeout_graceful_shutdown=_GRACE,
            backlog=_BACKLOG,
            **tls,
        )
        super().__init__(config)
        self._listening, self._ending = listening, ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        await super().shutdown(sockets)


def _patient(seconds: float) -> type[H11Protocol]:
    """The protocol, which hangs up on who does not say what it wants within so many seconds."""

    class Patient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch = self.loop.call_later(seconds, self._look, None)

        def _look(self, before: object) -> None:
            """Hang up where no request has begun since the last look, and none is under way."""
            idle = self.cycle is None or self.cycle.response_complete
            if idle and self.cycle is before:
                self.transport.close()
            else:
                self._watch = self.loop.call_later(seconds, self._look, self.cycle)

        def connection_lost(self, exc: Exception | None) -> None:
            self._watch.cancel()
            super().connection_lost(exc)

    return Patient
