"""Galleries of earlier releases are upgraded, completely or not at all, and lose nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from index.errors import GalleryCorruptError, GalleryLockedError, GalleryStorageError, GalleryVersionError
from index.gallery import Gallery, GalleryConfig, ImageRow
from index.lock import WriterLock
from index.truth.schema import SCHEMA_VERSION
from index.truth.upgrade import upgrade

CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), 8, Path("/photos").absolute())
# What release 0.1 wrote, to the letter; never to be changed.
FIRST = """
CREATE TABLE gallery (
	id INTEGER NOT NULL, 
	schema_version INTEGER NOT NULL, 
	model_digest VARCHAR(64) NOT NULL, 
	task VARCHAR NOT NULL, 
	attribute_values JSON NOT NULL, 
	descriptor_size INTEGER NOT NULL, 
	image_root VARCHAR NOT NULL, 
	generation INTEGER NOT NULL, 
	stamp VARCHAR NOT NULL, 
	removals INTEGER NOT NULL, 
	created VARCHAR NOT NULL, 
	changed VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT only_one_gallery CHECK (id = 1)
);
CREATE TABLE image (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	path VARCHAR NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	size BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	identity VARCHAR, 
	pose INTEGER, 
	illumination INTEGER, 
	expression VARCHAR, 
	candidate INTEGER NOT NULL, 
	errors JSON NOT NULL, 
	slot INTEGER NOT NULL, 
	created VARCHAR NOT NULL, 
	UNIQUE (path), 
	UNIQUE (slot)
);
CREATE INDEX ix_image_identity ON image (identity);
CREATE TABLE erasure (
	slot INTEGER NOT NULL, 
	PRIMARY KEY (slot)
);
"""  # noqa: W291
# What schema version 2 added to it; never to be changed.
SECOND = """
ALTER TABLE image ADD COLUMN record_sha256 VARCHAR(64);
CREATE INDEX ix_image_sha256 ON image (sha256);
CREATE TABLE problem (
	path VARCHAR NOT NULL, 
	size BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	reason VARCHAR NOT NULL, 
	found VARCHAR NOT NULL, 
	PRIMARY KEY (path)
);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('0002');
INSERT INTO erasure VALUES (1);
UPDATE gallery SET schema_version = 2;
"""  # noqa: W291


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A gallery of schema version 1 with two images, the second of which is the third that was added."""
    folder = tmp_path / "galerie-é%"
    folder.mkdir()
    database = sqlite3.connect(folder / "gallery.db")
    database.executescript(FIRST)
    root = CONFIG.image_root.as_posix()
    database.execute(
        "INSERT INTO gallery VALUES (1, 1, ?, 'pose', '[-15, 0, 15]', 8, ?, 3, 'abcd', 1, '2026-01-01', '2026-01-02')",
        ("a" * 64, root),
    )
    for id_, slot in ((1, 0), (3, 2)):
        database.execute(
            "INSERT INTO image VALUES (?, ?, ?, 10, 20, 'anna', 15, NULL, 'smile', 1, '[1.0, 2.0, 3.0]', ?, '2026')",
            (id_, f"anna/{id_}.png", f"{id_}" * 64, slot),
        )
    database.commit()
    database.close()
    np.eye(8, dtype=np.float16)[:3].tofile(folder / "descriptors.f16")
    return folder


def schema_of(path: Path) -> dict[str, object]:
    """Tables with their columns, and indexes with theirs, whatever their order."""
    database = sqlite3.connect(path)
    try:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {t: sorted(row[1:] for row in database.execute(f"PRAGMA table_info('{t}')")) for t in tables}
        indexes = {
            t: sorted(
                (unique, sorted(row[2] for row in database.execute(f"PRAGMA index_info('{name}')")))
                for _, name, unique, *_ in database.execute(f"PRAGMA index_list('{t}')")
            )
            for t in tables
        }
        versions = database.execute("SELECT version_num FROM alembic_version").fetchall()
        return {"columns": columns, "indexes": indexes, "versions": versions}
    finally:
        database.close()


