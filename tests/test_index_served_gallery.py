"""A gallery on a server is the gallery that a folder would be: the same calls, the same answers, on any machine."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.errors import (
    DuplicatePathError,
    GalleryCorruptError,
    GalleryEmptyError,
    GalleryExistsError,
    GalleryLockedError,
    GalleryNotFoundError,
    ImageRowError,
)
from index.files import saved_indexes
from index.gallery import FileStamp, Gallery, GalleryConfig, Labels, Passed, Problem
from index.truth.address import Server
from index.where import parse
from tests.faces import in_photograph, new_face, numbered, unit_vectors
from tests.servers import administer

pytestmark = pytest.mark.cluster
SIZE = 24
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, Path("/photos").absolute())
NEXT = replace(CONFIG, model_digest="b" * 64, descriptor_size=8)


@pytest.fixture
def gallery(server: Server) -> Iterator[Gallery]:
    with Gallery.create(server, CONFIG) as made:
        yield made


def everything(gallery: Gallery) -> dict[str, Any]:
    """All that a gallery says, but for when."""
    faces = list(gallery.faces())
    ids = [face.id for face in faces]
    queries = unit_vectors(3, gallery.config.descriptor_size, 99)
    where = parse("identity = 'anna' or pose > 0 or path like '%3%'")
    try:
        found = [
            [(match.face, round(match.distance, 5)) for match in one]
            for asked in (None, where)
            for one in gallery.search_many(queries, 4, where=asked)
        ]
    except GalleryEmptyError:
        found = []
    contents = [face.photo.sha256 for face in faces] + [f"{n:064x}" for n in range(40)]
    return {
        "faces": faces,
        "descriptors": gallery.descriptors(ids).tolist() if ids else [],
        "sound": sorted(gallery.sound_descriptors(ids)) if ids else [],
        "found": found,
        "where": gallery.ids(where).tolist(),
        "problems": [replace(one, found="") for one in gallery.problems()],
        "passed": gallery.passed(),
        "kept": [replace(one, id=0) for one in gallery.kept(contents)],
        "hidden": [replace(one, id=0, since=0) for one in gallery.hidden.all()],
        "under way": gallery.redescribing.under_way(),
        "counts": (len(gallery), gallery.count_photos(), gallery.count_kept()),
        "waiting": gallery.undescribed(),
    }


class Steps:
    """Random calls, the same for every gallery that is given one after the other."""

    def __init__(self, seed: int) -> None:
        self.chosen, self.number = random.Random(seed), 0

    def next(self) -> Callable[[Gallery], object]:
        names = ("add", "add", "add", "replace", "label", "move", "remove", "hide", "note", "compact", "redescribe")
        step: Callable[[Gallery], object] = getattr(self, f"_{self.chosen.choice(names)}")()
        return step

    def _some(self, gallery: Gallery, draw: float) -> list[int]:
        ids = gallery.ids().tolist()
        return [id_ for n, id_ in enumerate(ids) if (n * 0.618 + draw) % 1 < 0.25]

    def _add(self) -> Callable[[Gallery], object]:
        count, first = self.chosen.randrange(1, 9), self.number
        self.number += count
        faces = [self._face(n) for n in range(first, first + count)]
        return lambda gallery: gallery.add(
            faces, numbered(gallery.config.descriptor_size, *range(first, first + count))
        )

    def _face(self, number: int) -> Any:
        name = self.chosen.choice(("anna", "ben", None))
        pose = self.chosen.choice((-15, 15, None))
        one = new_face(f"p/{number}.png", 0, identity=name, pose=pose, sha256=f"{number:064x}", size=number)
        return in_photograph(one, 1, left=5.0 * number + 10) if number % 3 == 0 else one

    def _replace(self) -> Callable[[Gallery], object]:
        if not self.number:
            return self._add()
        number = self.chosen.randrange(self.number)
        face = self._face(number)
        return lambda g: g.add([face], numbered(g.config.descriptor_size, 1_000 + number), replace=True)

    def _hide(self) -> Callable[[Gallery], object]:
        draw, forgotten = self.chosen.random(), self.chosen.randrange(3)

        def hidden(gallery: Gallery) -> None:
            some = self._some(gallery, draw)
            gallery.remove(some, hide=some)
            gallery.hidden.change([one.id for one in gallery.hidden.all()[:forgotten]])

        return hidden

    def _label(self) -> Callable[[Gallery], object]:
        draw, name = self.chosen.random(), self.chosen.choice(("Zo\u00eb", "anna", "Stra\u00dfe"))
        given = Labels.given("hand", identity=name, pose=15)
        return lambda gallery: gallery.update_labels(dict.fromkeys(self._some(gallery, draw), given))

    def _move(self) -> Callable[[Gallery], object]:
        draw, folder = self.chosen.random(), self.chosen.choice("qrs")

        def moved(gallery: Gallery) -> None:
            faces = gallery.get(self._some(gallery, draw))
            there = [replace(one.photo, path=f"{folder}/{Path(one.path).name}", stamp=FileStamp(7, 8)) for one in faces]
            gallery.move([replace(one, photo=photo) for one, photo in zip(faces, there, strict=True)])

        return moved

    def _remove(self) -> Callable[[Gallery], object]:
        draw, keep = self.chosen.random(), self.chosen.random() < 0.5
        return lambda gallery: gallery.remove(self._some(gallery, draw), keep_labels=keep)

    def _note(self) -> Callable[[Gallery], object]:
        name = f"bad/{self.chosen.randrange(5)}"
        problem, passed = (
            Problem(f"{name}.png", FileStamp(1, 2), "is empty"),
            Passed(f"{name}.txt", "a text", FileStamp(3), "reader"),
        )

        def noted(gallery: Gallery) -> None:
            gallery.note_problems([problem], gone=["bad/1.png"])
            gallery.note_passed([passed], gone=["bad/2.txt"])

        return noted

    def _compact(self) -> Callable[[Gallery], object]:
        return lambda gallery: gallery.compact() and None

    def _redescribe(self) -> Callable[[Gallery], object]:
        """Half of it, given up, or all of it."""
        whole = self.chosen.random() < 0.6

        def redescribed(gallery: Gallery) -> None:
            other = NEXT if gallery.config.model_digest == CONFIG.model_digest else CONFIG
            gallery.redescribing.begin(other)
            waiting = list(gallery.redescribing.waiting())
            some = waiting if whole else waiting[: len(waiting) // 2]
            if some:
                gallery.redescribing.stage(some, numbered(other.descriptor_size, *(5_000 + face.id for face in some)))
            gallery.redescribing.finish() if whole else gallery.redescribing.give_up()

        return redescribed


@pytest.mark.parametrize("seed", range(3))
def test_the_same_calls_give_the_same_answers_as_a_folder(
    seed: int, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also to another machine, which has seen an earlier state or nothing, and after everything was closed."""
    steps = Steps(seed)
    with ExitStack() as stack:
        here = stack.enter_context(Gallery.create(tmp_path / "folder", CONFIG))
        there = stack.enter_context(Gallery.create(server, CONFIG))
        for round_ in range(6):
            for _ in range(6):
                step = steps.next()
                results = [outcome(step, gallery) for gallery in (here, there)]
                assert results[0] == results[1]
            expected = everything(here)
            assert everything(there) == expected
            monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path / f"machine{round_ % 2}"))
            with Gallery.open(server) as other:
                assert everything(other) == expected
                assert other.verify().findings == []
        assert there.verify().findings == [] and there.verify().sound


