"""Routes that show and correct the gallery: faces, photos, their pictures and labels."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as Place
from PIL import Image
from pydantic import BaseModel, Field

from faceedit.images import Picture
from facesearch.server.asking import Served, photo_pixels
from facesearch.server.errors import RESPONSES, RefusedError
from facesearch.server.service import Service, require_quiet
from facesearch.server.settings import API
from facesearch.server.shapes import (
    BIGGEST,
    Changed,
    Face,
    Labels,
    Meant,
    MeantLabels,
    Page,
    PhotoAbout,
    Removed,
    face_json,
)
from index.errors import UnknownImageError
from index.values import IdArray
from retrieval.wishes import condition_of

router = APIRouter(prefix=API, responses=RESPONSES)
SIZES = (60, 120, 240, 480, 960, 1920)  # pictures are made at these, the largest that is asked for
_MOST = 1_000  # faces of a page
_SMALL = 240
FaceId = Annotated[int, Place(ge=1, le=BIGGEST)]
Size = Annotated[int, Query(ge=SIZES[0], le=4_096, description="The longer side is no longer than this, in pixels.")]
Hide = Annotated[bool, Query(description="Later looks through their folder leave them out: see `/hidden`.")]
JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}}},
    304: {"description": "It is the one that you have."},
    410: {"description": "Its file has gone, or is another one now."},
}


class Chosen(BaseModel):
    """Which faces, and where to begin."""

    where: str | None = Field(None, max_length=10_000, description="identity = 'anna' and pose < 0")
    limit: int = Field(100, ge=1, le=_MOST)
    cursor: str | None = Field(None, max_length=100, description="`next` of the page before.")
    offset: int = Field(0, ge=0, le=BIGGEST, description="Leave out so many from there on.")


@router.get("/faces", response_model=Page)
def faces(chosen: Annotated[Chosen, Query()], served: Served) -> Any:
    """Faces of the gallery, by id."""
    return _page(served, chosen, served.faces.gallery.ids(condition_of(chosen.where or None)))


def _page(served: Service, chosen: Chosen, ids: IdArray) -> dict[str, Any]:
    gallery = served.faces.gallery
    start = int(np.searchsorted(ids, last_of(chosen.cursor), "right")) + chosen.offset
    some = ids[start : start + chosen.limit].tolist()
    shown = [face_json(face, gallery.config.attribute) for face in gallery.get(some)]
    following = cursor_at(some[-1]) if start + len(some) < len(ids) and some else None
    return {"total": len(ids), "next": following, "faces": shown}


@router.get("/photos", response_model=Page)
def photos(chosen: Annotated[Chosen, Query()], served: Served) -> Any:
    """Photos of the gallery, each by the first of its faces that are meant."""
    gallery = served.faces.gallery
    return _page(served, chosen, gallery.ids(condition_of(chosen.where or None), photos=True))


@router.get("/photos/{photo}", response_model=PhotoAbout)
def one_photo(photo: FaceId, served: Served) -> Any:
    """A photo and all faces in it."""
    gallery = served.faces.gallery
    found = sorted(gallery.get(gallery.siblings([photo]) or [photo]), key=lambda face: face.number)
    return {"path": found[0].path, "faces": [face_json(face, gallery.config.attribute) for face in found]}


@router.get("/faces/{face}", response_model=Face)
def one_face(face: FaceId, served: Served) -> Any:
    """A face of the gallery."""
    gallery = served.faces.gallery
    return face_json(gallery.get([face])[0], gallery.config.attribute)


@router.get("/faces/{face}/crop", response_class=Response, responses=JPEG)
async def crop(face: FaceId, request: Request, served: Served, size: Size = 240) -> Response:
    """The face alone, a square."""

    def made(side: int) -> Picture:
        picture = served.faces.read_face(face).picture
        return picture if len(picture) <= side else served.faces.read_face(face, size=side).picture

    return await _picture(request, served, face, min(size, 240), made, alone=True)


@router.get("/photos/{photo}/picture", response_class=Response, responses=JPEG)
async def picture(photo: FaceId, request: Request, served: Served, size: Size = 960) -> Response:
    """The photo, upright, without what its file says besides."""
    return await _picture(request, served, photo, size, lambda side: served.faces.photo(photo, side), alone=False)


@router.patch("/faces", response_model=Changed)
def label_many(meant: MeantLabels, served: Served) -> Any:
    """Give faces these labels by hand."""
    return {"faces": _labelled(served, meant, meant.labels)}


@router.patch("/faces/{face}", response_model=Changed)
def label_one(face: FaceId, labels: Labels, served: Served) -> Any:
    """Give a face these labels by hand."""
    return {"faces": _labelled(served, Meant(ids=[face]), labels)}


@router.delete("/faces", response_model=Removed)
def remove_many(meant: Meant, served: Served, hide: Hide = True) -> Any:
    """Remove faces and all that is kept of them. The photos' files stay."""
    return _removed(served, meant, hide)


