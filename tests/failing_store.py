"""A store of fsspec's in this process, whose pictures tests index, and which may be told to fail."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from tests.conftest import blob_face

ROOT = "failing://bucket/photos"


class Failing(MemoryFileSystem):  # type: ignore[misc]
    """A store in this process that may be told to answer nobody, or to break off within a file."""

    protocol = ("failing",)
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    down = False
    breaks = ""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("failing://", "memory://")))

    def info(self, path: str, **more: Any) -> Any:
        self._answer()
        return super().info(path, **more)

    def ls(self, path: str, detail: bool = True, **more: Any) -> Any:
        self._answer()
        return super().ls(path, detail, **more)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **more: Any) -> bytes:
        self._answer()
        if self.breaks and self.breaks in path:
            raise ConnectionResetError("in the middle of https://host/key?secret=abc")
        return bytes(super().cat_file(path, start, end, **more))

    def _answer(self) -> None:
        if type(self).down:
            raise RuntimeError("nobody answers")


fsspec.register_implementation("failing", Failing, clobber=True)


def png(person: int, light: int = 0) -> bytes:
    out = io.BytesIO()
    Image.fromarray(blob_face(person, 0, light)).save(out, "PNG")
    return out.getvalue()


def fill() -> Any:
    """The store of this process, with six pictures of three people, and a text."""
    Failing.store.clear()
    Failing.pseudo_dirs[:] = [""]
    Failing.down, Failing.breaks = False, ""
    made = fsspec.filesystem("failing")
    for n in range(6):
        made.pipe_file(f"/bucket/photos/p{n % 3}/{n}.png", png(n))
    made.pipe_file("/bucket/photos/read.me", b"no picture")
    return made


@pytest.fixture(name="store")
def failing_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """As `fill` makes it, for one test."""
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FACESEARCH_STORES", raising=False)
    yield fill()
    Failing.down = False
