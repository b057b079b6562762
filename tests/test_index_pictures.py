"""Small pictures beside a gallery: kept, bounded, never through a link, and erased with what they show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from index.pictures import FOLDER, PictureCache, discard_pictures

ONE, OTHER = "a" * 64, "b" * 64


def names(gallery: Path) -> list[str]:
    return sorted(path.name for path in (gallery / FOLDER).iterdir())


def test_a_picture_is_kept_by_content_face_and_size(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path)
    assert cache.get(ONE, 240) is None
    cache.put(b"photo", ONE, 240)
    cache.put(b"face", ONE, 240, face=7)
    assert (cache.get(ONE, 240), cache.get(ONE, 240, 7), cache.get(ONE, 120), cache.get(OTHER, 240)) == (
        b"photo",
        b"face",
        None,
        None,
    )
    cache.forget(ONE, 240)
    assert cache.get(ONE, 240) is None and PictureCache(tmp_path).get(ONE, 240, 7) == b"face"


@pytest.mark.parametrize("name", ["../../etc/passwd", "A" * 64, ""])
def test_what_is_no_content_names_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="names no picture"):
        PictureCache(tmp_path).get(name, 240)


def test_those_that_nobody_looked_at_make_room(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path, most=100)
    for n in range(4):
        cache.put(bytes(25), ONE, 100 + n)
        os.utime(tmp_path / FOLDER / f"{ONE}-{100 + n}.jpg", (n, n))
    assert cache.get(ONE, 100) is not None  # looked at now
    cache.put(bytes(25), OTHER, 100)
    assert [cache.get(ONE, 100 + n) is not None for n in range(4)] == [True, False, False, True]
    assert cache.get(OTHER, 100) is not None


def test_no_link_is_followed(tmp_path: Path) -> None:
    secret, gallery = tmp_path / "secret", tmp_path / "gallery"
    secret.write_bytes(b"secret")
    (gallery / FOLDER).mkdir(parents=True)
    (gallery / FOLDER / f"{ONE}-240.jpg").symlink_to(secret)
    cache = PictureCache(gallery)
    assert cache.get(ONE, 240) is None
    cache.put(b"mine", ONE, 240)
    assert (secret.read_bytes(), cache.get(ONE, 240)) == (b"secret", b"mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    (other / FOLDER).symlink_to(elsewhere)
    PictureCache(other).put(b"mine", ONE, 240)
    discard_pictures(other, lambda contents, faces: ((), ()))
    assert list(elsewhere.iterdir()) == []
    theirs = elsewhere / f"{ONE}-240.jpg"
    theirs.write_bytes(b"theirs")
    assert PictureCache(other).get(ONE, 240) is None
    PictureCache(other).forget(ONE, 240)
    assert theirs.read_bytes() == b"theirs"


def test_a_file_without_end_is_no_picture(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path)
    cache.put(b"mine", ONE, 240)
    os.truncate(tmp_path / FOLDER / f"{ONE}-240.jpg", 2**40)
    assert cache.get(ONE, 240) is None
    (tmp_path / FOLDER / f"{ONE}-240.jpg").unlink()
    os.mkfifo(tmp_path / FOLDER / f"{ONE}-240.jpg")
    assert cache.get(ONE, 240) is None


def test_pictures_of_what_has_gone_are_erased(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path)
    for content, face in ((ONE, None), (ONE, 1), (ONE, 2), (OTHER, None)):
        cache.put(b"x", content, 60, face)
    (tmp_path / FOLDER / ".left.by.a.crash").write_bytes(b"x")
    discard_pictures(tmp_path, lambda contents, faces: ({ONE} & set(contents), {2} & set(faces)))
    assert names(tmp_path) == [f"{ONE}-60.jpg", f"{ONE}-face2-60.jpg"]
