"""What PostgreSQL says by its codes (Appendix A of its manual), as errors of a gallery. None of them shows a password:
the server never says one, and addresses hold none."""

from __future__ import annotations

from index.errors import GalleryCorruptError, GalleryError, GalleryLockedError, GalleryStorageError

try:
    import psycopg as psycopg
except ImportError as error:
    raise GalleryStorageError(
        "galleries on PostgreSQL need psycopg, which is not installed: pip install 'facesearch[postgres]'"
    ) from error

_LOCKED = ("55P03", "40P01", "40001", "55006")  # a lock, a deadlock, a change that came between, in use
_REFUSED = ("28", "42501")  # who one is, and what one may
_CORRUPT = ("23", "XX001", "XX002", "42P01", "42703", "42P10", "3F000")  # what we write keeps to the rules


def named(name: str, patience: float, code: str, error: object) -> GalleryError:
    """The error that a code of five characters stands for; name: the gallery's address."""
    said = _first_line(error)
    if code in _LOCKED:
        return GalleryLockedError(
            f"{name} is locked: another process has been writing for more than {patience:g} s; "
            "wait for it to finish and try again"
        )
    if code.startswith(_REFUSED):
        return GalleryStorageError(
            f"PostgreSQL refuses {name} ({said}): check the user and what it may; passwords are read from $PGPASSWORD, "
            "~/.pgpass, or a file that the address names with passfile=FILE"
        )
    if code == "3D000":
        return GalleryStorageError(f"PostgreSQL has no database for {name} ({said}): make it with createdb")
    if code.startswith(("57P", "08")):
        return no_answer(name, error)
    if code.startswith(_CORRUPT):
        return GalleryCorruptError(
            f"{name} is not a sound gallery database ({said}); restore it from a backup, or index the "
            "images again under another name"
        )
    return GalleryStorageError(f"PostgreSQL cannot use {name} ({said}, code {code}); its log may say more")


def no_answer(name: str, error: object) -> GalleryStorageError:
    """Of a server that does not answer, or none any more."""
    said = _first_line(error)
    if "no password supplied" in said or "authentication failed" in said:  # libpq gives it no code
        return GalleryStorageError(
            f"PostgreSQL refuses {name} ({said}): passwords are read from $PGPASSWORD, ~/.pgpass, or a file that the "
            "address names with passfile=FILE"
        )
    if '" does not exist' in said and "database" in said:
        return GalleryStorageError(f"PostgreSQL has no database for {name} ({said}): make it with createdb")
    return GalleryStorageError(
        f"PostgreSQL does not answer for {name} ({said}): check that it runs, and the address; what was committed is "
        "kept"
    )


def _first_line(error: object) -> str:
    return str(error).strip().split("\n")[0][:200]
