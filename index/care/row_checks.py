"""Every row of a gallery: whether it is what was written, and whether it says what such a row can say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, text

from index.errors import GalleryCorruptError
from index.labels import LABEL_KINDS, TEXT_LABELS, text_key
from index.truth.database import Database
from index.truth.ids import last_ids_known
from index.truth.pages import PAGE
from index.truth.schema import TABLES, Base, row_digest
from index.truth.shape import strange

_STAMP = """typeof(size) != 'integer' OR size < 0 OR typeof(mtime_ns) != 'integer' OR typeof(inode) != 'integer'
    OR inode < 0 OR typeof(ctime_ns) != 'integer'"""
_SIZE = """typeof(width) != 'integer' OR width < 0 OR typeof(height) != 'integer' OR height < 0
    OR (width = 0) != (height = 0) OR turn NOT IN (0, 1, 2, 3)"""
_SHA256 = "typeof(sha256) != 'blob' OR length(sha256) != 32"
_MODEL = """typeof(model_digest) != 'text' OR length(model_digest) != 64 OR model_digest GLOB '*[^0-9a-f]*'
    OR typeof(attribute) != 'text' OR attribute GLOB '*[^a-z0-9_]*' OR attribute = ''
    OR typeof(descriptor_size) != 'integer' OR descriptor_size NOT BETWEEN 1 AND 10000000
    OR typeof(encoder) NOT IN ('null', 'text') OR length(encoder) NOT BETWEEN 1 AND 4000
    OR typeof(file) != 'integer' OR file < 1 OR attribute_values GLOB '*[^][0-9,-]*'
    OR json_array_length(iif(json_valid(attribute_values), attribute_values, '[]')) < 1"""
_DECISION = """typeof(decided) != 'integer' OR decided NOT IN ({values})
    OR typeof(errors) != 'text' OR iif(json_valid(errors), json_array_length(errors), -1) != {count}
    OR errors GLOB '?*["{[tf]*'"""
_NUMBERS = """typeof({name}) NOT IN ('null', 'text') OR {name} GLOB '*[^][0-9.,-]*'
    OR ({name} IS NOT NULL AND json_array_length(iif(json_valid({name}), {name}, '[]')) NOT IN ({counts}))"""
_BOX = _NUMBERS.format(name="box", counts="4")
_PLACE = f"""{_BOX} OR {_NUMBERS.format(name="landmarks", counts="8, 10")} OR (box IS NULL) != (landmarks IS NULL)
    OR (box IS NULL) != (score IS NULL) OR typeof(score) NOT IN ('null', 'real') OR score NOT BETWEEN 0 AND 1"""
_LABEL = "typeof({name}) NOT IN ('null', '{kind}') OR ({name} IS NULL) != (substr(origins, {place}, 1) = '-')"
_KEY = "typeof({name}_key) NOT IN ('null', 'text') OR ({name} IS NULL) != ({name}_key IS NULL)"
_TYPES = {int: "integer", str: "text"}
_SAID = [
    _LABEL.format(name=name, kind=_TYPES[kind], place=place)
    for place, (name, kind) in enumerate(LABEL_KINDS.items(), 1)
]
_KEYED = {  # by table, the texts whose keys are stored, and the rows whose key SQLite cannot tell to be right
    "face": {name: f"{name}_key != lower({name}) OR {name} GLOB '*[^ -~]*'" for name in TEXT_LABELS},
    "photo": {"path": "path_key IS NOT NULL OR path GLOB '*[^ -@[-~]*'"},
}

_NO_PATH = "its path is none below the images' folder"
_PATH = """typeof(path) != 'text' OR instr(path, char(0)) OR '/' || path || '/' GLOB '*/[.]/*'
    OR '/' || path || '/' GLOB '*/[.][.]/*' OR '/' || path || '/' GLOB '*//*'"""
_NOBODY, _PERSON = "it is nobody who was ever known", "person NOT BETWEEN 1 AND (SELECT persons FROM gallery)"
_NO_DESCRIPTOR, _NO_FACE = "it has no descriptor", "it shows no face, and can be read"
_NOT_DESCRIBED = "its face is not described by the next model"
_WHATEVER_THE_TYPES = {_NO_DESCRIPTOR, _NO_FACE, _NOT_DESCRIBED}  # what a row's digest and the types do not tell
# what no row may say, the table, and the condition that finds it
_SENSELESS = (
    ("it cannot say what the gallery is for", "gallery", _MODEL),
    (
        "it cannot say how far the gallery has come",
        "gallery",
        """typeof(generation) != 'integer' OR generation < 0 OR typeof(removals) != 'integer' OR removals < 0
        OR length(stamp) != 8 OR stamp GLOB '*[^0-9a-f]*' OR typeof(image_root) != 'text'
        OR faces NOT IN ('auto', 'all', 'largest', 'aligned') OR identity_of NOT IN ('only', 'largest')
        OR length(detector) != 64 OR detector GLOB '*[^0-9a-f]*'
        OR length(grouped_by) != 64 OR grouped_by GLOB '*[^0-9a-f]*'
        OR typeof(persons) != 'integer' OR persons NOT BETWEEN 0 AND 2147483647
        OR identity_level NOT IN ('first', 'last')
            AND (identity_level GLOB '*[^0-9]*' OR identity_level NOT GLOB '[1-9]*' OR length(identity_level) > 3)
        OR typeof(created) != 'text' OR typeof(schema_version) != 'integer'""",
    ),
    (_NO_PATH, "photo", f"typeof(path_key) NOT IN ('null', 'text') OR {_PATH}"),
    ("its hash is none", "photo", f"sha256 IS NOT NULL AND ({_SHA256})"),
    ("its size or times are none", "photo", f"id < 1 OR {_STAMP} OR {_SIZE} OR typeof(added) != 'integer'"),
    (
        "it cannot say why the file is not read",
        "photo",
        """typeof(reason) NOT IN ('null', 'text') OR typeof(reader) NOT IN ('null', 'text')
        OR (reason IS NULL) != (unread IS NULL) OR (reason IS NULL) != (found IS NULL)
        OR typeof(found) NOT IN ('null', 'integer') OR found NOT BETWEEN 0 AND 253402300799
        OR unread GLOB '*[^][0-9,-]*' OR faceless NOT IN (0, 1) OR (faceless = 1 AND reason IS NULL)
        OR (unread IS NOT NULL AND json_array_length(iif(json_valid(unread), unread, '0')) != 4)""",
    ),
    (_NO_FACE, "photo", "reason IS NULL AND NOT EXISTS (SELECT 1 FROM face WHERE photo_id = photo.id)"),
    (
        "its labels are none",
        "face",
        f"""id < 1 OR typeof(number) != 'integer' OR number < 1 OR typeof(origins) != 'text'
        OR length(origins) != {len(LABEL_KINDS)} OR origins GLOB '*[^hfds-]*' OR """
        + " OR ".join([*_SAID, *(_KEY.format(name=name) for name in TEXT_LABELS)]),
    ),
    ("its decision is none of the model's", "face", _DECISION),
    ("it lies at no place of its photo", "face", _PLACE),
    ("it lies at no place of its photo", "staged", _PLACE),
    (
        _NO_DESCRIPTOR,
        "face",
        """NOT EXISTS (SELECT 1 FROM record WHERE face_id = face.id AND file = (SELECT file FROM gallery))
        AND EXISTS (SELECT 1 FROM photo WHERE id = photo_id AND reason IS NULL)""",
    ),
    (
        "it is no slot of a descriptor file",
        "record",
        f"""typeof(file) != 'integer' OR typeof(slot) != 'integer' OR slot < 0 OR {_SHA256}
        OR file NOT IN (SELECT file FROM gallery UNION SELECT file FROM redescription)""",
    ),
    (
        _NOT_DESCRIBED,
        "record",
        """face_id IS NOT NULL AND file != (SELECT file FROM gallery)
        AND face_id NOT IN (SELECT face_id FROM staged)""",
    ),
    (
        "it cannot say by which model",
        "redescription",
        f"{_MODEL} OR file IN (SELECT file FROM gallery) OR typeof(begun) != 'text'",
    ),
    ("its decision is none of the model's", "staged", _DECISION),
    (_NO_PATH, "passed", _PATH),
    (
        "it cannot say what the file is",
        "passed",
        f"id < 1 OR typeof(kind) != 'text' OR typeof(reader) != 'text' OR {_STAMP}",
    ),
    (_NO_PATH, "kept", _PATH),
    (
        "its labels are none",
        "kept",
        f"""id < 1 OR {_SHA256} OR typeof(pruned) != 'integer' OR typeof(number) != 'integer' OR number < 1 OR {_BOX}
        OR coalesce({", ".join(LABEL_KINDS)}) IS NULL OR """
        + " OR ".join(f"typeof({name}) NOT IN ('null', '{_TYPES[kind]}')" for name, kind in LABEL_KINDS.items()),
    ),
    (_NO_PATH, "hidden", _PATH),
    (
        "it is no face of any content",
        "hidden",
        f"""id < 1 OR {_SHA256} OR typeof(since) != 'integer' OR typeof(number) != 'integer' OR number < 1
        OR {_NUMBERS.format(name="share", counts="4")}""",
    ),
    (_NOBODY, "member", f"typeof(person) NOT IN ('null', 'integer') OR {_PERSON}"),
    (
        _NOBODY,
        "placement",
        f"""id < 1 OR {_SHA256} OR typeof(number) != 'integer' OR number < 1 OR {_BOX} OR typeof(person) != 'integer'
        OR {_PERSON}""",
    ),
    ("its content is none", "staged", f"{_STAMP} OR {_SIZE} OR (sha256 IS NOT NULL AND ({_SHA256}))"),
)


def row_damage(database: Database) -> Iterator[str]:
    """A sentence for each thing that is wrong with the database, its tables and its rows."""
    with database.reading() as session:
        others = strange(session)
    yield from (f"the database: {line}" for line in others or database.soundness())
    if others:  # what is theirs would be run by looking closer
        return
    for table in TABLES:
        with database.reading() as session:
            senseless = _senseless(session, table)
            for row in _unsealed(session, table):
                key = _key(table, row)
                senseless.pop(key, None)
                yield f"the database: the row of {table.name} with {key} is not what was written"
        yield from (f"the database: the row of {table.name} with {key}: {what}" for key, what in senseless.items())
    with database.reading() as session:
        if not last_ids_known(session):
            yield "the database: the last ids that were given are not what was written"


def damaged_rows(session: Connection, name: str) -> list[dict[str, Any]]:
    """The rows of a table that are not what was written, or say what none can, as the engine keeps them; not those of
    faces that but lack a descriptor."""
    table = Base.metadata.tables[name]
    senseless = {key: what for key, what in _senseless(session, table).items() if what != _NO_DESCRIPTOR}
    keys = {key.name for key in table.primary_key}
    found = {_key(table, row): row for row in _unsealed(session, table)}
    columns = ", ".join(column.name for column in table.columns)
    for row in session.execute(text(f"SELECT {columns} FROM {name}")).mappings() if senseless.keys() - found else ():
        key = _key(table, {one: row[one] for one in keys})
        if key in senseless:
            found[key] = dict(row)
    return list(found.values())


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


def _unsealed(session: Connection, table: Table) -> Iterator[dict[str, Any]]:
    """The rows that are not what was written, as the engine keeps them."""
    names = [column.name for column in table.columns]  # the digest is the last
    for row in _plain_rows(session, f"SELECT {', '.join(names)} FROM {table.name}"):
        if row_digest(row[:-1]) != row[-1]:
            found = dict(zip(names, row, strict=True))
            if table.name != "record" or found["face_id"] is not None:  # without one it was removed since
                yield found


def _plain_rows(session: Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Rows as the engine keeps them, in pages."""
    if _has_types(session):
        yield from map(tuple, session.execute(text(query), execution_options={"yield_per": PAGE}))
        return
    rows = session.exec_driver_sql(query).cursor
    yield from chain.from_iterable(iter(partial(rows.fetchmany, PAGE), []))  # the engine's own: half the time


