"""Whether what is on disk is what was put there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from index.care.rows import row_damage, unsealed
from index.errors import GalleryError
from index.files import discard_indexes
from index.search import exact, shortlist
from index.search.searcher import Searcher
from index.search.shortlist import AT, Shortlist
from index.truth import records, redescribing, state, store
from index.truth.database import Database

SAMPLE = 50  # faces whose neighbours are compared

Progress = Callable[[int, int], None]
"""progress(done, total)"""


@dataclass
class Verification:
    """images: in the gallery; checked: descriptors that agree with their hash; damaged: paths of images whose
    descriptors do not agree; findings: everything that is wrong, a sentence each; index: how the gallery is searched,
    and how much of what every descriptor finds that finds."""

    images: int = 0
    checked: int = 0
    damaged: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    index: str = ""

    @property
    def sound(self) -> bool:
        return not self.findings


@dataclass
class Repair:
    """removed: paths of images whose descriptors were damaged or are missing, to be described again; waiting: damaged
    descriptions of a redescription under way, which will be made anew."""

    removed: list[str] = field(default_factory=list)
    removed_ids: list[int] = field(default_factory=list)
    waiting: int = 0


def verify(folder: Path, database: Database, progress: Progress | None = None) -> Verification:
    """Read everything and compare it."""
    found = Verification()
    found.findings += row_damage(database)
    with database.reading() as session:
        found.images = store.count(session)
    for page in records.hashed_records(folder, database):
        damaged = [one.id for one in page if one.noted != one.actual]
        found.checked += len(page) - len(damaged)
        for path, id_ in _paths(database, damaged):
            found.damaged.append(path)
            found.findings.append(f"{path}: the descriptor of image {id_} is not what was stored")
        if progress:
            progress(found.checked + len(found.damaged), found.images)
    with database.reading() as session:
        without = len(records.without_record(session))
        found.findings += [f"{without:,} images have no descriptor"] if without else []
        found.findings += redescribing.damage(session, folder)
    if found.damaged:
        found.index = "the index is not compared with damaged descriptors"
    else:
        found.index = _verify_index(folder, database, found.findings)
    return found


def repair(folder: Path, database: Database) -> Repair:
    """What can be mended without the pictures. The caller holds the writer's lock, and removes the faces whose
    descriptors are damaged; those whose rows are have gone already."""
    done = Repair(_discard_unsealed(database))
    for page in records.hashed_records(folder, database):
        for path, id_ in _paths(database, [one.id for one in page if one.noted != one.actual]):
            done.removed.append(path)
            done.removed_ids.append(id_)
    with database.reading() as session:
        without = records.without_record(session)
    for path, id_ in _paths(database, without):
        done.removed.append(path)
        done.removed_ids.append(id_)
    with database.writing() as session:
        records.give_up_lost(session)
    discard_indexes(folder)
    return done


def _discard_unsealed(database: Database) -> list[str]:
    """Delete the photos and faces whose rows are not what was written; the paths of those that had a face."""
    found: dict[str, list[int]] = {"photo": [], "face": []}
    for table, row in unsealed(database):
        name, key = ("face", "face_id") if table.name == "record" else (table.name, "id")
        if name in found and isinstance(row[key], int):
            found[name].append(row[key])
    if not any(found.values()):
        return []
    with database.writing() as session:
        gone = [path for name, ids in found.items() for path in store.discard(session, name, ids)]
        state.advance(session, removed=True)
    return gone


def _paths(database: Database, ids: list[int]) -> list[tuple[str, int]]:
    """Where the photos of these faces are."""
    if not ids:
        return []
    with database.reading() as session:
        return [(face.path, face.id) for face in store.present(session, ids)]


def _verify_index(folder: Path, database: Database, findings: list[str]) -> str:
    """How the gallery is searched; what the saved index misses beside every descriptor goes to the findings."""
    with database.reading() as session:
        now, ids, slots = records.snapshot(session)
        content = records.records(session, folder)
        reduced = shortlist.load(folder, now, content, partial(records.has_rows, session))
    if len(ids) == 0:
        return "empty"
    rows = np.linspace(0, len(ids) - 1, min(SAMPLE, len(ids))).astype(int)
    queries = content[slots[rows]].astype(np.float32)
    truth = [found for _, found in exact.scan(content, slots, ids, queries, AT)]
    try:
        saved: Searcher | None = reduced or exact.load(folder, now, ids, slots, content.shape[1])
        if saved is None:
            return "no index is saved; the next search makes one"
        got = [found for _, found in saved.search(content, queries, AT)]
    except GalleryError as error:
        findings.append(str(error))
        return "no sound index"
    name, least = _expected(saved)
    agreement = float(np.mean([np.isin(wanted, some).mean() for wanted, some in zip(truth, got, strict=True)]))
    if agreement < least:
        findings.append(f"the {name} finds {agreement:.3f} of the nearest; delete it with `facesearch gallery repair`")
    return f"{name}: {agreement:.3f} of the {AT} nearest of {len(rows)} images found"


def _expected(saved: Searcher) -> tuple[str, float]:
    """What a saved index is called, and how much of the nearest it must find at least."""
    if isinstance(saved, Shortlist):
        return f"{saved.about.kind} index of reduced descriptors", saved.about.recall - 0.05
    return "exact index", 0.999
