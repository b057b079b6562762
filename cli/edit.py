"""facesearch edit: see a face at another pose, in another light, without an occlusion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.asking import (
    AllIlluminationsOption,
    AllPosesOption,
    IlluminationOption,
    InpaintOption,
    PoseOption,
    asked_for,
    load_editors,
    swept,
)
from cli.options import DeviceOption, ModelOption, ModelsOption, require_file, require_picture_name


def edit(
    image: Annotated[Path, typer.Argument(help="An aligned face")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write")],
    pose: PoseOption = None,
    illumination: IlluminationOption = None,
    inpaint: InpaintOption = False,
    all_poses: AllPosesOption = False,
    all_illuminations: AllIlluminationsOption = False,
    model: ModelOption = None,
    models: ModelsOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Imagine a face as asked; with --all-poses (or nothing asked) a strip of all seven."""
    asked = asked_for(pose, illumination, inpaint)
    space = swept(all_poses or not (asked or all_illuminations), all_illuminations, asked)
    names = [*asked, *([space.name] if space else [])]
    if model is not None and len(names) > 1:
        from faceedit.errors import UsageError

        raise UsageError(f"one --model, but {' and '.join(names)} to edit: give a --models folder with both")
    require_file(image, "an image")
    require_picture_name(output, image)
    import numpy as np

    from faceedit.images import read_crop, write_picture

    crop = read_crop(image)
    from retrieval.query import chain

    editors = load_editors(names, models, device, {names[0]: model} if model else {})
    if space is None:
        steps = chain(crop, asked, editors)
        write_picture(steps[-1].edit.refined, output)
        print(f"{output}: {', '.join(step.text for step in steps)}")
        return
    strip = [chain(crop, {**asked, space.name: value}, editors)[-1].edit.refined for value in space.values]
    write_picture(np.concatenate(strip, axis=1), output)
    best = space.values[editors[space.name].candidates(crop).best]
    print(f"{output}: {space.name} {', '.join(map(str, space.values))}; the image itself looks like {best}")
