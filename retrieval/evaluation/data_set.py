"""A model measured on a data set, from their folders to the report. What is refused is refused before anything heavy is
loaded."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceedit.manifest import read_manifest
from retrieval.checks import require_output_folder
from retrieval.models import ModelFolders

if TYPE_CHECKING:
    from faceedit.knowing import AnyEditor
    from index.progress import Progress
    from retrieval.evaluation.evaluate import Evaluation

_WORK = ".evaluation"  # in the folder of the report: the gallery, until all is measured


@dataclass(frozen=True)
class Asked:
    """task: what the model is for, None for whatever it is; descriptor: the kind, None for the model's own; match:
    columns that agree in a right result, with commas between them, None for those that the data set has; faces: what
    is done with its pictures, see `retrieval.evaluation.queries.load_test_set`."""

    data: Path
    task: str | None = None
    descriptor: str | None = None
    queries: int = 2_000
    seed: int = 0
    match: str | None = None
    faces: str | None = None


@dataclass(frozen=True)
class Measured:
    """What was measured; figures: what report.json holds."""

    folder: Path
    editor: AnyEditor
    evaluation: Evaluation
    figures: Mapping[str, Any]
    columns: Sequence[str]
    out: Path

    def lines(self) -> list[str]:
        """What matters most, for people."""
        from retrieval.evaluation.report import summary

        counts = f"{self.figures['queries']:,} queries, gallery of {self.figures['gallery']:,}"
        return [*summary(self.evaluation, self.figures), f"{counts}: {self.out / 'report.md'}"]

    def misses(self, gate: float | None) -> bool:
        """Whether recall@1 is below a gate."""
        return gate is not None and bool(self.figures["recall"]["1"]["value"] < gate)

    def record(self) -> None:
        """Write the figures, and how far right results lie, into the model's card."""
        from retrieval.evaluation.report import record

        record(self.folder, self.editor, self.evaluation, self.figures, self.columns)


def measure_on(models: ModelFolders, asked: Asked, out: Path, progress: Progress) -> Measured:
    """Measure recall, and write the report into the folder `out`; a description that was interrupted there goes on.

    Raises UsageError, ManifestError, EvaluationError, ImageError, ModelFileError.
    """
    folder = models.own_folder(asked.task)
    columns = tuple(name.strip() for name in (asked.match or "").split(",") if name.strip())
    manifest = read_manifest(asked.data, required=("path", "identity", *columns))
    require_output_folder(out)
    from faceedit.modelfile import model_digest
    from retrieval.evaluation.evaluate import evaluate_set
    from retrieval.evaluation.queries import default_match
    from retrieval.evaluation.report import write_report

    columns = default_match(manifest) if asked.match is None else columns
    editor = models.to_describe(asked.task, asked.descriptor, None)
    chosen: dict[str, Any] = {"queries": asked.queries, "seed": asked.seed, "faces": asked.faces}
    evaluation = evaluate_set(editor, manifest, columns, **chosen, progress=progress, cache=out / _WORK)
    shutil.rmtree(out / _WORK)
    about = {"model": model_digest(folder)[:12], "data": manifest.root.resolve().name, "seed": asked.seed}
    about |= {"descriptor": f"{editor.kind}, {editor.descriptor_size:,} numbers", "candidates": models.candidates}
    return Measured(folder, editor, evaluation, write_report(evaluation, out, about), columns, out)
