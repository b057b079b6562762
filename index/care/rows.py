"""Every row of a gallery: whether it is what was written, and whether it says what such a row can say."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.orm import Session

from index.errors import GalleryCorruptError
from index.truth.database import PAGE, Database
from index.truth.schema import TABLES, row_digest
from index.values import identity_key

_STAMP = "typeof(size) != 'integer' OR size < 0 OR typeof(mtime_ns) != 'integer' OR typeof(inode) != 'integer' " + (
    "OR inode < 0 OR typeof(ctime_ns) != 'integer'"
)
_SHA256 = "typeof(sha256) != 'blob' OR length(sha256) != 32"
_MODEL = (
    "typeof(model_digest) != 'text' OR length(model_digest) != 64 OR model_digest GLOB '*[^0-9a-f]*' "
    "OR typeof(attribute) != 'text' OR typeof(descriptor_size) != 'integer' OR descriptor_size < 1 "
    "OR typeof(file) != 'integer' OR file < 1 OR json_array_length(iif(json_valid(attribute_values), attribute_values, "
    "'[]')) < 1 OR attribute_values GLOB '*[^][0-9,-]*'"
)


def _decision(model: str) -> str:
    """A value of that model, and an error or null for each of its values."""
    values = f"(SELECT iif(json_valid(attribute_values), attribute_values, '[]') FROM {model})"
    return (
        f"typeof(decided) != 'integer' OR decided NOT IN (SELECT value FROM json_each({values})) "
        "OR typeof(errors) != 'text' OR errors GLOB '*[^][0-9,.enul+-]*' OR json_array_length("
        f"iif(json_valid(errors), errors, '0')) != (SELECT json_array_length({values}))"
    )


def _label(name: str, kind: str, place: int) -> str:
    return f"typeof({name}) NOT IN ('null', '{kind}') OR ({name} IS NULL) != (substr(origins, {place}, 1) = '-')"


# what no row may say: what it is about, the table, and the condition that finds it
_SENSELESS = (
    ("what the gallery is for", "gallery", _MODEL),
    ("how far it has come", "gallery", "typeof(generation) != 'integer' OR generation < 0 OR typeof(removals) "
     "!= 'integer' OR removals < 0 OR length(stamp) != 8 OR stamp GLOB '*[^0-9a-f]*' OR typeof(image_root) != 'text' "
     "OR typeof(created) != 'text' OR typeof(schema_version) != 'integer'"),
    ("path", "photo", "typeof(path) != 'text' OR '/' || path || '/' GLOB '*/[.]/*' OR '/' || path || '/' GLOB "
     "'*/[.][.]/*' OR '/' || path || '/' GLOB '*//*' OR instr(path, char(0))"),
    ("hash", "photo", f"sha256 IS NOT NULL AND ({_SHA256})"),
    ("size or times", "photo", f"id < 1 OR {_STAMP} OR typeof(added) != 'integer'"),
    ("why it is not read", "photo", "typeof(reason) NOT IN ('null', 'text') OR typeof(reader) NOT IN ('null', 'text') "
     "OR (reason IS NULL) != (unread IS NULL) OR (reason IS NULL) != (found IS NULL) OR typeof(found) NOT IN "
     "('null', 'integer') OR found NOT BETWEEN 0 AND 253402300799 OR unread GLOB '*[^][0-9,-]*' OR "
     "(unread IS NOT NULL AND json_array_length(iif(json_valid(unread), unread, '0')) != 4)"),
    ("use: it shows no face and can be read", "photo", "reason IS NULL AND NOT EXISTS (SELECT 1 FROM face WHERE "
     "photo_id = photo.id)"),
    ("labels", "face", "id < 1 OR typeof(number) != 'integer' OR number < 0 OR typeof(origins) != 'text' OR "
     "length(origins) != 4 OR origins GLOB '*[^hfds-]*' OR (identity IS NULL) != (identity_key IS NULL) OR "
     f"{_label('identity', 'text', 1)} OR {_label('pose', 'integer', 2)} OR {_label('illumination', 'integer', 3)} OR "
     f"{_label('expression', 'text', 4)} OR typeof(identity_key) NOT IN ('null', 'text')"),
    ("decision", "face", _decision("gallery")),
    ("record", "record", f"typeof(file) != 'integer' OR typeof(slot) != 'integer' OR slot < 0 OR {_SHA256} OR file NOT "
     "IN (SELECT file FROM gallery UNION SELECT file FROM redescription)"),
    ("record of a face that is not described by the next model", "record", "face_id IS NOT NULL AND file != (SELECT "
     "file FROM gallery) AND face_id NOT IN (SELECT face_id FROM staged)"),
    ("what it is for", "redescription", f"{_MODEL} OR file IN (SELECT file FROM gallery) OR typeof(begun) != 'text'"),
    ("decision", "staged", _decision("redescription")),
    ("content", "staged", f"{_STAMP} OR (sha256 IS NOT NULL AND ({_SHA256}))"),
)  # fmt: skip


def row_damage(database: Database) -> Iterator[str]:
    """A sentence for each thing that is wrong with the database, its tables and its rows."""
    yield from (f"the database: {line}" for line in database.soundness())
    found = set()
    for table, row in unsealed(database):
        found.add((table.name, _key(table, row)))
        yield f"the database: the row of {table.name} with {_key(table, row)} is not what was written"
    with database.reading() as session:
        for table_name, key, what in _senseless(session):
            if (table_name, key) not in found:
                yield f"the database: the row of {table_name} with {key} has no sound {what}"


def require_sound_rows(database: Database) -> None:
    """Raise GalleryCorruptError with the first thing that is wrong, and how many more are."""
    found = row_damage(database)
    first = next(found, None)
    if first is not None:
        more = sum(1 for _ in found)
        also = f" (and {more:,} more)" if more else ""
        raise GalleryCorruptError(
            f"{first}{also}: `facesearch gallery verify` says what is damaged, `facesearch gallery repair` mends what "
            "can be mended; or restore gallery.db from a copy"
        )


def unsealed(database: Database) -> Iterator[tuple[Table, dict[str, Any]]]:
    """The rows that are not what was written, as the engine keeps them."""
    for table in TABLES:
        names = [column.name for column in table.columns]  # the digest is the last
        query = text(f"SELECT {', '.join(names)} FROM {table.name}")
        with database.reading() as session:
            for row in chain.from_iterable(session.execute(query).partitions(PAGE)):
                if row_digest(tuple(row[:-1])) != row[-1]:
                    found = dict(zip(names, row, strict=True))
                    if table.name != "record" or found["face_id"] is not None:  # without one it was removed since
                        yield table, found


def _senseless(session: Session) -> Iterator[tuple[str, str, str]]:
    """Table, key and what of it no such row can say."""
    tables = {table.name: table for table in TABLES}
    for what, name, condition in _SENSELESS:
        keys = ", ".join(column.name for column in tables[name].primary_key)
        for row in session.execute(text(f"SELECT {keys} FROM {name} WHERE {condition}")).mappings():
            yield name, _key(tables[name], dict(row)), what
    others = "SELECT id, identity, identity_key FROM face WHERE identity_key != lower(identity)"
    for id_, identity, key in session.execute(text(others)):
        if isinstance(identity, str) and identity_key(identity) != key:
            yield "face", f"id {id_!r}", "identity_key"


def _key(table: Table, row: dict[str, Any]) -> str:
    return ", ".join(f"{column.name} {row[column.name]!r:.40}" for column in table.primary_key)
