"""Names of files, however many: in order, in pages and slices, and no more memory for more of them."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from index.gallery import Decision, Face, FileStamp, Gallery, GalleryConfig, Labels, Photo
from retrieval.indexing import index_folder
from retrieval.kinds import find_images, look_through
from retrieval.names import Names, Pictures, names_below
from retrieval.one_file import Read, ReadFace
from retrieval.passing import USUAL
from tests.stand_ins import HashEditor, ReadsHere

FEW, MANY = 300, 7_123  # in memory, and in a file


def some(count: int) -> list[str]:
    """Names in no order, some of which no table of text could hold, in folders whose names begin others."""
    rng = np.random.default_rng(count)
    folders = ("", "a/", "a.b/", "a/b/", "a b/", "Ä/", "\U0001f600/", "ü\udcff/")
    return [
        f"{folders[n]}{number}" for n, number in zip(rng.integers(0, 8, count), rng.permutation(count), strict=True)
    ]


@pytest.mark.parametrize("count", [0, 1, FEW, MANY])
def test_names_come_in_order_folder_by_folder_however_many(count: int) -> None:
    given = some(count)
    names = Names(given)
    expected = sorted(given, key=lambda name: os.fsencode(name).replace(b"/", b"\0"))
    assert len(names) == count and list(names) == expected
    assert [name for page in names.pages(77) for name in page] == expected
    names.extend(("a/first", "z"))  # also after some were read
    assert len(names) == count + 2 and set(names) == {*given, "a/first", "z"}


@pytest.mark.parametrize("count", [FEW, MANY])
def test_pictures_are_a_sequence_of_paths(count: int) -> None:
    names = some(count)
    pictures: Sequence[Path] = Pictures(Path("/photos"), Names(names))
    expected = [Path("/photos") / name for name in Names(names)]
    assert (len(pictures), list(pictures)) == (count, expected)
    for part in (slice(0, 5), slice(5, None), slice(-3, None), slice(7, 2), slice(2, 20, 3), slice(count, count + 9)):
        assert pictures[part] == expected[part]
    assert (pictures[0], pictures[-1], pictures[count - 1]) == (expected[0], expected[-1], expected[-1])
    with pytest.raises(IndexError):
        pictures[count]


def test_the_names_below_a_root_are_the_same_of_any_sequence() -> None:
    pictures = Pictures(Path("/photos/new"), Names(some(FEW)))
    for root in (Path("/photos"), Path("/photos/new"), Path("/")):
        pages = [name for page in names_below(pictures, root) for name in page]
        assert pages == [name for page in names_below(list(pictures), root) for name in page]
        assert root / pages[0] == pictures[0]


# --- memory ---


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Callable[[int], Gallery]]:
    """A gallery of so many files as they are, in two folders."""
    opened: list[Gallery] = []

    def fill(count: int) -> Gallery:
        root, editor = tmp_path / "g", HashEditor()
        for folder in ("anna", "ben"):
            (root / folder).mkdir(parents=True)
        faces = []
        for n in range(count):
            name = f"{('anna', 'ben')[n % 2]}/IMG_{n:06}.png"
            (root / name).write_bytes(b"")
            photo = Photo(name, f"{n:064x}", FileStamp.of((root / name).stat()))
            faces.append(Face(photo, Labels.given("folder", identity=name[:3]), Decision(0, (1.0,) + (None,) * 6)))
        config = GalleryConfig(editor.digest, "pose", editor.attribute.values, editor.descriptor_size, root)
        opened.append(Gallery.create(tmp_path / "db", config))
        opened[0].add(faces, np.eye(1, editor.descriptor_size, dtype=np.float32).repeat(count, axis=0))
        return opened[0]

    yield fill
    for one in opened:
        one.close()


def most_memory(call: Callable[[], object]) -> int:
    """Bytes that Python asks for at most while something is done."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [MANY, pytest.param(60_000, marks=pytest.mark.slow)])
def test_unchanged_pictures_take_no_memory_each(filled: Callable[[int], Gallery], count: int) -> None:
    gallery = filled(count)
    root = gallery.config.image_root

    def run() -> None:
        found = look_through(root, USUAL, [], gallery)
        report = index_folder(gallery, HashEditor(), found.pictures, reader=ReadsHere(), folder=root)
        assert (report.unchanged, report.left_out.count, report.vanished) == (count, 0, 0)

    assert most_memory(run) < 6_000_000  # before, 1,200 bytes each


class OfNothing(ReadsHere):
    """Takes whatever it is given for a picture of its own."""

    def ahead(self, paths: Sequence[Path], batch: int, /) -> Iterator[list[Read]]:
        for start in range(0, len(paths), batch):
            some = paths[start : start + batch]
            yield [Read(path, BLACK, path.name.encode().hex().zfill(64), FileStamp.of(path.stat())) for path in some]


BLACK = (ReadFace(np.zeros((60, 60, 3), np.uint8)),)


def most_while_described(folder: Path, count: int) -> int:
    """Bytes that describing so many new files of a gallery takes at most; the first is not counted."""
    with Gallery.open(folder) as gallery:
        root = gallery.config.image_root

        def describes(expected: int) -> None:
            found = look_through(root, USUAL, [], gallery)
            report = index_folder(gallery, HashEditor(batch=500), found.pictures, reader=OfNothing(), folder=root)
            assert report.described == expected

        (root / "carl").mkdir()
        (root / "carl" / "first.png").write_bytes(b"first")
        describes(1)  # what is imported and prepared once in a process is no picture's
        for n in range(count):
            (root / "carl" / f"{n}.png").write_bytes(b"x" * (n % 7 + 1))
        most = most_memory(lambda: describes(count))
        assert len(find_images(root)) == len(gallery)
        return most


@pytest.mark.slow
def test_new_pictures_take_no_memory_each_once_they_are_described(filled: Callable[[int], Gallery]) -> None:
    gallery = filled(2)
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:  # threads of earlier tests ask for memory too
        assert alone.submit(most_while_described, gallery.folder, MANY).result() < 10_000_000
