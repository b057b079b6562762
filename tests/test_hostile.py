"""Whatever is changed in a gallery's files, every command answers right or in one clear line, and verify sees it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index.checked import look, note
from index.errors import GalleryCorruptError
from index.gallery import Gallery, GalleryConfig
from index.truth.schema import row_digest
from tests.attacked import templates
from tests.damage import TABLES
from tests.faces import new_face, numbered
from tests.hostile import Campaign

ROOT = Path(__file__).resolve().parent.parent
OWN = {"gallery", "descriptors", "exact", "search", "checked"}
SIZE, COUNT = 16, 6
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, Path("/photos").absolute())


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="the campaign sets an alarm")
def test_some_changes(tmp_path: Path) -> None:
    """What is looked at after each of them is `tests/hostile.py`, which raises what it finds."""
    campaign = Campaign(tmp_path, seed=1)
    for _ in range(4):
        campaign.mutate()
    assert campaign.count["mutations"] == 4


def test_every_table_has_rows_that_can_be_changed(tmp_path: Path) -> None:
    rows: Counter[str] = Counter()
    for place in templates(tmp_path).values():
        plain = sqlite3.connect(place.db / "gallery.db")
        tables = {name for (name,) in plain.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for name in tables:
            rows[name] += plain.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        plain.close()
    assert set(rows) == set(TABLES) and all(rows.values())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="the campaign sets an alarm")
def test_five_thousand_changes_and_two_hundred_through_the_command(tmp_path: Path) -> None:
    given = ("--mutations=5000", "--commands=200", "--seed=16", str(tmp_path / "c"))
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", *given], cwd=ROOT, capture_output=True, text=True, timeout=3_000
    )
    assert done.returncode == 0, done.stderr[-4000:]
    count = json.loads(done.stdout)
    print(count)
    assert count["mutations"] == 5_000 and count["findings"] == 0
    for kind in ("cell", "cells swapped", "row deleted", "link", "bit of gallery.db", "cut of exact", "bit of search"):
        assert count[f"{kind}: verify sees it"] > 3


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "g", CONFIG) as made:
        made.add([new_face(f"{n}.png", 15, identity="anna") for n in range(COUNT)], numbered(SIZE, *range(COUNT)))
        made.search(np.ones(SIZE), 1)
        yield made


def edit(gallery: Gallery, statement: str) -> None:
    plain = sqlite3.connect(gallery.folder / "gallery.db")
    plain.execute(statement)
    plain.commit()
    plain.close()


# --- what a stranger may put into a gallery ---


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER sly AFTER INSERT ON face BEGIN DELETE FROM photo; END",
        "CREATE VIEW sly AS SELECT * FROM face",
        "CREATE TABLE sly (id)",
        "CREATE INDEX sly ON face (identity) WHERE id > 3",
        "ALTER TABLE face ADD COLUMN sly",
    ],
)
def test_what_no_gallery_has_is_refused(gallery: Gallery, statement: str) -> None:
    gallery.close()
    edit(gallery, statement)
    for damaged in (False, True):
        with pytest.raises(GalleryCorruptError, match=r"the database: (there is|the table)"):
            Gallery.open(gallery.folder, damaged=damaged)


def rewrite(gallery: Gallery, name: str, words: str, others: str) -> None:
    """Change what made a table, without a row being written."""
    plain = sqlite3.connect(gallery.folder / "gallery.db", isolation_level=None)
    plain.execute("PRAGMA writable_schema = ON")
    (said,) = plain.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    assert words in said
    plain.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (said.replace(words, others), name))
    plain.execute("PRAGMA writable_schema = RESET")
    plain.close()


@pytest.mark.parametrize(
    ("table", "words", "others"),
    [
        ("photo", "UNIQUE (path)", "UNIQUE (path) ON CONFLICT REPLACE"),
        ("photo", "added BIGINT NOT NULL", "added BIGINT NOT NULL CHECK (length(randomblob(100000000)) > 0)"),
        ("face", "expression VARCHAR", "expression VARCHAR COLLATE NOCASE"),
        ("face", " AUTOINCREMENT", ""),
        ("alembic_version", "NOT NULL", "NOT NULL CHECK (length(randomblob(100000000)) > 0)"),
    ],
)
def test_a_table_with_other_rules_is_refused(gallery: Gallery, table: str, words: str, others: str) -> None:
    gallery.close()
    rewrite(gallery, table, words, others)
    for damaged in (False, True):
        with pytest.raises(GalleryCorruptError, match=f"the table '{table}' is not as this release makes it"):
            Gallery.open(gallery.folder, damaged=damaged)


def test_another_row_of_the_migrations_is_refused(gallery: Gallery) -> None:
    gallery.close()
    edit(gallery, "UPDATE alembic_version SET version_num = '0002'")
    with pytest.raises(GalleryCorruptError, match="the table 'alembic_version' is not as this release makes it"):
        Gallery.open(gallery.folder)


def test_what_analyze_left_is_named_with_what_takes_it_away(gallery: Gallery) -> None:
    gallery.close()
    edit(gallery, "ANALYZE")
    with pytest.raises(GalleryCorruptError, match="somebody ran ANALYZE on it; `DROP TABLE sqlite_stat1`"):
        Gallery.open(gallery.folder)
    plain = sqlite3.connect(gallery.folder / "gallery.db")
    for (name,) in list(plain.execute("SELECT name FROM sqlite_master WHERE name LIKE 'sqlite_stat%'")):
        plain.execute(f"DROP TABLE {name}")
    plain.commit()
    plain.close()
    with Gallery.open(gallery.folder) as again:
        assert again.verify().sound


def test_a_view_that_never_ends_is_not_read(gallery: Gallery) -> None:
    gallery.close()
    plain = sqlite3.connect(gallery.folder / "gallery.db", isolation_level=None)
    columns = ", ".join(f"g.{row[1]}" for row in plain.execute("PRAGMA table_info(gallery)"))
    plain.execute("ALTER TABLE gallery RENAME TO g")
    # ten million rows: seconds, should it be read
    plain.execute(
        "CREATE VIEW gallery AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 10000000) "
        f"SELECT {columns} FROM g, r WHERE r.n < 0"
    )
    plain.close()
    for damaged in (False, True):
        with pytest.raises(GalleryCorruptError, match="there is"):
            Gallery.open(gallery.folder, damaged=damaged)


@pytest.mark.parametrize("name", ["gallery.db-journal", "gallery.db.new-journal"])
def test_a_journal_that_names_another_file_deletes_nothing(gallery: Gallery, tmp_path: Path, name: str) -> None:
    gallery.close()
    precious = tmp_path / "precious"
    precious.write_text("kept")
    magic, said = bytes.fromhex("d9d505f920a163d7"), os.fsencode(precious)
    page = sqlite3.connect(gallery.folder / "gallery.db").execute("PRAGMA page_size").fetchone()[0]
    pages = (gallery.folder / "gallery.db").stat().st_size // page
    header = (magic + struct.pack(">5I", 0, 0, pages, 512, page)).ljust(512, b"\0")
    end = struct.pack(">I", 2**30 // page + 1) + said + struct.pack(">2I", len(said), sum(said)) + magic
    (gallery.folder / name).write_bytes(header + end)
    for damaged in (False, True):
        with pytest.raises(GalleryCorruptError, match="names another file, which opening the gallery would delete"):
            Gallery.open(gallery.folder, damaged=damaged)
    assert precious.read_text() == "kept"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("descriptor_size", 2**62),
        ("attribute", "../evil"),
        ("file", "1/../../precious/x"),
        ("stamp", "/../../x"),
        ("attribute_values", '["a"]'),
        ("encoder", "one\ntwo"),
        ("encoder", ""),
    ],
)
def test_what_no_gallery_says_is_refused_even_with_a_digest(
    gallery: Gallery, tmp_path: Path, column: str, value: object
) -> None:
    gallery.close()
    plain = sqlite3.connect(gallery.folder / "gallery.db")
    plain.row_factory = sqlite3.Row
    row = dict(plain.execute("SELECT * FROM gallery").fetchone())
    row[column] = value
    row["digest"] = row_digest(tuple(row.values())[:-1])
    plain.execute(f"UPDATE gallery SET {', '.join(f'{name} = ?' for name in row)}", list(row.values()))
    plain.commit()
    plain.close()
    for damaged in (False, True):
        with pytest.raises(GalleryCorruptError):
            with Gallery.open(gallery.folder, damaged=damaged) as again:
                again.repair()
    assert [path.name for path in tmp_path.iterdir()] == ["g"]
    assert {path.name.split("-")[0].split(".")[0] for path in (tmp_path / "g").iterdir()} <= OWN


def test_a_gallery_that_says_two_things_is_refused(gallery: Gallery) -> None:
    gallery.close()
    plain = sqlite3.connect(gallery.folder / "gallery.db")
    plain.execute("PRAGMA ignore_check_constraints = ON")
    columns = [row[1] for row in plain.execute("PRAGMA table_info(gallery)")][1:]
    plain.execute(f"INSERT INTO gallery SELECT 2, {', '.join(columns)} FROM gallery")
    plain.commit()
    plain.close()
    for damaged in (False, True):
        with pytest.raises(GalleryCorruptError):
            with Gallery.open(gallery.folder, damaged=damaged) as again:
                again.verify()


@pytest.mark.parametrize("name", ["search.json", "gallery.lock.holder", "exact-9-01234567.faiss", "gallery.db-wal"])
def test_a_pipe_in_place_of_a_file_is_never_waited_for(gallery: Gallery, name: str) -> None:
    gallery.close()
    (gallery.folder / name).unlink(missing_ok=True)
    os.mkfifo(gallery.folder / name)
    with pytest.raises(GalleryCorruptError, match=r"is no plain file, which no file of a gallery may be"):
        Gallery.open(gallery.folder)


@pytest.mark.parametrize("value", ["'../../x'", "'/x'", "-1", "9999999999999999999999"])
def test_no_name_is_made_of_what_is_no_number(gallery: Gallery, tmp_path: Path, value: str) -> None:
    """While it is open: what is opened is compared before."""
    for column in ("file", "generation", "stamp"):
        before = sorted(tmp_path.rglob("*"))
        try:
            edit(gallery, f"UPDATE OR IGNORE gallery SET {column} = {value}")
        except sqlite3.IntegrityError:
            continue
        with pytest.raises(GalleryCorruptError):
            gallery.remove([1])
        with pytest.raises(GalleryCorruptError):
            Gallery.open(gallery.folder)
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["search.json", "exact", "gallery.db", "descriptors-1.f16", "checked.json"])
def test_a_file_without_end_is_not_read(gallery: Gallery, name: str) -> None:
    """A terabyte of nothing, which takes no place on the disk."""
    [path] = gallery.folder.glob("exact-*") if name == "exact" else [gallery.folder / name]
    expected = gallery.search(numbered(SIZE, 3)[0], 4)
    gallery.close()
    with path.open("ab") as file:
        file.truncate(2**40)
    with Gallery.open(gallery.folder, damaged=True) as again:
        again.verify()
        if name not in ("search.json", "gallery.db"):
            again.repair()
            assert again.search(numbered(SIZE, 3)[0], 4) == expected


# --- what is believed, and what is not ---


def test_a_damaged_body_of_an_index_is_named_and_built_anew(gallery: Gallery, caplog: pytest.LogCaptureFixture) -> None:
    expected = gallery.search(numbered(SIZE, 3)[0], 4)
    [path] = gallery.folder.glob("exact-*")
    sound = path.read_bytes()
    path.write_bytes(sound[:300] + bytes(40) + sound[340:])
    with Gallery.open(gallery.folder) as again:
        [finding] = again.verify().findings
        assert finding.startswith(f"{path} is not a sound index of this gallery (it is not what was written): every")
        assert again.search(numbered(SIZE, 3)[0], 4) == expected
        assert path.name in caplog.text and path.read_bytes() == sound
        assert again.verify().sound


def test_damage_below_what_is_looked_at_is_found_by_verify(gallery: Gallery) -> None:
    """A file that looks as it did when it was found sound is believed by all others: here, since that is noted."""
    gallery.close()
    path = gallery.folder / "descriptors-1.f16"
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    with Gallery.open(gallery.folder) as again:
        with pytest.raises(GalleryCorruptError, match=r"the descriptor of image 1 is not what was stored"):
            again.plan()
    note(gallery.folder, path, look(path))
    with Gallery.open(gallery.folder) as again:
        again.plan()
        assert again.verify().damaged == ["0.png"]


@pytest.mark.parametrize("length", [0.0, 0.5, 100.0])
def test_a_descriptor_that_no_model_makes_is_found(gallery: Gallery, length: float) -> None:
    gallery.add([new_face("odd.png", 15)], length * numbered(SIZE, 9))
    found = gallery.verify()
    assert found.damaged == ["odd.png"] and found.findings == [
        f"odd.png: the descriptor of image {COUNT + 1} has length {length:.3g}, not 1"
    ]
    assert gallery.repair().waiting == ["odd.png"] and gallery.verify().sound


def test_bytes_of_no_image_are_found_and_erased(gallery: Gallery) -> None:
    gallery.remove([2])
    path = gallery.folder / "descriptors-1.f16"
    content = bytearray(path.read_bytes())
    content[SIZE * 2 + 1] = 7
    path.write_bytes(content)
    assert "holds bytes of no image" in gallery.verify().findings[0]
    gallery.repair()
    assert gallery.verify().sound and not path.read_bytes()[SIZE * 2 : SIZE * 4].strip(b"\0")


def test_an_older_database_beside_newer_descriptors_is_told(gallery: Gallery) -> None:
    gallery.close()
    before = (gallery.folder / "gallery.db").read_bytes()
    with Gallery.open(gallery.folder) as later:
        later.remove([2])
        later.search(np.ones(SIZE), 1)
    (gallery.folder / "gallery.db").write_bytes(before)
    with Gallery.open(gallery.folder) as again, pytest.raises(GalleryCorruptError, match="is not what was stored"):
        again.search(np.ones(SIZE), COUNT)


def test_a_copy_is_compared_once(gallery: Gallery, tmp_path: Path) -> None:
    """What it notes may be deleted, and is worth nothing in another folder."""
    noted = gallery.folder / "checked.json"
    gallery.close()
    before = noted.read_bytes()
    with Gallery.open(gallery.folder) as again:
        again.search(np.ones(SIZE), 1)
    assert noted.read_bytes() == before
    noted.unlink()
    with Gallery.open(gallery.folder) as again:
        again.search(np.ones(SIZE), 1)
    assert json.loads(noted.read_bytes()) == json.loads(before)
