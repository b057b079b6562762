"""What is looked at before anything is read from a database that may be a stranger's."""

from __future__ import annotations

from sqlalchemy import Connection

from index.errors import GalleryCorruptError
from index.truth.shape import runs_nothing, strange
from index.truth.state import gallery

_STATISTICS = "sqlite_stat"  # what the engine notes of tables and of names in them, which nothing would erase


def require_own_tables(session: Connection) -> None:
    """Raise GalleryCorruptError where the tables are not a gallery's, before anything is read from them;
    GalleryVersionError where they are those of another release."""
    found = strange(session)
    if not found:
        return
    if runs_nothing(session):
        gallery(session)
    if all(_STATISTICS in one for one in found):
        raise GalleryCorruptError(
            f"the database: {found[0]}: somebody ran ANALYZE on it; `DROP TABLE {_STATISTICS}1` and, where it is "
            f"there, {_STATISTICS}4, in any program for SQLite, makes it a gallery again"
        )
    also = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
    raise GalleryCorruptError(
        f"the database: {found[0]}{also}: restore gallery.db from a copy, or delete the gallery folder and index the "
        "images again"
    )
