"""Give a gallery the index that its requirements ask for: build it, give it just the effort that these need, measure it
against every descriptor, and install it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import GalleryEmptyError, RecallError
from index.files import discard_indexes, exact_path
from index.progress import Progress
from index.search import shortlist
from index.search.faiss_files import Index, faiss_module
from index.search.plan import (
    AT,
    EXACT,
    FLAT,
    HNSW,
    IVF,
    LINKS,
    SLOW,
    USUAL,
    Plan,
    Planner,
    Prepared,
    Requirements,
    cells_for,
    make_plan,
    read_requirements,
    write_requirements,
)
from index.search.rates import measure_rates
from index.search.reduction import PLANNED, SAMPLE, STEP, components, enough, shares
from index.search.scan import parts, scan
from index.search.shortlist import About, Shortlist, checksum
from index.truth import descriptor_slots
from index.truth.database import Database
from index.values import FloatArray, HalfArray, IdArray

QUERIES = 200  # that recall is measured with
EFFORTS = {FLAT: (1,), IVF: (4, 8, 16, 32, 64, 128, 256, 512, 1024), HNSW: (64, 128, 256, 512, 1024)}
_MARGIN = 0.25  # share of the misses that are allowed when an index is tuned
STALE = 0.1  # share of images added since, from which on an index is built anew;
MOST_NEW = 8_000_000  # or their numbers, which every search compares in full


def plan_for(
    folder: Path, database: Database, requirements: Requirements | None, planner: Planner = USUAL, quickly: bool = False
) -> Plan:
    """What would be chosen for the gallery as it is. quickly: where every descriptor can be compared, do not find out
    how many numbers a first look would need. Raises GalleryEmptyError."""
    with database.reading() as session:
        _, _, slots = descriptor_slots.snapshot(session)
        content = descriptor_slots.records(session, folder)
    if len(slots) == 0:
        raise GalleryEmptyError(f"the gallery {database.name} holds no images yet; index some before planning")
    needs = requirements or read_requirements(folder)
    count, size = len(slots), content.shape[1]
    if quickly and _all_compared(plan := make_plan(count, size, STEP, needs, planner.rates or SLOW, planner)):
        return plan  # on any machine
    rates = planner.rates or measure_rates()
    if quickly and _all_compared(plan := make_plan(count, size, STEP, needs, rates, planner)):
        return plan
    return make_plan(count, size, dimensions_for(content, slots), needs, rates, planner)


def prepare(
    folder: Path,
    database: Database,
    requirements: Requirements | None,
    progress: Progress | None = None,
    planner: Planner = USUAL,
) -> Prepared:
    """Build and install what the plan chooses, unless it is there. The caller keeps other writers out.

    Raises GalleryEmptyError, RequirementsError when nothing would do, RecallError when what was built does not: then
    the gallery is searched as before.
    """
    plan = plan_for(folder, database, requirements, planner, quickly=True)
    kind = plan.require().kind
    with database.reading() as session:
        state, ids, slots = descriptor_slots.snapshot(session)
        content = descriptor_slots.records(session, folder)
        before = shortlist.load(folder, state, content, partial(descriptor_slots.has_rows, session))
    if kind == EXACT:
        _keep(folder, requirements)
        if before is not None:
            discard_indexes(folder, keep=exact_path(folder, state.generation, state.stamp))
        return Prepared(plan, None, before is not None)
    if before is not None and _still_good(before.about, plan, new=int(np.sum(ids > before.ids[-1]))):
        _keep(folder, requirements)
        return Prepared(plan, before.about, False)
    made = build(content, ids, slots, plan, state.removals, progress, planner)
    shortlist.save(folder, state, made)
    _keep(folder, requirements)
    return Prepared(plan, made.about, True)


def _all_compared(plan: Plan) -> bool:
    return plan.chosen is not None and plan.chosen.kind == EXACT


def _still_good(about: About, plan: Plan, new: int) -> bool:
    needs = plan.requirements
    kept = about.recall >= needs.recall and about.milliseconds <= needs.max_ms
    possible = {option.kind for option in plan.options if not option.against}
    return about.kind in possible and kept and new <= min(STALE * plan.count, MOST_NEW / plan.size)


def _keep(folder: Path, requirements: Requirements | None) -> None:
    if requirements is not None:
        write_requirements(folder, requirements)


def dimensions_for(records: HalfArray, slots: IdArray) -> int:
    """How many numbers the first look needs."""
    return enough(shares(_sample(records, slots, PLANNED)))


def build(
    records: HalfArray,
    ids: IdArray,
    slots: IdArray,
    plan: Plan,
    removals: int,
    progress: Progress | None = None,
    planner: Planner = USUAL,
) -> Shortlist:
    """Build what the plan chose, measure it, and give it just the effort that its requirements need; where it cannot
    keep to them, the next that the plan holds possible.

    Raises RecallError, with the figures of the last, when none does.
    """
    plan.require()
    tell: Progress = progress or (lambda what, done, total: None)
    tell("reducing descriptors", 0, 1)
    reduction = components(_sample(records, slots, SAMPLE), plan.dimensions)
    check = checksum(records, slots)
    kinds = [option.kind for option in plan.options if not option.against and option.kind != EXACT]
    for kind in kinds:
        about = About(kind, reduction.shape[1], 1, 1, 0.0, 0.0, removals, check, planner.few)
        made = Shortlist(about, _filled(kind, records, slots, reduction, tell), reduction, ids, slots)
        try:
            return _tuned(made, records, plan, planner.lengths, tell)
        except RecallError:
            if kind == kinds[-1]:
                raise
    raise AssertionError("the plan chose to compare every descriptor")


def _filled(kind: str, records: HalfArray, slots: IdArray, reduction: FloatArray, tell: Progress) -> Index:
    faiss, dimensions = faiss_module(), reduction.shape[1]
    if kind == FLAT:
        index = faiss.index_factory(dimensions, "SQ8")
    elif kind == HNSW:
        index = faiss.index_factory(dimensions, f"HNSW{LINKS}_SQ8")
    else:
        cells = cells_for(len(slots))
        index = faiss.index_factory(dimensions, f"IVF{cells},SQ8")
        index.cp.niter, index.cp.max_points_per_centroid = 6, 64
    tell("training the index", 0, 1)
    many = 64 * cells_for(len(slots)) if kind == IVF else SAMPLE
    index.train(np.concatenate(list(_reduced(records, _some(slots, many), reduction))))
    done = 0
    for part in _reduced(records, slots, reduction):
        index.add(part)
        done += len(part)
        tell("building the index", done, len(slots))
    return index


def _tuned(made: Shortlist, records: HalfArray, plan: Plan, lengths: tuple[int, ...], tell: Progress) -> Shortlist:
    """With the least effort and the shortest list that reach the recall, and a margin for queries unlike these."""
    needs = plan.requirements
    aim = 1 - _MARGIN * (1 - needs.recall)
    queries = _likely_queries(made, records)
    truth = _truth(records, made, queries, tell)
    best = made
    efforts = EFFORTS[made.about.kind]
    for effort, length in (*itertools.product(efforts, lengths[:-2]), *itertools.product(efforts, lengths[-2:])):
        best = _with(made, effort=effort, length=length)
        recall = _recall(best.look(queries, length), truth)  # as a search looks
        best = _with(best, recall=recall)
        if recall >= aim:
            break
    best = _with(best, milliseconds=_median_ms(best, records, queries))
    if best.about.recall < needs.recall or best.about.milliseconds > needs.max_ms:
        raise RecallError(
            f"the {best.about.kind} index finds {best.about.recall:.4f} of the {AT} nearest in "
            f"{best.about.milliseconds:.1f} ms a search at its best; asked for {needs.recall:g} in "
            f"{needs.max_ms:g} ms: it is not installed; allow more time or memory, or a lower recall"
        )
    return best


def _likely_queries(made: Shortlist, records: HalfArray) -> FloatArray:
    """(n, size) descriptors of some images, each moved by half of the difference between two of its neighbours: nobody
    asks for just what is stored, and an imagined descriptor is off the true one by about as much."""
    rows = np.linspace(0, len(made.ids) - 1, min(QUERIES, len(made.ids))).astype(int)
    queries: FloatArray = records[made.slots[rows]].astype(np.float32)
    if len(made.ids) < 3:
        return queries
    near = _with(made, effort=EFFORTS[made.about.kind][-1]).look(queries, 3)
    near = np.where(near < 0, rows[:, None], near)
    first, second = (records[made.slots[column]].astype(np.float32) for column in near.T[1:])
    moved: FloatArray = queries + (first - second) / 2
    return moved


def _with(shortlist: Shortlist, **changes: Any) -> Shortlist:
    return replace(shortlist, about=replace(shortlist.about, **changes))


def _recall(found: IdArray, truth: IdArray) -> float:
    return float(np.mean([np.isin(wanted, rows).mean() for rows, wanted in zip(found, truth, strict=True)]))


def _median_ms(shortlist: Shortlist, records: HalfArray, queries: FloatArray) -> float:
    seconds = []
    for query in queries[:50]:
        started = time.perf_counter()
        shortlist.search(records, query[None], AT)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds))


def _truth(records: HalfArray, made: Shortlist, queries: FloatArray, tell: Progress) -> IdArray:
    """(n, AT) rows of the nearest descriptors to each query, in full precision."""
    tell("measuring recall", 0, 1)
    found = scan(records, made.slots, np.arange(len(made.slots)), queries, AT)
    tell("measuring recall", 1, 1)
    return np.stack([rows for _, rows in found])


def _sample(records: HalfArray, slots: IdArray, most: int) -> FloatArray:
    return records[_some(slots, most)].astype(np.float32)


def _some(slots: IdArray, most: int) -> IdArray:
    """Up to so many of the slots, the same every time, ascending."""
    if len(slots) <= most:
        return np.sort(slots)
    return np.sort(np.random.default_rng(0).choice(slots, most, replace=False))


def _reduced(records: HalfArray, slots: IdArray, reduction: FloatArray) -> Iterator[FloatArray]:
    for part in parts(len(slots), records.shape[1]):
        yield records[slots[part]].astype(np.float32) @ reduction
