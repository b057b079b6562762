"""What a search must keep to, as somebody says it."""

from __future__ import annotations

import re

from faceedit.errors import UsageError
from index.search.plan import Requirements, make_plan, read_requirements
from index.search.rates import measure_rates
from index.search.reduction import STEP
from index.truth.address import Address, Server

_LONGEST = 30  # digits of a size


def requirements_of(
    gallery: Address, max_memory: str | None, recall: float | None, max_ms: float | None
) -> Requirements | None:
    """What is asked of a search, and for the rest what was asked of this gallery before; None where nothing is asked.

    Raises UsageError, RequirementsError, GalleryCorruptError.
    """
    if max_memory is None and recall is None and max_ms is None:
        return None
    usual = read_requirements(gallery.folder if isinstance(gallery, Server) else gallery)
    return Requirements(
        recall=usual.recall if recall is None else recall,
        max_ms=usual.max_ms if max_ms is None else max_ms,
        max_memory=usual.max_memory if max_memory is None else parsed_size(max_memory),
    )


def require_possible(images: int, size: int, requirements: Requirements) -> None:
    """Raise RequirementsError for what no way of searching so many descriptors of `size` numbers could keep to: before
    anything is described."""
    make_plan(images, size, STEP, requirements, measure_rates()).require()


def parsed_size(text: str) -> int:
    """Bytes of '2GB', '500 MB' or '1.5g'. Raises UsageError."""
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmgt]?)b?\s*", text, re.IGNORECASE)
    if found is None or len(found[1]) > _LONGEST:
        raise UsageError(f"{text!r:.60} is no size: give one such as 500MB or 2GB")
    return int(float(found[1]) * 1000 ** " kmgt".index(found[2].lower() or " "))
