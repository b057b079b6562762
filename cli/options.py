"""Options that several commands share, how a command states its own, and the one place that makes its FaceSearch."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextvars import ContextVar
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from typer import Argument, Option, Typer

from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.attributes import AttributeSpace
    from index.gallery import Gallery
    from index.truth.address import Address
    from retrieval.face_search import FaceSearch

Factory = Callable[..., "FaceSearch"]
made_by: ContextVar[Factory | None] = ContextVar("made_by", default=None)
"""What makes the FaceSearch of a command; None: the class itself."""

Db = Annotated[
    str | None, "PLACE", "The gallery's folder, or its address on a server. [default: .facesearch, or $FACESEARCH_DB]"
]
Model = Annotated[Path | None, "The model's folder. [default: the one that comes along, or $FACESEARCH_MODEL]"]
Models = Annotated[Path | None, "A folder of models, one for each task. [default: those that come along]"]
Task = Annotated[str | None, "Say pose, illumination or inpainting. [default: what --model is for, else pose]"]
Identity = Annotated[
    str | None,
    "Let own (the model), sface or FILE.onnx say who somebody is. [default: what the gallery has, or "
    "$FACESEARCH_IDENTITY; of a new one sface where it is installed]",
]
Device = Annotated[str, "Compute on auto, cpu or cuda."]
Descriptor = Annotated[
    str | None,
    "Search by learned, what the model was trained to search by, or by paper, its 1 x 1 layer. [default: learned]",
]
Candidates = Annotated[str, "Refine likely values, those that a picture can have by a first look, or all of them."]
Knob = Annotated[list[str] | None, "NAME=VALUE", "Set one of the settings by name; a wrong name lists them."]
Json = Annotated[bool, "--json", "Print one JSON object instead of a table."]
MaxMemory = Annotated[
    str | None,
    "SIZE",
    "Let the search index occupy so much: 500MB, 2GB. [default: as before, or half of the machine's]",
]
Recall = Annotated[float | None, "Find at least this share of the ten nearest. [default: as before, or 0.99]"]
MaxMs = Annotated[float | None, "Let a search take so many milliseconds, in the median. [default: as before, or 200]"]
Where = Annotated[
    str | None, "CONDITION", "Take only images where this holds: \"identity != 'anna' and pose between -15 and 15\"."
]
Images = Annotated[
    list[str] | None, Argument(help="Images: their paths as `list` shows them, or as files, or their ids.")
]
Pose = Annotated[int | None, "Turn the face to -45, -30, ... 45 degrees; negative looks left."]
Illumination = Annotated[int | None, "Light the face by this number, 0 to 19."]
Inpaint = Annotated[bool, "Take away the black block that hides a part."]
Face = Annotated[int | None, Option(min=1, help="Mean this face of several; 1 is the largest.")]
Detector = Annotated[Path | None, "Find faces by this YuNet, an ONNX file."]
AllPoses = Annotated[bool, "Take every pose, one after the other."]
AllIlluminations = Annotated[bool, "Take every light."]


def group(*commands: Callable[..., None], **given: Any) -> Typer:
    """Commands by their names, with what they state of their options: see `stated`. given: of `Typer`."""
    made = Typer(**{"no_args_is_help": True, "rich_markup_mode": None, **given})
    for command in commands:
        made.command(command.__name__.strip("_").replace("_", "-"))(stated(command))
    return made


def stated(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose options may be annotated by text alone, for Typer, which takes none: Annotated[type, "--name",
    "METAVAR", "Help."]. The name and metavar are Typer's own where they are left out; what has neither a default nor a
    name is an argument."""
    signature = inspect.signature(command, eval_str=True)
    parameters = [_stated(parameter) for parameter in signature.parameters.values()]
    setattr(command, "__signature__", signature.replace(parameters=parameters))  # noqa: B010
    return command


def _stated(parameter: Parameter) -> Parameter:
    kind, *said = get_args(parameter.annotation) or (None,)
    *before, text = said or (None,)
    if not isinstance(text, str):
        return parameter
    names = [name for name in before if name.startswith("-")]
    metavar, *more = [name for name in before if name not in names] or [None]
    if more:
        raise TypeError(f"{parameter.name} states two metavars, {metavar!r} and {more[0]!r}: leave one out")
    named: dict[str, Any] = {"metavar": metavar, "help": text}
    if kind is bool and not names:
        names = [f"--{parameter.name.replace('_', '-')}"]  # else there would be a --no-..., too
    is_argument = parameter.default is Parameter.empty and not names
    made = Argument(**named) if is_argument else Option(*names, **named)
    return parameter.replace(annotation=Annotated[kind, made])


def face_search(db: str | Path | None = None, **given: Any) -> FaceSearch:
    """The gallery of --db with its models; given: options of `FaceSearch`."""
    from retrieval.face_search import FaceSearch

    make: Factory = made_by.get() or FaceSearch
    return make(place_of(db), **given)


def gallery_of(db: str | Path | None, damaged: bool = False) -> Gallery:
    """The gallery of --db alone, for what needs no model."""
    from index.gallery import Gallery

    return Gallery.open(place_of(db), damaged=damaged)


def place_of(db: str | Path | None) -> Address:
    """--db, else $FACESEARCH_DB, else .facesearch in the current folder. Raises AddressError."""
    from index.truth.address import read_address

    return read_address(db or os.environ.get("FACESEARCH_DB") or ".facesearch")


def swept(all_poses: bool, all_illuminations: bool, asked: dict[str, int]) -> AttributeSpace | None:
    """The attribute to go through from end to end, if any. Raises UsageError when that contradicts what is asked."""
    from faceedit.attributes import TASKS

    every = one_of("", **{"all-poses": all_poses, "all-illuminations": all_illuminations})
    name = every.removeprefix("all-").removesuffix("s")
    if name in asked:
        raise UsageError(f"--{every} and --{name} together: choose one")
    return TASKS[name] if name else None


def one_of(usual: str, **on: bool) -> str:
    """Which of several options was given that go not together. Raises UsageError when several are."""
    chosen = [name for name, asked in on.items() if asked]
    if len(chosen) > 1:
        raise UsageError(f"--{' and --'.join(chosen)} together: choose one")
    return chosen[0] if chosen else usual
