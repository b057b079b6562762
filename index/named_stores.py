"""Which stores somebody on this machine has named: a gallery may come from a stranger, and no word in it makes us ask a
host with your keys that you did not name.

`stores.json` beside what this machine derives of galleries on servers has the addresses that were given to commands
here; $FACESEARCH_STORES names others, with spaces between them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from index.errors import AddressError
from index.settings import read_settings, settings_text
from index.stored import Stored, place_of
from index.truth.address import cache_folder
from index.whole import replaced

_FILE = "stores.json"


def name_store(place: Path) -> None:
    """Somebody gave this address: galleries whose pictures lie there are believed from now on. Folders need no name."""
    if not isinstance(place, Stored) or _is_named(place):
        return
    _named_here.add(place)
    with suppress(OSError):  # then it is to be named again the next time
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        replaced(folder / _FILE, settings_text({"stores": sorted({str(place), *_remembered()})}))


def require_named(root: Path) -> None:
    """Raise AddressError where a gallery's pictures lie in a store that nobody has named here."""
    if isinstance(root, Stored) and not _is_named(root):
        raise AddressError(
            f"the gallery's pictures lie in {root}, which nobody has named on this machine: if it is yours, say so by "
            f"`facesearch index {root}`, or in $FACESEARCH_STORES"
        )


_named_here: set[Stored] = set()


def _is_named(root: Stored) -> bool:
    named = [*os.environ.get("FACESEARCH_STORES", "").split(), *_remembered()]
    return any(root.is_relative_to(one) for one in (*_named_here, *map(place_of, named)))


def _remembered() -> list[str]:
    try:
        return [str(one) for one in read_settings(cache_folder() / _FILE).get("stores", [])]
    except (OSError, ValueError):
        return []
