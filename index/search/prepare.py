"""Give a gallery the index that its requirements ask for, measured before it is installed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from index.errors import GalleryEmptyError
from index.files import discard_indexes, exact_path
from index.search import shortlist
from index.search.plan import (
    EXACT,
    SLOW,
    Plan,
    Requirements,
    make_plan,
    measure_rates,
    read_requirements,
    write_requirements,
)
from index.search.reduction import STEP
from index.search.shortlist import About
from index.search.tuning import Progress, build, dimensions_for
from index.truth import records
from index.truth.database import Database

STALE = 0.1  # share of images added since, from which on an index is built anew;
MOST_NEW = 8_000_000  # or their numbers, which every search compares in full


@dataclass(frozen=True)
class Prepared:
    """plan: how the gallery is searched, and why; index: what was measured of it (None: every descriptor is compared);
    built: whether it is new."""

    plan: Plan
    index: About | None
    built: bool

    @property
    def kind(self) -> str:
        return self.plan.require().kind if self.index is None else self.index.kind

    @property
    def recall(self) -> float:
        """Share of the ten nearest that are found, as measured; 1 where every descriptor is compared."""
        return 1.0 if self.index is None else self.index.recall


def plan_for(folder: Path, database: Database, requirements: Requirements | None, quickly: bool = False) -> Plan:
    """What would be chosen for the gallery as it is. quickly: where every descriptor can be compared, do not find out
    how many numbers a first look would need. Raises GalleryEmptyError."""
    with database.reading() as session:
        _, _, slots = records.snapshot(session)
        content = records.records(session, folder)
    if len(slots) == 0:
        raise GalleryEmptyError(f"the gallery {folder} holds no images yet; index some before planning")
    needs = requirements or read_requirements(folder)
    if quickly and _all_compared(plan := make_plan(len(slots), content.shape[1], STEP, needs, SLOW)):
        return plan  # on any machine
    rates = measure_rates()
    if quickly and _all_compared(plan := make_plan(len(slots), content.shape[1], STEP, needs, rates)):
        return plan
    return make_plan(len(slots), content.shape[1], dimensions_for(content, slots), needs, rates)


def prepare(
    folder: Path,
    database: Database,
    requirements: Requirements | None,
    progress: Progress | None = None,
) -> Prepared:
    """Build and install what the plan chooses, unless it is there. The caller keeps other writers out.

    Raises GalleryEmptyError, RequirementsError when nothing would do, RecallError when what was built does not: then
    the gallery is searched as before.
    """
    plan = plan_for(folder, database, requirements, quickly=True)
    kind = plan.require().kind
    with database.reading() as session:
        state, ids, slots = records.snapshot(session)
        content = records.records(session, folder)
        before = shortlist.load(folder, state, content, partial(records.has_rows, session))
    if kind == EXACT:
        _keep(folder, requirements)
        if before is not None:
            discard_indexes(folder, keep=exact_path(folder, state.generation, state.stamp))
        return Prepared(plan, None, before is not None)
    if before is not None and _still_good(before.about, plan, new=int(np.sum(ids > before.ids[-1]))):
        _keep(folder, requirements)
        return Prepared(plan, before.about, False)
    made = build(content, ids, slots, plan, state.removals, progress)
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
