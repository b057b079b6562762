"""facesearch evaluate: measure recall on a labelled data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Exit, Option

from cli.options import CandidatesOption, DescriptorOption, DeviceOption, IdentityOption, ModelOption, TaskOption


def evaluate(
    data: Annotated[Path, Option(help="The data set: a folder with a manifest.csv, or the file.")],
    out: Annotated[Path, Option(help="Write the report into this folder; a description that was interrupted goes on.")],
    task: TaskOption = None,
    model: ModelOption = None,
    queries: Annotated[int, Option(min=1, help="Ask so many random queries, or all when there are fewer.")] = 2000,
    seed: Annotated[int, Option(min=0, help="Choose the queries by this number.")] = 0,
    match: Annotated[
        str | None,
        Option(
            help="Let these columns agree in a right result. [default: identity,illumination,pose; expression, session]"
        ),
    ] = None,
    gate: Annotated[float | None, Option(min=0, max=1, help="Exit with 5 when recall@1 is below this.")] = None,
    record: Annotated[
        bool, Option("--record", help="Write the figures, and how far right results lie, into model.json.")
    ] = False,
    descriptor: DescriptorOption = None,
    candidates: CandidatesOption = "likely",
    identity: IdentityOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Measure recall on a labelled data set. Recall@1, 5 and 10 beside baselines, as report.json and
    report.md."""
    from cli.progress import ProgressBar
    from retrieval.evaluation.data_set import Asked, measure_on
    from retrieval.models import ModelFolders

    asked = Asked(data, task, descriptor, queries, seed, match)
    with ProgressBar() as bar:
        measured = measure_on(ModelFolders(None, model, device, candidates, identity), asked, out, bar.tell)
    print("\n".join(measured.lines()))
    if record:
        measured.record()
    if measured.misses(gate):
        raise Exit(5)