def outcome(step: Callable[[Gallery], object], gallery: Gallery) -> object:
    try:
        return step(gallery)
    except (DuplicatePathError, GalleryEmptyError) as error:
        return type(error)


def test_what_this_machine_derived_may_be_deleted_at_any_time(gallery: Gallery, server: Server) -> None:
    gallery.add([new_face(f"{n}.png") for n in range(30)], unit_vectors(30, SIZE))
    before = everything(gallery)
    gallery.close()
    assert saved_indexes(server.folder)
    shutil.rmtree(server.folder)
    with Gallery.open(server) as again:
        assert everything(again) == before and again.verify().sound


def test_a_copy_that_is_damaged_is_made_anew(gallery: Gallery, server: Server) -> None:
    gallery.add([new_face(f"{n}.png") for n in range(30)], unit_vectors(30, SIZE))
    before = everything(gallery)
    gallery.close()
    [copy] = server.folder.glob("descriptors-*.f16")
    copy.write_bytes(b"\x3c" * copy.stat().st_size)
    with Gallery.open(server) as again:
        assert everything(again) == before and again.verify().sound


def test_bytes_that_are_damaged_on_the_server_are_found_and_described_again(gallery: Gallery, server: Server) -> None:
    faces = [new_face(f"{n}.png") for n in range(5)]
    ids = gallery.add(faces, unit_vectors(5, SIZE))
    gallery.search(unit_vectors(1, SIZE)[0], 3)
    administer(
        server,
        f"UPDATE {server.schema}.descriptor SET content = decode(repeat('3c', {2 * SIZE}), 'hex') WHERE slot = 2",
    )
    administer(server, f"DELETE FROM {server.schema}.descriptor WHERE slot = 4")
    found = gallery.verify()
    assert sorted(found.damaged) == ["2.png", "4.png"] and not found.sound
    shutil.rmtree(server.folder)
    with Gallery.open(server) as fresh, pytest.raises(GalleryCorruptError, match="gallery repair"):
        fresh.search(unit_vectors(1, SIZE)[0], 3)
    with Gallery.open(server, damaged=True) as mended:
        assert sorted(mended.repair().waiting) == ["2.png", "4.png"]
        assert mended.undescribed() == {ids[2], ids[4]}
        again = mended.get([ids[2], ids[4]])
        mended.describe(again, unit_vectors(2, SIZE, 7))
        assert mended.verify().findings == []
        assert {match.face.id for match in mended.search(unit_vectors(2, SIZE, 7)[1], 1)} == {ids[4]}


