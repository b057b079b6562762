"""How to search a gallery: what each way would cost, and which is the simplest that keeps the promises."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from index.errors import GalleryCorruptError, RequirementsError
from index.settings import read_settings, settings_text
from index.whole import written_whole

EXACT, FLAT, IVF, HNSW = "exact", "flat", "ivf", "hnsw"
ENGINE_FLAT, ENGINE_HNSW = "engine flat", "engine hnsw"
KINDS = {
    EXACT: "every descriptor, half precision",
    FLAT: "every reduced descriptor, one byte a number; the best again in full",
    IVF: "reduced descriptors of the nearest cells; the best again in full",
    HNSW: "reduced descriptors along a graph of neighbours; the best again in full",
    ENGINE_FLAT: "every reduced descriptor, by the gallery's engine; the best again in full",
    ENGINE_HNSW: "reduced descriptors along a graph of neighbours in the gallery's engine; the best again in full",
}
LINKS = 32  # of each node of the graph, twice as many at its bottom
AT = 10  # neighbours that recall is measured at
_PROBED = 0.05  # share of the cells' rows that a search of the IVF sees
_WALK_MS = 2.0  # a search of the graph
_RANK_MS = 1.0  # comparing a few hundred in full
SETTINGS = "search.json"


@dataclass(frozen=True)
class Requirements:
    """What searching must keep to. recall: share of the AT nearest that are found; max_ms: of one search, the median,
    without imagining the face; max_memory: bytes that the index may occupy, None for half of the machine's.

    Raises RequirementsError for values that nothing can keep to.
    """

    recall: float = 0.99
    max_ms: float = 200.0
    max_memory: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.recall <= 1:
            raise RequirementsError(f"recall is {self.recall}; expected a share above 0 and up to 1, such as 0.99")
        if not 0 < self.max_ms < math.inf:
            raise RequirementsError(f"max_ms is {self.max_ms}; expected milliseconds above 0")
        if self.max_memory is not None and self.max_memory <= 0:
            raise RequirementsError(f"max_memory is {self.max_memory}; expected bytes above 0")

    @property
    def bytes(self) -> int:
        return half_of_memory() if self.max_memory is None else self.max_memory

    @property
    def text(self) -> str:
        return f"{size_text(self.bytes)}, {self.max_ms:g} ms, recall {self.recall:g}"


@dataclass(frozen=True)
class Rates:
    """Numbers that this machine compares in a millisecond for one query. half: of two bytes; codes: of one."""

    half: float
    codes: float


SLOW = Rates(half=5e5, codes=1e6)  # no machine is slower


@dataclass(frozen=True)
class Planner:
    """What ways of searching are weighed with, besides what is asked of them."""

    fewest: Mapping[str, int] = field(default_factory=lambda: {EXACT: 0, FLAT: 1_000, IVF: 20_000, HNSW: 5_000})
    """images from which on each kind makes sense"""
    rates: Rates | None = None
    """of this machine; None: measured when they are needed"""
    few: int = 8_000_000
    """numbers that are rather compared in full than by an index"""
    lengths: tuple[int, ...] = (50, 100, 200, 400, 800, 1600)
    """of the list that is compared in full: those that are tried, the longest two last"""


USUAL = Planner()


@dataclass(frozen=True)
class Option:
    """One way to search, what it would take, and what speaks against it (empty: nothing). excluded: whatever memory and
    time are allowed."""

    kind: str
    memory: int
    milliseconds: float
    build_seconds: float
    against: str
    excluded: bool


@dataclass(frozen=True)
class Plan:
    """The ways to search `count` descriptors of `size` numbers, reduced to `dimensions`, simplest first."""

    count: int
    size: int
    dimensions: int
    requirements: Requirements
    options: tuple[Option, ...]

    @property
    def chosen(self) -> Option | None:
        """The first that nothing speaks against."""
        return next((option for option in self.options if not option.against), None)

    def require(self) -> Option:
        """The chosen option. Raises RequirementsError when there is none."""
        if self.chosen is not None:
            return self.chosen
        usual = [option for option in self.options if not option.excluded]
        least = min(usual, key=lambda option: option.memory)
        quickest = min(usual, key=lambda option: option.milliseconds)
        raise RequirementsError(
            f"nothing searches {self.count:,} images within {self.requirements.text}: the least memory is "
            f"{size_text(least.memory)} ({least.kind}, about {least.milliseconds:.1f} ms), the least time about "
            f"{quickest.milliseconds:.1f} ms ({quickest.kind}, {size_text(quickest.memory)}); allow more"
        )


class Measured(Protocol):
    """What was built to search by, as it was measured."""

    @property
    def kind(self) -> str:
        """One of KINDS."""

    @property
    def effort(self) -> int:
        """Cells probed, or length of the walk through a graph."""

    @property
    def length(self) -> int:
        """How many are compared in full, for AT results."""

    @property
    def recall(self) -> float:
        """Share of the AT nearest that are found."""

    @property
    def milliseconds(self) -> float:
        """Of one search, the median."""


@dataclass(frozen=True)
class Prepared:
    """plan: how the gallery is searched, and why; index: what was measured of it (None: every descriptor is compared);
    built: whether it is new."""

    plan: Plan
    index: Measured | None
    built: bool

    @property
    def kind(self) -> str:
        return self.plan.require().kind if self.index is None else self.index.kind

    @property
    def recall(self) -> float:
        """Share of the ten nearest that are found, as measured; 1 where every descriptor is compared."""
        return 1.0 if self.index is None else self.index.recall


def make_plan(
    count: int, size: int, dimensions: int, requirements: Requirements, rates: Rates, planner: Planner = USUAL
) -> Plan:
    """Every way to search, with estimates from a machine's rates."""
    reduced = count * (dimensions + 16) + 4 * size * dimensions
    cells = cells_for(count)
    look = count * dimensions / rates.codes
    estimates = {
        EXACT: (2 * count * size, count * size / rates.half, count * size / 5e8),
        FLAT: (reduced, look + _RANK_MS, count * size / 2e9 + count * dimensions / 2e7),
        IVF: (
            reduced + 8 * count + 4 * cells * dimensions,
            _PROBED * look + 4 * cells * dimensions / rates.half + _RANK_MS,
            count * size / 2e9 + cells * dimensions * (count + 640 * cells) / 5e10,
        ),
        HNSW: (reduced + count * (8 * LINKS + 16), _WALK_MS + _RANK_MS, count * size / 2e9 + count / 8e3),
    }
    options = tuple(
        Option(kind, memory, ms, seconds, *_against(kind, planner.fewest[kind], count, memory, ms, requirements))
        for kind, (memory, ms, seconds) in estimates.items()
    )
    return Plan(count, size, dimensions, requirements, options)


