"""What is damaged stays visible until it is mended, and what could not be read costs nothing that was known."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.care.exported import DESCRIPTORS, FACES
from index.care.restore import restore
from index.errors import GalleryCorruptError, GalleryError, UnknownImageError
from index.gallery import Decision, FileStamp, Gallery, GalleryConfig, Labels, Problem
from index.stamps import file_hash
from tests.faces import new_face, numbered

SIZE, COUNT = 8, 6
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, Path("/photos").absolute())
NEW = GalleryConfig("b" * 64, "pose", (0, 1), SIZE, CONFIG.image_root)
STAMP, LATER = FileStamp(10, 20, 30, 40), FileStamp(11, 21, 31, 41)


def vectors(*numbers: int) -> NDArray[np.float32]:
    return numbered(SIZE, *numbers)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """Faces 1 to 6 of 0.png to 5.png, which the hand named anna."""
    with Gallery.create(tmp_path / "g", CONFIG) as made:
        faces = [new_face(f"{n}.png", 15, identity="anna", sha256=f"{n:064x}", **asdict(STAMP)) for n in range(COUNT)]
        made.add(faces, vectors(*range(COUNT)))
        yield made


def edit(gallery: Gallery, statement: str, *values: object) -> None:
    """As somebody with an editor does it."""
    plain = sqlite3.connect(gallery.folder / "gallery.db")
    plain.execute(statement, values)
    plain.commit()
    plain.close()


def unreadable(path: str) -> Problem:
    return Problem(path, LATER, "is cut off", "reader 1")


# --- files that cannot be read any more ---


def test_an_unreadable_file_leaves_what_was_described_as_it_was(gallery: Gallery) -> None:
    before = gallery.get([1])
    gallery.note_problems([unreadable("0.png"), unreadable("new.png")])
    assert gallery.get([1]) == before and len(gallery) == COUNT
    assert [(p.path, p.stamp, p.reason, p.reader) for p in gallery.problems()] == [
        ("0.png", LATER, "is cut off", "reader 1"),
        ("new.png", LATER, "is cut off", "reader 1"),
    ]
    gallery.note_problems([], ["0.png", "new.png"])
    assert gallery.problems() == [] and gallery.get([1]) == before
    assert gallery.verify().sound


def test_a_file_that_is_read_again_is_no_problem_any_more(gallery: Gallery) -> None:
    gallery.note_problems([unreadable("0.png"), unreadable("1.png")])
    first, second = gallery.get([1, 2])
    gallery.move([replace(first, photo=replace(first.photo, stamp=LATER))])
    gallery.redescribing.begin(NEW)
    new = [replace(face, decision=Decision(1, (1.0, None))) for face in gallery.redescribing.waiting()]
    gallery.redescribing.stage(new, vectors(*range(COUNT)))
    gallery.redescribing.finish()
    assert gallery.problems() == [] and gallery.get([2])[0].photo == second.photo
    assert gallery.verify().sound


def test_removing_a_face_keeps_the_reason_why_its_file_cannot_be_read(gallery: Gallery) -> None:
    gallery.note_problems([unreadable("0.png")])
    gallery.remove([1])
    assert [problem.path for problem in gallery.problems()] == ["0.png"]
    gallery.add([new_face("0.png", 15)], vectors(9))
    assert gallery.problems() == [] and gallery.verify().sound


# --- damage is never sealed ---


def exchange_records(gallery: Gallery) -> None:
    edit(gallery, "UPDATE record SET face_id = NULL WHERE slot = 1")
    edit(gallery, "UPDATE record SET face_id = 2 WHERE slot = 2")
    edit(gallery, "UPDATE record SET face_id = 3 WHERE slot = 1")


def test_exchanged_descriptors_are_not_made_sound_by_a_compaction(gallery: Gallery) -> None:
    exchange_records(gallery)
    gallery.remove([6])
    with pytest.raises(GalleryCorruptError, match="row of record with file 1, slot 1 is not what was written"):
        gallery.compact()
    assert len(gallery.verify().findings) == 2
    assert gallery.repair().waiting == []  # the digests say which is which
    gallery.compact()
    assert gallery.verify().sound and [face.id for face in gallery.faces()] == [1, 2, 3, 4, 5]
    assert [gallery.search(vectors(n)[0], 1)[0].face.id for n in range(5)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("change", ["image_root = '/elsewhere'", "removals = 77", "attribute_values = '[1, 2, 3]'"])
def test_a_damaged_row_of_its_own_is_not_made_sound_by_the_next_writer(gallery: Gallery, change: str) -> None:
    edit(gallery, f"UPDATE gallery SET {change}")
    with pytest.raises(GalleryCorruptError, match=r"the gallery's own row is damaged \(it is not what was written\)"):
        gallery.remove([1])
    gallery.close()
    with pytest.raises(GalleryCorruptError, match="own row is damaged"):
        Gallery.open(gallery.folder)


@pytest.mark.parametrize(
    "change", ["staged SET decided = 0 WHERE face_id = 2", "record SET sha256 = zeroblob(32) WHERE file = 2"]
)
def test_damaged_descriptions_of_another_model_never_take_over(gallery: Gallery, change: str) -> None:
    gallery.redescribing.begin(NEW)
    new = [replace(face, decision=Decision(1, (1.0, None))) for face in gallery.redescribing.waiting()]
    gallery.redescribing.stage(new, vectors(*range(COUNT)))
    edit(gallery, f"UPDATE {change}")
    with pytest.raises(GalleryError, match="new descriptions are not what was stored"):
        gallery.redescribing.finish()
    left = list(gallery.redescribing.waiting())
    assert left
    gallery.redescribing.stage(
        [replace(face, decision=Decision(1, (1.0, None))) for face in left], vectors(*range(len(left)))
    )
    gallery.redescribing.finish()
    assert {face.decided for face in gallery.faces()} == {1} and gallery.verify().sound


@pytest.mark.parametrize(
    "change",
    [
        "face SET identity = 'ben' WHERE id = 3",
        "face SET identity_key = 'ben' WHERE id = 3",
        "face SET pose = 7 WHERE id = 3",
        "face SET photo_id = 99 WHERE id = 3",
        "face SET identity = x'00' WHERE id = 3",
        "face SET expression = 'sad' WHERE id = 3",
        "face SET expression_key = 'sad' WHERE id = 3",
        "photo SET path_key = 'x.png' WHERE id = 3",
        "photo SET size = 5 WHERE id = 3",
        "record SET sha256 = zeroblob(32) WHERE slot = 2",
        "record SET slot = 1000000000000 WHERE slot = 2",
        "record SET slot = 'x' WHERE slot = 2",
        "record SET file = 9 WHERE slot = 2",
    ],
)
def test_repair_restores_what_a_digest_proves(gallery: Gallery, change: str) -> None:
    gallery.update_labels({id_: Labels.given("hand", identity="anna", pose=15) for id_ in range(1, COUNT + 1)})
    before = list(gallery.faces())
    edit(gallery, f"UPDATE {change}")
    assert not gallery.verify().sound
    done = gallery.repair()
    assert (done.waiting, done.doubtful) == ([], [])
    assert gallery.verify().sound and list(gallery.faces()) == before
    assert gallery.search(vectors(2)[0], 1)[0].face.id == 3
    assert (gallery.folder / "descriptors-1.f16").stat().st_size == COUNT * SIZE * 2


@pytest.mark.parametrize(
    ("change", "path", "identity"),
    [
        ("face SET expression = 'sad', pose = 9 WHERE id = 3", "2.png", "anna"),
        ("face SET decided = 7, errors = '{' WHERE id = 3", "2.png", "anna"),
        ("face SET photo_id = 99, origins = 'zz' WHERE id = 3", "2.png", "anna"),
        ("photo SET size = 5, inode = 6 WHERE id = 3", "2.png", "anna"),
        ("photo SET path = '../x' WHERE id = 3", "damaged-3", "anna"),
    ],
)
def test_repair_keeps_what_can_be_believed_of_a_damaged_row(
    gallery: Gallery, change: str, path: str, identity: str
) -> None:
    edit(gallery, f"UPDATE {change}")
    assert not gallery.verify().sound
    done = gallery.repair()
    assert done.waiting == done.doubtful == [path]
    found = gallery.verify()
    assert found.sound and (found.waiting, found.images) == (1, COUNT)
    assert [(face.id, face.identity) for face in gallery.faces()] == [(n + 1, identity) for n in range(COUNT)]
    assert gallery.undescribed() == {3} and gallery.search(vectors(2)[0], 1)[0].face.id != 3


def test_a_note_of_an_unreadable_file_that_is_damaged_goes(gallery: Gallery) -> None:
    gallery.note_problems([unreadable("new.png")])
    edit(gallery, "UPDATE photo SET reason = 'is large' WHERE path = 'new.png'")
    assert not gallery.verify().sound
    done = gallery.repair()
    assert (done.waiting, done.doubtful, gallery.problems()) == ([], [], [])
    assert gallery.verify().sound and len(gallery) == COUNT


def test_who_waits_is_described_again_under_the_same_id(gallery: Gallery) -> None:
    path = gallery.folder / "descriptors-1.f16"
    content = bytearray(path.read_bytes())
    content[2 * SIZE * 2] ^= 1
    path.write_bytes(content)
    gallery.close()
    with Gallery.open(gallery.folder) as again:
        with pytest.raises(GalleryCorruptError, match=r"the descriptor of image 3 is not what was stored: run"):
            again.search(vectors(0)[0], 1)
        assert again.repair().waiting == ["2.png"]
        assert again.search(vectors(2)[0], 1)[0].face.id != 3
        assert [problem.path for problem in again.problems()] == ["2.png"]
        [face] = again.get([3])
        with pytest.raises(UnknownImageError):
            again.describe([again.get([1])[0]], vectors(0))
        again.describe([replace(face, decision=Decision(0, (None, 1.0, 2.0)))], vectors(2))
        assert again.search(vectors(2)[0], 1)[0].face == again.get([3])[0]
        assert again.get([3])[0].decided == 0 and again.problems() == [] and again.undescribed() == set()
        assert again.verify().sound


def test_a_path_that_leads_elsewhere_is_never_followed(gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "secret.txt").write_text("mine")
    gallery.set_image_root(tmp_path / "photos")
    edit(gallery, "UPDATE photo SET path = '../secret.txt' WHERE id = 1")
    for read in (lambda: list(gallery.faces()), lambda: gallery.export(tmp_path / "out", pictures=True)):
        with pytest.raises(GalleryCorruptError, match=r"'\.\./secret\.txt' as the path of image 1, which leads out"):
            read()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g", "photos", "secret.txt"]
    gallery.repair()
    assert gallery.verify().sound and len(gallery) == COUNT
    gallery.remove(gallery.undescribed())
    gallery.export(tmp_path / "out", pictures=True)


def test_a_gallery_that_lacks_a_descriptor_is_not_exported(gallery: Gallery, tmp_path: Path) -> None:
    edit(gallery, "DELETE FROM record WHERE slot = 2")
    with pytest.raises(GalleryCorruptError, match="1 of 6 images have no descriptor: run"):
        gallery.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- links in a gallery's folder ---


@pytest.mark.parametrize(
    "name",
    ["gallery.db", "descriptors-1.f16", "gallery.lock", "gallery.lock.holder", "search.json", "told.json", "jobs.json"],
)
def test_a_link_in_place_of_a_file_is_refused_and_what_it_leads_to_stays(
    gallery: Gallery, tmp_path: Path, name: str
) -> None:
    gallery.close()
    elsewhere = tmp_path / "elsewhere"
    file = gallery.folder / name
    elsewhere.write_bytes(file.read_bytes() if file.exists() else b"precious")
    before = elsewhere.read_bytes()
    file.unlink(missing_ok=True)
    file.symlink_to(elsewhere)
    with pytest.raises(GalleryCorruptError, match=rf"{name} is a link to another place"):
        Gallery.open(gallery.folder)
    assert elsewhere.read_bytes() == before


@pytest.mark.parametrize("what", ["a link", "a file"])
def test_kept_pictures_that_lie_elsewhere_are_refused(gallery: Gallery, tmp_path: Path, what: str) -> None:
    gallery.close()
    place, elsewhere = gallery.folder / "pictures", tmp_path / "elsewhere"
    elsewhere.mkdir()
    place.symlink_to(elsewhere) if what == "a link" else place.touch()
    with pytest.raises(GalleryCorruptError, match="pictures is no folder of pictures that lies there: delete it"):
        Gallery.open(gallery.folder)
    place.unlink()
    place.mkdir()
    Gallery.open(gallery.folder).close()


def test_a_link_put_there_later_is_not_followed_by_the_name_of_the_writer(gallery: Gallery, tmp_path: Path) -> None:
    holder = gallery.folder / "gallery.lock.holder"
    holder.unlink()
    (tmp_path / "precious").write_text("mine")
    holder.symlink_to(tmp_path / "precious")
    gallery.remove([1])
    assert (tmp_path / "precious").read_text() == "mine" and not holder.is_symlink()


# --- cells that are nothing of what belongs there ---


@pytest.mark.parametrize(
    "statement", ["UPDATE sqlite_sequence SET seq = 0", "UPDATE sqlite_sequence SET name = 'null'"]
)
def test_ids_are_given_once_whatever_the_engine_remembers(gallery: Gallery, statement: str) -> None:
    edit(gallery, statement)
    assert gallery.add([new_face("new.png", 15)], vectors(9)) == [COUNT + 1]
    assert gallery.verify().sound


@pytest.mark.parametrize("value", ["''", "1000000000", "'zz'", "zeroblob(5)"])
def test_what_is_no_hash_is_named(gallery: Gallery, value: str) -> None:
    edit(gallery, f"UPDATE record SET sha256 = {value} WHERE slot = 2")
    with pytest.raises(GalleryCorruptError, match="where a hash belongs: `facesearch gallery verify`"):
        gallery.sound_descriptors([1, 3])
    assert gallery.repair().waiting == []
    assert gallery.verify().sound and gallery.search(vectors(2)[0], 1)[0].face.id == 3


def test_text_that_is_none_is_named_by_whoever_reads_the_rows(gallery: Gallery) -> None:
    edit(gallery, "UPDATE face SET errors = CAST(x'5bff5d' AS TEXT) WHERE id = 3")
    with pytest.raises(GalleryCorruptError, match=r"is not a sound gallery database .*UTF-8"):
        gallery.verify()


# --- exports of strangers ---


def rewritten(out: Path, change: Callable[[str], str]) -> None:
    """Every line of the faces changed, with sums that agree."""
    (out / FACES).write_text("".join(change(line) + "\n" for line in (out / FACES).read_text().splitlines()))
    about = json.loads((out / "gallery.json").read_text())
    sums = {name: file_hash(out / name) for name in (FACES, DESCRIPTORS)}
    (out / "gallery.json").write_text(json.dumps({**about, "sha256": sums}))


def about_with(name: str, text: str) -> Callable[[Path], None]:
    def change(out: Path) -> None:
        content = (out / "gallery.json").read_text()
        old = f'"{name}": {json.loads(content)[name]}'
        assert old in content
        (out / "gallery.json").write_text(content.replace(old, f'"{name}": {text}'))

    return change


@pytest.mark.parametrize(
    "change",
    [
        about_with("images", "Infinity"),
        about_with("last_id", "1e999"),
        about_with("descriptor_size", "true"),
        lambda out: rewritten(out, lambda line: line.replace("[1.0, 1.0, 1.0]", f"[1{'0' * 400}, 1.0, 1.0]")),
        lambda out: rewritten(out, lambda line: "[" * 100_000),
        lambda out: rewritten(out, lambda line: line.replace('"anna"', '"\\ud800"')),
    ],
)
def test_nonsense_in_an_export_is_damage(gallery: Gallery, tmp_path: Path, change: Callable[[Path], None]) -> None:
    gallery.export(tmp_path / "out")
    before = (tmp_path / "out" / FACES).read_text(), (tmp_path / "out" / "gallery.json").read_text()
    change(tmp_path / "out")
    assert before != ((tmp_path / "out" / FACES).read_text(), (tmp_path / "out" / "gallery.json").read_text())
    with pytest.raises(GalleryCorruptError, match="is damaged"):
        restore(tmp_path / "out", tmp_path / "again", None)
    assert not (tmp_path / "again").exists()


# --- between two searches of one session ---


def test_the_gallerys_own_row_is_looked_at_again_whenever_it_is_another(gallery: Gallery) -> None:
    assert gallery.search(vectors(2)[0], 1)[0].face.id == 3
    [before] = sqlite3.connect(gallery.folder / "gallery.db").execute("SELECT created FROM gallery").fetchone()
    edit(gallery, "UPDATE gallery SET created = 'yesterday'")
    with pytest.raises(GalleryCorruptError, match="own row is damaged"):
        gallery.search(vectors(2)[0], 1)
    edit(gallery, "UPDATE gallery SET created = ?", before)
    assert gallery.search(vectors(2)[0], 1)[0].face.id == 3


@pytest.mark.parametrize("bytes_left", [None, 0, 2 * SIZE])
def test_descriptors_that_go_between_two_searches_are_missed(gallery: Gallery, bytes_left: int | None) -> None:
    gallery.search(vectors(2)[0], 1)
    path = gallery.folder / "descriptors-1.f16"
    content = path.read_bytes()
    path.unlink()
    if bytes_left is not None:
        path.write_bytes(content[:bytes_left])
    with pytest.raises(GalleryCorruptError, match=path.name):
        gallery.search(vectors(2)[0], 1)
    path.write_bytes(content)
    assert gallery.search(vectors(2)[0], 1)[0].face.id == 3


def test_a_removal_by_somebody_with_an_editor_is_in_the_next_answer(gallery: Gallery) -> None:
    gallery.search(vectors(2)[0], 1)
    edit(gallery, "DELETE FROM face WHERE id = 3")
    with pytest.raises(GalleryCorruptError, match="holds other images than its index finds"):
        gallery.search(vectors(2)[0], 1)
