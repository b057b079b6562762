"""Routes that ask: query, sweep, edit, and which faces a picture shows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from faceedit.attributes import ILLUMINATION, POSE, TASKS
from faceedit.decoding import picture_size
from faceedit.images import LARGEST, SIZE
from facesearch.server.errors import RESPONSES, RefusedError
from facesearch.server.service import Service, service, while_there
from facesearch.server.settings import API
from facesearch.server.shapes import BIGGEST, Answered, Compared, Detected, Edited, Swept, answer_json, pictures_json
from facesearch.server.uploads import BODY
from index.gallery import Gallery
from retrieval.answers import Answer
from retrieval.likeness import FALSE_ACCEPTS
from retrieval.query import Question
from retrieval.source import Source
from retrieval.wishes import DISTINCT, Selection, asked_for, condition_of, require_wish, swept

router = APIRouter(prefix=API, responses=RESPONSES)
Served = Annotated[Service, Depends(service)]
MOST = 1_000  # results
_T = TypeVar("_T")
CACHED = {"Cache-Control": "private, max-age=600"}


def one_of(values: Sequence[int | str]) -> dict[str, Any]:
    """What the documentation says may be given; what may not is refused with the command's own sentence."""
    return {"enum": [*values, None]}


class Wishes(BaseModel):
    """How the face is to be seen."""

    of: int | None = Field(None, ge=1, le=BIGGEST, description="Id of a face of the gallery, instead of an upload.")
    face: int | None = Field(None, ge=1, le=1_000, description="Which face of the upload, 1 being the largest.")
    pose: int | None = Field(
        None, description="Degrees; negative: to the left edge.", json_schema_extra=one_of(POSE.values)
    )
    illumination: int | None = Field(
        None, description="Number of the light.", json_schema_extra=one_of(ILLUMINATION.values)
    )
    inpaint: bool = Field(False, description="Without what hides a part of it.")

    @property
    def asked(self) -> dict[str, int]:
        return asked_for(self.pose, self.illumination, self.inpaint)


class ToCompare(BaseModel):
    """Two faces: one uploaded or of the gallery, the other of the gallery."""

    other: int = Field(ge=1, le=BIGGEST, description="Id of a face of the gallery.")
    of: int | None = Field(None, ge=1, le=BIGGEST, description="Id of another, instead of an upload.")
    face: int | None = Field(None, ge=1, le=1_000, description="Which face of the upload, 1 being the largest.")
    false_accepts: float = Field(
        FALSE_ACCEPTS,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="The share of strangers that may be taken for one person: one of those that were measured.",
    )


class Wanted(Wishes):
    """And which results are shown."""

    k: int = Field(5, ge=1, le=MOST)
    where: str | None = Field(None, max_length=10_000, description="identity != 'anna' and pose between -15 and 15")
    distinct: str | None = Field(
        None, description="Each person, each file's content, or each photo once.", json_schema_extra=one_of(DISTINCT)
    )
    max_distance: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)

    @property
    def selection(self) -> Selection:
        return Selection(self.k, condition_of(self.where or None), self.distinct, self.max_distance)


class SweepWanted(Wanted):
    attribute: str = Field("pose", description="Every value of it is asked for.", json_schema_extra={"enum": [*TASKS]})
    k: int = Field(1, ge=1, le=MOST)


@router.post("/query", response_model=Answered, openapi_extra=BODY)
async def query(request: Request, wanted: Annotated[Wanted, Query()], served: Served) -> Any:
    """Imagine the person as asked, and find them: the nearest real pictures. With nothing asked, those that look most
    alike."""
    asked, selection = wanted.asked, wanted.selection
    async with asked_about(request, served, wanted) as source:
        answers = await while_there(request, served.desk.ask([Question(source, asked, selection)]))
        return (await _kept(served, answers))[0]


@router.post("/sweep", response_model=Swept, openapi_extra=BODY)
async def sweep(request: Request, wanted: Annotated[SweepWanted, Query()], served: Served) -> Any:
    """The same at every pose, or under every light: one answer each."""
    wishes, selection = swept(wanted.attribute, wanted.asked), wanted.selection
    async with asked_about(request, served, wanted) as source:
        questions = [Question(source, asked, selection) for asked in wishes]
        answers = await while_there(request, served.desk.ask(questions))
        return {"attribute": wanted.attribute, "answers": await _kept(served, answers)}


