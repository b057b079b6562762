"""Where an image's labels come from: a manifest, else what the gallery knew of it, else its folder's name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from faceedit.errors import UsageError
from faceedit.manifest import Manifest, read_manifest
from index.values import FILE, FOLDER, LABELS, Face, Labels
from retrieval.errors import RetrievalError

AnyLabels = str | os.PathLike[str] | Manifest | Mapping[Path, Labels]
"""A manifest or its path, or labels by absolute path."""


def read_labels(given: AnyLabels | None, images: list[Path]) -> Mapping[Path, Labels] | None:
    """Labels of these images by absolute path. Raises ManifestError, RetrievalError where they are another folder's,
    UsageError for what can be no labels."""
    if isinstance(given, str | os.PathLike):
        given = read_manifest(Path(given), names_only=True)
    if not isinstance(given, Manifest | Mapping | None):
        raise UsageError(
            f"labels of type {type(given).__name__}: give the path of a manifest.csv, a Manifest, or a mapping from "
            "absolute paths to Labels"
        )
    labels = labels_of(given) if isinstance(given, Manifest) else given
    if labels is not None:
        require_named(images, labels)
    return labels


def labels_of(manifest: Manifest) -> dict[Path, Labels]:
    """Labels by absolute path; an empty cell is an unknown label."""

    def number(column: str, row: int) -> int | None:
        cell = text(column, row)
        return int(cell) if cell else None

    def text(column: str, row: int) -> str | None:
        return manifest.columns[column][row] or None if column in manifest.columns else None

    return {
        Path(os.path.normpath(path)): Labels.given(
            FILE,
            identity=text("identity", row),
            pose=number("pose", row),
            illumination=number("illumination", row),
            expression=text("expression", row),
        )
        for row, path in enumerate(manifest.root.resolve() / name for name in manifest.columns["path"])
    }


def require_named(images: list[Path], labels: Mapping[Path, Labels]) -> None:
    """Raise RetrievalError when the labels name not a single image: then they are another folder's."""
    if not any(path in labels for path in images):
        raise RetrievalError(
            "the labels' manifest names none of the images: its paths start from the manifest's own folder; check them"
        )


@dataclass(frozen=True)
class Labelling:
    """The labels of the images below a root; manifest: by absolute path."""

    root: Path
    manifest: Mapping[Path, Labels] | None

    def given(self, name: str) -> Labels | None:
        """What the manifest says."""
        return None if self.manifest is None else self.manifest.get(self.root / name)

    def of_new(self, name: str, before: Face | None) -> Labels:
        """For a file whose content is new; before: what was known at its name."""
        given = self.given(name)
        if given is not None:
            return given
        if before is not None:
            return before.labels
        return Labels() if self.manifest is not None else Labels.given(FOLDER, identity=_folder_of(name))

    def of_same(self, name: str, face: Face) -> Labels:
        """For a known face whose file lies at this name now; an identity that the folder gave changes with it."""
        own = face.labels
        if own.origin("identity") == FOLDER:
            own = own.changed(FOLDER, identity=_folder_of(name))
        return self.given(name) or own


def says_the_same(labels: Labels, others: Labels) -> bool:
    """Whether they are equal, whoever said so."""
    return all(getattr(labels, name) == getattr(others, name) for name in LABELS)


def _folder_of(name: str) -> str | None:
    return PurePosixPath(name).parent.name or None
