"""verify finds what is not as it was stored, and repair mends what can be mended without the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index.gallery import FileStamp, Gallery, GalleryConfig, Problem
from index.search.plan import Planner, Requirements
from tests.faces import new_face, unit_vectors

SIZE, COUNT = 32, 120
CONFIG = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, Path("/photos").absolute())


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "g", CONFIG) as made:
        made.add([new_face(f"{n}.png", CONFIG.values[n % 3]) for n in range(COUNT)], unit_vectors(COUNT, SIZE))
        yield made


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x40
    path.write_bytes(content)


def test_a_sound_gallery_is_sound(gallery: Gallery) -> None:
    found = gallery.verify()
    assert found.sound and (found.images, found.checked) == (COUNT, COUNT)
    assert found.index == "no index is saved; the next search makes one"
    gallery.search(np.ones(SIZE), 1)
    assert gallery.verify().index == f"exact index: {COUNT} of {COUNT} descriptors as stored"
    gallery.remove([3, 4])
    found = gallery.verify()
    assert found.sound and found.checked == COUNT - 2


def test_a_flipped_bit_is_found_and_its_image_waits_to_be_described_again(gallery: Gallery) -> None:
    flip(gallery.folder / "descriptors-1.f16", 7 * 2 * SIZE + 5)
    with Gallery.open(gallery.folder) as again:
        found = again.verify()
        assert not found.sound and found.damaged == ["7.png"]
        assert found.findings == ["7.png: the descriptor of image 8 is not what was stored"]
        assert again.repair().waiting == ["7.png"]
        found = again.verify()
        assert found.sound and (found.waiting, found.checked, len(again)) == (1, COUNT - 1, COUNT)
        assert again.get([8])[0].path == "7.png" and again.undescribed() == {8}


def test_a_short_descriptor_file_is_found(gallery: Gallery) -> None:
    path = gallery.folder / "descriptors-1.f16"
    path.write_bytes(path.read_bytes()[:-2])
    assert gallery.verify().damaged == [f"{COUNT - 1}.png"]


def test_an_index_that_says_something_else_is_found_and_built_anew(gallery: Gallery) -> None:
    gallery.search(np.ones(SIZE), 1)
    index = next(gallery.folder.glob("exact-*"))
    with Gallery.create(gallery.folder.parent / "other", CONFIG) as other:  # the same ids with other descriptors
        other.add([new_face(f"{n}.png") for n in range(COUNT)], unit_vectors(COUNT, SIZE, seed=1))
        other.search(np.ones(SIZE), 1)
        content = next(other.folder.glob("exact-*")).read_bytes()
    index.write_bytes(content)
    with Gallery.open(gallery.folder) as again:
        findings = again.verify().findings
        assert findings == [
            f"the exact index holds {COUNT} descriptors that are not those stored: "
            "`facesearch gallery repair` deletes it"
        ]
        again.repair()
        again.search(np.ones(SIZE), 1)
        assert again.verify().sound


def test_an_index_of_reduced_descriptors_is_checked(gallery: Gallery) -> None:
    gallery.prepare(Requirements(recall=0.9), planner=Planner({"exact": 10**9, "flat": 0, "ivf": 10**9, "hnsw": 10**9}))
    found = gallery.verify()
    assert found.sound and found.index.startswith("flat index of reduced descriptors: ")


def test_problems_are_kept_until_they_are_solved(gallery: Gallery) -> None:
    bad, worse = Problem("bad.png", FileStamp(3, 4), "is empty"), Problem("sub/é.png", FileStamp(5, 6), "is cut")
    gallery.note_problems([bad, worse])
    assert [(p.path, p.stamp.size, p.stamp.mtime_ns, p.reason) for p in gallery.problems()] == [
        ("bad.png", 3, 4, "is empty"),
        ("sub/é.png", 5, 6, "is cut"),
    ]
    gallery.note_problems([Problem("bad.png", FileStamp(9, 9), "is still empty")], ["sub/é.png"])
    assert [(p.path, p.reason) for p in gallery.problems()] == [("bad.png", "is still empty")]
    gallery.add([new_face("bad.png")], np.ones((1, SIZE)))
    assert gallery.problems() == []
