"""What goes over the wire: the JSON of this API, as its documentation tells it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from faceedit.attributes import TASKS
from index.gallery import Face as GalleryFace
from index.labels import LABELS, LONGEST_LABEL
from index.limits import LARGEST_PERSON
from retrieval.answers import SHOWN, Answer, Result

BIGGEST = 2**62
Id = Annotated[int, Field(ge=1, le=BIGGEST)]
Box = Annotated[list[float], Field(min_length=4, max_length=4)]
Pixels = Annotated[list[int], Field(min_length=2, max_length=2)]


class Face(BaseModel):
    """A face of the gallery. A photo is named by the id of any of its faces."""

    id: int
    size: Pixels | None = Field(description="Width and height of its photo in pixels; null: it is a crop.")
    number: int = Field(description="Among the faces of its photo, the largest first.")
    box: Box | None = Field(description="Left, top, width and height in pixels; null: the whole photo is the face.")
    path: str = Field(description="Of the photo, relative to the gallery's pictures.")
    identity: str | None
    pose: int | None = Field(description="Degrees; negative: to the left edge. The label, else what the model saw.")
    illumination: int | None
    expression: str | None
    decided: int = Field(description="What the model saw of the attribute that the gallery is searched by.")
    origins: dict[str, str] = Field(description="Where each label comes from: hand, file, folder, suggestion.")
    person: int | None = Field(description="Number of the person whose face it is; null: people were not grouped.")


class PhotoAbout(BaseModel):
    """A photo and the faces in it, the largest first."""

    path: str
    faces: list[Face]


class Found(Face):
    """A face that answers a question."""

    rank: int
    distance: float
    file: str = Field(description="How its file was found: there, gone, changed since, not readable now.")


class Imagined(BaseModel):
    """One edit, and where the picture can be fetched, for some minutes."""

    attribute: str
    value: int
    text: str
    picture: str


class Answered(BaseModel):
    """Who was found. near: whether the first is no farther than nearly all right ones are; null: nobody measured."""

    asked: dict[str, int]
    near: bool | None
    far: float | None = Field(description="How far the first result lies, by what tells most surely who it is.")
    usual: float | None = Field(description="Within this lay 99 % of right first results.")
    at_any_look: bool = Field(description="Nothing was asked, and what says who it is was compared alone.")
    warnings: list[str]
    source: str = Field(description="Where the face that was asked about can be fetched.")
    steps: list[Imagined]
    results: list[Found]


class Swept(BaseModel):
    attribute: str
    answers: list[Answered]


class Edited(BaseModel):
    source: str
    steps: list[Imagined]
    warnings: list[str]


class Threshold(BaseModel):
    false_accepts: float
    distance: float


class Compared(BaseModel):
    """Whether two pictures show one person."""

    same: bool
    distance: float = Field(description="Between what they say of who it is, 0 to 2.")
    false_accepts: float | None = Field(
        description="The smallest measured share of strangers that includes so near ones; null: more than the largest."
    )
    threshold: Threshold
    measured_on: str
    warnings: list[str]


class Page(BaseModel):
    """Some of many. next: the cursor of those that follow; null: there are none."""

    total: int
    next: str | None
    faces: list[Face]


class SeenFace(BaseModel):
    number: int
    box: Box | None = Field(description="Left, top, width and height in pixels; null: the whole picture is the face.")
    score: float | None = Field(description="How sure the detector is, 0 to 1.")


class Lookalike(BaseModel):
    box: Box = Field(description="Left, top, width and height in pixels of the upright picture.")
    reason: str


class Detected(BaseModel):
    """The faces in an upload, the largest first."""

    size: Pixels | None = Field(description="Of the upright picture in pixels; null: it is a crop.")
    turns: int = Field(description="Quarter turns to the left that set it upright, besides its EXIF.")
    faces: list[SeenFace]
    warnings: list[str]
    lookalikes: list[Lookalike] = Field(description="Places that look like faces and were left out, and why.")


class Labels(BaseModel):
    """Labels to set; null or empty text takes one away, what is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    identity: Annotated[str, Field(max_length=LONGEST_LABEL)] | None = None
    pose: Annotated[int, Field(ge=-BIGGEST, le=BIGGEST)] | None = None
    illumination: Annotated[int, Field(ge=-BIGGEST, le=BIGGEST)] | None = None
    expression: Annotated[str, Field(max_length=LONGEST_LABEL)] | None = None


class Meant(BaseModel):
    """Which faces: by id, or by a condition; one of both."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: Annotated[list[Id], Field(max_length=10_000)] | None = None
    where: Annotated[str, Field(max_length=10_000)] | None = None


class MeantLabels(Meant):
    labels: Labels


class Changed(BaseModel):
    faces: int = Field(description="How many faces were changed or removed.")
    warnings: list[str] = []


class Removed(Changed):
    hidden: list[str] = Field(description="Names of those that stay away, to have them back by `/hidden/back`.")


class Hidden(BaseModel):
    """A face that was removed, and that later looks through its folder leave out."""

    name: str = Field(description="Of the photo, and which face there: party.jpg#2.")
    path: str
    number: int
    since: int = Field(description="Seconds since 1970.")


class HiddenPage(BaseModel):
    """Some of many, those last hidden first."""

    total: int
    next: str | None
    hidden: list[Hidden]


class Names(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    names: Annotated[list[Annotated[str, Field(max_length=10_000)]], Field(min_length=1, max_length=10_000)]


class BroughtBack(BaseModel):
    """faces: ids; waiting: names of those that come with the next look through their folder; stay: of those that stay
    hidden, since their file cannot be read now."""

    faces: list[int]
    waiting: list[str]
    stay: list[str]


class Attribute(BaseModel):
    name: str
    values: list[int]
    words: list[str]


class GalleryAbout(BaseModel):
    """The gallery, and what can be asked of this server. info: null where there is no gallery yet."""

    version: str
    info: dict[str, Any] | None
    attributes: list[Attribute]
    photographs: bool = Field(description="Whether faces are found in photographs, not only in crops.")
    roots: list[str]
    demo: bool
    limits: dict[str, int]


class Person(BaseModel):
    """A group of faces that are one individual's."""

    number: int = Field(description="Stable, and never given to another person.")
    name: str | None
    title: str = Field(description="The name, or `person 17`.")
    faces: int
    suggested: int = Field(description="How many of them have the name as a suggestion: nobody said it of them.")
    cover: int = Field(description="Id of a face to show it by.")


