"""The tables on disk: the migrations and the declarations say the same, damage to any column is seen, and galleries of
other releases are refused as they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import BigInteger, Column, Float, Integer, LargeBinary, String, Table, create_engine, inspect
from sqlalchemy.engine import Engine

from index.errors import GalleryCorruptError, GalleryError, GalleryExistsError, GalleryVersionError
from index.files import DATABASE
from index.gallery import Decision, FileStamp, Gallery, GalleryConfig, Labels, Passed, Problem
from index.truth import state
from index.truth.database import SQLite
from index.truth.schema import REVISION, SCHEMA_VERSION, Base, GalleryRow, Hash, Numbers
from index.truth.upgrade import to_newest
from tests.faces import in_photograph, new_face, unit_vectors

SIZE = 8
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, Path("/photos").absolute())
TABLES = Base.metadata.sorted_tables
# What is on disk and not declared: nothing of a gallery is read from it, and its owner says what it needs of it.
OTHERS = {
    "alembic_version": "which migrations have run, as `index/truth/shape.py` looks for",
    "sqlite_sequence": "the last ids that SQLite gave; one that is too low would be refused as given twice",
}


# --- one schema, said twice ---


def engine_of(path: Path) -> Engine:
    return create_engine(f"sqlite:///{path}")


def schema(path: Path) -> dict[str, dict[str, Any]]:
    """All that a database says of its tables, but those of OTHERS."""
    engine = engine_of(path)
    found = inspect(engine)
    try:
        with engine.connect() as connection:
            query = "SELECT name, sql FROM sqlite_master WHERE type = 'table'"
            made = {name: sql for name, sql in connection.exec_driver_sql(query)}
        return {
            name: {
                "columns": [{**column, "type": repr(column["type"])} for column in found.get_columns(name)],
                "key": found.get_pk_constraint(name)["constrained_columns"],
                "indexes": sorted(map(str, found.get_indexes(name))),
                "unique": sorted(map(str, found.get_unique_constraints(name))),
                "foreign": sorted(map(str, found.get_foreign_keys(name))),
                "checks": sorted(map(str, found.get_check_constraints(name))),
                "ids once": "AUTOINCREMENT" in made[name],
                "by key": "WITHOUT ROWID" in made[name],
            }
            for name in found.get_table_names()
            if name not in OTHERS
        }
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    path = tmp_path_factory.mktemp("schema") / "migrated.db"
    engine = engine_of(path)
    with engine.begin() as connection:
        to_newest(connection)
    engine.dispose()
    return schema(path)


def test_the_migrations_end_with_the_revision_that_is_looked_for(tmp_path: Path) -> None:
    engine = engine_of(tmp_path / "migrated.db")
    with engine.begin() as connection:
        to_newest(connection)
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == [REVISION]
    engine.dispose()


def test_the_migrations_make_the_tables_that_are_declared(migrated: dict[str, Any], tmp_path: Path) -> None:
    engine = engine_of(tmp_path / "declared.db")
    Base.metadata.create_all(engine)
    engine.dispose()
    assert migrated == schema(tmp_path / "declared.db")


def test_what_is_compared_is_what_the_tables_have(migrated: dict[str, Any]) -> None:
    """Else the comparison above could be one of nothing with nothing."""
    assert sorted(migrated) == sorted(table.name for table in TABLES)
    for table in TABLES:
        found = migrated[table.name]
        assert [column["name"] for column in found["columns"]] == [column.name for column in table.columns]
        assert [column["nullable"] for column in found["columns"]] == [column.nullable for column in table.columns]
        assert len(found["foreign"]) == len(table.foreign_keys)
        assert len(found["indexes"]) == len(table.indexes)
    assert "'ondelete': 'SET NULL'" in str(migrated["record"]["foreign"])
    assert "'ondelete': 'CASCADE'" in str(migrated["staged"]["foreign"])
    assert "'column_names': ['path']" in str(migrated["photo"]["unique"])
    assert "id = 1" in str(migrated["gallery"]["checks"]) and "id = 1" in str(migrated["redescription"]["checks"])
    assert {name for name, found in migrated.items() if found["ids once"]} == {"photo", "face"}
    assert {name for name, found in migrated.items() if found["by key"]} == {"record"}


def test_a_second_run_of_the_migrations_changes_nothing(tmp_path: Path) -> None:
    engine = engine_of(tmp_path / "g.db")
    for _ in range(2):
        with engine.begin() as connection:
            to_newest(connection)
    engine.dispose()
    assert sorted(schema(tmp_path / "g.db")) == sorted(table.name for table in TABLES)


# --- damage to a column ---

FACELESS = Problem("wall.png", FileStamp(1, 2, 3, 4), "no face is found", "reader 1", faceless=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery with rows in every table: faces, a file that cannot be read, a redescription under way."""
    folder = tmp_path_factory.mktemp("damage") / "g"
    labels: dict[str, Any] = {
        "identity": "anna",
        "pose": 15,
        "illumination": 3,
        "expression": "smile",
        "sha256": "ab" * 32,
    }
    with Gallery.create(folder, CONFIG) as gallery:
        faces = [new_face(f"{n}.png", 15, (1.0, None, 2.5), size=1, mtime_ns=2, **labels) for n in range(3)]
        faces[2] = in_photograph(faces[2], 2)
        gallery.add(faces, unit_vectors(3, SIZE))
        gallery.note_problems([Problem("bad.png", FileStamp(1, 2, 3, 4), "is empty", "reader 1"), FACELESS])
        gallery.note_passed([Passed("a.txt", ".txt", FileStamp(1, 2, 3, 4), "reader 1")])
        pruned = gallery.add([new_face("pruned.png", 15, **labels)], unit_vectors(1, SIZE))
        gallery.remove(pruned, keep_labels=True)
        hidden = in_photograph(new_face("party.png", 15, **labels), 4)
        [gone] = gallery.add([hidden], unit_vectors(1, SIZE))
        gallery.remove([gone], keep_labels=True, hide=[gone])
        gallery.people.write({}, [[1, 2]], [3])
        gallery.people.place_apart([3], {1: 1})
        gallery.redescribing.begin(replace(CONFIG, model_digest="b" * 64, attribute="light", values=(1, 2)))
        staged = [replace(face, decision=Decision(1, (0.5, None))) for face in gallery.faces()][:2]
        gallery.redescribing.stage(staged, unit_vectors(2, SIZE, seed=1))
        assert gallery.verify().sound
    return folder


