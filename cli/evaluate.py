"""facesearch evaluate: measure recall on a labelled data set."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from cli.options import CandidatesOption, DescriptorOption, DeviceOption, IdentityOption, ModelOption, TaskOption
from retrieval.checks import require_output_folder

WORK = ".evaluation"  # in the folder of the report: the gallery, until all is measured


def evaluate(
    data: Annotated[Path, typer.Option(help="The data set: a folder with a manifest.csv, or the file.")],
    out: Annotated[
        Path, typer.Option(help="Write the report into this folder; a description that was interrupted goes on.")
    ],
    task: TaskOption = None,
    model: ModelOption = None,
    queries: Annotated[
        int, typer.Option(min=1, help="Ask so many random queries, or all when there are fewer.")
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Choose the queries by this number.")] = 0,
    match: Annotated[
        str | None,
        typer.Option(
            help="Let these columns agree in a right result. [default: identity,illumination,pose; expression, session]"
        ),
    ] = None,
    gate: Annotated[float | None, typer.Option(min=0, max=1, help="Exit with 5 when recall@1 is below this.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures, and how far right results lie, into model.json.")
    ] = False,
    descriptor: DescriptorOption = None,
    candidates: CandidatesOption = "likely",
    identity: IdentityOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Measure recall on a labelled data set. Recall@1, 5 and 10 beside baselines, as report.json and
    report.md."""
    from faceedit.manifest import read_manifest
    from retrieval.models import ModelFolders

    models = ModelFolders(None, model, device, candidates, identity)
    folder = models.own_folder(task)
    columns = tuple(name.strip() for name in (match or "").split(",") if name.strip())
    manifest = read_manifest(data, required=("path", "identity", *columns))
    require_output_folder(out)
    from cli.progress import ProgressBar
    from faceedit.modelfile import model_digest
    from retrieval.evaluation.evaluate import evaluate_set
    from retrieval.evaluation.queries import default_match
    from retrieval.evaluation.report import record as keep
    from retrieval.evaluation.report import summary, write_report

    columns = default_match(manifest) if match is None else columns
    editor = models.to_describe(task, descriptor, None)
    with ProgressBar() as bar:
        asked = {"queries": queries, "seed": seed}
        evaluation = evaluate_set(editor, manifest, columns, **asked, progress=bar.tell, cache=out / WORK)
    shutil.rmtree(out / WORK)
    about = {"model": model_digest(folder)[:12], "data": manifest.root.resolve().name, "seed": seed}
    about |= {"descriptor": f"{editor.kind}, {editor.descriptor_size:,} numbers", "candidates": candidates}
    figures = write_report(evaluation, out, about)
    print("\n".join(summary(evaluation, figures)))
    print(f"{figures['queries']:,} queries, gallery of {figures['gallery']:,}: {out / 'report.md'}")
    if record:
        keep(folder, editor, evaluation, figures, columns)
    if gate is not None and figures["recall"]["1"]["value"] < gate:
        raise typer.Exit(5)
