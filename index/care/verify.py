"""Whether what is on disk is what was put there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from sqlalchemy import select

from index.care.row_checks import row_damage
from index.care.soundness import descriptor_pages
from index.checked import damage as damage_to_checked
from index.errors import GalleryCorruptError, GalleryError
from index.files import saved_indexes
from index.progress import Steps
from index.search import exact, shortlist
from index.search.exact import Exact
from index.search.faiss_files import most_bytes
from index.search.plan import AT, read_requirements
from index.search.scan import scan
from index.search.shortlist import Shortlist
from index.truth import descriptor_slots, redescribing, state, store
from index.truth.database import Database
from index.truth.pages import chunks
from index.truth.schema import FaceRow, PhotoRow
from index.values import HalfArray, IdArray

SAMPLE = 50  # faces whose neighbours are compared with what an index of reduced descriptors finds

Compares = Callable[[list[str]], str]
"""Adds what is wrong to a list, and says how the gallery is searched."""


@dataclass
class Verification:
    """images: in the gallery; checked: descriptors that agree with their hash; damaged: paths of images whose
    descriptors do not agree, or are none; waiting: how many images wait to be described again; findings: everything
    that is wrong, a sentence each; index: how the gallery is searched, and how much of what every descriptor finds that
    finds."""

    images: int = 0
    checked: int = 0
    damaged: list[str] = field(default_factory=list)
    waiting: int = 0
    findings: list[str] = field(default_factory=list)
    index: str = ""

    @property
    def sound(self) -> bool:
        return not self.findings


def verify(folder: Path, database: Database, progress: Steps | None = None, by: Compares | None = None) -> Verification:
    """Read everything and compare it; nothing is changed. by: compares what an engine has, in place of an index."""
    found = Verification()
    found.findings += row_damage(database)
    rows_sound = not found.findings
    with database.reading() as session:
        found.images, size = store.count(session), state.gallery(session).descriptor_size
    _verify_descriptors(folder, database, found, progress)
    found.findings += _file_damage(folder, most_bytes(found.images, size))
    if rows_sound:
        with database.reading() as session:
            found.waiting = len(descriptor_slots.without_record(session))
            found.findings += redescribing.damage(session, folder)
            if descriptor_slots.leftovers(session, folder):
                found.findings.append(
                    "a descriptor file holds bytes of no image: run `facesearch gallery repair`, which erases them"
                )
    if found.findings:
        found.index = "the index is not compared with what is damaged"
    elif by is not None:
        found.index = by(found.findings) if found.images else "empty"
    else:
        found.index = _verify_index(folder, database, found.findings)
    return found


def _verify_descriptors(folder: Path, database: Database, found: Verification, progress: Steps | None) -> None:
    for count, damaged in descriptor_pages(folder, database):
        found.checked += count - len(damaged)
        for path, id_ in _paths(database, list(damaged)):
            found.damaged.append(path)
            found.findings.append(f"{path}: the descriptor of image {id_} {damaged[id_]}")
        if progress:
            progress(found.checked + len(found.damaged), found.images)


def _paths(database: Database, ids: list[int]) -> list[tuple[str, int]]:
    """Where the photos of these faces are, whatever their rows say besides."""
    paths: dict[int, str] = {}
    with database.reading() as session:
        for some in chunks(ids):
            query = select(FaceRow.id, PhotoRow.path).join(PhotoRow, PhotoRow.id == FaceRow.photo_id)
            paths.update((id_, str(path)) for id_, path in session.execute(query.where(FaceRow.id.in_(some))))
    return [(paths.get(id_, f"image {id_}"), id_) for id_ in ids]


def _file_damage(folder: Path, most: int) -> Iterator[str]:
    """A sentence for each derived file that is not what was written, whether or not it is believed; most: bytes that an
    index may have."""
    yield from damage_to_checked(folder)
    try:
        read_requirements(folder)
    except GalleryCorruptError as error:
        yield str(error)
    for path in saved_indexes(folder):
        try:
            (shortlist if path.is_dir() else exact).require_written(path, most)
        except GalleryError as error:
            yield str(error)


def _verify_index(folder: Path, database: Database, findings: list[str]) -> str:
    """How the gallery is searched; where the saved index is another than it should be, that goes to the findings."""
    with database.reading() as session:
        now, ids, slots = descriptor_slots.snapshot(session)
        content = descriptor_slots.records(session, folder)
        reduced = shortlist.load(folder, now, content, partial(descriptor_slots.has_rows, session))
    if len(ids) == 0:
        return "empty"
    try:
        if reduced:
            return _verify_reduced(reduced, content, ids, slots, findings)
        saved = exact.load(folder, now, ids, slots, content.shape[1])
        return _verify_exact(saved, content, findings) if saved else "no index is saved; the next search makes one"
    except GalleryError as error:
        findings.append(str(error))
        return "no sound index"


def _verify_exact(saved: Exact, content: HalfArray, findings: list[str]) -> str:
    """It holds what is stored: then it finds what comparing with every descriptor finds."""
    differing = saved.differing(content)
    if differing:
        findings.append(
            f"the exact index holds {differing:,} descriptors that are not those stored: `facesearch gallery repair` "
            "deletes it"
        )
    return f"exact index: {len(saved.ids) - differing:,} of {len(saved.ids):,} descriptors as stored"


def _verify_reduced(saved: Shortlist, content: HalfArray, ids: IdArray, slots: IdArray, findings: list[str]) -> str:
    """It finds as much of the nearest as it was measured to."""
    rows = np.linspace(0, len(ids) - 1, min(SAMPLE, len(ids))).astype(int)
    queries = content[slots[rows]].astype(np.float32)
    truth = [found for _, found in scan(content, slots, ids, queries, AT)]
    got = [found for _, found in saved.search(content, queries, AT)]
    agreement = float(np.mean([np.isin(wanted, some).mean() for wanted, some in zip(truth, got, strict=True)]))
    name = f"{saved.about.kind} index of reduced descriptors"
    if agreement < saved.about.recall - 0.05:
        findings.append(f"the {name} finds {agreement:.3f} of the nearest: `facesearch gallery repair` deletes it")
    return f"{name}: {agreement:.3f} of the {AT} nearest of {len(rows)} images found"
