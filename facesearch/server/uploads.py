"""Pictures that are uploaded: read as a stream, in memory, within limits of bytes and seconds, and never kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from facesearch.server.errors import RefusedError, full
from facesearch.server.settings import Limits

FIELD = b"picture"
_FORM = b"multipart/form-data"
BODY = {
    "requestBody": {
        "description": "The picture itself, or a form with one field `picture`; nothing where a face of the gallery "
        "is named.",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"picture": {"type": "string", "format": "binary"}},
                    "required": ["picture"],
                }
            },
        },
    }
}


class Uploads:
    """Reads uploads; all that are in memory at one time share a budget."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes in memory now."""
        return self._held

    @contextmanager
    def place(self) -> Iterator[Upload]:
        """Where one upload is read to; its bytes count until the end of the block."""
        upload = Upload(self)
        try:
            yield upload
        finally:
            self._held -= upload.held

    def require(self, size: int) -> None:
        """Raise RefusedError where an upload of so many bytes is too large."""
        if size > self._limits.bytes:
            most = self._limits.bytes // 1_000_000
            raise RefusedError(413, "too_large", f"the upload has more than {most} MB: make the picture smaller")

    def take(self, more: int) -> None:
        """Raise RefusedError where there is no room for so many bytes more."""
        if self._held + more > self._limits.bytes_together:
            raise full("too many pictures are being uploaded")
        self._held += more

    @property
    def seconds(self) -> float:
        return self._limits.seconds


class Upload:
    """One upload on its way into memory."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self.held = 0

    async def read(self, request: Request) -> bytes:
        """The uploaded picture; empty where there is none. Raises RefusedError for what is too large, takes too long
        or is no such form; ClientDisconnect."""
        self._check_length(request)
        try:
            async with asyncio.timeout(self._uploads.seconds):
                kind, options = parse_options_header(request.headers.get("content-type", ""))
                if kind == _FORM:
                    return await _of_form(self._chunks(request), options.get(b"boundary", b""))
                return b"".join([chunk async for chunk in self._chunks(request)])
        except TimeoutError:
            text = f"the upload did not arrive within {self._uploads.seconds:.0f} seconds: make the picture smaller"
            raise RefusedError(408, "too_slow", text) from None

    def _check_length(self, request: Request) -> None:
        """Refuse what says that it is too large before any of it is read."""
        said = request.headers.get("content-length", "0")
        if said.isdecimal():
            self._uploads.require(int(said[:20]))

    async def _chunks(self, request: Request) -> AsyncIterator[bytes]:
        async for chunk in request.stream():
            self._uploads.require(self.held + len(chunk))
            self._uploads.take(len(chunk))
            self.held += len(chunk)
            yield chunk


async def _of_form(chunks: AsyncIterator[bytes], boundary: bytes) -> bytes:
    """The content of the field `picture`. Raises RefusedError for a form that cannot be read, or has others."""
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks)  # type: ignore[arg-type]
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise RefusedError(400, "bad_form", f"the form cannot be read ({error}): send the picture alone") from error
    if form.finished != 1:
        raise RefusedError(400, "bad_form", "the form has not exactly one picture: send one field named picture")
    return b"".join(form.content)


class _Form:
    """What a multipart parser tells of a form."""

    def __init__(self) -> None:
        self.content: list[bytes] = []
        self.finished = 0
        self._name, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._wanted = False
        names = (
            "part_begin",
            "part_data",
            "part_end",
            "header_field",
            "header_value",
            "header_end",
            "headers_finished",
        )
        self.callbacks = {f"on_{name}": getattr(self, name) for name in names}

    def part_begin(self) -> None:
        self._headers, self._wanted = {}, False

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._wanted = options.get(b"name") == FIELD

    def part_data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self.content.append(data[start:end])

    def part_end(self) -> None:
        self.finished += 1 if self._wanted else 2  # another field is not exactly one picture