def test_the_first_release_s_gallery_is_upgraded_and_keeps_everything(first: Path, tmp_path: Path) -> None:
    with Gallery.open(first) as gallery:
        images = list(gallery.images())
        assert [(i.id, i.path, i.identity, i.pose, i.errors) for i in images] == [
            (1, "anna/1.png", "anna", 15, (1.0, 2.0, 3.0)),
            (3, "anna/3.png", "anna", 15, (1.0, 2.0, 3.0)),
        ]
        np.testing.assert_array_equal(gallery.descriptors([1, 3]), np.eye(8)[[0, 2]])
        assert gallery.search(np.eye(8)[2], 1)[0].image.id == 3
        assert gallery.add([ImageRow("new.png", 0, (None,) * 3)], np.ones((1, 8))) == [4]
    Gallery.create(tmp_path / "new", CONFIG).close()
    assert schema_of(first / "gallery.db") == schema_of(tmp_path / "new" / "gallery.db")


def test_the_second_schema_s_gallery_is_upgraded_and_its_erasures_are_finished(first: Path, tmp_path: Path) -> None:
    database = sqlite3.connect(first / "gallery.db")
    database.executescript(SECOND)  # the image of slot 1 was removed, and a crash came before its bytes were zeroed
    database.execute("INSERT INTO problem VALUES ('x.png', 1, 2, 'is empty', '2026')")
    database.commit()
    database.close()
    with Gallery.open(first) as gallery:
        assert [image.id for image in gallery.images()] == [1, 3]
        assert [problem.path for problem in gallery.problems()] == ["x.png"]
        with gallery.writing():
            pass
        np.testing.assert_array_equal(gallery.descriptors([1, 3]), np.eye(8)[[0, 2]])
    assert not np.fromfile(first / "descriptors.f16", np.float16).reshape(3, 8)[1].any()
    Gallery.create(tmp_path / "new", CONFIG).close()
    assert schema_of(first / "gallery.db") == schema_of(tmp_path / "new" / "gallery.db")


def test_a_copy_of_the_earlier_data_base_is_kept(first: Path) -> None:
    Gallery.open(first).close()
    copy = sqlite3.connect(first / "gallery.db.v1")
    assert copy.execute("SELECT schema_version FROM gallery").fetchone() == (1,)
    assert copy.execute("SELECT count(*) FROM image").fetchone() == (2,)
    copy.close()


def test_an_upgrade_that_fails_changes_nothing(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (first / "gallery.db").read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("planned")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_index", fail)  # after the first column was added
        with pytest.raises(RuntimeError, match="planned"):
            Gallery.open(first)
    database = sqlite3.connect(first / "gallery.db")
    assert "record_sha256" not in {row[1] for row in database.execute("PRAGMA table_info('image')")}
    assert database.execute("SELECT schema_version FROM gallery").fetchone() == (1,)
    database.close()
    assert len(before) and len(list_of(first)) == 2


def list_of(folder: Path) -> list[str]:
    with Gallery.open(folder) as gallery:
        return sorted(gallery.paths())


def test_a_second_upgrade_leaves_the_first_one_s_copy(first: Path) -> None:
    Gallery.open(first).close()
    before = (first / "gallery.db.v1").read_bytes()
    upgrade(first / "gallery.db", WriterLock(first / "gallery.lock"), 1)  # it read the version just before the other
    assert (first / "gallery.db.v1").read_bytes() == before


def test_nothing_is_upgraded_under_a_writer(first: Path) -> None:
    lock = WriterLock(first / "gallery.lock")
    lock.acquire()
    with pytest.raises(GalleryLockedError):
        Gallery.open(first)
    lock.release()
    assert len(list_of(first)) == 2


def test_where_nothing_can_be_written_the_message_says_so(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr("index.truth.upgrade._copy", refuse)
    with pytest.raises(GalleryStorageError, match=r"cannot be upgraded \(read-only\): give it a folder that can be"):
        Gallery.open(first)


@pytest.mark.parametrize(("version", "error"), [(SCHEMA_VERSION + 1, GalleryVersionError), (0, GalleryVersionError)])
def test_other_versions_are_refused(tmp_path: Path, version: int, error: type[Exception]) -> None:
    Gallery.create(tmp_path / "g", CONFIG).close()
    database = sqlite3.connect(tmp_path / "g" / "gallery.db")
    database.execute("UPDATE gallery SET schema_version = ?", (version,))
    database.commit()
    database.close()
    with pytest.raises(error, match=f"schema version {version}"):
        Gallery.open(tmp_path / "g")


def test_an_empty_data_base_is_refused(tmp_path: Path) -> None:
    Gallery.create(tmp_path / "g", CONFIG).close()
    database = sqlite3.connect(tmp_path / "g" / "gallery.db")
    database.execute("DELETE FROM gallery")
    database.commit()
    database.close()
    with pytest.raises(GalleryCorruptError, match="creating it was interrupted"):
        Gallery.open(tmp_path / "g")