def _has_types(session: Connection) -> bool:
    """Whether the engine itself sees to it that every value is of its column's type: SQLite does not."""
    return session.dialect.name != "sqlite"


def _senseless(session: Connection, table: Table) -> dict[str, str]:
    """By key, what such a row cannot say."""
    found: dict[str, str] = {}
    values = _values(session, "redescription" if table.name == "staged" else "gallery")
    keys = ", ".join(column.name for column in table.primary_key)
    typed = _has_types(session)
    for what, name, condition in _SENSELESS:
        if name == table.name and not (typed and what not in _WHATEVER_THE_TYPES):
            said = condition.replace("{values}", ", ".join(map(str, values))).replace("{count}", str(len(values)))
            for row in session.exec_driver_sql(f"SELECT {keys} FROM {name} WHERE {said}").mappings():
                found[_key(table, dict(row))] = what
    for name, doubtful in () if typed else _KEYED.get(table.name, {}).items():
        others = f"SELECT id, {name}, {name}_key FROM {table.name} WHERE {doubtful}"
        for id_, said, key in session.exec_driver_sql(others):
            if isinstance(said, str) and text_key(said) != (said if key is None else key):
                found[_key(table, {"id": id_})] = f"its {name} is compared as another"
    return found


def _values(session: Connection, model: str) -> list[int]:
    """Of the attribute that the gallery, or its redescription, is for; none where they are damaged."""
    text_ = session.exec_driver_sql(f"SELECT attribute_values FROM {model}").scalar()
    try:
        return [int(value) for value in json.loads(text_ or "[]")]
    except (ValueError, TypeError, RecursionError, OverflowError):
        return []


def _key(table: Table, row: dict[str, Any]) -> str:
    return ", ".join(f"{column.name} {row[column.name]!r:.40}" for column in table.primary_key)
