"""Describing a folder into a gallery: what is found, stored, skipped, done again, and refused."""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.attributes import POSE
from faceedit.images import read_crop
from index.errors import ModelMismatchError
from index.gallery import FileStamp, Gallery, Labels
from index.labels import FILE, HAND
from retrieval.errors import NoImagesError, RetrievalError
from retrieval.indexing import index_folder
from retrieval.kinds import find_images
from retrieval.labelling import read_labels
from retrieval.one_file import Read, ReadFace
from retrieval.opening import open_gallery
from retrieval.run_reports import IndexReport
from tests.conftest import blob_face
from tests.faces import label
from tests.stand_ins import HashEditor, ReadsHere

MEND = "check its permissions, and whether its disk is there"


@pytest.fixture
def editor() -> HashEditor:
    return HashEditor()


def save_picture(path: Path, seed: int) -> Path:
    """A smooth picture that only this seed gives, and that passes for a face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blob_face(seed, 0, 0)).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed, name in enumerate(("anna/1.png", "anna/2.png", "ben/1.png")):
        save_picture(tmp_path / "photos" / name, seed)
    return tmp_path / "photos"


@pytest.fixture
def gallery(photos: Path, tmp_path: Path, editor: HashEditor) -> Iterator[Gallery]:
    with open_gallery(tmp_path / "db", editor, photos) as opened:
        yield opened


def index_all(gallery: Gallery, editor: HashEditor, labels: Mapping[Path, Labels] | None = None) -> IndexReport:
    return index_folder(gallery, editor, find_images(gallery.config.image_root), labels, reader=ReadsHere())


def said(
    identity: str, pose: int | None = None, illumination: int | None = None, expression: str | None = None
) -> Labels:
    """As a manifest says it."""
    return Labels.given(FILE, identity=identity, pose=pose, illumination=illumination, expression=expression)


def by_hand(identity: str, pose: int | None = None) -> Labels:
    return Labels.given(HAND, identity=identity, pose=pose)


def write_manifest(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# --- which files are images ---


def test_images_are_found_at_every_depth_in_order(photos: Path) -> None:
    save_picture(photos / "anna" / "summer" / "3.JPG", 7)
    save_picture(photos / "0.webp", 8)
    (photos / "notes.txt").write_text("no picture")
    names = [path.relative_to(photos).as_posix() for path in find_images(photos)]
    assert names == ["0.webp", "anna/1.png", "anna/2.png", "anna/summer/3.JPG", "ben/1.png"]


def test_images_come_as_absolute_paths_from_a_relative_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    assert find_images(Path("photos")) == find_images(photos)
    assert all(path.is_absolute() for path in find_images(Path("photos")))


def test_hidden_files_and_folders_are_left_out(photos: Path) -> None:
    before = find_images(photos)
    save_picture(photos / ".trash" / "old.png", 7)
    save_picture(photos / "anna" / ".1.png", 8)
    assert find_images(photos) == before


def test_a_library_below_a_hidden_folder_is_not_hidden(tmp_path: Path) -> None:
    save_picture(tmp_path / ".private" / "1.png", 0)
    assert len(find_images(tmp_path / ".private")) == 1


def test_a_folder_that_is_named_like_a_picture_is_none(photos: Path) -> None:
    (photos / "folder.png").mkdir()
    assert len(find_images(photos)) == 3


def test_a_folder_without_images_is_refused_with_the_known_suffixes(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(NoImagesError, match=r"holds no image \(.*\.jpg.*\.png"):
        find_images(tmp_path)


def test_a_missing_folder_and_a_file_are_refused(photos: Path) -> None:
    with pytest.raises(NoImagesError, match="does not exist"):
        find_images(photos / "nowhere")
    with pytest.raises(NoImagesError, match="is a file"):
        find_images(photos / "anna" / "1.png")


# --- what is stored ---


def test_every_image_is_kept_once_with_the_errors_of_what_could_win(gallery: Gallery, editor: HashEditor) -> None:
    report = index_all(gallery, editor)
    assert (report.described, report.unchanged, report.skipped) == (3, 0, [])
    images = gallery.known()
    assert sorted(images) == ["anna/1.png", "anna/2.png", "ben/1.png"]
    for image in images.values():
        known = {position: error for position, error in enumerate(image.decision.errors) if error is not None}
        assert len(image.decision.errors) == 7 and len(known) != 1  # a value that alone could win is not refined
        assert not known or POSE.values.index(image.decided) == min(known, key=lambda position: known[position])
        file = gallery.config.image_root / image.path
        assert image.photo.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert image.photo.stamp == FileStamp.of(file.stat())


def test_stored_descriptors_are_those_of_the_editor_in_half_precision(gallery: Gallery, editor: HashEditor) -> None:
    index_all(gallery, editor)
    paths = find_images(gallery.config.image_root)
    described = editor.describe(np.stack([read_crop(path) for path in paths]))
    known = gallery.known()
    rows = [known[path.relative_to(gallery.config.image_root).as_posix()] for path in paths]
    stored = gallery.descriptors([row.id for row in rows])
    np.testing.assert_array_equal(stored, described.descriptors.astype(np.float16).astype(np.float32))
    errors = np.array([row.decision.errors for row in rows], np.float32)  # NaN for None
    np.testing.assert_allclose(errors, described.errors, rtol=1e-6)
    assert [row.decided for row in rows] == [POSE.values[best] for best in described.best]


def test_identity_is_the_parent_folder_where_there_is_one(gallery: Gallery, editor: HashEditor) -> None:
    save_picture(gallery.config.image_root / "loose.png", 7)
    save_picture(gallery.config.image_root / "family" / "carl" / "1.png", 8)
    index_all(gallery, editor)
    people = {path: image.identity for path, image in gallery.known().items()}
    assert people["anna/1.png"] == "anna"
    assert people["family/carl/1.png"] == "carl"
    assert people["loose.png"] is None


def test_names_beyond_ascii_are_kept(gallery: Gallery, editor: HashEditor) -> None:
    save_picture(gallery.config.image_root / "Zoë Ångström" / "été 日本 😀.png", 7)
    index_all(gallery, editor)
    assert gallery.known()["Zoë Ångström/été 日本 😀.png"].identity == "Zoë Ångström"


def test_a_linked_image_is_kept_under_its_own_name(gallery: Gallery, editor: HashEditor, tmp_path: Path) -> None:
    outside = save_picture(tmp_path / "elsewhere" / "original.png", 7)
    (gallery.config.image_root / "anna" / "link.png").symlink_to(outside)
    assert index_all(gallery, editor).described == 4
    assert gallery.known()["anna/link.png"].identity == "anna"
    assert index_all(gallery, editor).unchanged == 4


# --- doing it again ---


def test_a_second_run_describes_nothing(gallery: Gallery, editor: HashEditor) -> None:
    index_all(gallery, editor)
    before, generation = gallery.known(), gallery.generation
    report = index_all(gallery, editor)
    assert editor.described == [3]
    assert (report.described, report.unchanged) == (0, 3)
    assert (gallery.known(), gallery.generation) == (before, generation)


def test_a_new_image_is_the_only_one_described(gallery: Gallery, editor: HashEditor) -> None:
    index_all(gallery, editor)
    save_picture(gallery.config.image_root / "ben" / "2.png", 7)
    report = index_all(gallery, editor)
    assert (report.described, report.unchanged) == (1, 3)


def test_a_changed_image_is_described_again_and_keeps_its_labels(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root
    labels = {path: said("someone", 15, 3, "smile") for path in find_images(root)}
    index_all(gallery, editor, labels)
    before = gallery.known()
    save_picture(root / "anna" / "2.png", 7)
    os.utime(root / "anna" / "2.png", ns=(1, 1))
    report = index_all(gallery, editor)
    assert (report.described, report.unchanged) == (1, 2)
    after = gallery.known()
    changed = after["anna/2.png"]
    assert changed.photo.sha256 != before["anna/2.png"].photo.sha256
    assert changed.labels == labels[root / "anna" / "2.png"]
    assert len(after) == 3
    assert after["anna/1.png"] == before["anna/1.png"]


def test_a_change_that_keeps_the_file_s_size_is_seen(gallery: Gallery, editor: HashEditor) -> None:
    path = save_picture(gallery.config.image_root / "anna" / "3.bmp", 7)
    index_all(gallery, editor)
    before, size = gallery.known()["anna/3.bmp"], path.stat().st_size
    save_picture(path, 8)
    os.utime(path, ns=(1, 1))
    assert path.stat().st_size == size
    assert index_all(gallery, editor).described == 1
    assert gallery.known()["anna/3.bmp"].photo.sha256 != before.photo.sha256


def test_a_changed_image_that_a_new_manifest_does_not_name_keeps_its_labels(
    gallery: Gallery, editor: HashEditor
) -> None:
    root = gallery.config.image_root
    index_all(gallery, editor)
    save_picture(root / "ben" / "1.png", 7)
    assert index_all(gallery, editor, {root / "anna" / "1.png": said("Anna")}).described == 1
    assert gallery.known()["ben/1.png"].identity == "ben"


def test_an_interrupted_run_is_continued(gallery: Gallery) -> None:
    editor = HashEditor(batch=1)
    images = find_images(gallery.config.image_root)

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_folder(gallery, editor, images, progress=interrupt)
    assert sorted(gallery.known()) == ["anna/1.png", "anna/2.png"]
    report = index_folder(gallery, editor, images)
    assert (report.described, report.unchanged) == (1, 2)
    assert len(gallery) == 3


def test_progress_rises_to_the_number_of_images(gallery: Gallery) -> None:
    editor = HashEditor(batch=2)
    images = find_images(gallery.config.image_root)
    calls: list[tuple[int, int]] = []
    index_folder(gallery, editor, images[:1])
    index_folder(gallery, editor, images, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (3, 3)]


def test_a_folder_below_the_root_can_be_indexed_alone(gallery: Gallery, editor: HashEditor, tmp_path: Path) -> None:
    root = gallery.config.image_root
    with open_gallery(tmp_path / "db", editor, root / "ben") as same:
        index_folder(same, editor, find_images(root / "ben"))
    assert gallery.known().keys() == {"ben/1.png"}
    assert gallery.known()["ben/1.png"].identity == "ben"


# --- files that moved, came twice, or went ---


def counts(report: IndexReport) -> dict[str, int]:
    return {name: number for name, number in vars(report).items() if isinstance(number, int) and number}


def test_a_touched_file_with_the_same_content_is_not_described_again(gallery: Gallery, editor: HashEditor) -> None:
    index_all(gallery, editor)
    before, path = gallery.known()["ben/1.png"], gallery.config.image_root / "ben" / "1.png"
    os.utime(path, ns=(1, 1))
    assert counts(index_all(gallery, editor)) == {"unchanged": 3}
    after = gallery.known()["ben/1.png"]
    assert (after.id, after.photo.stamp, after.photo.sha256) == (
        before.id,
        FileStamp.of(path.stat()),
        before.photo.sha256,
    )
    assert find_changed(gallery) == []


def find_changed(gallery: Gallery) -> list[str]:
    """Paths of images whose file looks different from what is noted."""
    return [
        path
        for path, face in gallery.known().items()
        if FileStamp.of((gallery.config.image_root / path).stat()) != face.photo.stamp
    ]


def test_a_renamed_file_keeps_its_id_its_labels_and_its_descriptor(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root
    index_all(gallery, editor, {root / "anna" / "1.png": said("Anna K.", 15, 3, "smile"), root / "ben/1.png": Labels()})
    before = gallery.known()["anna/1.png"]
    [descriptor] = gallery.descriptors([before.id])
    (root / "new").mkdir()
    (root / "anna" / "1.png").rename(root / "new" / "é.png")
    assert counts(index_all(gallery, editor)) == {"unchanged": 2, "renamed": 1}
    known = gallery.known()
    assert sorted(known) == ["anna/2.png", "ben/1.png", "new/é.png"]
    assert (known["new/é.png"].id, known["new/é.png"].labels) == (before.id, before.labels)
    np.testing.assert_array_equal(gallery.descriptors([before.id])[0], descriptor)
    assert counts(index_all(gallery, editor)) == {"unchanged": 3}


def test_an_identity_that_a_folder_gave_changes_with_the_folder(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root
    index_all(gallery, editor)
    (root / "anna" / "1.png").rename(root / "ben" / "9.png")
    assert counts(index_all(gallery, editor)) == {"unchanged": 2, "renamed": 1}
    assert gallery.known()["ben/9.png"].identity == "ben"


def test_files_that_take_each_other_s_names_take_labels_and_ids_along(gallery: Gallery, editor: HashEditor) -> None:
    """1 -> 2 -> 3, and what was 3 is written over by nothing: it has gone."""
    root = gallery.config.image_root / "anna"
    save_picture(root / "3.png", 30)
    index_all(gallery, editor)
    label(gallery, {f"anna/{n}.png": by_hand(f"person {n}") for n in (1, 2, 3)})
    before = {path: (image.id, image.identity) for path, image in gallery.known().items()}
    (root / "3.png").unlink()
    (root / "2.png").rename(root / "3.png")
    (root / "1.png").rename(root / "2.png")
    save_picture(root / "4.png", 40)
    report = index_all(gallery, editor)
    assert counts(report) == {"unchanged": 1, "renamed": 2, "described": 1}
    after = {path: (image.id, image.identity) for path, image in gallery.known().items()}
    assert after["anna/2.png"] == before["anna/1.png"] and after["anna/3.png"] == before["anna/2.png"]
    assert "anna/1.png" not in after and before["anna/3.png"][0] not in {id_ for id_, _ in after.values()}
    assert gallery.verify().sound
    assert counts(index_all(gallery, editor)) == {"unchanged": 4}


def test_a_name_that_is_taken_over_goes_with_the_content_whatever_else_is_there(
    gallery: Gallery, editor: HashEditor
) -> None:
    root = gallery.config.image_root / "anna"
    index_all(gallery, editor)
    label(gallery, {"anna/1.png": by_hand("one"), "anna/2.png": by_hand("two")})
    ids = {path: image.id for path, image in gallery.known().items()}
    (root / "1.png").replace(root / "2.png")
    assert counts(index_all(gallery, editor)) == {"unchanged": 1, "renamed": 1}
    image = gallery.known()["anna/2.png"]
    assert (image.id, image.identity, len(gallery)) == (ids["anna/1.png"], "one", 2)


def test_a_renamed_picture_keeps_its_labels_although_there_is_a_copy(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root / "anna"
    shutil.copy(root / "1.png", root / "zcopy.png")
    index_all(gallery, editor)
    label(gallery, {"anna/1.png": by_hand("Ada", 15)})
    (root / "1.png").rename(root / "ada.png")
    report = index_folder(gallery, editor, find_images(gallery.config.image_root), prune=True)
    assert counts(report) == {"unchanged": 3, "renamed": 1}
    assert (gallery.known()["anna/ada.png"].identity, gallery.known()["anna/ada.png"].pose) == ("Ada", 15)
    assert gallery.known()["anna/zcopy.png"].identity == "anna"


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not Unicode")
def test_a_name_that_is_not_unicode_stops_nothing(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root / "anna"
    index_all(gallery, editor)
    label(gallery, {"anna/2.png": by_hand("two")})
    (root / "1.png").rename(os.fsdecode(os.fsencode(root) + b"/gr\xfc\xdf.png"))
    (root / "2.png").rename(root / "1.png")
    report = index_all(gallery, editor)
    assert counts(report) == {"unchanged": 1, "renamed": 1}
    assert [reason[-42:] for _, reason in report.skipped] == ["has a name that is not Unicode: rename the file"[-42:]]
    assert gallery.known()["anna/1.png"].identity == "two"


class ThenChanged(ReadsHere):
    """Every file becomes another one as soon as its content was looked at."""

    def content(self, path: Path, /) -> str | None:
        found = super().content(path)
        save_picture(path, 77)
        os.utime(path, ns=(5, 5))
        return found


def test_a_file_that_changes_after_it_was_looked_at_is_seen_by_the_next_run(
    gallery: Gallery, editor: HashEditor
) -> None:
    root = gallery.config.image_root / "anna"
    index_all(gallery, editor)
    (root / "1.png").replace(root / "2.png")
    index_folder(gallery, editor, find_images(gallery.config.image_root), reader=ThenChanged())
    assert counts(index_all(gallery, editor)) == {"unchanged": 1, "described": 1, "changed": 1}


def test_a_damaged_descriptor_is_not_given_to_a_copy(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root
    index_all(gallery, editor)
    [expected] = gallery.descriptors([gallery.known()["anna/1.png"].id])
    [descriptors] = gallery.folder.glob("descriptors*.f16")
    with descriptors.open("r+b") as file:
        file.write(np.full(editor.descriptor_size, np.nan, np.float16).tobytes())
    shutil.copy(root / "anna" / "1.png", root / "anna" / "copy.png")
    assert counts(index_all(gallery, editor)) == {"unchanged": 3, "described": 1}
    np.testing.assert_allclose(gallery.descriptors([gallery.known()["anna/copy.png"].id])[0], expected, atol=1e-3)
    known = gallery.known()["anna/1.png"]
    assert gallery.repair().waiting == ["anna/1.png"]
    assert counts(index_all(gallery, editor)) == {"unchanged": 3, "duplicates": 1}
    assert gallery.verify().sound and gallery.verify().waiting == 0
    assert gallery.known()["anna/1.png"] == known
    np.testing.assert_allclose(gallery.descriptors([known.id])[0], expected, atol=1e-3)


def test_a_problem_is_forgotten_when_the_file_is_as_the_gallery_has_it(gallery: Gallery, editor: HashEditor) -> None:
    path = gallery.config.image_root / "anna" / "1.png"
    index_all(gallery, editor)
    content, times = path.read_bytes(), path.stat()
    path.write_bytes(b"junk")
    index_all(gallery, editor)
    assert [problem.path for problem in gallery.problems()] == ["anna/1.png"]
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    index_all(gallery, editor)
    assert gallery.problems() == []


def test_a_file_of_1970_is_a_problem_like_any_other(gallery: Gallery, editor: HashEditor) -> None:
    path = gallery.config.image_root / "anna" / "1.png"
    path.write_bytes(b"junk")
    os.utime(path, ns=(0, 0))
    index_all(gallery, editor)
    assert [problem.path for problem in gallery.problems()] == ["anna/1.png"]


def test_folders_that_may_not_be_read_are_told_and_what_they_hold_is_not_taken_for_gone(
    gallery: Gallery, editor: HashEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = gallery.config.image_root
    index_all(gallery, editor)
    scan, stat = os.scandir, Path.stat

    def scanned(folder: str) -> object:
        if str(folder).endswith("ben"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    def looked_at(path: Path, **options: bool) -> os.stat_result:
        if path.parent.name == "ben":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scanned)
        patch.setattr(Path, "stat", looked_at)
        refused: list[tuple[Path, str]] = []
        found = find_images(root, refused)
        report = index_folder(gallery, editor, found, prune=True)
    assert refused == [(root / "ben", f"{root / 'ben'} cannot be read (Permission denied): {MEND}")]
    assert (report.unchanged, report.pruned, report.vanished) == (2, 0, 0) and len(gallery) == 3


def test_files_that_change_places_keep_their_descriptors(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root
    index_all(gallery, editor)
    before = {path: gallery.descriptors([image.id])[0] for path, image in gallery.known().items()}
    first, second = root / "anna" / "1.png", root / "ben" / "1.png"
    first.rename(root / "aside")
    second.rename(first)
    (root / "aside").rename(second)
    label(gallery, {"anna/1.png": gallery.known()["anna/1.png"].labels.changed(HAND, pose=15)})
    label(gallery, {"ben/1.png": by_hand("benjamin", 30)})
    ids = {path: image.id for path, image in gallery.known().items()}
    assert counts(index_all(gallery, editor)) == {"unchanged": 1, "renamed": 2}
    images = gallery.known()
    assert (images["anna/1.png"].identity, images["anna/1.png"].pose) == ("benjamin", 30)
    assert (images["ben/1.png"].identity, images["ben/1.png"].pose) == ("ben", 15)  # anna was her folder's name
    assert images["anna/1.png"].id == ids["ben/1.png"] and images["ben/1.png"].id == ids["anna/1.png"]
    assert len(gallery) == 3
    after = {path: gallery.descriptors([image.id])[0] for path, image in gallery.known().items()}
    np.testing.assert_allclose(after["anna/1.png"], before["ben/1.png"], rtol=0)
    np.testing.assert_allclose(after["ben/1.png"], before["anna/1.png"], rtol=0)


def test_the_same_content_is_described_once(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root
    for name in ("anna/copy.png", "zoe.png"):
        shutil.copy(root / "anna" / "2.png", root / name)
    assert counts(index_all(gallery, editor)) == {"described": 3, "duplicates": 2}
    shutil.copy(root / "anna" / "2.png", root / "ben" / "late.png")
    assert counts(index_all(gallery, editor)) == {"unchanged": 5, "duplicates": 1}
    assert editor.described == [3]
    known = gallery.known()
    same = [known[name] for name in ("anna/2.png", "anna/copy.png", "zoe.png", "ben/late.png")]
    stored = gallery.descriptors([image.id for image in same])
    assert (stored == stored[0]).all() and len({image.id for image in same}) == 4
    assert len({(image.decision, image.photo.sha256) for image in same}) == 1
    assert [image.identity for image in same] == ["anna", "anna", None, "ben"]


def test_vanished_files_are_reported_and_pruned_when_asked(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root
    index_all(gallery, editor)
    (root / "anna" / "1.png").unlink()
    images = find_images(root)
    assert counts(index_folder(gallery, editor, images)) == {"unchanged": 2, "vanished": 1}
    assert len(gallery) == 3
    assert counts(index_folder(gallery, editor, images, prune=True)) == {"unchanged": 2, "pruned": 1}
    assert gallery.known().keys() == {"anna/2.png", "ben/1.png"}


def test_a_part_of_the_folder_does_not_prune_the_rest(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root
    index_all(gallery, editor)
    report = index_folder(gallery, editor, find_images(root / "ben"), prune=True)
    assert counts(report) == {"unchanged": 1} and len(gallery) == 3


# --- files that cannot be read ---


class ReadsNothing(ReadsHere):
    def ahead(self, paths: Sequence[Path], batch: int, /) -> Iterator[list[Read]]:
        assert not paths, f"{paths} were to be read"
        return super().ahead(paths, batch)


def test_a_file_that_cannot_be_read_is_remembered_until_it_changes(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root
    bad = root / "anna" / "bad.png"
    bad.write_bytes(b"no picture")
    first = index_all(gallery, editor)
    assert [path for path, _ in first.skipped] == [bad]
    assert [(p.path, p.stamp.size) for p in gallery.problems()] == [("anna/bad.png", 10)]
    second = index_folder(gallery, editor, find_images(root), reader=ReadsNothing())
    assert second.skipped == first.skipped and counts(second) == {"unchanged": 3}
    assert index_folder(gallery, editor, find_images(root), retry=True).skipped == first.skipped
    save_picture(bad, 9)
    assert counts(index_all(gallery, editor)) == {"described": 1, "unchanged": 3}
    assert gallery.problems() == []


class Refused(ReadsHere):
    """As a disk that does not answer, or a file that may not be read."""

    def ahead(self, paths: Sequence[Path], batch: int, /) -> Iterator[list[Read]]:
        for files in super().ahead(paths, batch):
            yield [Read(file.path, stamp=file.stamp, reason="Input/output error", lasting=False) for file in files]


def test_what_the_system_refuses_is_told_and_tried_again(gallery: Gallery, editor: HashEditor) -> None:
    images = find_images(gallery.config.image_root)
    report = index_folder(gallery, editor, images, reader=Refused())
    assert [reason for _, reason in report.skipped] == ["Input/output error"] * 3
    assert gallery.problems() == []
    assert counts(index_all(gallery, editor)) == {"described": 3}


class ReadsMore(ReadsHere):
    """Knows a format that the other does not."""

    def __init__(self) -> None:
        super().__init__(name="reads more")

    def ahead(self, paths: Sequence[Path], batch: int, /) -> Iterator[list[Read]]:
        for files in super().ahead(paths, batch):
            yield [replace(file, faces=(ReadFace(blob_face(1, 0, 0)),), sha256="b" * 64, reason="") for file in files]


def test_what_one_reader_cannot_read_is_tried_by_another(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root
    (root / "new.png").write_bytes(b"a format of tomorrow")
    assert len(index_all(gallery, editor).skipped) == 1
    report = index_folder(gallery, editor, find_images(root), reader=ReadsMore())
    assert (counts(report), report.skipped) == ({"described": 1, "unchanged": 3}, [])
    assert gallery.problems() == []


def test_a_problem_whose_file_has_gone_is_forgotten(gallery: Gallery, editor: HashEditor) -> None:
    bad = gallery.config.image_root / "bad.png"
    bad.write_bytes(b"")
    index_all(gallery, editor)
    bad.unlink()
    index_all(gallery, editor)
    assert gallery.problems() == []


def test_an_image_that_became_unreadable_stays_a_problem(gallery: Gallery, editor: HashEditor) -> None:
    index_all(gallery, editor)
    path = gallery.config.image_root / "ben" / "1.png"
    path.write_bytes(path.read_bytes()[:50])
    for _ in range(3):
        assert [skipped for skipped, _ in index_all(gallery, editor).skipped] == [path]
        assert [problem.path for problem in gallery.problems()] == ["ben/1.png"]
    assert len(gallery) == 3  # what was known of it is not lost


def test_unreadable_files_are_skipped_with_reasons_and_the_rest_is_kept(gallery: Gallery, editor: HashEditor) -> None:
    root = gallery.config.image_root
    whole = (root / "anna" / "1.png").read_bytes()
    broken = {
        "empty.png": (b"", "is empty (0 bytes)"),
        "text.png": (b"this is no picture", "is not an image"),
        "cut.png": (whole[: len(whole) // 2], "is damaged or truncated"),
    }
    for name, (content, _) in broken.items():
        (root / name).write_bytes(content)
    report = index_all(gallery, editor)
    assert report.described == 3
    reasons = {path.name: reason for path, reason in report.skipped}
    assert reasons.keys() == broken.keys()
    for name, (_, words) in broken.items():
        assert str(root / name) in reasons[name]
        assert words in reasons[name]
    assert sorted(gallery.known()) == ["anna/1.png", "anna/2.png", "ben/1.png"]


@pytest.mark.parametrize("name", [b"x\xff.png", b"folder\xff/x.png"])
def test_a_name_that_is_not_unicode_is_skipped(gallery: Gallery, editor: HashEditor, name: bytes) -> None:
    root = gallery.config.image_root
    try:
        (root / os.fsdecode(name)).parent.mkdir(exist_ok=True)
        (root / os.fsdecode(name)).write_bytes((root / "anna" / "1.png").read_bytes())
    except OSError:
        pytest.skip("the file system takes Unicode names only")
    report = index_all(gallery, editor)
    assert report.described == 3
    assert "not Unicode" in report.skipped[0][1]


def test_a_folder_of_unreadable_files_leaves_the_gallery_empty(gallery: Gallery, editor: HashEditor) -> None:
    for path in find_images(gallery.config.image_root):
        path.write_bytes(b"")
    assert len(index_all(gallery, editor).skipped) == 3
    assert len(gallery) == 0


# --- labels ---


def test_labels_come_from_a_manifest_in_another_folder(gallery: Gallery, editor: HashEditor, tmp_path: Path) -> None:
    manifest = write_manifest(
        tmp_path / "lists" / "people.csv",
        "path,identity,pose,illumination,expression",
        "../photos/anna/1.png,Anna B.,-30,4,smile",
        "../photos/ben/../ben/1.png,,0,5,",
        "../photos/nobody.png,Nobody,0,5,",
    )
    index_all(gallery, editor, read_labels(manifest, find_images(gallery.config.image_root)))
    known = gallery.known()
    anna, ben = known["anna/1.png"], known["ben/1.png"]
    assert (anna.identity, anna.pose, anna.illumination, anna.expression) == ("Anna B.", -30, 4, "smile")
    assert (ben.identity, ben.pose, ben.illumination, ben.expression) == (None, 0, 5, None)
    assert known["anna/2.png"].identity == "anna"  # what the manifest does not name, its folder does


def test_new_labels_reach_images_that_are_not_described_again(gallery: Gallery, editor: HashEditor) -> None:
    index_all(gallery, editor)
    ids = {path: image.id for path, image in gallery.known().items()}
    report = index_all(gallery, editor, {gallery.config.image_root / "anna" / "1.png": said("Anna", 45)})
    assert (report.relabelled, report.unchanged) == (1, 3)
    assert editor.described == [3]
    known = gallery.known()
    assert (known["anna/1.png"].identity, known["anna/1.png"].pose) == ("Anna", 45)
    assert known["anna/2.png"].identity == "anna"
    assert {path: image.id for path, image in known.items()} == ids


def test_a_manifest_that_names_none_of_the_images_is_refused_before_any_work(
    gallery: Gallery, editor: HashEditor
) -> None:
    with pytest.raises(RetrievalError, match="names none of the images"):
        index_all(gallery, editor, {Path("/elsewhere/1.png"): said("x")})
    assert (editor.described, len(gallery)) == ([], 0)


# --- galleries that do not fit ---


def test_a_gallery_of_another_model_is_refused(gallery: Gallery, photos: Path) -> None:
    with pytest.raises(ModelMismatchError, match="was described by model"):
        open_gallery(gallery.folder, HashEditor("another"), photos)


def test_a_gallery_of_another_image_root_is_refused(gallery: Gallery, editor: HashEditor, tmp_path: Path) -> None:
    index_folder(gallery, editor, find_images(gallery.config.image_root))
    save_picture(tmp_path / "others" / "1.png", 7)
    with pytest.raises(RetrievalError, match=r"holds images of .*photos, not of .*others"):
        open_gallery(gallery.folder, editor, tmp_path / "others")
    with pytest.raises(RetrievalError, match="holds images of"):
        open_gallery(gallery.folder, editor, tmp_path)  # above the root


def test_a_refused_gallery_is_closed_again(gallery: Gallery, editor: HashEditor, photos: Path, tmp_path: Path) -> None:
    index_folder(gallery, editor, find_images(photos))
    with pytest.raises(RetrievalError):
        open_gallery(gallery.folder, editor, tmp_path)
    with open_gallery(gallery.folder, editor, photos) as again:
        assert index_folder(again, editor, find_images(photos)).unchanged == 3


def test_files_that_have_gone_are_counted(tmp_path: Path, editor: HashEditor) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(blob_face(1, 0, 0)).save(images / name)
    with open_gallery(tmp_path / "db", editor, images) as gallery:
        assert index_folder(gallery, editor, find_images(images)).vanished == 0
        (images / "a.png").unlink()
        assert index_folder(gallery, editor, find_images(images)).vanished == 1


def test_an_empty_gallery_is_not_bound_to_a_place(tmp_path: Path, editor: HashEditor) -> None:
    for name in ("wrong", "right"):
        (tmp_path / name).mkdir()
    open_gallery(tmp_path / "db", editor, tmp_path / "wrong").close()
    with open_gallery(tmp_path / "db", editor, tmp_path / "right") as gallery:
        assert gallery.config.image_root == (tmp_path / "right").resolve()
