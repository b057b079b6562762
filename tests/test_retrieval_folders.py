"""Folders as they are: what is looked at and what is passed over, by name and by content; links, depth, dates."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import ImageError, UsageError
from faceedit.formats import HEAD, MISSING, kind_of
from faceedit.images import read_crop
from faceedit.sources.folders import list_folders
from index.folders import new_folder_whole
from index.stamps import FileStamp
from index.values import Passed
from retrieval.errors import NoImagesError
from retrieval.face_search import FaceSearch
from retrieval.folder import Listing, list_folder
from retrieval.kinds import find_images, sort_out
from retrieval.passing import Looks
from tests.conftest import blob_face
from tests.depths import fill_deepest, remove
from tests.stand_ins import HashEditor, ReadsHere

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = {"PNG": "png", "JPEG": "jpeg", "GIF": "gif", "BMP": "bmp", "PPM": "ppm", "TIFF": "tiff", "WEBP": "webp"}
WRITTEN |= {"JPEG2000": "jpeg2000"} | ({} if "AVIF" in MISSING else {"AVIF": "avif"})


def picture(seed: int, format_: str = "png") -> bytes:
    """A file's content that only this seed gives."""
    out = io.BytesIO()
    Image.fromarray(blob_face(seed, 0, 0)).save(out, format_)
    return out.getvalue()


def put(path: Path, content: bytes | None = None) -> Path:
    """A file, by default a picture of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(sum(str(path).encode())) if content is None else content)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two pictures of two people."""
    put(tmp_path / "g" / "anna" / "1.png"), put(tmp_path / "g" / "ben" / "1.png")
    return tmp_path / "g"


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[FaceSearch]:
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsHere()) as opened:
        yield opened


def names(root: Path, looks: Looks | None = None) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_images(root, looks=looks or Looks())]


def passed(root: Path, looks: Looks | None = None) -> dict[str, str]:
    return dict(sort_out(list_folder(root, looks or Looks())).passed)


# --- by name ---

SYSTEM = {
    "anna/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg": ("anna/@eaDir", "@eaDir"),
    "@EADIR/x.jpg": ("@EADIR", "@eaDir"),
    "#recycle/ben/deleted.jpg": ("#recycle", "#recycle"),
    "$Recycle.Bin/S-1-5/x.jpg": ("$Recycle.Bin", "$RECYCLE.BIN"),
    "lost+found/1.png": ("lost+found", "lost+found"),
    "__MACOSX/anna/1.png": ("__MACOSX", "__MACOSX"),
    "System Volume Information/1.png": ("System Volume Information", "System Volume Information"),
    ".thumbnails/1.png": (".thumbnails", "hidden"),
    "anna/._1.png": ("anna/._1.png", "hidden"),
    "anna/thumbs.db": ("anna/thumbs.db", "Thumbs.db"),
    "anna/2.jpg.part": ("anna/2.jpg.part", "unfinished"),
    "anna/2.jpg.crdownload": ("anna/2.jpg.crdownload", "unfinished"),
    "anna/2.jpg~": ("anna/2.jpg~", "backups"),
    "anna/2.jpg_original": ("anna/2.jpg_original", "backups"),
    "anna/MVI_001.THM": ("anna/MVI_001.THM", "thumbnails"),
    "anna/2.NEF": ("anna/2.NEF", "camera raw"),
}


@pytest.mark.parametrize("name", SYSTEM)
def test_what_systems_and_programs_put_beside_pictures_is_passed_over(root: Path, name: str) -> None:
    put(root / name)
    assert names(root) == ["anna/1.png", "ben/1.png"]
    assert passed(root) == dict([SYSTEM[name]])


@pytest.mark.parametrize(
    "name", ["recycle/1.png", "eaDir/1.png", "found/1.png", "thumbs.png", "2.part/1.png", "n~/1.png"]
)
def test_what_is_only_like_it_is_looked_at(root: Path, name: str) -> None:
    put(root / name)
    assert name in names(root) and not passed(root)


