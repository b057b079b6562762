"""Where a gallery is: a folder, or a PostgreSQL server and the gallery's name there.

    postgresql+psycopg://user@host:5432/database?gallery=name

What else follows the question mark is libpq's (sslmode, host=/a/socket's/folder, connect_timeout, ...). Passwords come
from where libpq looks for them, $PGPASSWORD, ~/.pgpass or the file that passfile names, and never stand in an address:
those are shown, and other users of a machine see them in its list of processes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from index.errors import AddressError, GalleryStorageError

USUAL_GALLERY = "faces"
_WHOLE, _UNFINISHED = "facesearch_", "facesearchcopy_"  # of schemas; no gallery's own begins like the second
_COLLAPSED = re.compile(r"postgres(ql)?(\+\w+)?:/")
_SCHEME = re.compile(r"[a-z][a-z0-9+]*://")
_DRIVERS = ("postgresql", "postgresql+psycopg", "postgres")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SECRET = ("password", "sslpassword")
_EXAMPLE = "postgresql+psycopg://user@host/database?gallery=name"


@dataclass(frozen=True)
class Server:
    """A gallery that PostgreSQL keeps. url: without a password or the gallery's name, for psycopg. unfinished: what a
    copy to there has made of it so far."""

    url: URL
    gallery: str
    unfinished: bool = False

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in sorted(self.url.query.items()))
        plain = self.url.set(query={}).render_as_string()
        return f"{plain}?{query}&gallery={self.gallery}" if query else f"{plain}?gallery={self.gallery}"

    @property
    def schema(self) -> str:
        """The PostgreSQL schema that holds the gallery's tables."""
        return f"{_UNFINISHED if self.unfinished else _WHOLE}{self.gallery}"

    @property
    def unfinished_schema(self) -> str:
        """The schema of a copy to there that is not whole yet."""
        return f"{_UNFINISHED}{self.gallery}"

    @property
    def folder(self) -> Path:
        """Where this machine keeps what is derived of it; it may be deleted at any time."""
        return cache_folder() / f"{self.gallery}-{sha256(str(self).encode()).hexdigest()[:16]}"

    def made_folder(self) -> Path:
        """That folder, which is made if need be, for its owner alone. Raises GalleryStorageError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise GalleryStorageError(
                f"{self.folder} cannot be made ({error.strerror}): what is derived of the gallery for searching lies "
                "there; set FACESEARCH_CACHE to a folder that can be written to"
            ) from error
        return self.folder


def cache_folder() -> Path:
    """Where this machine keeps what it derives of galleries elsewhere."""
    given, cache = os.environ.get("FACESEARCH_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else (Path(cache) if cache else Path.home() / ".cache") / "facesearch"


Address: TypeAlias = Path | Server
"""Where a gallery is."""


def read_address(place: Address | str) -> Address:
    """A folder, or what an address says. Raises AddressError."""
    if isinstance(place, Server):
        return place
    if _COLLAPSED.match(str(place)) and isinstance(place, Path):  # a Path makes one slash of two
        raise AddressError(f"{str(place)!r:.20}... is an address: give it as text, not as a path")
    return read_server(str(place)) if is_server(str(place)) else Path(place)


def is_server(text: str) -> bool:
    """Whether an address is that of a server, and not the name of a folder."""
    return _SCHEME.match(text) is not None


def read_server(text: str) -> Server:
    """What an address says. Raises AddressError, which never shows a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise AddressError(f"the address of the gallery cannot be read: expected {_EXAMPLE}") from error
    secret = [name for name in _SECRET if name in url.query]
    if url.password is not None or secret:
        raise AddressError(
            "the address of the gallery holds a password, which others could see: leave it out, and give it by "
            "$PGPASSWORD, in ~/.pgpass, or in a file that the address names with passfile=FILE"
        )
    if url.drivername not in _DRIVERS:
        raise AddressError(f"a gallery cannot be kept by {url.drivername!r:.40}: expected {_EXAMPLE}, or a folder")
    if not url.database:
        raise AddressError(f"{url.render_as_string():.200} names no database: expected {_EXAMPLE}")
    query = dict(url.query)
    name = query.pop("gallery", USUAL_GALLERY)
    if "options" in query or not all(isinstance(value, str) for value in query.values()):
        raise AddressError("the address of the gallery says `options`, or something twice: leave that out")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise AddressError(
            f"the gallery is called {name!r:.60}; expected up to 40 small letters, digits and _, and a letter first"
        )
    return Server(url.set(drivername="postgresql+psycopg", query=query), name)