@pytest.fixture
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    """As somebody with an editor would open it, minding no rule."""
    connection = sqlite3.connect(folder / "gallery.db")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    yield connection
    connection.close()


def findings(folder: Path) -> list[str]:
    """What is found wrong, by verify or by what refuses before it."""
    try:
        with Gallery.open(folder, damaged=True) as gallery:
            return gallery.verify().findings
    except GalleryError as error:
        return [str(error)]


def others(column: Column[Any], value: Any) -> list[Any]:
    """Other values of the column's type."""
    kind = column.type
    made: list[Any]
    if isinstance(kind, Hash | LargeBinary):
        made = [bytes(32) if value is None else bytes([value[0] ^ 1, *value[1:]])]
    elif isinstance(kind, Numbers):
        made = ["[7]", str(value)[:-1]]  # another list, and what is none
    elif isinstance(kind, Float):
        made = [0.25 if value is None else value / 2, "x"]
    elif isinstance(kind, String):
        made = [f"{value or ''}x"]
    elif isinstance(kind, Integer | BigInteger):
        made = [1_000 if value is None else value + 1_000]
    else:
        raise AssertionError(f"{column} has a type that this test does not know: {kind!r}")
    return [*made, None] if column.nullable and value is not None else made


@pytest.mark.parametrize(
    ("table", "column"),
    [pytest.param(table, column, id=f"{table.name}.{column.name}") for table in TABLES for column in table.columns],
)
def test_a_value_that_was_changed_is_found(
    folder: Path, database: sqlite3.Connection, table: Table, column: Column[Any]
) -> None:
    whole = list(database.iterdump())
    keys = [key.name for key in table.primary_key]
    # the first row, and the last: of the table record, one of each descriptor file; of photo, one unreadable
    for direction, most in (("", None), (" DESC", 1)):
        order = ", ".join(f"{key}{direction}" for key in keys)
        query = f"SELECT {column.name}, {', '.join(keys)} FROM {table.name} ORDER BY {order}"
        value, *key = database.execute(query).fetchone()
        for other in others(column, value)[:most]:
            where = " AND ".join(f"{name} = ?" for name in keys)
            database.execute(f"UPDATE {table.name} SET {column.name} = ? WHERE {where}", (other, *key))
            database.commit()
            found = findings(folder)
            now = [other if name == column.name else before for name, before in zip(keys, key, strict=True)]
            database.execute(f"UPDATE {table.name} SET {column.name} = ? WHERE {where}", (value, *now))
            database.commit()
            assert found, f"{table.name}.{column.name}: {value!r} became {other!r}"
            assert all("\n" not in line for line in found)
    assert list(database.iterdump()) == whole  # as it was, which the next test shows to be sound


