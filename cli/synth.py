"""facesearch synth: render a database that follows the Multi-PIE protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from cli.options import KnobOption


def synth(
    face_model: Annotated[Path, Option(help="The ICT Face Model Light: FaceXModel/ or ict_face_light.npz.")],
    out: Annotated[Path, Option(help="Write into this folder; what is unfinished there is continued.")],
    identities: Annotated[
        int, Option(min=2, help="Render so many people; the first 100 train, 149 test, more train.")
    ] = 249,
    variety: Annotated[
        bool, Option("--variety", help="Vary expressions, lights, clothes, ...: to learn from for photographs.")
    ] = False,
    knob: KnobOption = None,
    seed: Annotated[
        int | None,
        Option(min=0, help="Choose the people by this number; another has others. [default: 0, with --variety 1]"),
    ] = None,
    processes: Annotated[
        int | None, Option(min=1, help="Start so many worker processes. [default: one per core]")
    ] = None,
) -> None:
    """Render people from a face model. At 7 poses under 20 lights: images, masks, backgrounds and manifest.csv."""
    from cli.progress import ProgressBar
    from faceedit.errors import MissingPackageError, UsageError

    if knob and not variety:
        raise UsageError("--knob without --variety: the paper's protocol has none")
    try:
        import embreex  # noqa: F401  # checked here, before workers start
    except ImportError as error:
        raise MissingPackageError(
            "rendering needs embreex: in the folder of facesearch, pip install '.[synth]'"
        ) from error
    from faceedit.synth.database import SynthConfig, render_database
    from faceedit.synth.variety import Variety
    from faceedit.training.knobs import turned

    chosen = turned(Variety(), knob or []) if variety else None
    config = SynthConfig(identities=identities, seed=int(variety) if seed is None else seed, variety=chosen)
    pictures = identities * 7 * (chosen.expressions * chosen.lights if chosen else 20)
    with ProgressBar("rendering people") as bar:
        manifest = render_database(face_model, out, config, processes, bar.update)
    print(f"{identities} people, {pictures:,} pictures: {manifest}")
