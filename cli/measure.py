"""facesearch evaluate, reproduce: recall on a labelled data set; and all that the paper measured, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Exit, Option

from cli import options
from cli.telling import ProgressBar, say


def evaluate(
    data: Annotated[Path, "--data", "The data set: a folder with a manifest.csv, or the file."],
    out: Annotated[Path, "--out", "Write the report into this folder; a description that was interrupted goes on."],
    task: options.Task = None,
    model: options.Model = None,
    queries: Annotated[int, Option(min=1, help="Ask so many random queries, or all when there are fewer.")] = 2000,
    seed: Annotated[int, Option(min=0, help="Choose the queries by this number.")] = 0,
    match: Annotated[
        str | None,
        "Let these columns agree in a right result. [default: identity,illumination,pose; expression, session]",
    ] = None,
    faces: Annotated[
        str | None,
        "Take pictures as index does (auto, all or largest), or as crops as they are (aligned). "
        "[default: auto, aligned where there are masks]",
    ] = None,
    gate: Annotated[float | None, Option(min=0, max=1, help="Exit with 5 when recall@1 is below this.")] = None,
    record: Annotated[bool, "Write the figures, and how far right results lie, into model.json."] = False,
    descriptor: options.Descriptor = None,
    candidates: options.Candidates = "likely",
    identity: options.Identity = None,
    device: options.Device = "auto",
) -> None:
    """Measure recall on a labelled data set. Recall@1, 5 and 10 beside baselines, as report.json and report.md."""
    from retrieval.evaluation.data_set import Asked, measure_on
    from retrieval.models import ModelFolders

    asked = Asked(data, task, descriptor, queries, seed, match, faces)
    with ProgressBar() as bar:
        measured = measure_on(ModelFolders(None, model, device, candidates, identity), asked, out, bar.tell)
    print("\n".join(measured.lines()))
    if record:
        measured.record()
    if measured.misses(gate):
        raise Exit(5)


def reproduce(
    data: Annotated[Path, "--data", "The data set: a folder with a manifest.csv, or the file."],
    out: Annotated[Path, "--out", "Write the report into this folder; an unfinished one is continued."],
    models: options.Models = None,
    model: Annotated[
        list[str] | None,
        "NAME=FOLDER",
        "Compare this model, too; one that is named as a task is measured instead of that in --models.",
    ] = None,
    pairs: Annotated[int, Option(min=1, help="Take so many random test pairs for the errors of each task.")] = 10_000,
    queries: Annotated[int, Option(min=1, help="Ask so many queries for the retrieval of each task.")] = 2_000,
    seed: Annotated[int, Option(min=0, help="Choose the pairs and queries by this number.")] = 0,
    device: options.Device = "auto",
) -> None:
    """Measure all that section 4 of the paper has. The report is written as report.html and report.json."""
    from retrieval.evaluation.reproduce.asked import Asked, measure

    asked = Asked(data, models, tuple(model or ()), pairs, queries, seed)
    with ProgressBar() as bar:
        measured = measure(asked, out, device, bar.tell)
    say("warning", measured.warnings())
    print("\n".join(measured.lines()))