def test_what_was_changed_and_changed_back_is_sound(folder: Path) -> None:
    """The control of the one above."""
    assert findings(folder) == []


def test_nothing_else_is_on_the_disk_than_what_is_declared(folder: Path, database: sqlite3.Connection) -> None:
    found = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert found == {table.name for table in TABLES} | set(OTHERS)
    assert not any(list(database.execute(f"SELECT * FROM {table.name}")) == [] for table in TABLES)


def test_damage_to_a_redescription_is_mended(tmp_path: Path, folder: Path, database: sqlite3.Connection) -> None:
    copy = copy_of(database, folder, tmp_path)
    plain = sqlite3.connect(copy / "gallery.db")
    plain.execute("UPDATE record SET face_id = NULL WHERE file = 2 AND slot = 0")
    plain.commit()
    plain.close()
    with Gallery.open(copy) as gallery:
        assert gallery.verify().findings[0].startswith("1 descriptions of the redescription under way are not what")
        assert gallery.repair().staged == 1 and gallery.verify().sound
        assert [face.id for face in gallery.redescribing.waiting()] == [1, 3]


def test_an_image_without_a_descriptor_is_found_and_waits(
    tmp_path: Path, folder: Path, database: sqlite3.Connection
) -> None:
    copy = edited(database, folder, tmp_path, "UPDATE record SET face_id = NULL WHERE file = 1 AND slot = 1")
    with pytest.raises(GalleryCorruptError, match="face with id 2: it has no descriptor: `facesearch gallery verify`"):
        Gallery.open(copy)
    with Gallery.open(copy, damaged=True) as gallery:
        assert gallery.verify().findings == ["the database: the row of face with id 2: it has no descriptor"]
        done = gallery.repair()
        assert (done.waiting, done.doubtful) == (["1.png"], []) and gallery.verify().sound and len(gallery) == 3
    with Gallery.open(copy) as gallery:
        assert gallery.verify().waiting == 1


def edited(database: sqlite3.Connection, folder: Path, target: Path, statement: str) -> Path:
    """A copy of the gallery in which somebody ran a statement, minding no rule."""
    copy = copy_of(database, folder, target)
    plain = sqlite3.connect(copy / "gallery.db")
    plain.execute(statement)
    plain.commit()
    plain.close()
    return copy


def test_damage_is_not_hidden_by_a_change_of_the_same_row(
    tmp_path: Path, folder: Path, database: sqlite3.Connection
) -> None:
    copy = edited(database, folder, tmp_path, "UPDATE face SET decided = 0 WHERE id = 2")
    with Gallery.open(copy, damaged=True) as gallery:
        with pytest.raises(GalleryCorruptError, match="row of face with id 2 is not what was written: run"):
            gallery.update_labels({1: Labels(), 2: Labels()})
        assert len(gallery.verify().findings) == 1 and gallery.get([1])[0].identity == "anna"
        assert gallery.remove([2]) == 1
        assert gallery.verify().sound


def test_a_descriptor_whose_face_is_lost_is_erased(tmp_path: Path, folder: Path, database: sqlite3.Connection) -> None:
    copy = edited(database, folder, tmp_path, "DELETE FROM face WHERE id = 3")
    with Gallery.open(copy, damaged=True) as gallery:
        assert "a row of record points to no face" in " ".join(gallery.verify().findings)
        gallery.repair()
        with gallery.writing():
            pass
        assert not np.fromfile(copy / "descriptors-1.f16", np.float16).reshape(-1, SIZE)[2].any()
        assert "record points" not in " ".join(gallery.verify().findings)


def test_origins_that_are_none_are_named(tmp_path: Path, folder: Path, database: sqlite3.Connection) -> None:
    copy = edited(database, folder, tmp_path, "UPDATE face SET origins = 'h?hh' WHERE id = 2")
    with Gallery.open(copy, damaged=True) as gallery:
        with pytest.raises(GalleryCorruptError, match=r"holds 'h\?hh' as where the labels of image 2 come from"):
            list(gallery.faces())
        [finding] = gallery.verify().findings
        assert finding == "the database: the row of face with id 2 is not what was written"


