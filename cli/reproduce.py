"""facesearch reproduce: the paper's tables, figures and claims on a data set, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from cli.options import DeviceOption, ModelsOption
from cli.telling import say
from faceedit.errors import UsageError
from faceedit.text import message
from retrieval.checks import require_output_folder


def reproduce(
    data: Annotated[Path, Option(help="The data set: a folder with a manifest.csv, or the file.")],
    out: Annotated[Path, Option(help="Write the report into this folder; an unfinished one is continued.")],
    models: ModelsOption = None,
    model: Annotated[
        list[str] | None,
        Option(
            metavar="NAME=FOLDER",
            help="Compare this model, too; one that is named as a task is measured instead of that in --models.",
        ),
    ] = None,
    pairs: Annotated[int, Option(min=1, help="Take so many random test pairs for the errors of each task.")] = 10_000,
    queries: Annotated[int, Option(min=1, help="Ask so many queries for the retrieval of each task.")] = 2_000,
    seed: Annotated[int, Option(min=0, help="Choose the pairs and queries by this number.")] = 0,
    device: DeviceOption = "auto",
) -> None:
    """Measure all that section 4 of the paper has. The report is written as report.html and report.json."""
    from faceedit.manifest import read_manifest
    from retrieval.models import models_folder

    folder = models_folder(models)
    further = {name: Path(path) for name, path in map(_named, model or [])}
    manifest = read_manifest(data, required=("path", "identity", "pose", "illumination"))
    require_output_folder(out)
    from cli.progress import ProgressBar
    from retrieval.evaluation.reproduce.measure import Settings
    from retrieval.evaluation.reproduce.page import not_measured, summary
    from retrieval.evaluation.reproduce.run import find_models, require_own_report
    from retrieval.evaluation.reproduce.run import reproduce as measure

    found = find_models(folder, further)
    require_own_report(out)
    with ProgressBar() as bar:
        content = measure(manifest, found, out, Settings(pairs, queries, seed), device, bar.tell)
    missed = not_measured(content).items()
    say("warning", (f"{name} is not measured: {message(reason)}" for name, reason in missed))
    print("\n".join(summary(content)))
    print(f"{out / 'report.html'}")


def _named(text: str) -> tuple[str, str]:
    """Raises UsageError."""
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise UsageError(f"--model {text}: give NAME=FOLDER, as in pose=runs/pose")
    return name, folder
