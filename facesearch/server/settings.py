"""What a server is told: whom it serves, what it may read, and how much of everything it takes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from faceedit.errors import UsageError
from index.writing import Patience

API = "/api/v1"
UPLOADING = tuple(f"{API}/{name}" for name in ("query", "sweep", "edit", "faces", "compare"))
"""Where pictures are posted to."""
SHORTEST_KEY = 16  # characters: what is shorter is guessed
BRIEF = Patience(5.0, 5.0)
"""What a request that changes the gallery has, where others write: its thread could answer somebody else."""


@dataclass(frozen=True)
class Limits:
    """How much of everything."""

    bytes: int = 40_000_000
    """of one upload"""
    bytes_together: int = 200_000_000
    """of all uploads that are in memory at one time"""
    memory: int = 700_000_000
    """bytes that all pictures which are decoded at one time may take"""
    text_bytes: int = 2_000_000
    """of the body of any other request"""
    pixels: int = 50_000_000
    """of an uploaded picture"""
    seconds: float = 20.0
    """that an upload, or the head of a request, may take to arrive"""
    waiting: int = 64
    """requests that wait for the networks"""
    together: int = 8
    """pictures that go through the networks at one time"""
    failures: int = 10
    """wrong keys from one address in a minute"""
    imagined: int = 300
    """answers whose imagined faces can still be looked at"""
    imagined_seconds: float = 600.0
    """and for how long"""
    jobs: int = 20
    """jobs that wait"""
    look_seconds: float = 3.0
    """that a look at how the gallery is may take"""


@dataclass(frozen=True)
class Settings:
    """What a server is told. Raises UsageError for what cannot be served safely."""

    host: str = "127.0.0.1"
    """address to listen at"""
    port: int = 8000
    """0: a free one"""
    key: str | None = None
    """who has it may do everything; None: who reaches the server may"""
    roots: tuple[Path, ...] = ()
    """folders below which clients may name one to index or to export to"""
    names: tuple[str, ...] = ()
    """by which clients may call the server, besides its address"""
    root_path: str = ""
    """what a proxy takes off the path of a request"""
    certfile: Path | None = None
    """the certificate that it is reached by HTTPS with"""
    keyfile: Path | None = None
    """that certificate's key"""
    files_in_log: bool = False
    """the log may name files of users"""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.key is not None and len(self.key) < SHORTEST_KEY:
            raise UsageError(f"an API key of {len(self.key)} characters is guessed: give one of {SHORTEST_KEY} or more")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable() and " " not in self.key):
            raise UsageError("an API key is printable ASCII without spaces: give another")
        if not self.local and self.key is None:
            raise UsageError(
                f"whoever reaches {self.host} could see every picture: give an --api-key, or listen at 127.0.0.1"
            )
        if self.root_path and not self.root_path.startswith("/"):
            raise UsageError(f"the root path {self.root_path!r} begins with no slash: give one such as /faces")
        if (self.certfile is None) != (self.keyfile is None):
            raise UsageError("--certfile and --keyfile belong together: give both")
        for root in self.roots:
            if not root.is_dir():
                raise UsageError(f"{root} is no folder: give one that holds pictures as --root")

    @property
    def secure(self) -> bool:
        """Whether it is reached by HTTPS."""
        return self.certfile is not None

    @property
    def local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host == "localhost" or is_loopback(self.host)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