@pytest.mark.parametrize(
    ("glob", "left"),
    [
        ("anna", ["ben/1.png", "ben/old/2.png"]),
        ("old*", ["anna/1.png", "ben/1.png"]),
        ("ben/old/", ["anna/1.png", "ben/1.png"]),
        ("./ben/*", ["anna/1.png"]),
        ("1.*", ["ben/old/2.png"]),
        ("*/1.png", ["ben/old/2.png"]),
        ("BEN", ["anna/1.png", "ben/1.png", "ben/old/2.png"]),
        ("[ab]*", []),
        ("**/ben", ["anna/1.png"]),
        ("**/old/*", ["anna/1.png", "ben/1.png"]),
    ],
)
def test_globs_leave_out_names_at_any_depth_and_paths_with_a_slash(root: Path, glob: str, left: list[str]) -> None:
    put(root / "ben" / "old" / "2.png")
    looks = Looks((glob,))
    assert [path.relative_to(root).as_posix() for path in sort_out(list_folder(root, looks)).pictures] == left
    assert set(passed(root, looks).values()) <= {"excluded"}


@pytest.mark.parametrize(
    ("glob", "left"),
    [
        ("{root}/ben", ["anna/1.png"]),
        ("{root}/ben/old/", ["anna/1.png", "ben/1.png"]),
        ("{link}/anna/*", ["ben/1.png", "ben/old/2.png"]),
        ("{above}/*/ben/old", ["anna/1.png", "ben/1.png"]),
        ("/anna", ["ben/1.png", "ben/old/2.png"]),
        ("{root}/1.png", None),
        ("{root}/old", None),
        ("{root}", None),
        ("{above}/*", None),
        ("{above}/other/anna", None),
        ("~/ben", None),
    ],
)
def test_an_absolute_glob_is_one_of_paths_and_one_that_meets_nothing_is_told(
    root: Path, faces: FaceSearch, glob: str, left: list[str] | None
) -> None:
    put(root / "ben" / "old" / "2.png")
    link = root.parent / "link"
    link.symlink_to(root)
    asked = glob.format(root=root, link=link, above=root.parent)
    report = faces.index(link, exclude=[asked, "nothing*"])
    assert list(faces.gallery.known()) == (left or ["anna/1.png", "ben/1.png", "ben/old/2.png"])
    assert report.unmatched == ([] if left else [asked])
    told = [f"--exclude {asked}: there is nothing of that path in the folder: nothing was passed over for it"]
    assert report.warnings() == ([] if left else told)


@pytest.mark.parametrize("glob", ["", "/", ".", "./"])
def test_a_glob_that_names_nothing_is_refused(glob: str) -> None:
    with pytest.raises(UsageError, match="names nothing"):
        Looks((glob,))


def test_a_folder_s_own_name_does_not_matter(tmp_path: Path) -> None:
    put(tmp_path / "@eaDir" / ".x" / "1.png")
    assert names(tmp_path / "@eaDir" / ".x") == ["1.png"]


# --- by content ---


@pytest.mark.parametrize("format_", WRITTEN)
@pytest.mark.parametrize("name", ["anna/2", "anna/2.jpg_large", "anna/2.JPG_ORIG", "anna/2.dat", "anna/2.x.y z"])
def test_a_picture_is_one_whatever_its_name(root: Path, format_: str, name: str) -> None:
    content = picture(3, WRITTEN[format_])
    assert kind_of(content[:HEAD]) == format_
    put(root / name, content)
    assert name in names(root)
    assert read_crop(root / name).shape == (60, 60, 3)


