"""A search in two looks: reduced descriptors say which few hundred may be nearest, the full ones which are.

The first look never decides: distances, their order and ties are those of the descriptors in half precision. It can
only miss, and how often it does is measured when it is built, against every descriptor.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.descriptors import (
    FloatArray,
    HalfArray,
    IdArray,
    Index,
    faiss_module,
    mapped_index,
    sync_folder,
    write_index,
)
from index.errors import GalleryCorruptError, RecallError
from index.search.plan import EXACT, FLAT, HNSW, IVF, LINKS, Plan, cells_for
from index.search.reduction import components, enough, shares

SAMPLE, PLANNED = 2_048, 1_024  # descriptors that the reduction is made from, and planned with
QUERIES = 200  # that recall is measured with
AT = 10  # neighbours that recall is measured at
LENGTHS = (50, 100, 200, 400, 800, 1600)  # of the list that is compared in full
EFFORTS = {FLAT: (1,), IVF: (4, 8, 16, 32, 64, 128, 256, 512, 1024), HNSW: (64, 128, 256, 512, 1024)}
FEW = 8_000_000  # numbers that are rather compared in full
_MARGIN = 0.25  # share of the misses that are allowed when an index is tuned
_FURTHER = 32  # times as far at most when only some rows compete
_CHUNK = 16_000_000  # numbers of full precision at a time
_CHECKED = 64  # slots whose bytes tell whether an index belongs to a descriptor file
_INDEX, _REDUCTION, _IDS, _SLOTS, _ABOUT = "index.faiss", "reduction.npy", "ids.npy", "slots.npy", "about.json"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class About:
    """What an index is and what was measured when it was built. effort: cells probed, or length of the walk through the
    graph; length: how many are compared in full, for ten results; recall: share of the ten nearest found; milliseconds:
    of one search, the median; check: of the descriptors that it was built from."""

    kind: str
    dimensions: int
    effort: int
    length: int
    recall: float
    milliseconds: float
    removals: int
    check: str


@dataclass(frozen=True)
class Shortlist:
    """reduction (size, dimensions); ids and slots (n,): of the rows of the index, ids ascending."""

    about: About
    index: Index
    reduction: FloatArray
    ids: IdArray
    slots: IdArray

    def search(
        self, records: HalfArray, queries: FloatArray, k: int, competing: NDArray[np.bool_] | None = None
    ) -> list[tuple[FloatArray, IdArray]]:
        """For each query (n, size) the Euclidean distances and ids of the k nearest, equals by id.

        records: the descriptor file's; competing (n,): which rows may be found, None for all.
        """
        rows = np.arange(len(self.ids)) if competing is None else np.flatnonzero(competing)
        length = max(self.about.length, self.about.length * k // AT)
        if len(rows) <= max(FEW // records.shape[1], length):
            return scan(records, self.slots[rows], self.ids[rows], queries, k)
        results = []
        for found, query in zip(self._look(queries, length, competing), queries, strict=True):
            few = found[found >= 0]
            if len(few) < k:  # the cells or the graph led to too few of those that compete
                few = rows
            results.append(scan(records, self.slots[few], self.ids[few], query[None], k)[0])
        return results

    def _look(self, queries: FloatArray, length: int, competing: NDArray[np.bool_] | None = None) -> IdArray:
        """(n, length) rows whose reduced descriptors are nearest, -1 where there are no more."""
        faiss, effort, chosen = faiss_module(), self.about.effort, {}
        if competing is not None:
            effort = int(
                effort * min(2 * len(competing) / competing.sum(), _FURTHER)
            )  # their neighbours lie farther off
            bits = np.packbits(competing, bitorder="little")  # to be kept as long as the search runs
            chosen["sel"] = faiss.IDSelectorBitmap(bits)
        parameters = None
        if self.about.kind == IVF:
            parameters = faiss.SearchParametersIVF(nprobe=effort, **chosen)
        elif self.about.kind == HNSW:
            parameters = faiss.SearchParametersHNSW(efSearch=max(effort, length), **chosen)
        elif chosen:
            parameters = faiss.SearchParameters(**chosen)
        rows: IdArray = self.index.search(queries @ self.reduction, length, params=parameters)[1]
        return rows


def dimensions_for(records: HalfArray, slots: IdArray) -> int:
    """How many numbers the first look needs."""
    return enough(shares(_sample(records, slots, PLANNED)))


def build(
    records: HalfArray, ids: IdArray, slots: IdArray, plan: Plan, removals: int, progress: Progress | None = None
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
        about = About(kind, reduction.shape[1], 1, 1, 0.0, 0.0, removals, check)
        made = Shortlist(about, _filled(kind, records, slots, reduction, tell), reduction, ids, slots)
        try:
            return _tuned(made, records, plan, tell)
        except RecallError:
            if kind == kinds[-1]:
                raise
    raise AssertionError("the plan chose to compare every descriptor")


def checksum(records: HalfArray, slots: IdArray) -> str:
    """Of the bytes of some of these slots: another history of the same gallery has another."""
    some = slots[np.linspace(0, len(slots) - 1, min(_CHECKED, len(slots))).astype(int)]
    return hashlib.sha256(np.ascontiguousarray(records[some]).tobytes()).hexdigest()


def scan(
    records: HalfArray, slots: IdArray, ids: IdArray, queries: FloatArray, k: int
) -> list[tuple[FloatArray, IdArray]]:
    """For each query the distances and ids of the k nearest of these slots, compared with every one."""
    best = [(np.zeros(0, np.float32), np.zeros(0, np.int64)) for _ in queries]
    order = np.argsort(slots)  # as they lie on the disk
    for part in _parts(len(slots), records.shape[1]):
        rows = order[part]
        block = records[slots[rows]].astype(np.float32)
        lengths = np.einsum("ij,ij->i", block, block)
        for n, query in enumerate(queries):
            near = _smallest(lengths - 2 * (block @ query), 2 * k + 16)  # up to rounding
            distances = np.sqrt(((block[near] - query) ** 2).sum(1))
            best[n] = merged([best[n], (distances, ids[rows[near]])], k)
    return best


def merged(lists: Sequence[tuple[FloatArray, IdArray]], k: int) -> tuple[FloatArray, IdArray]:
    """The k nearest of several results, equals by id."""
    distances, ids = (np.concatenate(column) for column in zip(*lists, strict=True))
    order = np.lexsort((ids, distances))[:k]
    return distances[order], ids[order]


def write(shortlist: Shortlist, folder: Path) -> None:
    """Write it so that `folder` holds all of it or does not exist. Raises OSError."""
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        write_index(shortlist.index, temporary / _INDEX)
        arrays: dict[str, NDArray[Any]] = {
            _REDUCTION: shortlist.reduction, _IDS: shortlist.ids, _SLOTS: shortlist.slots
        }  # fmt: skip
        for name, array in arrays.items():
            with (temporary / name).open("wb") as file:
                np.save(file, array, allow_pickle=False)
                _to_disk(file)
        with (temporary / _ABOUT).open("w", encoding="utf-8") as file:
            json.dump(vars(shortlist.about), file, indent=2)
            _to_disk(file)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read(folder: Path) -> Shortlist:
    """What `write` wrote, mapped into memory. Raises GalleryCorruptError."""
    try:
        about = About(**json.loads((folder / _ABOUT).read_text(encoding="utf-8")))
        reduction, ids, slots = (
            np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (_REDUCTION, _IDS, _SLOTS)
        )
        index = mapped_index(folder / _INDEX)
        if not (index.ntotal == len(ids) == len(slots) and index.d == reduction.shape[1] == about.dimensions):
            raise ValueError("its files have different lengths")
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, MemoryError) as error:
        raise GalleryCorruptError(f"{folder} is not a sound index of this gallery ({error}); delete it") from error
    return Shortlist(about, index, np.array(reduction), ids, slots)


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


def _tuned(made: Shortlist, records: HalfArray, plan: Plan, tell: Progress) -> Shortlist:
    """With the least effort and the shortest list that reach the recall, and a margin for queries unlike these."""
    needs = plan.requirements
    aim = 1 - _MARGIN * (1 - needs.recall)
    queries = _likely_queries(made, records)
    truth = _neighbours(records, made.slots, queries, tell)
    best = made
    efforts = EFFORTS[made.about.kind]
    for effort, length in (*itertools.product(efforts, LENGTHS[:-2]), *itertools.product(efforts, LENGTHS[-2:])):
        best = _with(made, effort=effort, length=length)
        recall = _recall(best._look(queries, length), truth)  # as a search looks
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
    near = _with(made, effort=EFFORTS[made.about.kind][-1])._look(queries, 3)
    near = np.where(near < 0, rows[:, None], near)
    first, second = (records[made.slots[column]].astype(np.float32) for column in near.T[1:])
    moved: FloatArray = queries + (first - second) / 2
    return moved


def _with(shortlist: Shortlist, **changes: Any) -> Shortlist:
    about = About(**{**vars(shortlist.about), **changes})
    return Shortlist(about, shortlist.index, shortlist.reduction, shortlist.ids, shortlist.slots)


def _recall(found: IdArray, truth: IdArray) -> float:
    return float(np.mean([np.isin(wanted, rows).mean() for rows, wanted in zip(found, truth, strict=True)]))


def _median_ms(shortlist: Shortlist, records: HalfArray, queries: FloatArray) -> float:
    seconds = []
    for query in queries[:50]:
        started = time.perf_counter()
        shortlist.search(records, query[None], AT)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds))


def _neighbours(records: HalfArray, slots: IdArray, queries: FloatArray, tell: Progress) -> IdArray:
    """(n, AT) rows of the nearest descriptors to each query, in full precision."""
    values = np.full((len(queries), AT), np.inf, np.float32)
    rows = np.full((len(queries), AT), -1, np.int64)
    for part in _parts(len(slots), records.shape[1]):
        block = records[slots[part]].astype(np.float32)
        distances = (block**2).sum(1) - 2 * queries @ block.T
        values = np.concatenate([values, distances], 1)
        rows = np.concatenate([rows, np.broadcast_to(np.arange(part.start, part.stop), distances.shape)], 1)
        nearest = np.argpartition(values, AT - 1, axis=1)[:, :AT]
        values, rows = np.take_along_axis(values, nearest, 1), np.take_along_axis(rows, nearest, 1)
        tell("measuring recall", part.stop, len(slots))
    return rows


def _sample(records: HalfArray, slots: IdArray, most: int) -> FloatArray:
    return records[_some(slots, most)].astype(np.float32)


def _smallest(values: NDArray[np.floating], count: int) -> IdArray:
    """Positions of the smallest values, and of all that equal the last of them up to rounding."""
    if len(values) <= count:
        return np.arange(len(values))
    limit = float(np.partition(values, count - 1)[count - 1])
    return np.flatnonzero(values <= limit + 1e-5 * abs(limit) + 1e-5)


def _some(slots: IdArray, most: int) -> IdArray:
    """Up to so many of the slots, the same every time, ascending."""
    if len(slots) <= most:
        return np.sort(slots)
    return np.sort(np.random.default_rng(0).choice(slots, most, replace=False))


def _reduced(records: HalfArray, slots: IdArray, reduction: FloatArray) -> Iterator[FloatArray]:
    for part in _parts(len(slots), records.shape[1]):
        yield records[slots[part]].astype(np.float32) @ reduction


def _parts(count: int, size: int) -> Iterator[slice]:
    step = max(1, _CHUNK // size)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