def test_a_row_that_is_not_what_was_written_is_found(gallery: Gallery, server: Server) -> None:
    gallery.add([new_face(f"{n}.png", identity="anna") for n in range(3)], unit_vectors(3, SIZE))
    administer(server, f"UPDATE {server.schema}.face SET identity = 'ben' WHERE id = 2")
    assert gallery.verify().findings[0] == "the database: the row of face with id 2 is not what was written"
    with pytest.raises(GalleryCorruptError, match="the row of face with id 2"):
        gallery.repair()


def test_what_is_removed_is_gone_from_the_server_and_from_every_copy_that_is_used(
    gallery: Gallery, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = gallery.add([new_face(f"{n}.png") for n in range(6)], unit_vectors(6, SIZE))
    query, mark = unit_vectors(1, SIZE)[0], unit_vectors(6, SIZE)[3].astype("<f2").tobytes()
    gallery.search(query, 3)
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path / "other"))
    with Gallery.open(server) as other:
        other.search(query, 3)
        copies = [*(tmp_path / "cache").rglob("*"), *(tmp_path / "other").rglob("*")]
        assert sum(mark in path.read_bytes() for path in copies if path.is_file()) >= 2
        gallery.remove([ids[3]])
        assert not administer(server, f"SELECT 1 FROM {server.schema}.descriptor WHERE slot = 3")
        other.search(query, 3)
        copies = [*(tmp_path / "cache").rglob("*"), *(tmp_path / "other").rglob("*")]
        assert not [path for path in copies if path.is_file() and mark in path.read_bytes()]


def test_there_is_one_of_a_name(gallery: Gallery, server: Server) -> None:
    with pytest.raises(GalleryExistsError, match=r"gallery=g\d+ is a gallery already"):
        Gallery.create(server, CONFIG)
    with pytest.raises(GalleryNotFoundError, match="gallery=nothing_here is no gallery yet"):
        Gallery.open(replace(server, gallery="nothing_here"))
    assert gallery.name == str(server)


def test_two_write_one_after_the_other_and_readers_see_whole_batches(gallery: Gallery, server: Server) -> None:
    with Gallery.open(str(server)) as other:
        with gallery.writing():
            gallery.add([new_face("1.png")], unit_vectors(1, SIZE))
            with pytest.raises(GalleryLockedError, match="is being written by process"):
                other.add([new_face("2.png")], unit_vectors(1, SIZE))
            assert len(other) == 1
        other.add([new_face("2.png"), new_face("3.png")], unit_vectors(2, SIZE))
        assert len(gallery) == 3


def test_a_text_that_it_cannot_keep_is_refused_and_nothing_is_added(gallery: Gallery) -> None:
    with pytest.raises(ImageRowError, match=r"cannot be kept by PostgreSQL .*NUL"):
        gallery.add([new_face("1.png"), new_face("2.png", identity="a\0b")], unit_vectors(2, SIZE))
    assert len(gallery) == 0


def test_an_export_of_it_becomes_a_folder_with_the_same_ids(gallery: Gallery, tmp_path: Path) -> None:
    from index.care.restore import restore

    ids = gallery.add([new_face(f"{n}.png", identity="anna") for n in range(9)], unit_vectors(9, SIZE))
    gallery.remove(ids[2:4])
    gallery.export(tmp_path / "export")
    restore(tmp_path / "export", tmp_path / "folder", CONFIG.image_root)
    with Gallery.open(tmp_path / "folder") as folder:
        assert list(folder.faces()) == list(gallery.faces())
        left = gallery.ids().tolist()
        np.testing.assert_array_equal(folder.descriptors(left), gallery.descriptors(left))
