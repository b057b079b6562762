"""What every request passes before a route sees it: its name, whom it calls, whence it comes, and its key."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import secrets
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facesearch.server.errors import RefusedError, answer_to
from facesearch.server.pages import is_page
from facesearch.server.settings import UPLOADING, Limits, Settings

COOKIE = "facesearch"
_OTHER_SITES = ("cross-site", "same-site")
_SAFE = ("GET", "HEAD", "OPTIONS")
_MINUTE = 60.0
_SESSION = 12 * 3600.0  # seconds
_MOST_SESSIONS, _MOST_ADDRESSES = 1_000, 10_000
_OPEN = ("/healthz", "/readyz", "/openapi.json", "/api/v1/session")
"""Where no key is needed, besides the page's own files: they tell nothing about the gallery."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
log = logging.getLogger("facesearch.access")

Seen = Callable[[str, str, int, float], None]
"""Told of every answer: method, route, status, seconds."""


class Guard:
    """The outermost layer of the server."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: Keys, seen: Seen) -> None:
        self._app, self._settings, self._keys, self._seen = app, settings, keys, seen
        self._names = own_names(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, number = time.monotonic(), secrets.token_hex(8)
        before = self._settings.root_path
        scope = {**scope, "root_path": before, "path": before + plain_path(scope["path"], before)}
        scope.setdefault("state", {})["request_id"] = number
        told: dict[str, int] = {}

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                told["status"] = message["status"]
                _add_headers(message, number, scope, self._settings)
            await send(message)

        try:
            try:
                self._require_welcome(scope)
                if plain_path(scope["path"], self._settings.root_path) not in UPLOADING:
                    receive = await _read_already(receive, self._settings.limits)
            except RefusedError as error:
                await answer_to(error)(scope, receive, sent)
                return
            await self._app(scope, receive, sent)
        finally:
            self._tell(scope, told.get("status", 499), time.monotonic() - started, number)

    def _require_welcome(self, scope: Scope) -> None:
        """Raise RefusedError for a request that calls another name, comes from another site, or has no key."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if name_of(host) not in self._names and not self._is_address(name_of(host)):
            raise RefusedError(
                421, "wrong_host", f"this server is not called {name_of(host)!r}: start it with --name to allow that"
            )
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        tells = tells_something(scope["path"], self._settings.root_path)
        if (foreign and scope["method"] not in _SAFE) or (tells and (foreign or site in _OTHER_SITES)):
            raise RefusedError(403, "other_site", "the request comes from the page of another site: open this one's")
        if self._settings.key is not None and tells:
            self._keys.require(headers, address_of(scope))

    def _is_address(self, name: str) -> bool:
        """A bare address cannot be another site's name; on loopback only this machine's own is meant."""
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._settings.local

    def _tell(self, scope: Scope, status: int, seconds: float, number: str) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._seen(scope["method"], route, status, seconds)
        shown = scope["path"] if self._settings.files_in_log else route
        log.info("%s %s %s %d %.0f ms", number, scope["method"], shown, status, 1000 * seconds)


def _add_headers(message: Message, number: str, scope: Scope, settings: Settings) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")
    headers["X-Request-Id"] = number
    if settings.secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"


def own_names(settings: Settings) -> frozenset[str]:
    """By which a client may call the server, besides an address."""
    names = {"localhost", *(name.lower() for name in settings.names)}
    if not settings.local:
        names |= {socket.gethostname().lower(), settings.host.lower()}
    return frozenset(names)


def name_of(host: str) -> str:
    """Of a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()


async def _read_already(receive: Receive, limits: Limits) -> Receive:
    """What a request without a picture sends, read within the limits. Raises RefusedError."""
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(limits.seconds):
            while True:
                message = await receive()
                parts.append(message.get("body", b""))
                if sum(map(len, parts)) > limits.text_bytes:
                    raise RefusedError(413, "too_large", "the request is too long: ask for less at one time")
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise RefusedError(408, "too_slow", "the request did not arrive in time: send it again") from None
    waiting: list[Message] = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

    async def read() -> Message:
        return waiting.pop() if waiting else await receive()

    return read


def plain_path(path: str, root_path: str) -> str:
    """Without what a proxy takes off, should it have left it."""
    return path.removeprefix(root_path)


def tells_something(path: str, root_path: str) -> bool:
    """Whether what lies there may tell of the gallery: all but what is known not to."""
    plain = plain_path(path, root_path)
    return plain not in _OPEN and not is_page(plain)


def address_of(scope: Scope) -> str:
    """Of the client; empty where that is not known."""
    client = scope.get("client")
    return client[0] if client else ""


class Keys:
    """The one key, the sessions that were opened with it, and how often others were tried."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = _digest(settings.key or "")
        self._most, self._clock = settings.limits.failures, clock
        self._sessions: OrderedDict[bytes, float] = OrderedDict()
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def require(self, headers: Headers, address: str) -> None:
        """Raise RefusedError for a request without a session or the key."""
        if self._has_session(headers):
            return
        given = _given(headers)
        if given is None:
            raise RefusedError(401, "no_key", "this server asks for its API key: send it as Authorization: Bearer KEY")
        self.check(given, address)

    def check(self, given: str, address: str) -> None:
        """Raise RefusedError for a wrong key, and for every one after too many wrong ones."""
        failures = self._failures.setdefault(address, deque(maxlen=self._most))
        self._failures.move_to_end(address)
        while len(self._failures) > _MOST_ADDRESSES:
            self._failures.popitem(last=False)
        wait = failures[0] + _MINUTE - self._clock() if len(failures) == self._most else 0
        if wait > 0:
            raise RefusedError(
                429, "too_many_keys", "too many wrong keys came from there: wait a minute", int(wait) + 1
            )
        if not hmac.compare_digest(_digest(given), self._key):
            failures.append(self._clock())
            raise RefusedError(
                401, "wrong_key", "this is not the server's API key: give the one that it was started with"
            )

    def open(self) -> str:
        """A new session's token, for a cookie."""
        token = secrets.token_urlsafe(32)
        self._sessions[_digest(token)] = self._clock() + _SESSION
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return token

    def close(self, headers: Headers) -> None:
        """End the request's session."""
        self._sessions.pop(_digest(_cookie(headers)), None)

    def _has_session(self, headers: Headers) -> bool:
        until = self._sessions.get(_digest(_cookie(headers)))
        return until is not None and self._clock() < until


def _given(headers: Headers) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _digest(text: str) -> bytes:
    """Of equal length whatever the text, so that comparing tells nothing of it."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
