"""facesearch train, shrink: both stages of a task's model; and a model made for use, a fraction of the size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from cli import options
from cli.telling import ProgressBar, duration, say
from faceedit.errors import ModelFileError
from retrieval.checks import require_output_folder


def train(
    task: Annotated[str, "Say what the model edits: pose, illumination or inpainting."],
    data: Annotated[
        list[Path], "--data", "A data set: a folder with a manifest.csv, or the file; give it again for more."
    ],
    out: Annotated[Path, "--out", "Write the model into this folder."],
    recipe: Annotated[str, "Take the recipe best, or paper (as printed)."] = "best",
    seed: Annotated[
        int, Option(min=0, help="Begin with this number: the same one gives the same result on one machine.")
    ] = 0,
    middle: Annotated[
        int | None,
        Option(
            min=1,
            help="Have so many channels between the generation decoder's unpoolings; 1 is the paper's letter. "
            "[default: 64]",
        ),
    ] = None,
    start: Annotated[
        Path | None,
        "Begin with this model: whatever of its networks has the same sizes and, for stage one, the same task.",
    ] = None,
    resume: Annotated[bool, "Go on from the checkpoint in --out."] = False,
    steps_one: Annotated[int | None, Option(min=0, help="Make so many updates of stage one, not the recipe's.")] = None,
    steps_two: Annotated[
        int | None,
        Option(
            min=0,
            help="Make so many updates of stage two, not the recipe's; 0 leaves it as it is in --start, unless "
            "it learnt beside stage one.",
        ),
    ] = None,
    contrast: Annotated[
        float | None,
        Option(min=0, help="Weigh telling look-alikes apart by this where stage two learns, instead of the recipe's."),
    ] = None,
    knob: options.Knob = None,
    device: options.Device = "auto",
) -> None:
    """Train a model for a task. Stage one, then stage two, from a manifest's training split."""
    from faceedit.training.preparing import Asked, prepared
    from retrieval.wishes import attribute_named

    sizes = {"steps_one": steps_one, "steps_two": steps_two, "contrast": contrast, "middle": middle}
    asked = Asked(attribute_named(task), data, out, recipe, sizes, knob or (), seed, start, device)
    run, pairs = prepared(asked, resume, lambda note: say("note", [note]), require_output_folder)
    from faceedit.training.trainer import Progress
    from faceedit.training.trainer import train as train_model

    with ProgressBar(f"training {task}") as bar:

        def report(p: Progress) -> None:
            note = f"{p.figures}  {p.pairs_per_second:.0f} pairs/s  {duration(p.seconds_left)} left"
            bar.update(p.step, p.steps, note, title=p.title)

        model = train_model(run, pairs, resume, report)
    figures = "".join(f", {name} {value}" for name, value in model.card.metrics.items())
    print(f"{out}: model {model.digest[:12]}{figures}")


def shrink(
    model: Annotated[Path, "The model folder that `facesearch train` wrote."],
    out: Annotated[Path, "--out", "Write the smaller model into this folder."],
    full_precision: Annotated[bool, "Keep the weights' precision."] = False,
) -> None:
    """Make a model smaller, for use. The attribute encoder's weights are replaced by its few possible outputs, and
    weights are kept in half precision."""
    if (out / "model.json").exists():
        raise ModelFileError(f"{out} holds a model already: give another --out")
    require_output_folder(out)
    from faceedit.modelfile import load_model, shrink_model

    loaded = load_model(model)
    digest = shrink_model(loaded, out, half=not full_precision)
    before, after = ((folder / "model.safetensors").stat().st_size / 1e6 for folder in (model, out))
    print(f"{out}: model {digest[:12]}, {after:.1f} MB instead of {before:.1f} MB")
