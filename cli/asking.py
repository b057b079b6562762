"""How a user says how a person is to be seen: the options of `query` and `edit`, and the editors they need."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import model_folder
from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.attributes import AttributeSpace
    from faceedit.editor import Editor
    from index.gallery import GalleryConfig

PoseOption = Annotated[int | None, typer.Option("--pose", help="-45, -30, ... 45 degrees; negative looks left")]
IlluminationOption = Annotated[int | None, typer.Option("--illumination", help="Number of the light, 0 to 19")]
InpaintOption = Annotated[bool, typer.Option("--inpaint", help="Without the black block that hides a part")]
AllPosesOption = Annotated[bool, typer.Option("--all-poses", help="At every pose, one after the other")]
AllIlluminationsOption = Annotated[bool, typer.Option("--all-illuminations", help="Under every light")]


def asked_for(pose: int | None, illumination: int | None, inpaint: bool) -> dict[str, int]:
    """Attribute name to value, checked. Raises AttributeValueError for an unknown value."""
    from faceedit.attributes import TASKS

    given = {"inpainting": 0 if inpaint else None, "illumination": illumination, "pose": pose}
    asked = {name: value for name, value in given.items() if value is not None}
    for name, value in asked.items():
        TASKS[name].index(value)
    return asked


def swept(all_poses: bool, all_illuminations: bool, asked: dict[str, int]) -> AttributeSpace | None:
    """The attribute to go through from end to end, if any. Raises UsageError when that contradicts what is asked."""
    from faceedit.attributes import TASKS

    names = [name for name, on in (("pose", all_poses), ("illumination", all_illuminations)) if on]
    if len(names) > 1:
        raise UsageError("--all-poses and --all-illuminations together: choose one")
    if names and names[0] in asked:
        raise UsageError(f"--all-{names[0]}s and --{names[0]} together: choose one")
    return TASKS[names[0]] if names else None


def load_editors(
    names: Iterable[str], models: Path | None, device: str, own: dict[str, Path], gallery: GalleryConfig | None = None
) -> dict[str, Editor]:  # fmt: skip
    """An editor for each task, from `own` folders where given, else from the models' folder; that of the gallery's own
    task makes the gallery's kind of descriptor.

    Raises FaceEditError for a folder that is not there, or that holds a model of another task.
    """
    from faceedit.editor import LEARNED, Editor, descriptor_kind
    from faceedit.modelfile import read_card

    own = {**own, **_whole(names, models, own, gallery)}
    folders = {name: own.get(name) or model_folder(None, name, models) for name in names}
    for name, folder in folders.items():
        found = read_card(folder)[0].task.name
        if found != name:
            raise UsageError(f"{folder} is a model for {found}, not for {name}: give one that was trained for {name}")
    editors = {}
    for name, folder in folders.items():
        held = gallery if gallery is not None and name == gallery.task else None
        editors[name] = Editor.load(folder, device, descriptor_kind(held.descriptor_size) if held else LEARNED)
    return editors


def _whole(
    names: Iterable[str], models: Path | None, own: dict[str, Path], gallery: GalleryConfig | None
) -> dict[str, Path]:  # fmt: skip
    """Models to use instead of ones that leave out backgrounds, where the gallery was described by one that keeps them:
    TASK-fast beside TASK. A face on neutral grey would not be found among pictures with their backgrounds."""
    from faceedit.modelfile import read_card

    if gallery is None or gallery.task not in own or read_card(own[gallery.task])[0].neutral:
        return {}
    others = [name for name in names if name not in own and read_card(model_folder(None, name, models))[0].neutral]
    return {
        name: folder
        for name in others
        if (folder := model_folder(None, name, models).with_name(f"{name}-fast")).is_dir()
    }
