"""A user's own index.py beside a script or notebook would be taken for our package of that name: say so in one line."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
PACKAGES = ("faceedit", "index", "retrieval")


def require_own_packages(packages: tuple[str, ...] = PACKAGES) -> None:
    """Raise ImportError with the file that is in the way of one of our packages."""
    for name in packages:
        spec = find_spec(name)
        if spec is None:
            raise ImportError(f"facesearch is not installed whole: its package {name!r} is missing; install it again")
        place = Path(spec.origin or next(iter(spec.submodule_search_locations or ()), "")).resolve()
        if place != HOUSE / name / "__init__.py":
            raise ImportError(
                f"{place} is in the way of facesearch's own package {name!r}: rename it, or move it to another folder"
            )
