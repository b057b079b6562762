"""A gallery written as plain files and made of them again: the same, or refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.care.exchange import restore
from index.errors import GalleryCorruptError, GalleryError, GalleryExistsError, GalleryNotFoundError
from index.files import WriterLock
from index.gallery import Decision, Face, FileStamp, Gallery, GalleryConfig, Labels, Photo
from index.values import ORIGINS
from tests.faces import new_face

SIZE = 8


def vectors(*numbers: int) -> NDArray[np.float32]:
    """Of length 1, one for each number."""
    made = np.stack([np.random.default_rng(n).normal(size=SIZE) for n in numbers])
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """Images 2, 4 and 5 of six, below photos/, where that of 5 is not there."""
    photos = tmp_path / "photos"
    (photos / "ö").mkdir(parents=True)
    config = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, photos)
    with Gallery.create(tmp_path / "g", config) as made:
        faces = [
            new_face(
                f"ö/{n}.png",
                config.values[n % 3],
                (1.5, None, 3.0),
                origin=ORIGINS[1 + n % 4],
                identity="anna\n",
                pose=15,
                expression="",
                sha256=f"{n:064x}",
                size=n,
                mtime_ns=n,
                inode=n,
                ctime_ns=-n,
            )
            for n in range(6)
        ]
        ids = made.add(faces, vectors(*range(6)))
        made.remove([ids[0], ids[2], ids[5]])
        for n in (1, 3):
            (photos / f"ö/{n}.png").write_bytes(b"picture")
        yield made


def content(gallery: Gallery) -> tuple[list[Face], bytes]:
    faces = list(gallery.faces())
    return faces, gallery.descriptors([face.id for face in faces]).tobytes()


def test_a_gallery_comes_back_as_it_was(gallery: Gallery, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    done = gallery.export(tmp_path / "out", progress=lambda *step: steps.append(step))
    assert (done.images, done.missing, steps) == (3, [], [(3, 3)])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "descriptors.npy",
        "faces.jsonl",
        "gallery.json",
    ]
    records = np.load(tmp_path / "out" / "descriptors.npy")  # as anybody reads it
    np.testing.assert_array_equal(records, vectors(1, 3, 4).astype(np.float16))
    restore(tmp_path / "out", tmp_path / "deep" / "again", None)
    with Gallery.open(tmp_path / "deep" / "again") as again:
        assert content(again) == content(gallery)
        assert again.config == gallery.config
        assert again.verify().checked == 3 and again.verify().sound
        assert again.search(vectors(3)[0], 1)[0].face.path == "ö/3.png"
        assert again.add([new_face("new.png", 0, (None,) * 3)], vectors(9)) == [7]  # 6 was removed


def test_a_gallery_of_many_pages_and_batches_comes_back(gallery: Gallery, tmp_path: Path) -> None:
    ids = gallery.add([new_face(f"{n}.png", 15) for n in range(2_200)], vectors(*range(10, 2_210)))
    gallery.remove(ids[7::10])
    gallery.export(tmp_path / "out")
    steps: list[tuple[int, int]] = []
    restore(tmp_path / "out", tmp_path / "again", None, lambda *step: steps.append(step))
    with Gallery.open(tmp_path / "again") as again:
        assert content(again) == content(gallery) and len(again) == 1_983
        assert again.verify().checked == 1_983 and again.verify().sound
    assert len(steps) > 2 and steps[-1] == (1_983, 1_983) and steps == sorted(steps)


def test_pictures_come_along(gallery: Gallery, tmp_path: Path) -> None:
    assert gallery.export(tmp_path / "out", pictures=True).missing == ["ö/4.png"]
    (tmp_path / "out").rename(tmp_path / "moved")
    restore(tmp_path / "moved", tmp_path / "again", None)
    with Gallery.open(tmp_path / "again") as again:
        assert again.config.image_root == tmp_path / "moved" / "pictures"
        assert (again.config.image_root / "ö/1.png").read_bytes() == b"picture"
    restore(tmp_path / "moved", tmp_path / "third", tmp_path / "photos")
    with Gallery.open(tmp_path / "third") as third:
        assert third.config.image_root == tmp_path / "photos"


def test_an_empty_gallery_comes_back(gallery: Gallery, tmp_path: Path) -> None:
    gallery.remove([face.id for face in gallery.faces()])
    gallery.export(tmp_path / "out")
    restore(tmp_path / "out", tmp_path / "again", None)
    with Gallery.open(tmp_path / "again") as again:
        assert len(again) == 0 and again.add([new_face("new.png", 0, (None,) * 3)], vectors(9)) == [7]


def test_nothing_is_written_over(gallery: Gallery, tmp_path: Path) -> None:
    gallery.export(tmp_path / "out")
    before = (tmp_path / "out" / "gallery.json").read_bytes()
    with pytest.raises(GalleryExistsError, match="is there already"):
        gallery.export(tmp_path / "out")
    with pytest.raises(GalleryExistsError):
        restore(tmp_path / "out", gallery.folder, None)
    assert (tmp_path / "out" / "gallery.json").read_bytes() == before and gallery.verify().sound


def test_a_damaged_descriptor_is_not_exported(gallery: Gallery, tmp_path: Path) -> None:
    file = gallery.folder / "descriptors-1.f16"
    damaged = bytearray(file.read_bytes())
    damaged[3 * 2 * SIZE] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(GalleryCorruptError, match=r"ö/3.png is not what was stored: run `facesearch gallery repair`"):
        gallery.export(tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))


def flip(path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[-20] ^= 1
    path.write_bytes(damaged)


def rewrite(path: Path, **new: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **new}))


def rewrite_lines(out: Path, **new: object) -> None:
    """Every image with these values, and hashes that agree."""
    lines = [json.loads(line) | new for line in (out / "faces.jsonl").read_text().splitlines()]
    (out / "faces.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sums = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in ("faces.jsonl", "descriptors.npy")}
    rewrite(out / "gallery.json", sha256=sums)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda out: flip(out / "descriptors.npy"), r"descriptors\.npy is damaged .its hash is not|it is not there"),
        (lambda out: flip(out / "faces.jsonl"), r"faces\.jsonl is damaged"),
        (lambda out: (out / "faces.jsonl").unlink(), r"faces\.jsonl is damaged \(it is not there"),
        (lambda out: (out / "gallery.json").unlink(), "is no exported gallery"),
        (lambda out: (out / "gallery.json").write_text("{"), r"gallery\.json is damaged"),
        (lambda out: rewrite(out / "gallery.json", format=9), "has format 9; this release reads formats 1 and 2"),
        (lambda out: rewrite(out / "gallery.json", values=[]), r"gallery\.json is damaged \(values are"),
        (lambda out: rewrite(out / "gallery.json", images=2), r"descriptors\.npy is damaged \(it holds \(3, 8\)"),
        (lambda out: rewrite(out / "gallery.json", model_digest="x"), "model_digest is 'x'"),
        (lambda out: rewrite(out / "gallery.json", values=["a", "b", "c"]), "whole numbers as values"),
        (lambda out: rewrite(out / "gallery.json", image_root=5), r"gallery\.json is damaged"),
        (lambda out: rewrite(out / "gallery.json", image_root="photos"), "an absolute image_root"),
        (lambda out: rewrite(out / "gallery.json", last_id=10**30), "last_id is"),
        (lambda out: rewrite_lines(out, id=4), "an id or a path stands there twice"),
        (lambda out: rewrite_lines(out, id=-4), "-4 is no whole number from 1 on"),
        (lambda out: rewrite_lines(out, path="a.png"), "an id or a path stands there twice"),
        (lambda out: rewrite_lines(out, identity=["anna"]), "identity is"),
        (lambda out: rewrite_lines(out, pose=10**30), "pose is"),
        (lambda out: rewrite_lines(out, pose=True), "pose is"),
        (lambda out: rewrite_lines(out, decided=1), "decided is 1; expected one of -15, 0, 15"),
        (lambda out: rewrite_lines(out, decided=None), "None is no whole number"),
        (lambda out: rewrite_lines(out, errors=["x"] * 3), r"faces\.jsonl is damaged \(line 1"),
        (lambda out: rewrite_lines(out, errors=5), r"faces\.jsonl is damaged \(line 1"),
        (lambda out: rewrite_lines(out, sha256="x"), "sha256 is 'x'"),
        (lambda out: rewrite_lines(out, origins={"pose": "hearsay"}), "origins are"),
        (lambda out: rewrite_lines(out, origins=["hand"]), r"faces\.jsonl is damaged \(line 1"),
        (lambda out: rewrite_lines(out, ctime_ns=None), "None is no whole number"),
        (lambda out: rewrite(out / "gallery.json", values=[1]), r"faces\.jsonl is damaged \(line 1: ö/1.png"),
    ],
)
def test_a_damaged_export_is_refused_and_leaves_nothing(
    gallery: Gallery, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    gallery.export(tmp_path / "out")
    damage(tmp_path / "out")
    with pytest.raises((GalleryCorruptError, GalleryNotFoundError, GalleryError), match=words):
        restore(tmp_path / "out", tmp_path / "again", None)
    assert not (tmp_path / "again").exists() and not list(tmp_path.glob(".*"))


def test_what_a_killed_run_left_is_deleted_and_nothing_else(gallery: Gallery, tmp_path: Path) -> None:
    killed, busy, own = (tmp_path / f".out.{name}.partial" for name in ("abc", "def", "ghi"))
    for folder in (killed, busy, own, tmp_path / "out.partial"):
        folder.mkdir()
        (folder / "descriptors.npy").write_text("cut off")
    for folder in (killed, busy):
        (folder / ".facesearch-partial").touch()
    lock = WriterLock(busy, ".facesearch-partial")
    lock.acquire()
    gallery.export(tmp_path / "out")
    lock.release()
    assert not killed.exists() and busy.exists() and own.exists() and (tmp_path / "out.partial").exists()
    assert sorted(path.name for path in (tmp_path / "out").iterdir())[0] == "descriptors.npy"


def test_two_into_one_folder_do_not_mix(gallery: Gallery, tmp_path: Path) -> None:
    gallery.export(tmp_path / "one")
    gallery.remove([face.id for face in gallery.faces()][:1])
    gallery.export(tmp_path / "two")

    def meanwhile(*_: int) -> None:
        if not (tmp_path / "again").exists():
            restore(tmp_path / "two", tmp_path / "again", None)

    with pytest.raises(GalleryExistsError, match="came into being meanwhile"):
        restore(tmp_path / "one", tmp_path / "again", None, meanwhile)
    with Gallery.open(tmp_path / "again") as again:
        assert len(again) == 2 and again.verify().sound


def test_a_link_or_the_current_folder_is_no_new_folder(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    monkeypatch.chdir(tmp_path / "empty")
    for target in (tmp_path / "link", Path()):
        with pytest.raises(GalleryExistsError, match="is there already"):
            gallery.export(target)


def write_format_1(out: Path, root: Path, **changes: object) -> None:
    """An export as releases up to 0.3 wrote it, to the letter; never to be changed."""
    out.mkdir()
    records = vectors(1, 2, 3).astype("<f2")
    np.save(out / "descriptors.npy", records)
    plain = {
        "sha256": "ab" * 32,
        "size": 10,
        "mtime_ns": 20,
        "identity": None,
        "pose": None,
        "illumination": None,
        "expression": None,
        "errors": [1.5, None, 3.25],
    }
    lines = [
        {"id": 2, "path": "anna/1.png", "candidate": 2, "identity": "anna", "pose": -15, "illumination": 7},
        {"id": 4, "path": "anna/ö.png", "candidate": 0, "identity": "Anna", "expression": "smile", "sha256": ""},
        {"id": 9, "path": "3.png", "candidate": 1, "identity": ""},
    ]
    with (out / "images.jsonl").open("w", encoding="utf-8") as file:
        for line, record in zip(lines, records, strict=True):
            hashed = {"record_sha256": hashlib.sha256(record.tobytes()).hexdigest()}
            file.write(json.dumps(plain | line | hashed | changes, ensure_ascii=False) + "\n")
    sums = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in ("images.jsonl", "descriptors.npy")}
    about = {
        "format": 1,
        "model_digest": "a" * 64,
        "task": "pose",
        "values": [-15, 0, 15],
        "descriptor_size": SIZE,
        "image_root": root.as_posix(),
        "images": 3,
        "last_id": 11,
        "sha256": sums,
    }
    (out / "gallery.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def test_an_export_of_format_1_is_still_read(tmp_path: Path) -> None:
    write_format_1(tmp_path / "out", tmp_path)
    restore(tmp_path / "out", tmp_path / "again", None)
    stamp = FileStamp(10, 20)  # it knew neither the file's number nor when anything of it changed
    with Gallery.open(tmp_path / "again") as gallery:
        assert gallery.config == GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, tmp_path)
        assert list(gallery.faces()) == [
            Face(
                Photo("anna/1.png", "ab" * 32, stamp),
                Labels("anna", -15, 7, None, ("folder", "file", "file", "")),
                Decision(15, (1.5, None, 3.25)),
                2,
            ),
            Face(
                Photo("anna/ö.png", "", stamp),
                Labels("Anna", None, None, "smile", ("file", "", "", "file")),
                Decision(-15, (1.5, None, 3.25)),
                4,
            ),
            Face(
                Photo("3.png", "ab" * 32, stamp),
                Labels("", origins=("folder", "", "", "")),
                Decision(0, (1.5, None, 3.25)),
                9,
            ),
        ]
        np.testing.assert_array_equal(gallery.descriptors([2, 4, 9]), vectors(1, 2, 3).astype(np.float16))
        assert gallery.verify().sound and gallery.verify().checked == 3
        assert gallery.search(vectors(2)[0], 1)[0].face.id == 4
        assert gallery.add([new_face("new.png", 0, (None,) * 3)], vectors(9)) == [12]  # 10 and 11 were removed
        gallery.export(tmp_path / "now")
    assert json.loads((tmp_path / "now" / "gallery.json").read_text())["format"] == 2


@pytest.mark.parametrize("candidate", [3, -1, "1", None, True])
def test_a_position_of_format_1_that_is_none_is_refused(tmp_path: Path, candidate: object) -> None:
    write_format_1(tmp_path / "out", tmp_path, candidate=candidate)
    with pytest.raises(GalleryCorruptError, match=r"images\.jsonl is damaged \(line 1"):
        restore(tmp_path / "out", tmp_path / "again", None)
    assert not (tmp_path / "again").exists()
