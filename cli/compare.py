"""facesearch compare: whether two pictures show one person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Context, Exit, Option

from cli.options import DeviceOption, FaceOption, IdentityOption, JsonOption, ModelOption, face_search
from cli.telling import show, warn_of


def compare(
    context: Context,
    one: Annotated[Path, Argument(help="A photograph or an aligned face.")],
    other: Annotated[Path, Argument(help="Another one.")],
    false_accepts: Annotated[
        float, Option(help="Let this share of strangers be taken for one person: 0.01, 0.001 or 0.0001.")
    ] = 0.001,
    face: FaceOption = None,
    other_face: Annotated[int | None, Option(min=1, help="Mean this face of the other picture.")] = None,
    identity: IdentityOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Say whether two pictures show one person. The exit code is 0 where they do, and 4 where they do not."""
    from index.stored import place_typed
    from retrieval.checks import require_file

    one, other = place_typed(one), place_typed(other)
    for image in (one, other):
        require_file(image, "an image")
    with face_search(context, model=model, identity=identity, device=device) as faces:
        sources = [faces.read(image, face=which) for image, which in ((one, face), (other, other_face))]
        warn_of(*sources)
        found = faces.compare(*sources, false_accepts=false_accepts)
    show(as_json, found.as_json(), [str(found)])
    if not found.same:
        raise Exit(4)
