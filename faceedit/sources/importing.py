"""From listed photographs to a data set: aligned crops, manifest.csv, and skipped.csv for what did not become one."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from faceedit.align import POINTS, Landmarks
from faceedit.colours import Told
from faceedit.cropping import ALIGNED, ALL, Cropper, CropSettings, detector_of
from faceedit.errors import ImageError, ImportSourceError, LandmarkError, NothingImportedError, UsageError
from faceedit.files import make_folders, write_whole
from faceedit.images import Picture
from faceedit.landmarks import by_network, landmarks_digest
from faceedit.sources.landmark_columns import landmark_columns
from faceedit.sources.listing import Listing, Photograph, Skipped
from faceedit.sources.table import read_table
from faceedit.text import cell, printable
from faceedit.yunet import can_be_found

_CUT = "crops of others anew"  # by which rule a face is cut out: by another one, crops are made once more
_RECORD_EVERY = 1000  # crops between two notes of what is done
_LISTED = 20  # photographs told of by name; skipped.csv names all that were skipped
_SHOWN = 3  # photographs named where none became a crop


@dataclass(frozen=True)
class Imported:
    """manifest: the file that was written; crops: how many pictures it names; skipped: everything that is not there,
    and why; warned: photographs with something amiss beside their pixels, and what, of those that were read now."""

    manifest: Path
    crops: int
    skipped: list[Skipped]
    warned: list[tuple[str, str]] = field(default_factory=list)

    @property
    def problems(self) -> list[Skipped]:
        """What was asked for and could not be had."""
        return [entry for entry in self.skipped if not entry.expected]

    @property
    def text(self) -> str:
        """What was made, on one line."""
        problems = len(self.problems)
        left_out = len(self.skipped) - problems
        return (
            f"{printable(str(self.manifest))}: {self.crops:,} crops; {problems:,} skipped, {left_out:,} not asked for"
        )

    def lines(self, most: int = _LISTED) -> list[str]:
        """What is amiss, for people: so many photographs of each kind by name, and how many more."""
        problems = [(entry.path, entry.reason) for entry in self.problems]
        told = []
        for kind, found, rest in (
            ("skipped", problems, f"more, see {self.manifest.with_name('skipped.csv')}"),
            ("warning", self.warned, "more with something amiss"),
        ):
            told += [f"{kind}: {printable(name)}: {printable(what)}" for name, what in found[:most]]
            told += [f"{kind}: {len(found) - most:,} {rest}"] if len(found) > most else []
        return told


class LandmarkFile:
    """Landmarks by a photograph's name: its path below the root, its file name with or without suffix where no other
    photograph has the same, or, for Multi-PIE, the name without its light."""

    def __init__(self, file: Path) -> None:
        """Raises ImportSourceError for an unreadable CSV, one without the needed columns, or a path named twice."""
        header, rows = read_table(file)
        columns = landmark_columns(file, header)
        if columns is None or "path" not in header:
            needed = ["path", *(f"{point}_{axis}" for point in POINTS for axis in "xy")]
            missing = [name for name in needed if name not in header]
            raise ImportSourceError(f"{file} has no column {', '.join(missing)}: it has {', '.join(header)}")
        self._file, self._columns = file, columns
        self._rows: dict[str, tuple[int, dict[str, str]]] = {}
        for line, cells in rows:
            path = cells["path"].replace("\\", "/").removeprefix("./")
            if path in self._rows:
                raise ImportSourceError(f"{file} line {line} names {path} a second time: keep one of them")
            self._rows[path] = line, cells

    def of(self, photograph: Photograph) -> Landmarks:
        """Raises LandmarkError when the photograph is not in the file, or its points are no numbers."""
        for key in photograph.keys:
            if key in self._rows:
                line, cells = self._rows[key]
                try:
                    return self._columns.of(cells)
                except LandmarkError as error:
                    raise LandmarkError(f"{self._file.name} line {line}: {error}") from error
        raise LandmarkError(f"{self._file} has no landmarks for it")


def cropper_of(layout: str, settings: CropSettings, landmarks: Path | None, detector: Path | None) -> Cropper:
    """What cuts the photographs of a layout out: by landmarks that are given, else by those that are found. detector:
    another YuNet's file. Raises ImportSourceError for photographs that are not aligned, where nothing finds faces;
    UsageError, MissingPackageError."""
    if settings.faces == ALL:
        raise UsageError("--faces all makes several crops of one row: take auto, largest or aligned")
    found = settings.faces != ALIGNED and can_be_found()
    cropper = Cropper(settings) if landmarks else Cropper(settings, detector_of(settings, detector), by_network)
    if layout == "multipie" and landmarks is None and not found:
        raise ImportSourceError(
            "Multi-PIE's photographs are not aligned: give --landmarks CSV (path, eye_left_x, eye_left_y, ...), or "
            "pip install '.[photos]', which finds faces"
        )
    return cropper


def import_photographs(
    listing: Listing,
    out: Path,
    landmarks: LandmarkFile | None = None,
    cropper: Cropper | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Write OUT/images/NAME.png, OUT/manifest.csv and OUT/skipped.csv.

    A photograph with landmarks is aligned by them; without any landmark file the cropper says what is cut out of it.
    Photographs that cannot be read or have no usable landmarks are skipped. A crop that an earlier run made of the same
    file, with the same landmarks and settings, is kept. Raises ImportSourceError when `out` holds
    something else or the import of another source, NothingImportedError when not a single crop could be made.
    """
    cropper = cropper or Cropper()
    record = _Record(out, listing.source)
    skipped, rows, warned = list(listing.skipped), [], list[tuple[str, str]]()
    for done, photograph in enumerate(listing.photographs):
        if progress:
            progress(done, len(listing.photographs))
        relative = f"images/{photograph.name}.png"
        try:
            points = photograph.landmarks or (landmarks.of(photograph) if landmarks else None)
            made_of = _made_of(photograph, points, cropper.settings)
            if not record.has(relative, made_of):
                amiss: Told = []
                _write_crop(out / relative, cropper.only(photograph.path, points, amiss))
                record.note(relative, made_of)
                warned += [(photograph.told or photograph.keys[0], "; ".join(amiss))] if amiss else []
        except (ImageError, LandmarkError, OSError) as error:
            told = photograph.told or photograph.keys[0]
            skipped.append(Skipped(told, _reason(error, photograph.path)))
            record.forget(relative)
        else:
            rows.append((relative, *(photograph.labels[column] for column in listing.columns)))
    record.keep()
    if not rows:
        last = [f"{one.path}: {one.reason}" for one in skipped if not one.expected][-_SHOWN:]
        raise NothingImportedError(
            f"none of {len(listing.photographs):,} photographs became a crop; the last: {'; '.join(last)}"
        )
    _write_table(out / "skipped.csv", ("path", "reason"), [(cell(entry.path), cell(entry.reason)) for entry in skipped])
    _write_table(out / "manifest.csv", ("path", *listing.columns), rows)
    return Imported(out / "manifest.csv", len(rows), skipped, warned)


