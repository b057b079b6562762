"""Options that several commands share, and the one place that makes a command's FaceSearch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Context, Option

from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.attributes import AttributeSpace
    from index.gallery import Gallery
    from index.truth.address import Address
    from retrieval.face_search import FaceSearch

Factory = Callable[..., "FaceSearch"]

DbOption = Annotated[
    str | None,
    Option(
        metavar="PLACE",
        help="The gallery's folder, or its address on a server. [default: .facesearch, or $FACESEARCH_DB]",
    ),
]
ModelOption = Annotated[
    Path | None, Option(help="The model's folder. [default: the one that comes along, or $FACESEARCH_MODEL]")
]
ModelsOption = Annotated[
    Path | None, Option(help="A folder of models, one for each task. [default: those that come along]")
]
TaskOption = Annotated[
    str | None, Option(help="Say pose, illumination or inpainting. [default: what --model is for, else pose]")
]
IdentityOption = Annotated[
    str | None,
    Option(
        help="Let own (the model), sface or FILE.onnx say who somebody is. [default: what the gallery has, or "
        "$FACESEARCH_IDENTITY; of a new one sface where it is installed]"
    ),
]
DeviceOption = Annotated[str, Option(help="Compute on auto, cpu or cuda.")]
DescriptorOption = Annotated[
    str | None,
    Option(
        help="Search by learned, what the model was trained to search by, or by paper, its 1 x 1 layer. "
        "[default: learned]"
    ),
]
CandidatesOption = Annotated[
    str, Option(help="Refine likely values, those that a picture can have by a first look, or all of them.")
]
KnobOption = Annotated[
    list[str] | None, Option(metavar="NAME=VALUE", help="Set one of the settings by name; a wrong name lists them.")
]
JsonOption = Annotated[bool, Option("--json", help="Print one JSON object instead of a table.")]
MaxMemoryOption = Annotated[
    str | None,
    Option(
        metavar="SIZE",
        help="Let the search index occupy so much: 500MB, 2GB. [default: as before, or half of the machine's]",
    ),
]
RecallOption = Annotated[
    float | None, Option(help="Let a search find this share of the ten nearest at least. [default: as before, or 0.99]")
]
MaxMsOption = Annotated[
    float | None, Option(help="Let a search take so many milliseconds, in the median. [default: as before, or 200]")
]
WhereOption = Annotated[
    str | None,
    Option(
        metavar="CONDITION",
        help="Take only images for which this holds: \"identity != 'anna' and pose between -15 and 15\".",
    ),
]
ImagesArgument = Annotated[
    list[str] | None, Argument(help="Images: their paths as `list` shows them, or as files, or their ids.")
]
PoseOption = Annotated[int | None, Option(help="Turn the face to -45, -30, ... 45 degrees; negative looks left.")]
IlluminationOption = Annotated[int | None, Option(help="Light the face by this number, 0 to 19.")]
InpaintOption = Annotated[bool, Option("--inpaint", help="Take away the black block that hides a part.")]
FaceOption = Annotated[int | None, Option(min=1, help="Mean this face of several; 1 is the largest.")]
DetectorOption = Annotated[Path | None, Option(help="Find faces by this YuNet, an ONNX file.")]
AllPosesOption = Annotated[bool, Option("--all-poses", help="Take every pose, one after the other.")]
AllIlluminationsOption = Annotated[bool, Option("--all-illuminations", help="Take every light.")]


def face_search(context: Context, db: str | Path | None = None, **options: Any) -> FaceSearch:
    """The gallery of --db with its models; options: of `FaceSearch`."""
    from retrieval.face_search import FaceSearch

    make: Factory = context.obj or FaceSearch
    return make(db_place(db), **options)


def gallery_of(db: str | Path | None = None, damaged: bool = False) -> Gallery:
    """The gallery of --db alone, for what needs no model."""
    from index.gallery import Gallery

    return Gallery.open(db_place(db), damaged=damaged)


def db_place(given: str | Path | None) -> Address:
    """--db, else $FACESEARCH_DB, else .facesearch in the current folder. Raises AddressError."""
    from index.truth.address import read_address

    return read_address(given or os.environ.get("FACESEARCH_DB") or ".facesearch")


def db_folder(given: str | None) -> Path:
    """That folder, or the one where this machine keeps what it derives of a gallery on a server."""
    place = db_place(given)
    return place if isinstance(place, Path) else place.folder


def swept(all_poses: bool, all_illuminations: bool, asked: dict[str, int]) -> AttributeSpace | None:
    """The attribute to go through from end to end, if any. Raises UsageError when that contradicts what is asked."""
    from faceedit.attributes import TASKS

    names = [name for name, on in (("pose", all_poses), ("illumination", all_illuminations)) if on]
    if len(names) > 1:
        raise UsageError("--all-poses and --all-illuminations together: choose one")
    if names and names[0] in asked:
        raise UsageError(f"--all-{names[0]}s and --{names[0]} together: choose one")
    return TASKS[names[0]] if names else None


def one_of(usual: str, **on: bool) -> str:
    """Which of the forms of output was asked for. Raises UsageError when several are."""
    chosen = [name for name, asked in on.items() if asked]
    if len(chosen) > 1:
        raise UsageError(f"--{' and --'.join(chosen)} together: choose one")
    return chosen[0] if chosen else usual
