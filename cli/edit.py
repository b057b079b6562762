"""facesearch edit: see a face at another pose, in another light, without an occlusion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Context, Option

from cli.options import (
    AllIlluminationsOption,
    AllPosesOption,
    DeviceOption,
    FaceOption,
    IlluminationOption,
    InpaintOption,
    ModelOption,
    ModelsOption,
    PoseOption,
    face_search,
    swept,
)
from cli.telling import warn_of
from retrieval.tables import shown


def edit(
    context: Context,
    image: Annotated[Path, Argument(help="A photograph or an aligned face.")],
    output: Annotated[Path, Option("--output", "-o", help="Write the picture to this file.")],
    pose: PoseOption = None,
    illumination: IlluminationOption = None,
    inpaint: InpaintOption = False,
    all_poses: AllPosesOption = False,
    all_illuminations: AllIlluminationsOption = False,
    size: Annotated[
        int | None,
        Option(help="Make pictures with sides of so many pixels, 60 to 240. [default: as the image has, within these]"),
    ] = None,
    face: FaceOption = None,
    model: ModelOption = None,
    models: ModelsOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Imagine a face as asked. With --all-poses (or nothing asked) it is a strip of all seven."""
    from index.stored import place_typed
    from retrieval.checks import require_file, require_picture_name
    from retrieval.wishes import asked_for

    asked = asked_for(pose, illumination, inpaint)
    attribute = swept(all_poses or not (asked or all_illuminations), all_illuminations, asked)
    image = place_typed(image)
    require_file(image, "an image")
    require_picture_name(output, image)
    import numpy as np

    from faceedit.images import write_picture

    wishes: dict[str, Any] = {"pose": pose, "illumination": illumination, "inpaint": inpaint}
    with face_search(context, model=model, models=models, device=device) as faces:
        source = faces.read(image, size=size, face=face)
        warn_of(source)
        if attribute is None:
            steps = faces.edit(source, **wishes)
            write_picture(steps[-1].picture, output)
            print(f"{shown(output)}: {', '.join(step.text for step in steps)}")
            return
        strip = [faces.edit(source, **{**wishes, attribute.name: value})[-1].picture for value in attribute.values]
        write_picture(np.concatenate(strip, axis=1), output)
        own = faces.decide(source, attribute.name)
    values = ", ".join(map(str, attribute.values))
    print(f"{shown(output)}: {attribute.name} {values}; the image itself looks like {own}")
