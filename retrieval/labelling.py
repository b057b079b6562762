"""Where an image's labels come from: a manifest, else what the gallery knew of it, else its folder's name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from faceedit.errors import ManifestError, UsageError
from faceedit.manifest import COLUMNS, Manifest, read_manifest
from index.config import WHOSE
from index.labels import FILE, FOLDER, HAND, LABEL_KINDS, LABELS, LONGEST_LABEL, TEXT_LABELS, Labels
from index.stored import is_address
from index.values import Face, Kept
from retrieval.errors import RetrievalError
from retrieval.label_rows import LabelRows, Row, matched
from retrieval.levels import LAST, person_of

AnyLabels = str | os.PathLike[str] | Manifest | Mapping[Path, Labels]
"""A manifest or its path, or labels by absolute path."""
ONLY, LARGEST = WHOSE
_NONE_NAMED = (
    "the labels' manifest names none of the images{}: its paths start from the manifest's own folder; check them"
)


def read_labels(
    given: AnyLabels | None, images: Sequence[Path], told: LabelRows | None = None
) -> Mapping[Path, Labels] | None:
    """Labels of these images by absolute path. told: how rows and images met.

    Raises ManifestError, RetrievalError where they are another folder's, UsageError for what can be no labels.
    """
    told = LabelRows() if told is None else told
    if isinstance(given, str | os.PathLike):
        told.table = str(given)
        numbers = [name for name, kind in LABEL_KINDS.items() if kind is int]
        given = read_manifest(Path(given), names_only=True, integers=numbers)
    if not isinstance(given, Manifest | Mapping | None):
        raise UsageError(
            f"labels of type {type(given).__name__}: give the path of a manifest.csv, a Manifest, or a mapping from "
            "absolute paths to Labels"
        )
    if given is None:
        return None
    if isinstance(given, Manifest):
        told.unknown += sorted(given.columns.keys() - COLUMNS - LABEL_KINDS.keys() - {""})
        rows = rows_of(given)
    else:
        rows = [Row(0, str(path), str(path), labels) for path, labels in given.items()]
    _require_keepable(rows, told)
    labels = matched(rows, images, told)
    if not labels:
        shown = f" (the first row means {rows[0].path}; an image is {images[0]})" if rows and images else ""
        raise RetrievalError(_NONE_NAMED.format(shown))
    return labels


def _require_keepable(rows: Sequence[Row], told: LabelRows) -> None:
    """Raise ManifestError for a text that is longer than a label can be, or that no database keeps."""
    for row in rows:
        for name in TEXT_LABELS:
            text = getattr(row.labels, name) or ""
            line = f", line {row.line}" if row.line else ""
            which = f"{told.table or 'the labels'}{line}: the {name} of {row.name}"
            if len(text) > LONGEST_LABEL:
                raise ManifestError(
                    f"{which} has more than {LONGEST_LABEL:,} characters: no label is so long; shorten it"
                )
            if "\0" in text:
                raise ManifestError(f"{which} has a zero byte in it, which no name has: take it out")


def files_of(given: AnyLabels | None) -> list[Path]:
    """Where a manifest that is given by its path may lie."""
    path = Path(given) if isinstance(given, str | os.PathLike) else None
    return [] if path is None else [path, path / "manifest.csv"]


def rows_of(manifest: Manifest) -> list[Row]:
    """What each row says; an empty cell is an unknown label."""
    root, count = manifest.root.resolve(), len(manifest)
    columns = [manifest.columns.get(name, ("",) * count) for name in LABEL_KINDS]
    lines = manifest.lines or (0,) * count
    return [
        Row(line, name, name if is_address(name) else os.path.normpath(root / name), _labels(cells))
        for line, name, *cells in zip(lines, manifest.columns["path"], *columns, strict=True)
    ]


def _labels(cells: Sequence[str]) -> Labels:
    said = zip(LABEL_KINDS.items(), cells, strict=True)
    return Labels.given(FILE, **{name: kind(cell) if cell else None for (name, kind), cell in said})


def require_named(images: Sequence[Path], labels: Mapping[Path, Labels]) -> None:
    """Raise RetrievalError when the labels name not a single image: then they are another folder's."""
    if not any(path in labels for path in images):
        raise RetrievalError(_NONE_NAMED.format(""))


@dataclass(frozen=True)
class Labelling:
    """The labels of the images below a root. manifest: by absolute path; level: which folder names a person;
    identity_of: whom a row or a folder means in a photo with several faces, one of `index.config.WHOSE`."""

    root: Path
    manifest: Mapping[Path, Labels] | None
    level: str = LAST
    identity_of: str = ONLY

    def means(self, number: int, several: bool) -> bool:
        """Whether a row or a folder means the face of this number."""
        return not several or (number == 1 and self.identity_of == LARGEST)

    def given(self, name: str) -> Labels | None:
        """What the manifest says."""
        return None if self.manifest is None else self.manifest.get(self.root / name)

    def of_new(self, name: str, before: Labels | None, kept: Kept | None = None, means: bool = True) -> Labels:
        """For a face in a file whose content is new; before: what was said of the same face there; kept: what a hand
        said of it, if it was pruned since; means: whether row and folder mean this face."""
        given = self.given(name) if means else None
        if given is not None:
            return given
        if before is not None:
            meant = means or before.origin("identity") != FOLDER
            return before if meant else before.changed(FOLDER, identity=None)
        own = Labels.given(FOLDER, identity=person_of(name, self.level)) if means else Labels()
        said = {} if kept is None else {n: getattr(kept.labels, n) for n in LABELS if kept.labels.origin(n)}
        return own.changed(HAND, **said)

    def of_same(self, name: str, face: Face, several: bool = False) -> Labels:
        """For a known face whose file lies at this name now; an identity that the folder gave changes with it.
        several: whether its photo shows others."""
        given = self.given(name) if self.means(face.number, several) else None
        return given or self.by_folder(name, face.labels)

    def by_folder(self, name: str, own: Labels) -> Labels:
        """The labels of a known face, with the identity that its folder gives where it was a folder that gave it."""
        if own.origin("identity") != FOLDER:
            return own
        return own.changed(FOLDER, identity=person_of(name, self.level))

    def by_number(self, face: Face) -> Labels:
        """Of a face among several, after it was said anew whom a folder means: what others said stays."""
        if face.labels.origin("identity") not in ("", FOLDER):
            return face.labels
        meant = person_of(face.path, self.level) if self.means(face.number, True) else None
        return face.labels.changed(FOLDER, identity=meant)


def handed_back(files: Mapping[str, str], kept: Sequence[Kept]) -> dict[str, list[Kept]]:
    """Which kept labels belong to which file, by its name: those of the same content, from the same place where there
    are such, each once. files: sha256 by name; kept: oldest first."""
    back: dict[str, list[Kept]] = {}
    there: dict[tuple[str, str], list[Kept]] = {}
    for one in kept:
        there.setdefault((one.path, one.sha256), []).append(one)
    for name, content in files.items():
        if (name, content) in there:
            back[name] = there.pop((name, content))
    for name, content in files.items():
        left = next((key for key in there if key[1] == content), None) if name not in back else None
        if left is not None:
            back[name] = there.pop(left)
    return back


def not_by_hand(labels: Labels) -> Labels:
    """What others said than a hand: of a path, whoever is to be seen there."""
    return labels.changed(HAND, **{name: None for name in LABELS if labels.origin(name) == HAND})


def says_the_same(labels: Labels, others: Labels) -> bool:
    """Whether they are equal, whoever said so."""
    return all(getattr(labels, name) == getattr(others, name) for name in LABELS)
