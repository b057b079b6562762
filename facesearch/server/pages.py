"""The page's own files: read once, told apart by their content."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_NAMED = {"": "index.html", "docs": "docs.html"}


@cache
def page_files() -> dict[str, tuple[bytes, str, str]]:
    """Every file by its name: content, type, tag."""
    found = {}
    for file in files("facesearch.server").joinpath("page").iterdir():
        kind = _TYPES.get(PurePosixPath(file.name).suffix)
        if kind and file.is_file():
            content = file.read_bytes()
            found[file.name] = (content, kind, f'"{hashlib.sha256(content).hexdigest()[:16]}"')
    return found


def page_file(request: Request, name: str) -> Response:
    """One of them, and nothing else that lies anywhere. Raises HTTPException."""
    found = page_files().get(_NAMED.get(name, name))
    if found is None:
        raise HTTPException(404, "there is nothing at this address")
    content, kind, tag = found
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def is_page(path: str) -> bool:
    """Whether a file of the page lies at this address."""
    name = path.removeprefix("/")
    return _NAMED.get(name, name) in page_files()
