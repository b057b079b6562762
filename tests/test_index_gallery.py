"""The gallery as its callers see it: faces, labels, searches, conditions."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import (
    DescriptorShapeError,
    DescriptorValueError,
    DuplicatePathError,
    GalleryEmptyError,
    GalleryExistsError,
    GalleryNotFoundError,
    ImageRowError,
    ModelMismatchError,
    UnknownImageError,
)
from index.gallery import Face, Gallery, GalleryConfig, Labels, Match
from index.labels import ORIGINS
from index.truth.pages import PAGE
from index.where import parse
from tests.faces import new_face

SIZE = 24
DIGEST = "0123456789abcdef" * 4
POSES = (-45, -30, -15, 0, 15, 30, 45)
CONFIG = GalleryConfig(DIGEST, "pose", POSES, SIZE, Path("/photos/été").absolute())


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "galerie-é", CONFIG) as made:
        yield made


def row(number: int, **changes: Any) -> Face:
    plain: dict[str, Any] = {
        "path": f"person{number % 5}/{number}.jpg",
        "decided": POSES[number % 7],
        "errors": tuple(float(number + place) for place in range(7)),
        "identity": f"person{number % 5}",
        "pose": POSES[number % 7],
        "illumination": number % 3,
        "expression": "smile" if number % 2 else "neutral",
    }
    return new_face(**plain | changes)


def unit_vectors(n: int, seed: int = 0) -> NDArray[np.float32]:
    array = np.random.default_rng(seed).normal(size=(n, SIZE)).astype(np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    return array


def filled(gallery: Gallery, n: int) -> tuple[list[int], NDArray[np.float32]]:
    array = unit_vectors(n)
    return gallery.add([row(number) for number in range(n)], array), array


def oracle(array: NDArray[np.float32], query: NDArray[np.float32], positions: list[int]) -> list[int]:
    distances = np.linalg.norm(array.astype(np.float16).astype(np.float64) - query, axis=1)
    return sorted(positions, key=lambda position: (distances[position], position))


def ids_of(matches: list[Match]) -> list[int]:
    return [match.face.id for match in matches]


def test_importing_the_gallery_loads_neither_torch_nor_faiss() -> None:
    code = "import sys, index.gallery; print({'torch', 'faiss'} & set(sys.modules))"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_listing_and_adding_load_no_faiss_but_searching_does(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from index.gallery import Gallery, GalleryConfig\nfrom tests.faces import new_face\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "config = GalleryConfig('a' * 64, 'pose', (0,), 2, folder)\n"
        "with Gallery.create(folder / 'g', config) as gallery:\n"
        "    gallery.add([new_face('a.png', 0, (1.0,))], np.ones((1, 2)))\n"
        "    list(gallery.faces()), len(gallery)\n"
        "    print('faiss' in sys.modules)\n"
        "    gallery.search(np.ones(2), 1)\n"
        "    print('faiss' in sys.modules)\n"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_config_survives_closing(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "g", CONFIG) as made:
        assert made.config == CONFIG
        made.set_image_root(tmp_path)
    with Gallery.open(tmp_path / "g") as opened:
        assert opened.config == replace(CONFIG, image_root=tmp_path)
        assert len(opened) == 0
        assert opened.folder == tmp_path / "g"


def test_folder_without_a_gallery_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(GalleryNotFoundError, match="holds no gallery"):
        Gallery.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_second_creation_is_refused_and_harms_nothing(gallery: Gallery) -> None:
    filled(gallery, 4)
    with pytest.raises(GalleryExistsError):
        Gallery.create(gallery.folder, CONFIG)
    with Gallery.open(gallery.folder) as again:
        assert len(again) == 4


@pytest.mark.parametrize(
    "change", [{"model_digest": "abc"}, {"values": ()}, {"values": (1, 1)}, {"descriptor_size": 0}]
)
def test_impossible_config_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(CONFIG, **change)


def test_relative_image_root_is_refused(tmp_path: Path, gallery: Gallery) -> None:
    with pytest.raises(ValueError, match="absolute"):
        Gallery.create(tmp_path / "other", replace(CONFIG, image_root=Path("photos")))
    with pytest.raises(ValueError, match="absolute"):
        gallery.set_image_root(Path("photos"))


def test_another_model_is_refused_with_both_digests(gallery: Gallery) -> None:
    gallery.require_model(DIGEST, SIZE)
    with pytest.raises(ModelMismatchError, match=r"0123456789ab .*ffffffffffff "):
        gallery.require_model("f" * 64, SIZE)
    with pytest.raises(ModelMismatchError, match=r"24 .*28800"):
        gallery.require_model(DIGEST, 28_800)


def test_rows_come_back_as_they_were_added(gallery: Gallery) -> None:
    generator = np.random.default_rng(3)
    names = ["a.jpg", "ü/ß.png", "顔/写真 1.jpg", "🙂.jpg", 'it\'s "x"; --.jpg', "e\u0301.jpg", "é.jpg"]
    for number, name in enumerate(names):
        given = row(
            number,
            path=name,
            errors=(None, *(round(float(error), 3) for error in generator.normal(size=6))),
            identity=[None, "Łucja", ""][number % 3],
            pose=[None, 0, -45][number % 3],
            sha256=f"{number:064x}",
            size=2**40 + number,
            mtime_ns=2**62 + number,
            inode=2**63 - 1 - number,
            ctime_ns=-(2**62) - number,
            origin=ORIGINS[1 + number % 4],
        )
        [id_] = gallery.add([given], unit_vectors(1, number))
        [stored] = gallery.get([id_])
        assert stored == Face(given.photo, given.labels, given.decision, id_)
        assert (stored.identity, stored.pose) == (given.labels.identity, given.labels.pose)
        assert (stored.illumination, stored.expression) == (given.labels.illumination, given.labels.expression)
        assert (stored.path, stored.decided) == (name, given.decision.decided)
    assert set(names) == set(gallery.known())
    with Gallery.open(gallery.folder) as again:
        assert list(again.faces()) == list(gallery.faces())


def test_integers_of_numpy_are_stored_as_numbers(gallery: Gallery) -> None:
    given = row(1, pose=np.int64(15), decided=np.int32(15), errors=tuple(np.ones(7, np.float32)))
    ids = gallery.add([given], unit_vectors(1))
    [stored] = gallery.get(np.array(ids))  # type: ignore[arg-type]
    assert (stored.pose, stored.decided, stored.decision.errors) == (15, 15, (1.0,) * 7)
    assert len(list(gallery.faces(parse("pose = 15 and decided = 15")))) == 1
    assert gallery.verify().sound


def test_texts_of_numpy_are_stored_as_text(gallery: Gallery) -> None:
    names = np.array(["a.jpg", "Anna", "smile", "b.jpg"])
    [id_] = gallery.add([row(1, path=names[0], identity=names[1], expression=names[2])], unit_vectors(1))
    assert gallery.verify().sound
    [stored] = gallery.get([id_])
    assert (stored.path, stored.identity, stored.expression) == ("a.jpg", "Anna", "smile")
    gallery.move([replace(stored, photo=replace(stored.photo, path=names[3]))])
    assert gallery.verify().sound and gallery.ids_of(["b.jpg"]) == {"b.jpg": id_}


def test_errors_are_kept_to_a_thousandth(gallery: Gallery) -> None:
    [id_] = gallery.add([row(0, errors=(1.23456, 1e6 + 0.0004, None, 0.0, -0.0006, 5e-324, 7.0))], unit_vectors(1))
    assert gallery.get([id_])[0].decision.errors == (1.235, 1e6, None, 0.0, -0.001, 0.0, 7.0)
    assert gallery.verify().sound


def test_images_come_by_id_page_after_page(gallery: Gallery) -> None:
    ids, _ = filled(gallery, 2 * PAGE + 1)
    assert [face.id for face in gallery.faces()] == ids == sorted(ids)
    expected = [id_ for number, id_ in enumerate(ids) if number % 2 and number % 3]
    smiling = parse("expression = 'smile' and illumination > 0 or identity = 'nobody'")
    assert [face.id for face in gallery.faces(smiling)] == expected
    assert [face.id for face in gallery.faces(parse("pose > -45"))] == [id_ for n, id_ in enumerate(ids) if n % 7]
    assert [face.id for face in gallery.faces(smiling, after=expected[1])] == expected[2:]
    assert (gallery.ids().tolist(), gallery.ids(smiling).tolist()) == (ids, expected)


@pytest.mark.parametrize("path", ["", ".", "/a.jpg", "../a.jpg", "a/../b", "a//b", "./a", "a\0"])
def test_path_that_is_not_plain_and_relative_is_refused(gallery: Gallery, path: str) -> None:
    with pytest.raises(ImageRowError, match="relative"):
        gallery.add([row(0, path=path)], unit_vectors(1))


@pytest.mark.parametrize(
    "change",
    [
        {"path": "\udcff.jpg"},
        {"decided": 7},
        {"decided": -1},
        {"sha256": "a" * 63},
        {"sha256": "A" * 64},
        {"errors": (float("inf"),) + (1.0,) * 6},
        {"errors": (1.0,) * 6},
        {"errors": (float("nan"),) * 7},
    ],
)
def test_row_that_contradicts_the_gallery_is_refused(gallery: Gallery, change: dict[str, Any]) -> None:
    with pytest.raises(ImageRowError):
        gallery.add([row(0), row(1, **change)], unit_vectors(2))
    assert len(gallery) == 0


def test_descriptors_must_fit_and_be_finite(gallery: Gallery) -> None:
    with pytest.raises(DescriptorShapeError):
        gallery.add([row(0)], np.zeros((1, SIZE + 1), np.float32))
    with pytest.raises(DescriptorShapeError, match="2 descriptors for 1 images"):
        gallery.add([row(0)], unit_vectors(2))
    with pytest.raises(DescriptorValueError):
        gallery.add([row(0)], np.full((1, SIZE), np.nan))
    assert gallery.generation == 0


def test_known_path_is_refused_and_nothing_of_the_batch_is_added(gallery: Gallery) -> None:
    filled(gallery, 3)
    with pytest.raises(DuplicatePathError, match=r"person1/1\.jpg"):
        gallery.add([row(9), row(1)], unit_vectors(2))
    with pytest.raises(DuplicatePathError, match="2 times"):
        gallery.add([row(9), row(9)], unit_vectors(2))
    assert len(gallery) == 3


def test_replacing_gives_a_new_id_and_the_new_descriptor(gallery: Gallery) -> None:
    ids, array = filled(gallery, 3)
    fresh = unit_vectors(2, seed=9)
    new = gallery.add([row(2, identity="else"), row(7)], fresh, replace=True)
    assert min(new) > max(ids)
    assert len(gallery) == 4
    assert gallery.known()[row(2).path].identity == "else"
    expected = np.concatenate([array[:2], fresh]).astype(np.float16)
    np.testing.assert_array_equal(gallery.descriptors(ids[:2] + new), expected)
    assert ids_of(gallery.search(fresh[0], 1)) == new[:1]


def test_labels_change_without_touching_the_descriptors(gallery: Gallery) -> None:
    ids, array = filled(gallery, 3)
    generation = gallery.generation
    assert gallery.update_labels({ids[1]: Labels.given("suggestion", identity="Ana", pose=30)}) == 1
    assert gallery.generation == generation
    [changed] = gallery.get([ids[1]])
    assert (changed.identity, changed.pose, changed.expression) == ("Ana", 30, None)
    assert changed.labels.origins == ("suggestion", "suggestion", "", "")
    assert ids_of(gallery.search(array[0], 3, where=parse("identity = 'Ana'"))) == [ids[1]]
    with pytest.raises(UnknownImageError, match="no image 77"):
        gallery.update_labels({ids[0]: Labels(), 77: Labels()})
    assert gallery.get([ids[0]])[0].identity == "person0"


def test_unknown_ids_are_named(gallery: Gallery) -> None:
    ids, _ = filled(gallery, 2)
    for operation in (gallery.get, gallery.descriptors):
        with pytest.raises(UnknownImageError, match="no image 77"):
            operation([ids[0], 77])


def test_search_agrees_with_brute_force_and_gives_euclidean_distances(gallery: Gallery) -> None:
    ids, array = filled(gallery, 60)
    queries = unit_vectors(4, seed=5)
    for query, matches in zip(queries, gallery.search_many(queries, 9), strict=True):
        best = oracle(array, query, list(range(60)))[:9]
        assert ids_of(matches) == [ids[position] for position in best]
        expected = np.linalg.norm(array[best].astype(np.float16) - query, axis=1)
        np.testing.assert_allclose([match.distance for match in matches], expected, rtol=1e-4)
        assert matches == gallery.search(query, 9)


def test_order_of_insertion_does_not_change_the_results(tmp_path: Path) -> None:
    array, found = unit_vectors(40), []
    array[20:25] = array[0]
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(40)
        with Gallery.create(tmp_path / str(seed), CONFIG) as gallery:
            gallery.add([row(number) for number in order], array[order])
            matches = gallery.search(array[3], 34)
            found.append([(match.face.path, match.distance) for match in matches])
            assert matches == sorted(matches, key=lambda match: (match.distance, match.face.id))
    assert sorted(found[0]) == sorted(found[1]) == sorted(found[2])


def test_conditions_act_inside_the_search(gallery: Gallery) -> None:
    ids, array = filled(gallery, 70)
    where = parse("identity = 'person3' and expression = 'smile'")
    positions = [number for number in range(70) if number % 5 == 3 and number % 2]
    best = oracle(array, array[0], positions)
    assert ids_of(gallery.search(array[0], 7, where=where)) == [ids[p] for p in best]
    excluded = [ids[best[0]], ids[best[2]], 10**6]
    kept = [ids[p] for p in best if ids[p] not in excluded]
    assert ids_of(gallery.search(array[0], 5, where=where, exclude=excluded)) == kept[:5]
    assert gallery.search(array[0], 5, where=parse("identity = 'nobody'")) == []
    assert ids[0] not in ids_of(gallery.search(array[0], 69, exclude={ids[0]}))


@pytest.mark.parametrize("name", ["identity", "pose", "illumination", "expression", "decided"])
def test_every_field_restricts(gallery: Gallery, name: str) -> None:
    filled(gallery, 35)
    value = getattr(next(gallery.faces(parse("id = 5"))), name)
    expected = {face.path for face in gallery.faces() if getattr(face, name) == value}
    where = parse(f"{name} = {value!r}")
    matches = gallery.search(unit_vectors(1)[0], 35, where=where)
    assert {match.face.path for match in matches} == expected
    assert 0 < len(expected) < 35


def test_more_results_than_images_gives_all_images(gallery: Gallery) -> None:
    ids, array = filled(gallery, 3)
    assert sorted(ids_of(gallery.search(array[1], 1_000))) == ids
    assert gallery.search_many(np.empty((0, SIZE), np.float32), 2) == []


def test_impossible_searches_are_refused(gallery: Gallery) -> None:
    query = unit_vectors(1)[0]
    with pytest.raises(GalleryEmptyError, match="no images"):
        gallery.search(query, 1)
    filled(gallery, 2)
    with pytest.raises(ValueError, match="k is 0"):
        gallery.search(query, 0)
    with pytest.raises(DescriptorShapeError):
        gallery.search(query[:-1], 1)
    with pytest.raises(DescriptorValueError):
        gallery.search(query * np.inf, 1)


def test_removed_images_are_gone_and_their_ids_are_never_used_again(gallery: Gallery) -> None:
    ids, array = filled(gallery, 6)
    assert gallery.remove([ids[5], ids[1], 999]) == 2
    assert gallery.remove([ids[5]]) == 0
    assert ids_of(gallery.search(array[5], 6)) != []
    assert not {ids[5], ids[1]} & set(ids_of(gallery.search(array[5], 6)))
    new = gallery.add([row(5), row(50)], unit_vectors(2, seed=4))
    assert min(new) > max(ids)
    assert gallery.remove([face.id for face in gallery.faces()]) == 6
    with pytest.raises(GalleryEmptyError):
        gallery.search(array[0], 1)
    assert gallery.add([row(0)], array[:1])[0] > max(new)