def cells_for(count: int) -> int:
    """How many cells an IVF of so many vectors has: a power of two near four times the square root."""
    return int(2 ** np.clip(np.round(np.log2(4 * np.sqrt(max(count, 1)))), 4, 16))


def _against(
    kind: str, fewest: int, count: int, memory: int, ms: float, requirements: Requirements
) -> tuple[str, bool]:
    reasons = []
    if count < fewest:
        reasons.append(f"needs {fewest:,} images")
    if requirements.recall == 1 and kind != EXACT:
        reasons.append("not exact")
    excluded = bool(reasons)
    if memory > requirements.bytes:
        reasons.append("too much memory")
    if ms > requirements.max_ms:
        reasons.append("too slow")
    return ", ".join(reasons), excluded


def read_requirements(folder: Path) -> Requirements:
    """What the gallery in this folder was asked to keep to; the defaults where nobody asked. Raises
    GalleryCorruptError."""
    path = folder / SETTINGS
    try:
        return Requirements(**read_settings(path))
    except FileNotFoundError:
        return Requirements()
    except (OSError, ValueError, TypeError, RequirementsError) as error:
        raise GalleryCorruptError(
            f"{path} is damaged ({error}); delete it, and give --max-memory, --max-ms and --recall again"
        ) from error


def write_requirements(folder: Path, requirements: Requirements) -> None:
    """Keep them for later runs."""
    with written_whole(folder / SETTINGS) as file:
        file.write(settings_text(asdict(requirements)))


def half_of_memory() -> int:
    """Half of this machine's memory in bytes; 4 GB where it cannot be known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return 4_000_000_000


def size_text(size: int) -> str:
    """'1.5 GB', '20 MB', '50 bytes'"""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"
