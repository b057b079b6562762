"""facesearch edit: see a face at another pose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import DeviceOption, ModelOption, model_folder, require_file, require_picture_name


def edit(
    image: Annotated[Path, typer.Argument(help="An aligned face")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write")],
    pose: Annotated[int | None, typer.Option(help="-45, -30, ... 45 degrees; without it, a strip of all seven")] = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Imagine a face at another pose, or at all of them side by side."""
    from faceedit.attributes import POSE

    if pose is not None:
        POSE.index(pose)
    require_file(image, "an image")
    require_picture_name(output)
    folder = model_folder(model)
    import numpy as np

    from faceedit.images import read_crop, write_picture

    crop = read_crop(image)
    from faceedit.editor import Editor

    editor = Editor.load(folder, device)
    if pose is None:
        candidates = editor.candidates(crop)
        write_picture(np.concatenate(list(candidates.refined), axis=1), output)
        values = editor.space.values
        print(f"{output}: {', '.join(map(str, values))} degrees; the image itself looks like {values[candidates.best]}")
    else:
        write_picture(editor.edit(crop, pose).refined, output)
        print(f"{output}: {pose} degrees")