TEXTS = {
    "BMW.txt": (b"BMW, Porsche and others", ".txt"),
    "P6": (b"P6 is where we meet", "without a suffix"),
    "prices.txt": (b"P5 10 apples, P6 12 pears, and for all of them there is no more than this", ".txt"),
    "sizes.txt": (b"P5 10 12 255 are the numbers of the parts; ask Anna", ".txt"),
    "P3.md": (b"P3 10 12 255 numbers follow, but for this text", ".md"),
    "P1": (b"P1 3 2 meet at the bridge", "without a suffix"),
    "P2-remark": (b"P2 # what we meant by it is told below\n10 20 is not a size", "without a suffix"),
    "nothing.dat": (b"P4 0 0 \n", ".dat"),
    "gif": (b"GIF89a is a format of CompuServe, of 1989", "without a suffix"),
    "gif.txt": ("GIF87a für die Älteren unter uns\n".encode(), ".txt"),
    "webp.log": (b"RIFF1234WEBP is how such a file begins", ".log"),
    "boxes": (b"key ftypavif, ftypheic: what phones write", "without a suffix"),
    "notes": (b"", "without a suffix"),
    "film.MOV": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", ".mov"),
    "later.mp4": (b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + b"avif" * 8, ".mp4"),
    "sound.wav": (b"RIFF\0\0\0\0WAVEfmt ", ".wav"),
    "x.of-other-kinds": (b"?", "of other kinds"),
    "x.jxl": (b"\xff\x0a\0\0", "JPEG XL"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_picture_is_passed_over_by_its_kind(root: Path, name: str) -> None:
    content, kind = TEXTS[name]
    put(root / "anna" / name, content)
    assert names(root) == ["anna/1.png", "ben/1.png"]
    assert passed(root) == {f"anna/{name}": kind}


PPMS = {
    "plain bitmap": b"P1 3 2\n1 0 1\n0 1 0\n",
    "plain grey": b"P2\n# GIMP wrote this\n2 2\n255\n1 2\n# a remark\n3 4\n",
    "plain colour": b"P3 1 1 255 9 9 9",
    "bitmap": b"P4 12 2\n\xff\xf0\xaa\xa0",
    "grey of letters": b"P5 4 4 255\nabcdefghijklmnop",
    "colour after a long remark": b"P6\n#" + b"x" * 150 + b"\n2 1\n255\n" + bytes(6),
    "16 bits": b"P5 2 2 65535\n" + bytes(8),
}


@pytest.mark.parametrize("name", PPMS)
def test_a_ppm_is_a_picture_whatever_its_name_and_however_much_it_looks_like_text(root: Path, name: str) -> None:
    path = put(root / "anna" / name, PPMS[name])
    assert f"anna/{name}" in names(root)
    assert read_crop(path).shape == (60, 60, 3)


@pytest.mark.parametrize("content", [b"P5 4 4 255\nabc", b"P6 2 2 65535\n" + bytes(23), b"P4 9 2\n123"])
def test_what_says_more_pixels_than_it_has_bytes_is_no_ppm(root: Path, content: bytes) -> None:
    put(root / "anna" / "2", content)
    assert passed(root) == {"anna/2": "without a suffix"}


def test_what_was_a_picture_that_cannot_be_read_and_is_none_is_passed_over(root: Path, faces: FaceSearch) -> None:
    cut = put(root / "anna" / "2", picture(2)[:200])
    assert len(faces.index(root).skipped) == 1
    put(cut, b"P5 10 12 are two of them")
    report = faces.index(root)
    assert (report.skipped, report.passed, faces.gallery.problems()) == ([], [("anna/2", "without a suffix")], [])


def test_a_file_that_is_called_a_picture_and_is_none_is_told_and_not_passed_over(root: Path, faces: FaceSearch) -> None:
    put(root / "anna" / "2.jpg", b"BMW")
    report = faces.index(root)
    assert (len(report.skipped), report.passed) == (1, [])


HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(40)  # how one begins


@pytest.mark.skipif("HEIC" not in MISSING, reason="the extra heic is installed")
def test_heic_without_its_extra_is_passed_over_with_a_hint(root: Path, faces: FaceSearch) -> None:
    put(root / "anna" / "2.HEIC", HEIC), put(root / "anna" / "3.jpg", HEIC)
    report = faces.index(root)
    assert report.passed == [("anna/2.HEIC", "HEIC")]
    assert report.warnings() == ["1 HEIC picture cannot be read here: pip install '.[heic]'"]
    assert [reason.partition(" is a ")[2] for _, reason in report.skipped] == [
        "picture of kind HEIC, which cannot be read here: pip install '.[heic]'"
    ]


@pytest.mark.skipif(find_spec("pillow_heif") is None, reason="needs the extra heic")
@pytest.mark.parametrize("name", ["2.heic", "2.jpg", "2"])
def test_heic_is_read_with_its_extra(root: Path, name: str) -> None:
    from pillow_heif import from_pillow

    from_pillow(Image.fromarray(blob_face(5, 0, 0))).save(root / "anna" / "2.heic", quality=95)
    (root / "anna" / "2.heic").rename(root / "anna" / name)
    assert f"anna/{name}" in names(root)
    assert np.abs(read_crop(root / "anna" / name).astype(int) - blob_face(5, 0, 0)).mean() < 6
    content = (root / "anna" / name).read_bytes()
    for length in (300, len(content) - 300):
        with pytest.raises(ImageError, match=r"damaged or truncated|is not an image"):
            read_crop(put(root / "anna" / "broken.heic", content[:length]))


def test_without_the_extra_a_heic_is_none_of_the_pictures(root: Path) -> None:
    """In a process that is told that the extra is not there, whether or not it is."""
    put(root / "anna" / "2.heic", HEIC)
    script = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from pathlib import Path; from retrieval.kinds import sort_out; from retrieval.folder import list_folder\n"
        f"print(sort_out(list_folder(Path({str(root)!r}))).passed)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}
    )
    assert (ended.stdout, ended.stderr) == ("[('anna/2.heic', 'HEIC')]\n", "")


def test_a_folder_without_pictures_says_what_it_holds_instead(tmp_path: Path) -> None:
    for name in ("1.txt", "2.txt", ".hidden"):
        put(tmp_path / name, b"text")
    with pytest.raises(NoImagesError, match=r"passed over: 2 \.txt, 1 hidden: give the folder"):
        find_images(tmp_path)


# --- what was passed over is remembered ---


def remembered(path: Path, reader: str | None = None) -> dict[str, Passed]:
    """As if something had been found there that nobody finds by looking."""
    [now] = sort_out(list_folder(path.parent)).new
    return {now.path: Passed(now.path, "marked", now.stamp, reader or now.reader)}


def test_what_was_passed_over_is_not_opened_again_until_it_changes(tmp_path: Path) -> None:
    file = put(tmp_path / "1.txt", b"text")
    before = remembered(file)
    again = sort_out(list_folder(tmp_path), remembered=before)
    assert (again.passed, again.new, again.gone) == ([("1.txt", "marked")], [], [])
    by_another = sort_out(list_folder(tmp_path), remembered=remembered(file, "another"))
    assert by_another.passed == [("1.txt", ".txt")] and [one.kind for one in by_another.new] == [".txt"]
    put(file, b"longer text")
    assert sort_out(list_folder(tmp_path), remembered=before).passed == [("1.txt", ".txt")]
    file.unlink()
    assert sort_out(list_folder(tmp_path), remembered=before).gone == ["1.txt"]


def test_a_part_of_the_folder_forgets_nothing_of_the_rest(root: Path, faces: FaceSearch) -> None:
    put(root / "anna" / "a.txt", b"a"), put(root / "ben" / "b.txt", b"b")
    faces.index(root)
    (root / "ben" / "b.txt").unlink()
    assert faces.index(root / "ben").passed == []
    assert faces.gallery.passed().keys() == {"anna/a.txt"}
    assert faces.index(root / "anna").passed == [("a.txt", ".txt")]


def test_a_text_that_becomes_a_picture_is_described_and_one_that_was_one_is_a_problem(
    root: Path, faces: FaceSearch
) -> None:
    put(root / "anna" / "2", b"text"), put(root / "anna" / "3")
    assert faces.index(root).passed == [("anna/2", "without a suffix")]
    put(root / "anna" / "2"), put(root / "anna" / "3", b"text")
    report = faces.index(root)
    assert (report.described, report.unchanged, report.passed, faces.gallery.passed()) == (1, 2, [], {})
    assert [path for path, _ in report.skipped] == [root / "anna" / "3"]
    assert faces.gallery.verify().sound


def test_the_gallery_s_own_folder_is_left_out(root: Path) -> None:
    with FaceSearch(root / "db", describer=HashEditor(), reader=ReadsHere()) as faces:
        for _ in range(2):
            assert faces.index(root).passed == []


# --- links, and what is no file ---


def test_links_to_folders_are_followed_where_asked_each_folder_once(root: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "carl" / "1.png")
    (root / "a_link").symlink_to(tmp_path / "elsewhere")
    (root / "b_link").symlink_to(tmp_path / "elsewhere" / "carl")
    (root / "anna" / "up").symlink_to(root)
    (root / "anna" / "ben").symlink_to(root / "ben")
    assert names(root) == ["anna/1.png", "ben/1.png"]
    assert set(passed(root).values()) == {"links to folders"} and len(passed(root)) == 4
    assert names(root, Looks(follow_links=True)) == ["a_link/carl/1.png", "anna/1.png", "ben/1.png"]


def test_folders_that_link_to_one_another_end(tmp_path: Path) -> None:
    for n in range(12):
        put(tmp_path / f"d{n}" / f"{n}.png")
        for other in range(12):
            (tmp_path / f"d{n}" / f"to{other}").symlink_to(tmp_path / f"d{other}")
    assert len(names(tmp_path, Looks(follow_links=True))) == 12


def test_pipes_and_links_that_lead_nowhere_are_passed_over(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    (root / "lost.png").symlink_to(root / "nowhere.png")
    (root / "round.png").symlink_to(root / "round.png")
    assert names(root) == ["anna/1.png", "ben/1.png"]
    kinds = {"pipe.jpg": "no regular files", "lost.png": "broken links", "round.png": "broken links"}
    assert passed(root) == kinds


def test_images_that_are_passed_over_from_now_on_are_counted_and_stay(root: Path, faces: FaceSearch) -> None:
    put(root / "ben" / "old" / "1.png"), put(root / "ben" / "old" / "2.png"), put(root / "ben" / "raw.png")
    assert faces.index(root).left_out.count == 0
    (root / "ben" / "old" / "2.png").unlink()
    report = faces.index(root, exclude=["old", "raw*"])
    assert (report.left_out.count, report.left_out.first) == (2, ["ben/old/1.png", "ben/raw.png"])
    left_out, gone = report.warnings()
    assert left_out == (
        "2 images in the gallery not looked at any more, though still there (--exclude, links, names that are passed "
        "over): ben/old/1.png, ben/raw.png. They stay; `facesearch gallery remove` removes them, by path or by --where"
        ", such as \"path like 'ben/old/%'\""
    )
    assert gone.startswith("the files of 1 image in the gallery have gone")
    assert report.as_json()["left_out"] == {"count": 2, "first": ["ben/old/1.png", "ben/raw.png"]}
    assert faces.index(root, exclude=["old", "raw*"], prune=True).pruned == 1 and len(faces.gallery) == 4
    assert faces.remove(where="path like 'ben/old/%'").images == 1
    assert faces.index(root, exclude=["old"]).left_out.count == 0


def test_images_elsewhere_or_behind_links_are_told_only_where_they_were_looked_for(
    root: Path, faces: FaceSearch, tmp_path: Path
) -> None:
    put(tmp_path / "elsewhere" / "1.png")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    faces.index(root, follow_links=True)
    assert faces.index(root / "anna").left_out.count == 0
    assert faces.index(root).left_out.first == ["link/1.png"]
    assert faces.index(root, follow_links=True).left_out.count == 0


# --- depth ---


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Callable[[int, str], Path]]:
    root = tmp_path / "deep"
    root.mkdir()

    def made(depth: int, name: str) -> Path:
        fill_deepest(root, depth, name, picture(1))
        return root

    yield made
    remove(root)


@pytest.mark.parametrize("depth", [1_100, pytest.param(1_500, marks=pytest.mark.slow)])
def test_folders_may_lie_deeper_than_calls_can(deep: Callable[[int, str], Path], faces: FaceSearch, depth: int) -> None:
    root = deep(depth, "d")
    assert faces.index(root).described == 1
    assert faces.index(root, prune=True).unchanged == 1
    [path] = faces.gallery.known()
    assert path == "d/" * depth + "1.png" and faces.gallery.known()[path].identity == "d"
    assert [photograph.path for photograph in list_folders(root).photographs] == [root / path]


@pytest.mark.slow
def test_pictures_from_such_depths_are_exported_and_nothing_is_left_of_a_failure(
    deep: Callable[[int, str], Path], faces: FaceSearch, tmp_path: Path
) -> None:
    faces.index(deep(1_100, "d"))
    assert faces.gallery.export(tmp_path / "out", pictures=True).missing == []
    with suppress(OSError), new_folder_whole(tmp_path / "new") as made:
        (tmp_path / "out" / "pictures").rename(made / "pictures")
        raise OSError
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("out", "db", "deep")] == []


