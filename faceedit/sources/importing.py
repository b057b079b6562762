"""From listed photographs to a data set: aligned crops, manifest.csv, and skipped.csv for what did not become one."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from faceedit.align import POINTS, Landmarks, align, landmarks_of
from faceedit.errors import ImageError, ImportSourceError, LandmarkError
from faceedit.files import write_whole
from faceedit.images import SIZE, Picture, as_crop, read_photograph
from faceedit.sources.listing import Listing, Photograph, Skipped
from faceedit.sources.table import read_table


@dataclass(frozen=True)
class Imported:
    """manifest: the file that was written; crops: how many pictures it names; skipped: everything that is not there,
    and why."""

    manifest: Path
    crops: int
    skipped: list[Skipped]

    @property
    def problems(self) -> list[Skipped]:
        """What was asked for and could not be had."""
        return [entry for entry in self.skipped if not entry.expected]


class LandmarkFile:
    """Landmarks by a photograph's name: its path below the root, its file name with or without suffix, or, for
    Multi-PIE, the name without its light."""

    def __init__(self, file: Path) -> None:
        """Raises ImportSourceError for an unreadable CSV or one without the needed columns."""
        header, rows = read_table(file)
        needed = ["path", *(f"{point}_{axis}" for point in POINTS for axis in "xy")]
        missing = [name for name in needed if name not in header]
        if missing:
            raise ImportSourceError(f"{file} has no column {', '.join(missing)}: it has {', '.join(header)}")
        self._file = file
        self._rows = {cells["path"].replace("\\", "/").removeprefix("./"): cells for _, cells in rows}

    def of(self, photograph: Photograph) -> Landmarks:
        """Raises LandmarkError when the photograph is not in the file, or its points are no numbers."""
        for key in photograph.keys:
            if key in self._rows:
                return landmarks_of(self._rows[key])
        raise LandmarkError(f"{self._file} has no landmarks for it")


def import_photographs(
    listing: Listing, out: Path, landmarks: LandmarkFile | None = None, size: int = SIZE, upright: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:  # fmt: skip
    """Write OUT/images/NAME.png (size x size), OUT/manifest.csv and OUT/skipped.csv.

    A photograph with landmarks is aligned; without any landmark file it counts as aligned already and is only cut to
    its central square. Photographs that cannot be read or have no usable landmarks are skipped; crops that an earlier
    run with the same settings wrote are kept. Raises ImportSourceError when `out` holds something else, or when not a
    single crop could be made.
    """
    out.mkdir(parents=True, exist_ok=True)
    _claim(out, {"size": size, "upright": upright, "landmarks": _checksum(listing, landmarks)})
    skipped, rows = list(listing.skipped), []
    for done, photograph in enumerate(listing.photographs):
        if progress:
            progress(done, len(listing.photographs))
        relative = f"images/{photograph.name}.png"
        try:
            if not _is_current(out / relative, photograph.path):
                _write_crop(out / relative, _crop(photograph, landmarks, size, upright))
        except (ImageError, LandmarkError, OSError) as error:
            skipped.append(Skipped(str(photograph.path), str(error)))
            (out / relative).unlink(missing_ok=True)
        else:
            rows.append((relative, *(photograph.labels[column] for column in listing.columns)))
    if not rows:
        raise ImportSourceError(f"none of {len(listing.photographs)} photographs became a crop: {skipped[-1].reason}")
    _write_table(out / "skipped.csv", ("path", "reason"), [(entry.path, entry.reason) for entry in skipped])
    _write_table(out / "manifest.csv", ("path", *listing.columns), rows)
    return Imported(out / "manifest.csv", len(rows), skipped)


def _crop(photograph: Photograph, landmarks: LandmarkFile | None, size: int, upright: bool) -> Picture:
    points = photograph.landmarks or (landmarks.of(photograph) if landmarks else None)
    image = read_photograph(photograph.path)
    return as_crop(image, size) if points is None else align(image, points, size, upright)


def _write_crop(file: Path, crop: Picture) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    Image.fromarray(crop).save(stream, "PNG")
    write_whole(file, stream.getvalue())


def _is_current(crop: Path, photograph: Path) -> bool:
    return crop.is_file() and crop.stat().st_mtime >= photograph.stat().st_mtime


def _checksum(listing: Listing, landmarks: LandmarkFile | None) -> str:
    points = [str(p.landmarks) for p in listing.photographs]
    known = sorted((key, sorted(cells.items())) for key, cells in landmarks._rows.items()) if landmarks else None
    return hashlib.sha256(repr((points, known)).encode()).hexdigest()


def _claim(out: Path, settings: Mapping[str, object]) -> None:
    """Write import.json, or check that the one there says the same."""
    file = out / "import.json"
    text = json.dumps(settings, indent=2) + "\n"
    if file.is_file():
        if file.read_text(encoding="utf-8") != text:
            raise ImportSourceError(f"{out} holds an import with other landmarks or another size: give another --out")
    elif any(out.iterdir()):
        raise ImportSourceError(f"{out} is not empty and holds no import: give another --out")
    write_whole(file, text.encode())


def _write_table(file: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([header, *rows])
    write_whole(file, stream.getvalue().encode("utf-8", "backslashreplace"))