class PeoplePage(BaseModel):
    """Some of many. grouped: whether faces were ever grouped; new: how many came since."""

    total: int
    next: str | None
    grouped: bool
    new: int
    people: list[Person]


class Name(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(max_length=LONGEST_LABEL)] | None


class Persons(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    people: Annotated[list[Annotated[int, Field(ge=1, le=LARGEST_PERSON)]], Field(min_length=1, max_length=1_000)]


class Faces(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    faces: Annotated[list[Id], Field(min_length=1, max_length=10_000)]


class Split(BaseModel):
    person: Person
    along: int


class Problem(BaseModel):
    path: str
    reason: str
    found: str


class Problems(BaseModel):
    problems: list[Problem]


class Plan(BaseModel):
    lines: list[str]


class Folders(BaseModel):
    folders: list[str]


class JobAsked(BaseModel):
    """What to do. index: describe the pictures of `folder` below a root, or, without a root, of the gallery's own
    folder again; verify; compact; export: into a new folder below a root, with the pictures themselves if asked;
    group: faces into people, those that came since, or all `anew`;
    evaluate: measure recall on the labelled data set in `folder`, which has a manifest.csv, or in the gallery's own."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["index", "verify", "compact", "export", "evaluate", "group"]
    root: Annotated[int, Field(ge=0, le=1_000)] | None = None
    folder: Annotated[str, Field(max_length=4_096)] = ""
    prune: bool = Field(False, description="index: remove faces whose files have gone.")
    retry: bool = Field(False, description="index: try files again that could not be read.")
    pictures: bool = Field(False, description="export: copy the photos as well.")
    anew: bool = Field(False, description="group: all faces again; what a hand said stays.")
    queries: int = Field(500, ge=1, le=10_000, description="evaluate: ask so many questions.")


class Job(BaseModel):
    id: int
    kind: str
    asked: dict[str, Any]
    state: Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]
    doing: str
    done: int
    of: int
    asked_at: str
    began: str
    ended: str
    outcome: dict[str, Any] | None


class JobList(BaseModel):
    jobs: list[Job]


class Report(BaseModel):
    id: int
    figures: dict[str, Any] = Field(description="As report.json of `facesearch evaluate` has them, and when: `made`.")


class ReportList(BaseModel):
    reports: list[Report]


class Key(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    key: Annotated[str, Field(max_length=1_000)]


class Session(BaseModel):
    needed: bool = Field(description="Whether this server asks for a key.")


class Ready(BaseModel):
    ready: bool
    gallery: bool
    lag: int | None = Field(None, description="Faces that the gallery's engine does not know as they are.")


def face_json(face: GalleryFace, attribute: str) -> dict[str, Any]:
    """Of a face of a gallery whose model decides `attribute`. It stands for its photo, too."""
    labels = face.labels
    said = {name: getattr(labels, name) for name in LABELS}
    said |= {name: face.decided for name in SHOWN if said[name] is None and name == attribute}
    origins = {name: labels.origin(name) for name in LABELS if labels.origin(name)}
    photo = face.photo
    size = [photo.width, photo.height] if photo.width else None
    place = {"id": face.id, "path": face.path, "size": size, "number": face.number, "box": face.box}
    return {**place, **said, "decided": face.decided, "origins": origins, "person": face.person}


def result_json(result: Result) -> dict[str, Any]:
    """Of one result."""
    about = {"rank": result.rank, "distance": round(result.distance, 6), "file": result.file}
    return {**face_json(result.face, result.attribute), **about}


def answer_json(answer: Answer, name: str) -> dict[str, Any]:
    """Of an answer whose pictures are kept under a name."""
    first = answer.first
    usual = first.limit if first else None
    return {
        "asked": dict(answer.asked),
        "near": answer.near,
        "far": None if first is None else round(first.distance, 6),
        "usual": usual,
        "at_any_look": answer.at_any_look,
        "results": [result_json(one) for one in answer.results],
        **pictures_json(answer, name),
    }


def pictures_json(answer: Any, name: str) -> dict[str, Any]:
    """The source and the steps of an answer, or of an edit, as links."""
    steps = [
        {"attribute": one.attribute.name, "value": one.value, "text": one.text, "picture": f"imagined/{name}/{at}"}
        for at, one in enumerate(answer.steps)
    ]
    return {"source": f"imagined/{name}/source", "steps": steps, "warnings": list(answer.given.warnings)}


def attributes() -> list[dict[str, Any]]:
    """What can be wished for."""
    return [{"name": one.name, "values": list(one.values), "words": list(one.words)} for one in TASKS.values()]