@router.post("/edit", response_model=Edited, openapi_extra=BODY)
async def edit(request: Request, wanted: Annotated[Wishes, Query()], served: Served) -> Any:
    """See a face as asked, without searching for it."""
    require_wish(wanted.asked)
    edit = partial(served.faces.edit, pose=wanted.pose, illumination=wanted.illumination, inpaint=wanted.inpaint)
    async with asked_about(request, served, wanted) as source:
        steps = await while_there(request, served.desk.do(partial(edit, source)))
        name = await served.read(partial(served.imagined.keep, source, steps), pixels_in(source.kept))
        return pictures_json(_Made(source, steps), name)


@router.post("/compare", response_model=Compared, openapi_extra=BODY)
async def compare(request: Request, wanted: Annotated[ToCompare, Query()], served: Served) -> Any:
    """Whether two pictures show one person."""
    async with asked_about(request, served, wanted) as source:
        other = await _known(served, wanted.other)
        likeness = partial(served.faces.compare, source, other, false_accepts=wanted.false_accepts)
        found = await while_there(request, served.desk.do(likeness))
        return {**found.as_json(), "warnings": [*source.warnings, *other.warnings]}


@router.post("/faces", response_model=Detected, openapi_extra=BODY)
async def detect(request: Request, served: Served) -> Any:
    """Which faces a picture shows, and where: `face` of a query is the number of one."""
    with served.uploads.place() as upload:
        content = await upload.read(request)
        if not content:
            raise RefusedError(422, "which_picture", "there is no picture: upload one")
        work = partial(served.faces.faces_in, content)
        return asdict(await while_there(request, _decoded(served, content, work)))


@router.get("/imagined/{name}/{which}", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def imagined(
    name: str, which: str, served: Served, size: Annotated[int | None, Query(ge=SIZE, le=LARGEST)] = None
) -> Response:
    """A picture of a recent answer: `source`, or a step by its number from 0."""
    return Response(served.imagined.picture(name, which, size), media_type="image/png", headers=CACHED)


class _Made:
    """An edit, as answers have it."""

    def __init__(self, source: Source, steps: Any) -> None:
        self.given, self.steps = source, steps


@asynccontextmanager
async def asked_about(request: Request, served: Service, wanted: Wishes | ToCompare) -> AsyncIterator[Source]:
    """The picture that is asked about: uploaded, or a face of the gallery. The bytes of an upload count until it is
    answered, since it may be looked at larger then."""
    with served.uploads.place() as upload:
        content = await upload.read(request)
        if (wanted.of is None) == (not content):
            raise RefusedError(422, "which_picture", "say whom you mean: upload a picture, or give of=ID, not both")
        if wanted.of is not None:
            yield await while_there(request, _known(served, wanted.of))
        else:
            read = partial(served.faces.read, content, face=wanted.face)
            yield await while_there(request, _decoded(served, content, read))


async def _decoded(served: Service, content: bytes, work: Callable[[], _T]) -> _T:
    """What `work` makes of an upload."""
    pixels = await served.read(partial(require_pixels, content, served.settings.limits.pixels))
    return await served.read(work, pixels)


async def _known(served: Service, face: int) -> Source:
    """A face of the gallery."""
    pixels = await served.read(partial(photo_pixels, served.faces.gallery, face))
    return await served.read(partial(served.faces.read_face, face), pixels)


def photo_pixels(gallery: Gallery, face: int) -> int:
    """How many pixels the photo of a face has. Raises UnknownImageError."""
    photo = gallery.get([face])[0].photo
    if photo.width:
        return photo.width * photo.height
    width, height = picture_size(gallery.config.image_root / photo.path) or (0, 0)
    return width * height


def require_pixels(content: bytes, most: int) -> int:
    """How many pixels a picture has, as it says. Raises RefusedError for more, before any of them is decoded."""
    size = picture_size(content)
    if size is not None and size[0] * size[1] > most:
        text = f"the picture has {size[0]} x {size[1]} pixels, over {most:,}: make it smaller"
        raise RefusedError(413, "too_large", text)
    return most if size is None else size[0] * size[1]


def pixels_in(kept: object) -> int:
    """Of a picture that was asked about, where its file is read once more; 0 where its crop is there."""
    return require_pixels(kept, BIGGEST) if isinstance(kept, bytes) else 0


async def _kept(served: Service, answers: list[Answer]) -> list[dict[str, Any]]:
    """Answers as JSON, their pictures kept for a while."""
    pixels = pixels_in(answers[0].given.kept) if answers else 0  # all are to the same
    if pixels:  # the crop is made of them, and they are let go
        return await served.read(partial(_told, served, answers), pixels)
    return _told(served, answers)


def _told(served: Service, answers: list[Answer]) -> list[dict[str, Any]]:
    return [answer_json(one, served.imagined.keep(one.given, one.steps)) for one in answers]
