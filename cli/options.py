"""Options that several commands share, where things are by default, and checks that cost nothing."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceedit.errors import FaceEditError, UsageError

if TYPE_CHECKING:
    from index.search.plan import Requirements
    from index.values import Filter

SAMPLE_DB = Path(__file__).resolve().parent.parent / "sample_db"

DbOption = Annotated[
    Path | None,
    typer.Option("--db", help="Folder of the gallery's data base [default: .facesearch, or $FACESEARCH_DB]"),
]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", help="Model folder [default: the one that comes along, or $FACESEARCH_MODEL]"),
]
ModelsOption = Annotated[
    Path | None,
    typer.Option("--models", help="Folder of models, one for each task [default: those that come along]"),
]
TaskOption = Annotated[
    str | None,
    typer.Option("--task", help="pose, illumination or inpainting [default: what --model is for, else pose]"),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda")]
DescriptorOption = Annotated[
    str | None,
    typer.Option(
        "--descriptor",
        help="learned: what the model was trained to search by; paper: its 1 x 1 layer [default: learned]",
    ),
]
CandidatesOption = Annotated[
    str,
    typer.Option(
        "--candidates",
        help="likely: refine only the values that a picture can have by a first look; all: every value",
    ),
]
KnobOption = Annotated[
    list[str] | None,
    typer.Option("--knob", metavar="NAME=VALUE", help="Set one of the settings by name; a wrong name lists them"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table")]


MaxMemoryOption = Annotated[
    str | None,
    typer.Option(
        "--max-memory",
        metavar="SIZE",
        help="What the search index may occupy: 500MB, 2GB [default: as before, or half of it all]",
    ),
]
RecallOption = Annotated[
    float | None,
    typer.Option("--recall", help="Share of the ten nearest that a search must find [default: as before, or 0.99]"),
]
MaxMsOption = Annotated[
    float | None,
    typer.Option("--max-ms", help="Milliseconds that a search may take, in the median [default: as before, or 200]"),
]


WhereOption = Annotated[
    str | None,
    typer.Option(
        "--where", metavar="CONDITION", help="Which images: \"identity != 'anna' and pose between -15 and 15\""
    ),
]


def filter_of(where: str | None) -> Filter:
    """The images that --where lets pass. Raises WhereError."""
    from index.values import Filter
    from index.where import parse

    return Filter(where=None if where is None else parse(where))


def requirements_of(
    db: Path, max_memory: str | None, recall: float | None, max_ms: float | None
) -> Requirements | None:  # fmt: skip
    """What the options ask of a search, and for the rest what was asked before; None where none of them is given.
    Raises RequirementsError, GalleryCorruptError."""
    from index.search.plan import Requirements, read_requirements

    if max_memory is None and recall is None and max_ms is None:
        return None
    usual = read_requirements(db)
    return Requirements(
        recall=usual.recall if recall is None else recall,
        max_ms=usual.max_ms if max_ms is None else max_ms,
        max_memory=usual.max_memory if max_memory is None else parsed_size(max_memory),
    )


def parsed_size(text: str) -> int:
    """Bytes of '2GB', '500 MB' or '1.5g'. Raises UsageError."""
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmgt]?)b?\s*", text, re.IGNORECASE)
    if found is None:
        raise UsageError(f"{text!r} is no size: give one such as 500MB or 2GB")
    return int(float(found[1]) * 1000 ** " kmgt".index(found[2].lower() or " "))


def db_folder(given: Path | None) -> Path:
    """--db, else $FACESEARCH_DB, else .facesearch in the current folder."""
    return given or Path(os.environ.get("FACESEARCH_DB") or ".facesearch")


def models_folder(given: Path | None) -> Path:
    """--models, else $FACESEARCH_MODELS, else the trained models that come with the project."""
    folder = given or Path(os.environ.get("FACESEARCH_MODELS") or SAMPLE_DB / "models")
    if not folder.is_dir():
        raise FaceEditError(f"no folder {folder}: give one that holds a model folder for each task with --models")
    return folder


def model_folder(given: Path | None, task: str = "pose", models: Path | None = None) -> Path:
    """--model, else $FACESEARCH_MODEL, else the task's own among the models."""
    environment = os.environ.get("FACESEARCH_MODEL")
    folder = given or (Path(environment) if environment and task == "pose" else models_folder(models) / task)
    if not folder.is_dir():
        raise FaceEditError(
            f"no model folder {folder}: give one that `facesearch train` wrote with --model, or a --models folder "
            f"that holds {task}"
        )
    return folder


def chosen_model(given: Path | None, task: str | None) -> Path:
    """The model folder of `index` and `evaluate`. Raises UsageError when it was trained for another task than asked."""
    from faceedit.modelfile import read_card

    if task is not None:
        require_task(task)
    folder = model_folder(given, task or "pose")
    found = read_card(folder)[0].task.name
    if task is not None and found != task:
        raise UsageError(f"{folder} is a model for {found}, not for {task}: leave out --task, or give another --model")
    return folder


def require_task(name: str) -> None:
    """Raise a UsageError for a task that there is none of."""
    from faceedit.attributes import TASKS

    if name not in TASKS:
        raise UsageError(f"no task {name!r}: choose one of {', '.join(TASKS)}")


def require_file(path: Path, what: str) -> None:
    """Raise a FaceEditError unless the path is a file."""
    if not path.exists():
        raise FaceEditError(f"{path} does not exist: give the path of {what}")
    if not path.is_file():
        raise FaceEditError(f"{path} is {'a folder' if path.is_dir() else 'no regular file'}: give the path of {what}")


def require_writable_parent(path: Path) -> None:
    """Raise a FaceEditError unless a file could be written at the path."""
    if not path.parent.is_dir():
        raise FaceEditError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise FaceEditError(f"cannot write {path}: it is a folder")


def require_output_folder(path: Path) -> None:
    """Raise a FaceEditError unless the folder can be made and written into. Call it before expensive work."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise FaceEditError(f"{there} is a file: give a folder to write into")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise FaceEditError(f"cannot write into {path} ({error.strerror}): give a folder you may write to") from error


def require_picture_name(path: Path, source: Path | None = None) -> None:
    """Raise a FaceEditError unless a picture can be written at the path, which must not be the one it is made of."""
    if source is not None and path.exists() and path.samefile(source):
        raise FaceEditError(f"{path} is the picture itself and would be lost: name another file to write")
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"):
        raise FaceEditError(f"cannot write {path}: name a picture, such as {path.stem or 'out'}.png")
    require_writable_parent(path)