@router.delete("/faces/{face}", response_model=Removed)
def remove_one(face: FaceId, served: Served, hide: Hide = True) -> Any:
    """Remove a face and all that is kept of it. The photo's file stays."""
    return _removed(served, Meant(ids=[face]), hide)


def _labelled(served: Service, meant: Meant, labels: Labels) -> int:
    require_quiet(served)
    given = {name: getattr(labels, name) for name in labels.model_fields_set}
    return served.faces.label(*(meant.ids or ()), where=meant.where, **given)


def _removed(served: Service, meant: Meant, hide: bool) -> dict[str, Any]:
    require_quiet(served)
    done = served.faces.remove(*(meant.ids or ()), where=meant.where, hide=hide)
    return {"faces": done.images, "hidden": done.hidden, "warnings": done.warnings()}


async def _picture(
    request: Request, served: Service, face: int, size: int, make: Callable[[int], Picture], alone: bool
) -> Response:
    """A picture of a face's photo as JPEG, from those that are kept where it can be."""
    side, number = max(one for one in SIZES if one <= size), face if alone else None
    content, made = await run_sync(_kept, served, face, side, number)
    tag = f'"{content[:16]}-{face}-{side}{"c" if alone else ""}"' if content else ""
    headers = {"Cache-Control": "private, no-cache", **({"ETag": tag} if tag else {})}
    if tag and tag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    if made is None:
        pixels = await run_sync(photo_pixels, served.faces.gallery, face)
        made = await served.read(lambda: _made(served, face, content, side, number, make), pixels)
    return Response(made, media_type="image/jpeg", headers=headers)


def _kept(served: Service, face: int, side: int, number: int | None) -> tuple[str, bytes | None]:
    """The content of a face's photo (sha256, empty where nobody knows), and the picture where it is kept."""
    content = served.faces.gallery.get([face])[0].photo.sha256
    return content, served.pictures.get(content, side, number) if content else None


def _made(
    served: Service, face: int, content: str, side: int, number: int | None, make: Callable[[int], Picture]
) -> bytes:
    """The picture, which is kept."""
    made = _jpeg(make(side))
    if content:
        served.pictures.put(made, content, side, number)
        _erase_if_gone(served, face, content, side, number)
    return made


def _erase_if_gone(served: Service, face: int, content: str, side: int, number: int | None) -> None:
    """A face that was removed while its picture was made leaves none. Raises UnknownImageError then."""
    try:
        served.faces.gallery.get([face])
    except UnknownImageError:
        served.pictures.forget(content, side, number)
        raise


def _jpeg(picture: Picture) -> bytes:
    content = io.BytesIO()
    small = max(picture.shape) <= _SMALL  # it will be enlarged to look at: colours as fine as the rest
    Image.fromarray(picture).save(content, "JPEG", quality=92 if small else 85, subsampling=0 if small else 2)
    return content.getvalue()


def cursor_at(last: int) -> str:
    """Opaque, of a number."""
    return base64.urlsafe_b64encode(last.to_bytes(8, "big")).decode().rstrip("=")


def last_of(cursor: str | None) -> int:
    """The number that a cursor stands for. Raises RefusedError for what is none."""
    if not cursor:
        return 0
    try:
        content = base64.b64decode(cursor + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        content = b""
    number = int.from_bytes(content, "big")
    if len(content) != 8 or number > BIGGEST:
        raise RefusedError(422, "bad_cursor", "the cursor is none that this server gave: begin without one")
    return number
