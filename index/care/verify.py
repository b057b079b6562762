"""Whether what is on disk is what was put there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from index.descriptors import HalfArray, nearest, record_hash
from index.errors import GalleryError
from index.search import projection
from index.search.projection import Projection
from index.search.shortlist import AT, scan
from index.truth import redescribing, store
from index.truth.database import Database

SAMPLE = 50  # images whose neighbours are compared


@dataclass
class Verification:
    """images: in the gallery; checked: records that agree with their hash; unknown: records without one; damaged: paths
    of images whose records do not agree; findings: everything that is wrong, a sentence each; index: how the gallery is
    searched, and how much of what every descriptor finds that finds."""

    images: int = 0
    checked: int = 0
    unknown: int = 0
    damaged: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    index: str = ""

    @property
    def sound(self) -> bool:
        return not self.findings


@dataclass
class Repair:
    """removed: paths of images whose records were damaged, to be described again; noted: hashes that were missing;
    waiting: damaged descriptions of a migration under way, which will be made anew."""

    removed: list[str] = field(default_factory=list)
    removed_ids: list[int] = field(default_factory=list)
    noted: int = 0
    waiting: int = 0


def verify(folder: Path, database: Database, progress: Callable[[int, int], None] | None = None) -> Verification:
    """Read everything and compare it."""
    found = Verification()
    with database.reading() as session:
        found.findings += [f"the data base: {line}" for line in store.soundness(session)]
        found.images = store.count(session)
    for one in chain.from_iterable(hashed_records(folder, database)):
        if one.noted is None:
            found.unknown += 1
        elif one.noted == one.actual:
            found.checked += 1
        else:
            found.damaged.append(one.path)
            found.findings.append(f"{one.path}: the descriptor of image {one.id} is not what was stored")
        if progress:
            progress(found.checked + found.unknown + len(found.damaged), found.images)
    with database.reading() as session:
        found.findings += redescribing.damage(session, folder)
    if found.damaged:
        found.index = "the index is not compared with damaged descriptors"
    else:
        found.index = _verify_index(folder, database, found.findings)
    return found


def repair(folder: Path, database: Database) -> Repair:
    """What can be mended without the pictures. The caller holds the writer's lock, and removes what is damaged."""
    done = Repair()
    known: dict[int, str] = {}
    for one in chain.from_iterable(hashed_records(folder, database)):
        if one.noted is None:
            known[one.id] = one.actual
        elif one.noted != one.actual:
            done.removed.append(one.path)
            done.removed_ids.append(one.id)
    if known:
        with database.writing() as session:
            store.note_hashes(session, known)
    done.noted = len(known)
    projection.discard(folder)
    return done


@dataclass(frozen=True)
class Hashed:
    """An image's descriptor as it lies on the disk, with the hash that was noted for it and the one that it has."""

    id: int
    path: str
    noted: str | None
    actual: str
    record: HalfArray


def hashed_records(folder: Path, database: Database) -> Iterator[list[Hashed]]:
    """The descriptors of all images, by slot, in pages."""
    last = -1
    while True:
        with database.reading() as session:
            page = store.hashes(session, last)
            records = store.descriptor_file(session, folder).whole()
        if not page:
            return
        yield [_hashed(records, *one) for one in page]
        last = page[-1][1]


def _hashed(records: HalfArray, id_: int, slot: int, path: str, noted: str | None) -> Hashed:
    if slot >= len(records):  # cut off
        return Hashed(id_, path, noted or "unknown", "", np.zeros(records.shape[1], np.float16))
    return Hashed(id_, path, noted, record_hash(records[slot]), records[slot])


def _verify_index(folder: Path, database: Database, findings: list[str]) -> str:
    """How the gallery is searched; what the saved index finds beside every descriptor goes to the findings."""
    with database.reading() as session:
        state, ids, slots = store.snapshot(session)
        records = store.records(session, folder)
        short = projection.load_shortlist(folder, state, records, partial(store.has_rows, session))
    if len(ids) == 0:
        return "empty"
    rows = np.linspace(0, len(ids) - 1, min(SAMPLE, len(ids))).astype(int)
    queries = records[slots[rows]].astype(np.float32)
    truth = [found for _, found in scan(records, slots, ids, queries, AT)]
    try:
        exact = projection.load(folder, state, ids, slots, records.shape[1])
        if short is not None:
            got = [found for _, found in short.search(records, queries, AT)]
            name, least = f"{short.about.kind} index of reduced descriptors", short.about.recall - 0.05
        elif exact is not None:
            got = list(_by(exact, queries))
            name, least = "exact index", 0.999
        else:
            return "no index is saved; the next search makes one"
    except GalleryError as error:
        findings.append(str(error))
        return "no sound index"
    agreement = float(np.mean([np.isin(wanted, some).mean() for wanted, some in zip(truth, got, strict=True)]))
    if agreement < least:
        findings.append(f"the {name} finds {agreement:.3f} of the nearest; delete it with `facesearch gallery repair`")
    return f"{name}: {agreement:.3f} of the {AT} nearest of {len(rows)} images found"


def _by(exact: Projection, queries: np.ndarray) -> np.ndarray:
    return nearest(exact.index, queries, AT, exact.ids)[1]