def test_a_folder_too_deep_for_a_path_is_told_and_the_rest_indexed(
    deep: Callable[[int, str], Path], faces: FaceSearch
) -> None:
    root = deep(30, "d" * 200)
    put(root / "anna" / "1.png")
    report = faces.index(root)
    assert (report.described, len(report.skipped)) == (1, 1)
    assert "File name too long" in report.skipped[0][1]


# --- dates ---


@pytest.mark.parametrize("year", [-11_644_473_600, 13_569_465_600, 910_692_730_085], ids=["1601", "2400", "30828"])
def test_no_date_stops_anything_and_it_stays_the_same(root: Path, faces: FaceSearch, year: int) -> None:
    for name in ("anna/1.png", "anna/a.txt"):
        put(root / name)
        os.utime(root / name, (year, year))
    assert faces.index(root).described == 3
    again = faces.index(root)
    assert (again.described, again.unchanged, again.skipped) == (0, 3, [])
    assert faces.gallery.verify().sound
    stamp = FileStamp.of((root / "anna" / "1.png").stat())
    assert faces.gallery.known()["anna/1.png"].photo.stamp == stamp and abs(stamp.mtime_ns) < 2**63


@pytest.mark.parametrize("replaced", ["copied over", "moved over", "written in place"])
def test_another_picture_of_the_same_size_and_date_is_seen(root: Path, faces: FaceSearch, replaced: str) -> None:
    one, other = put(root / "anna" / "2.bmp", picture(1, "bmp")), put(root / "other.bmp", picture(2, "bmp"))
    for path in (one, other):
        os.utime(path, (10**9, 10**9))
    faces.index(root)
    before, stamp = faces.gallery.known()["anna/2.bmp"], one.stat()
    if replaced == "moved over":
        other.replace(one)
    else:
        content = other.read_bytes()
        other.unlink()
        if replaced == "copied over":
            one.unlink()
        one.write_bytes(content)
    os.utime(one, (10**9, 10**9))
    assert (one.stat().st_size, one.stat().st_mtime_ns) == (stamp.st_size, stamp.st_mtime_ns)
    faces.index(root)
    assert faces.gallery.known()["anna/2.bmp"].photo.sha256 != before.photo.sha256


class ReadsNoMore(ReadsHere):
    """Contents may be compared, but no picture decoded."""

    def ahead(self, paths: object, batch: int, /) -> Iterator[list[object]]:  # type: ignore[override]
        assert not paths, f"{paths} were to be decoded"
        yield from ()


def test_files_that_were_but_copied_to_another_disk_are_compared_and_not_decoded(root: Path, tmp_path: Path) -> None:
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsHere()) as faces:
        faces.index(root)
    for path in root.rglob("*.png"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsNoMore()) as faces:  # type: ignore[arg-type]
        assert faces.index(root).unchanged == 2
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsNoMore()) as faces:  # type: ignore[arg-type]
        before = faces.gallery.known()
        assert faces.index(root).unchanged == 2 and faces.gallery.known() == before


def test_what_is_listed_is_said_without_looking_at_content(root: Path) -> None:
    put(root / "anna" / "2", b"text")
    found = list_folder(root)
    assert isinstance(found, Listing) and list(found.others) == ["anna/2"] and sorted(found.pictures) == names(root)
