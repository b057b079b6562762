"""A reproduction from its folders to the page. What is refused is refused before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceedit.errors import UsageError
from faceedit.manifest import read_manifest
from faceedit.text import message
from retrieval.checks import require_output_folder
from retrieval.models import models_folder

if TYPE_CHECKING:
    from index.progress import Progress


@dataclass(frozen=True)
class Asked:
    """models: the folder of a model for each task, None for those that come along; further: more of them, each as
    NAME=FOLDER; pairs, queries: how many of each task are measured, chosen by `seed`."""

    data: Path
    models: Path | None = None
    further: tuple[str, ...] = ()
    pairs: int = 10_000
    queries: int = 2_000
    seed: int = 0


@dataclass(frozen=True)
class Measured:
    """content: what report.json holds; page: the report to look at."""

    content: Mapping[str, Any]
    page: Path

    def lines(self) -> list[str]:
        """What matters most, for people."""
        from retrieval.evaluation.reproduce.page import summary

        return [*summary(self.content), str(self.page)]

    def warnings(self) -> list[str]:
        """Of which tasks there is nothing, and why."""
        from retrieval.evaluation.reproduce.page import not_measured

        missed = not_measured(self.content)
        return [f"{name} is not measured: {message(reason)}" for name, reason in missed.items()]


def measure(asked: Asked, out: Path, device: str, progress: Progress) -> Measured:
    """Measure all of it, and write the report into the folder `out`; one that was interrupted there goes on.

    Raises UsageError, ManifestError, EvaluationError, ModelFileError.
    """
    folder = models_folder(asked.models)
    further = {name: Path(path) for name, path in map(_named, asked.further)}
    manifest = read_manifest(asked.data, required=("path", "identity", "pose", "illumination"))
    require_output_folder(out)
    from retrieval.evaluation.reproduce.measure import Settings
    from retrieval.evaluation.reproduce.run import find_models, reproduce, require_own_report

    found = find_models(folder, further)
    require_own_report(out)
    settings = Settings(asked.pairs, asked.queries, asked.seed)
    return Measured(reproduce(manifest, found, out, settings, device, progress), out / "report.html")


def _named(text: str) -> tuple[str, str]:
    """Raises UsageError."""
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise UsageError(f"--model {text}: give NAME=FOLDER, as in pose=runs/pose")
    return name, folder