def copy_of(database: sqlite3.Connection, folder: Path, target: Path) -> Path:
    (target / "g").mkdir()
    for path in folder.glob("descriptors-*"):
        (target / "g" / path.name).write_bytes(path.read_bytes())
    copy = sqlite3.connect(target / "g" / "gallery.db")
    database.backup(copy)
    copy.close()
    return target / "g"


# --- galleries of other releases ---

# As release 0.3 made it, to the letter; never to be changed.
EARLIER = """
PRAGMA journal_mode = WAL;
CREATE TABLE gallery (
	id INTEGER NOT NULL, 
	schema_version INTEGER NOT NULL, 
	model_digest VARCHAR(64) NOT NULL, 
	task VARCHAR NOT NULL, 
	attribute_values JSON NOT NULL, 
	descriptor_size INTEGER NOT NULL, 
	image_root VARCHAR NOT NULL, 
	descriptor_file VARCHAR NOT NULL, 
	generation INTEGER NOT NULL, 
	stamp VARCHAR NOT NULL, 
	removals INTEGER NOT NULL, 
	created VARCHAR NOT NULL, 
	changed VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT only_one_gallery CHECK (id = 1)
);
INSERT INTO gallery VALUES (
	1, 3, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'pose', '[-15, 0, 15]', 8, '/photos',
	'descriptors.f16', 3, 'abcd', 1, '2026-01-01', '2026-01-02'
);
"""  # noqa: W291


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("version", "words"),
    [
        *(
            (n, rf"^the gallery was made by release 0\.3 or earlier \(schema version {n}\), which this")
            for n in (1, 2, 3)
        ),
        (
            SCHEMA_VERSION + 1,
            rf"^the gallery has schema version 5; this release reads version {SCHEMA_VERSION}; install",
        ),
        (99, r"^the gallery has schema version 99; this release reads version"),
    ],
)
def test_a_gallery_of_another_release_is_refused_as_it_is(tmp_path: Path, version: int, words: str) -> None:
    folder = tmp_path / "g"
    folder.mkdir()
    made = sqlite3.connect(folder / "gallery.db")
    made.executescript(EARLIER)
    made.execute("UPDATE gallery SET schema_version = ?", (version,))
    made.commit()
    made.close()
    np.eye(8, dtype=np.float16).tofile(folder / "descriptors.f16")
    (folder / "exact-3-abcd.faiss").write_bytes(b"an index of then")
    before = contents(folder)
    with pytest.raises(GalleryVersionError, match=words) as error:
        Gallery.open(folder)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300
    with pytest.raises(GalleryExistsError):
        Gallery.create(folder, CONFIG)
    after = contents(folder)
    lock = {"gallery.lock", "gallery.lock.holder"}  # of the attempt to create one there
    assert {name: after[name] for name in set(after) - lock} == before


def test_a_gallery_of_a_later_release_may_have_other_columns(tmp_path: Path) -> None:
    Gallery.create(tmp_path / "g", CONFIG).close()
    later = sqlite3.connect(tmp_path / "g" / "gallery.db")
    later.execute("UPDATE gallery SET schema_version = 99")
    later.execute("ALTER TABLE gallery DROP COLUMN attribute")
    later.commit()
    later.close()
    with pytest.raises(GalleryVersionError, match="has schema version 99"):
        Gallery.open(tmp_path / "g")


def test_a_database_without_a_gallery_is_refused(tmp_path: Path) -> None:
    Gallery.create(tmp_path / "g", CONFIG).close()
    database = sqlite3.connect(tmp_path / "g" / "gallery.db")
    database.execute("DELETE FROM gallery")
    database.commit()
    database.close()
    with pytest.raises(GalleryCorruptError, match="creating it was interrupted"):
        Gallery.open(tmp_path / "g")


# --- rows that were read ---


@pytest.mark.parametrize("name", ["persons", "person"])  # a column, and what is none
def test_a_row_that_was_read_takes_no_other_value(tmp_path: Path, name: str) -> None:
    """Nothing would write it."""
    Gallery.create(tmp_path / "db", CONFIG).close()
    database = SQLite(tmp_path / "db" / DATABASE)
    with database.reading() as session:
        row = state.gallery(session)
    with pytest.raises(AttributeError, match=f"{name} of a row of gallery"):
        setattr(row, name, 17)
    assert row.persons == 0
    database.close()


def test_no_row_has_what_is_no_column() -> None:
    with pytest.raises(TypeError, match="person"):
        GalleryRow(person=17)
