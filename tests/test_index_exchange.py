"""A gallery written as plain files and made of them again: the same, or refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.care.restore import restore
from index.errors import (
    GalleryCorruptError,
    GalleryError,
    GalleryExistsError,
    GalleryNotFoundError,
    GalleryStorageError,
)
from index.folders import WriterLock
from index.gallery import Decision, Face, FileStamp, Gallery, GalleryConfig, Labels, Photo
from index.labels import ORIGINS
from tests.faces import new_face

SIZE = 8
ROOT = Path(__file__).resolve().parent.parent


def vectors(*numbers: int) -> NDArray[np.float32]:
    """Of length 1, one for each number."""
    made = np.stack([np.random.default_rng(n).normal(size=SIZE) for n in numbers])
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


@contextmanager
def small_gallery(place: Path) -> Iterator[Gallery]:
    """Images 2, 4 and 5 of six, below photos/, where that of 5 is not there."""
    photos = place / "photos"
    (photos / "ö").mkdir(parents=True)
    config = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, photos)
    with Gallery.create(place / "g", config) as made:
        faces = [
            new_face(
                f"ö/{n}.png",
                config.values[n % 3],
                (1.5, None, 3.0),
                origin=ORIGINS[1 + n % 4],
                identity="anna\n",
                pose=15,
                expression="",
                sha256=hashlib.sha256(b"picture" if n == 1 else b"another").hexdigest(),
                size=len(b"picture") if n == 1 else n,
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


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with small_gallery(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What that gallery exports, to copy."""
    place = tmp_path_factory.mktemp("exported")
    with small_gallery(place) as made:
        made.export(place / "out")
    return place / "out"


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
        "hidden.jsonl",
        "kept.jsonl",
        "placements.jsonl",
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


@pytest.mark.slow
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
    assert gallery.export(tmp_path / "out", pictures=True).missing == ["ö/3.png", "ö/4.png"]  # another, and gone
    assert [path.name for path in (tmp_path / "out" / "pictures" / "ö").iterdir()] == ["1.png"]
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


def write_lines(out: Path, lines: str | bytes) -> None:
    """These lines, and hashes that agree."""
    (out / "faces.jsonl").write_bytes(lines.encode() if isinstance(lines, str) else lines)
    agree(out)


def write_bytes(out: Path, content: bytes) -> None:
    (out / "descriptors.npy").write_bytes(content)
    agree(out)


def write_records(out: Path, made: NDArray[np.floating]) -> None:
    """These descriptors, of which every line has the hash."""
    records = made.astype("<f2")
    np.save(out / "descriptors.npy", records)
    lines = [json.loads(line) for line in (out / "faces.jsonl").read_text().splitlines()]
    for line, record in zip(lines, records, strict=True):
        line["record_sha256"] = hashlib.sha256(record.tobytes()).hexdigest()
    write_lines(out, "".join(json.dumps(line) + "\n" for line in lines))


def as_link(path: Path) -> None:
    path.rename(path.parent.parent / path.name)
    path.symlink_to(path.parent.parent / path.name)


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_within(out: Path) -> None:
    """A picture of the export that is a link to a file that lies elsewhere."""
    (out / "pictures" / "ö").mkdir(parents=True)
    (out / "pictures" / "ö" / "1.png").symlink_to(out / "gallery.json")


SUMMED = ("faces.jsonl", "kept.jsonl", "placements.jsonl", "hidden.jsonl", "descriptors.npy")


def agree(out: Path) -> None:
    sums = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in SUMMED}
    rewrite(out / "gallery.json", sha256=sums)


HEADER = (
    b"\x93NUMPY\x01\x00\x50\x00" + b"{'descr': '<f2', 'fortran_order': False, 'shape': (3, 8)}".ljust(80) + bytes(48)
)


def placed(out: Path, **said: object) -> None:
    """What a hand said of one face, and hashes that agree."""
    (out / "placements.jsonl").write_text(json.dumps(said) + "\n", encoding="utf-8")
    write_lines(out, (out / "faces.jsonl").read_text())