def _reason(error: Exception, path: Path) -> str:
    """What went wrong with a photograph, without its path."""
    if isinstance(error, OSError) and error.strerror:
        what = "it" if error.filename in (None, str(path)) else "its crop"
        return f"{what} cannot be read or written ({error.strerror})"
    return str(error).removeprefix(f"{path} ")


class _Record:
    """import.json: where the photographs came from, and what each crop was made of."""

    def __init__(self, out: Path, source: str) -> None:
        self._out, self._file, self._source = out, out / "import.json", source
        self._crops: dict[str, str] = {}
        self._unwritten = 0
        if self._file.is_file():
            try:
                before = json.loads(self._file.read_text(encoding="utf-8"))
                found, self._crops = str(before["source"]), dict(before["crops"])
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise ImportSourceError(f"{self._file} is no import's record: give another --out") from error
            if found != source:
                raise ImportSourceError(f"{out} holds an import of {found:.500}, not of {source}: give another --out")
        elif out.exists() and any(out.iterdir()):
            raise ImportSourceError(f"{out} is not empty and holds no import: give another --out")

    def has(self, crop: str, made_of: str) -> bool:
        return self._crops.get(crop) == made_of and (self._out / crop).is_file()

    def note(self, crop: str, made_of: str) -> None:
        self._crops[crop] = made_of
        self._unwritten += 1
        if (self._unwritten == 1 and not self._file.exists()) or self._unwritten >= _RECORD_EVERY:
            self.keep()

    def forget(self, crop: str) -> None:
        """There is no such crop, or not any more."""
        if self._crops.pop(crop, None) is not None:
            (self._out / crop).unlink(missing_ok=True)

    def keep(self) -> None:
        if self._crops or self._file.exists():
            text = json.dumps({"source": self._source, "crops": self._crops}, indent=0)
            write_whole(self._file, text.encode())
            self._unwritten = 0


def _made_of(photograph: Photograph, points: Landmarks | None, settings: CropSettings) -> str:
    stat = photograph.path.stat()
    finds = (landmarks_digest(), _CUT) if points is None and settings.faces != ALIGNED else None
    parts = (str(photograph.path.absolute()), stat.st_size, stat.st_mtime_ns, points, settings, finds)
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _write_crop(file: Path, crop: Picture) -> None:
    make_folders(file.parent)
    stream = io.BytesIO()
    Image.fromarray(crop).save(stream, "PNG")
    write_whole(file, stream.getvalue())


def _write_table(file: Path, header: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([header, *rows])
    write_whole(file, stream.getvalue().encode("utf-8", "backslashreplace"))