def hidden(out: Path, **said: object) -> None:
    """One face that stays away, and hashes that agree."""
    line = {"path": "a.png", "sha256": "ab" * 32, "number": 1, "since": 5} | said
    (out / "hidden.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    write_lines(out, (out / "faces.jsonl").read_text())


def rewrite_lines(out: Path, **new: object) -> None:
    """Every image with these values, and hashes that agree."""
    lines = [json.loads(line) | new for line in (out / "faces.jsonl").read_text().splitlines()]
    write_lines(out, "".join(json.dumps(line) + "\n" for line in lines))


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
        (lambda out: rewrite(out / "gallery.json", values=["a", "b", "c"]), "values are .*distinct whole numbers"),
        (lambda out: rewrite(out / "gallery.json", encoder="one\ntwo"), "encoder is 'one.*on one line"),
        (lambda out: rewrite(out / "gallery.json", encoder=["sface"]), r"encoder is \['sface'\]"),
        (lambda out: rewrite(out / "gallery.json", image_root=5), r"gallery\.json is damaged"),
        (lambda out: rewrite(out / "gallery.json", image_root="photos"), "an absolute image_root"),
        (lambda out: rewrite(out / "gallery.json", last_id=10**30), "last_id is"),
        (lambda out: rewrite(out / "gallery.json", persons=-1), "persons is"),
        (lambda out: rewrite_lines(out, person=1), "person is 1, which is no whole number from 1 to 0"),
        (
            lambda out: placed(out, sha256="ab" * 32, number=1, person=1),
            r"placements\.jsonl is damaged \(line 1: person",
        ),
        (lambda out: placed(out, sha256="x", number=1, person=0), r"placements\.jsonl is damaged \(line 1: "),
        (lambda out: hidden(out, path="../a.png"), r"hidden\.jsonl is damaged \(line 1: image path is"),
        (lambda out: hidden(out, sha256=""), r"hidden\.jsonl is damaged \(line 1: "),
        (lambda out: hidden(out, number=0), "number is 0, which is no whole number"),
        (lambda out: hidden(out, since=None), "since is None, which is no whole number"),
        (lambda out: hidden(out, share=[0.1, 0.1, 0, 0.1]), "in shares of the photo's sides"),
        (lambda out: hidden(out, share=[0.1, 0.1, float("nan"), 0.1]), "in shares of the photo's sides"),
        (lambda out: hidden(out, share=[1e9] * 4), "in shares of the photo's sides"),
        (lambda out: hidden(out, share=[0.1]), r"hidden\.jsonl is damaged"),
        (lambda out: rewrite_lines(out, id=4), "an id or a path stands there twice"),
        (lambda out: rewrite_lines(out, id=-4), "id is -4, which is no whole number from 1 to"),
        (lambda out: rewrite_lines(out, path="a.png"), "an id or a path stands there twice"),
        (lambda out: rewrite_lines(out, identity=["anna"]), "identity is"),
        (lambda out: rewrite_lines(out, pose=10**30), "pose is"),
        (lambda out: rewrite_lines(out, pose=True), "pose is"),
        (lambda out: rewrite_lines(out, decided=1), "decided is 1; expected one of -15, 0, 15"),
        (lambda out: rewrite_lines(out, decided=None), "is None, which is no whole number"),
        (lambda out: rewrite_lines(out, errors=["x"] * 3), r"faces\.jsonl is damaged \(line 1"),
        (lambda out: rewrite_lines(out, errors=5), r"faces\.jsonl is damaged \(line 1"),
        (lambda out: rewrite_lines(out, sha256="x"), "sha256 is 'x'"),
        (lambda out: rewrite_lines(out, origins={"pose": "hearsay"}), "origins are"),
        (lambda out: rewrite_lines(out, origins=["hand"]), r"faces\.jsonl is damaged \(line 1"),
        (lambda out: rewrite_lines(out, ctime_ns=None), "is None, which is no whole number"),
        (lambda out: rewrite(out / "gallery.json", values=[1]), r"faces\.jsonl is damaged \(line 1: ö/1.png"),
        (lambda out: rewrite(out / "gallery.json", values=[True, 0, 15]), "distinct whole numbers"),
        (lambda out: rewrite(out / "gallery.json", values=[-15, 0, 2**40]), "distinct whole numbers"),
        (lambda out: rewrite(out / "gallery.json", values=[*range(1_001)]), "distinct whole numbers"),
        (lambda out: rewrite(out / "gallery.json", values="abc"), "expected a list"),
        (lambda out: rewrite(out / "gallery.json", images=-1), "images is -1"),
        (lambda out: rewrite(out / "gallery.json", images=0, descriptor_size=10**15), "descriptor_size is 10000"),
        (lambda out: rewrite(out / "gallery.json", descriptor_size=8.0), "descriptor_size is 8.0"),
        (lambda out: rewrite(out / "gallery.json", last_id=2**62 + 1), "last_id is"),
        (lambda out: rewrite(out / "gallery.json", image_root="/a\0b"), "image_root is"),
        (lambda out: rewrite(out / "gallery.json", image_root="/\ud800"), r"gallery\.json is damaged"),
        (lambda out: rewrite(out / "gallery.json", image_root="/" + "x" * 4_096), "image_root is"),
        (lambda out: rewrite(out / "gallery.json", attribute="a\nb"), "expected a name, such as pose"),
        (lambda out: rewrite(out / "gallery.json", more="x" * 2**20), "over 1,048,576 bytes"),
        (lambda out: (out / "gallery.json").write_text("[" * 100_000), "it is nested too deep"),
        (lambda out: (out / "gallery.json").write_text("[]"), "it is no object"),
        (lambda out: rewrite_lines(out, path="../a.png"), "expected a path below the image root"),
        (lambda out: rewrite_lines(out, path="/etc/passwd"), "expected a path below the image root"),
        (lambda out: rewrite_lines(out, path="a\0.png"), "expected a path below the image root"),
        (lambda out: rewrite_lines(out, path="a/" * 3_000 + "a"), "4,096 at most"),
        (lambda out: rewrite_lines(out, path=5), "path is 5, which is no text"),
        (lambda out: rewrite_lines(out, identity="x" * 1_001), "of 1,001 characters; expected 1,000 at most"),
        (lambda out: rewrite_lines(out, id=2**62 + 1), "which is no whole number from 1 to"),
        (lambda out: rewrite_lines(out, id=0), "which is no whole number from 1 to"),
        (lambda out: rewrite_lines(out, id=1.0), "which is no whole number from 1 to"),
        (lambda out: rewrite_lines(out, id=10**4_000), "of many digits"),
        (lambda out: rewrite_lines(out, size=-1), "size is -1"),
        (lambda out: rewrite_lines(out, mtime_ns=2**63), "mtime_ns is"),
        (lambda out: rewrite_lines(out, mtime_ns=1.5), "mtime_ns is"),
        (lambda out: rewrite_lines(out, identity="\ud800"), r"faces\.jsonl is damaged"),
        (lambda out: rewrite_lines(out, expression=5), "expression is 5"),
        (lambda out: rewrite_lines(out, origins={"name": "hand"}), "origins are"),
        (lambda out: rewrite_lines(out, errors=[float("nan"), None, 1.0]), "finite numbers or None"),
        (lambda out: rewrite_lines(out, errors=[10**400, None, 1.0]), r"faces\.jsonl is damaged \(line 1"),
        (lambda out: rewrite_lines(out, errors=[True, None, 1.0]), "errors are"),
        (lambda out: rewrite_lines(out, sha256="A" * 64), "sha256 is 'AAA"),
        (lambda out: rewrite_lines(out, sha256=None), "sha256 is None"),
        (lambda out: rewrite_lines(out, note="x" * 2**20), "line 1: it has over 1,048,576 bytes"),
        (lambda out: write_lines(out, "[" * 100_000), "line 1: it is nested too deep"),
        (lambda out: write_lines(out, "5\n"), "line 1"),
        (lambda out: write_lines(out, b"\xff\n"), "line 1"),
        (lambda out: write_lines(out, ""), "are not those of the descriptors"),
        (lambda out: write_records(out, vectors(1, 3, 4) * 0), "descriptor 1 has the length 0; expected 1"),
        (lambda out: write_records(out, vectors(1, 3, 4) * [[1], [1], [2]]), "descriptor 3 has the length 2"),
        (lambda out: write_records(out, vectors(1, 3, 4) * [[1], [np.nan], [1]]), "descriptor 2 has the length nan"),
        (lambda out: write_records(out, vectors(1, 3, 4) * np.inf), "descriptor 1 has the length inf"),
        (lambda out: write_bytes(out, b"PK\x05\x06" + bytes(18)), "it holds several arrays|damaged"),
        (lambda out: write_bytes(out, b"\x93NUMPY\x01\x00\xff\xff{'descr'"), r"descriptors\.npy is damaged"),
        (lambda out: write_bytes(out, HEADER.replace(b"(3, 8)", b"(3, 2**40)")), r"descriptors\.npy is damaged"),
        (lambda out: write_bytes(out, HEADER.replace(b"<f2", b"|O")), r"descriptors\.npy is damaged"),
        (lambda out: as_link(out / "gallery.json"), "it is a link"),
        (lambda out: as_link(out / "faces.jsonl"), r"faces\.jsonl is damaged"),
        (lambda out: as_link(out / "descriptors.npy"), r"descriptors\.npy is damaged"),
        (lambda out: (out / "pictures").symlink_to(out.parent), "pictures is damaged .it is a link"),
        (lambda out: link_within(out), "is a link to another place"),
        (lambda out: as_pipe(out / "gallery.json"), "is no exported gallery"),
        (lambda out: as_pipe(out / "faces.jsonl"), r"faces\.jsonl is damaged"),
    ],
)
def test_a_damaged_export_is_refused_and_leaves_nothing(
    exported: Path, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    shutil.copytree(exported, tmp_path / "out")
    damage(tmp_path / "out")
    with pytest.raises((GalleryCorruptError, GalleryNotFoundError, GalleryError), match=words):
        restore(tmp_path / "out", tmp_path / "again", None)
    assert not (tmp_path / "again").exists() and not list(tmp_path.glob(".*"))


def test_a_stranger_does_not_choose_which_files_are_copied(tmp_path: Path) -> None:
    """An export says where its pictures lie, on whose machine ever: only what was described goes with the next one."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret").write_text("a key")
    (home / "1.png").write_bytes(b"picture")
    config = GalleryConfig("a" * 64, "pose", (0,), SIZE, home)
    with Gallery.create(tmp_path / "g", config) as gallery:
        known = hashlib.sha256(b"picture").hexdigest()
        faces = [new_face(name, 0, (None,), sha256=known, size=len(b"picture")) for name in ("1.png", "secret")]
        gallery.add([*faces, new_face("no-hash", 0, (None,)), new_face("x" * 300, 0, (None,))], vectors(1, 2, 3, 4))
        (home / "no-hash").write_text("another")
        assert gallery.export(tmp_path / "out", pictures=True).missing == ["secret", "no-hash", "x" * 300]
    assert [path.name for path in (tmp_path / "out" / "pictures").iterdir()] == ["1.png"]


@pytest.mark.parametrize("how", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()])
def test_an_export_that_fails_leaves_nothing(gallery: Gallery, tmp_path: Path, how: BaseException) -> None:
    def fail(*_: int) -> None:
        raise how

    raised = GalleryStorageError if isinstance(how, OSError) else type(how)
    with pytest.raises(raised):
        gallery.export(tmp_path / "deep" / "er" / "out", progress=fail)
    assert not (tmp_path / "deep").exists() and not list(tmp_path.glob(".*"))
    gallery.export(tmp_path / "out")
    (tmp_path / "deep").mkdir()
    with pytest.raises(raised):
        restore(tmp_path / "out", tmp_path / "deep" / "er" / "again", None, fail)
    assert not list((tmp_path / "deep").iterdir())


def test_a_picture_of_another_size_is_not_copied_to_see_what_it_is(gallery: Gallery, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    os.truncate(tmp_path / "photos" / "ö" / "3.png", 2**30)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        assert "ö/3.png" in gallery.export(tmp_path / "out", pictures=True).missing
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_without_room_for_a_byte_leaves_nothing(gallery: Gallery, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    gallery.export(tmp_path / "out")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(GalleryStorageError, match="was not written, and nothing is left of it"):
            restore(tmp_path / "out", tmp_path / "again", None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "again").exists() and not list(tmp_path.glob(".*"))


def test_what_the_disk_refuses_is_said_of_the_folder_that_was_named(gallery: Gallery, tmp_path: Path) -> None:
    code = (
        "import sys; from resource import RLIMIT_FSIZE, setrlimit; from cli.app import run; "
        "setrlimit(RLIMIT_FSIZE, (50_000, 50_000)); sys.exit(run(sys.argv[1:]))"
    )
    gallery.export(tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-c", code, "gallery", "import", "out", "--db", "new"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("facesearch: new was not written, and nothing is left of it (")
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".*.partial"))


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
