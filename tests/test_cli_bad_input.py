"""A person's mistake gives one clear line on stderr, nothing on stdout, and an exit code that is not zero."""

import json
import os
import shlex
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import NoReturn

import pytest
from PIL import Image

from cli.app import run
from cli.options import Factory
from index.gallery import Gallery
from tests.stand_ins import stand_in_search

ROOT = Path(__file__).resolve().parent.parent
KNOWN = "--db db --model model"


@pytest.fixture(scope="module")
def place(
    data_set: Path, model_folder: Path, other_model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder in which everything that can be wrong is."""
    folder = tmp_path_factory.mktemp("place")
    pictures = sorted((data_set / "images").iterdir())
    (folder / "photos").mkdir()
    for picture in pictures[:3]:
        shutil.copy(picture, folder / "photos")
    good = pictures[20].read_bytes()
    (folder / "good.png").write_bytes(good)
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("This is not an image.")
    (folder / "vast.png").write_bytes(vast_png())
    (folder / "folder.png").mkdir()
    (folder / "nothing").mkdir()
    (folder / "unreadable").mkdir()
    (folder / "unreadable" / "empty.png").write_bytes(b"")
    (folder / "model").symlink_to(model_folder)
    (folder / "other-model").symlink_to(other_model_folder)
    write_broken_models(folder, model_folder)
    write_manifests(folder, data_set)
    for images, db, code in (("photos", "db", 0), ("unreadable", "empty-db", 3)):
        assert run(shlex.split(f"index {folder / images} --db {folder / db} --model model"), stand_in_search) == code
    return folder


def vast_png() -> bytes:
    """The head of a picture of 110 million pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 11_000, 10_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def write_broken_models(folder: Path, model_folder: Path) -> None:
    for name in ("altered-model", "half-model", "garbled-model", "future-model"):
        (folder / name).mkdir()
        shutil.copy(model_folder / "model.json", folder / name)
    weights = bytearray((model_folder / "model.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (folder / "altered-model" / "model.safetensors").write_bytes(weights)
    (folder / "garbled-model" / "model.json").write_text("{not JSON")
    card = json.loads((model_folder / "model.json").read_text(encoding="utf-8"))
    (folder / "future-model" / "model.json").write_text(json.dumps({**card, "format": 99}))


def write_manifests(folder: Path, data_set: Path) -> None:
    lines = (data_set / "manifest.csv").read_text(encoding="utf-8").splitlines()
    table = [line.split(",") for line in lines]
    variants = {
        "no-identity": [[path, *rest] for path, _, *rest in table],
        "no-pose": [[path, who, *rest] for path, who, _, *rest in table],
        "pose-31": [[path, who, "31" if pose == "30" else pose, *rest] for path, who, pose, *rest in table],
        "pose-left": [[path, who, "left" if pose == "30" else pose, *rest] for path, who, pose, *rest in table],
        "uneven": [*table[:5], table[5][:-1], *table[6:]],
        "all-train": [[*rest, "split" if split == "split" else "train"] for *rest, split in table],
        "all-test": [[*rest, "split" if split == "split" else "test"] for *rest, split in table],
        "head-only": table[:1],
        "no-files": [["path" if path == "path" else f"gone/{path}", *rest] for path, *rest in table],
    }
    for name, rows in variants.items():
        (folder / f"{name}.csv").write_text("\n".join(map(",".join, rows)) + "\n", encoding="utf-8")
    (folder / "blank.csv").write_text("")


FAILURES = [  # with a stand-in for the network
    # pictures
    (f"query text.png --pose 30 {KNOWN}", "text.png is not an image"),
    (f"query cut.png --pose 30 {KNOWN}", "cut.png is damaged or truncated"),
    (f"query empty.png --pose 30 {KNOWN}", "empty.png is empty (0 bytes)"),
    (f"query missing.png --pose 30 {KNOWN}", "missing.png does not exist"),
    (f"query folder.png --pose 30 {KNOWN}", "folder.png holds no image"),
    ("edit text.png --pose 30 -o out.png --model model", "text.png is not an image"),
    ("edit cut.png -o out.png --model model", "cut.png is damaged or truncated"),
    ("edit empty.png --pose 30 -o out.png --model model", "empty.png is empty (0 bytes)"),
    ("edit missing.png --pose 30 -o out.png --model model", "missing.png does not exist"),
    ("edit good.png --pose 30 -o good.png --model model", "is the picture itself and would be lost"),
    (f"query good.png --pose 30 --sheet photos/../good.png {KNOWN}", "is the picture itself and would be lost"),
    # galleries
    ("query good.png --pose 30 --db nowhere --model model", "nowhere holds no gallery"),
    ("query good.png --pose 30 --csv --db nowhere --model model", "nowhere holds no gallery"),
    ("query good.png --pose 30 --db empty-db --model model", "empty-db is empty"),
    ("query good.png --pose 30 --db db --model other-model", "db was described by model"),
    ("index photos --db db --model other-model", "db was described by model"),
    ("index unreadable --db db --model model", "db holds images of"),
    ("index photos --db good.png --model model", "good.png"),
    # folders and manifests to index
    ("index missing --db new --model model", "missing does not exist"),
    ("index good.png --db new --model model", "good.png is a file"),
    ("index nothing --db new --model model", "holds no image"),
    ("index photos --db new --model model --labels missing.csv", "no manifest at missing.csv"),
    ("index photos --db new --model model --labels no-identity.csv", "no column 'identity'"),
    ("index photos --db new --model model --labels blank.csv", "blank.csv is empty"),
    ("index photos --db new --model model --labels uneven.csv", "line 6 has 4 values for 5 columns: give a table"),
    ("index photos --db new --model model --labels pose-left.csv", "pose 'left' is not a whole number"),
    (f"index photos {KNOWN} --labels no-files.csv", "names none of the images"),
    # where to write
    ("edit good.png --pose 30 -o out --model model", ", such as out.png"),
    ("edit good.png --pose 30 -o out.txt --model model", ", such as out.png"),
    ("edit good.png --pose 30 -o nowhere/out.png --model model", "the folder nowhere does not exist"),
    ("edit good.png --pose 30 -o folder.png --model model", "it is a folder"),
    (f"query good.png --pose 30 --sheet nowhere/sheet.png {KNOWN}", "the folder nowhere does not exist"),
    (f"query good.png --pose 30 --sheet sheet {KNOWN}", ", such as sheet.png"),
]

NETWORK = [  # with what reads models, or trains and measures them
    # models and devices
    ("query good.png --pose 30 --db db --model nowhere", "no model folder nowhere"),
    ("query good.png --pose 30 --db db --model altered-model", "is not the file that model.json describes"),
    ("query good.png --pose 30 --db db --model half-model", "no readable model.safetensors"),
    ("query good.png --pose 30 --db db --model garbled-model", "is not a model card"),
    ("query good.png --pose 30 --db db --model future-model", "has format 99"),
    ("query good.png --pose 30 --db db --model nothing", "no readable model.json"),
    ("edit good.png -o out.png --model altered-model", "is not the file that model.json describes"),
    ("index photos --db new --model altered-model", "is not the file that model.json describes"),
    # evaluate
    ("evaluate --data missing --out report --model model", "no manifest at missing"),
    ("evaluate --data no-identity.csv --out report --model model", "no column 'identity'"),
    ("evaluate --data no-pose.csv --out report --model model", "no column 'pose'"),
    ("evaluate --data all-test.csv --match identity,expression,pose --out report --model model", "'expression'"),
    ("evaluate --data all-test.csv --match identity --out report --model model", "leaves out pose"),
    ("evaluate --data pose-31.csv --out report --model model", "pose 31, which is not one of"),
    ("evaluate --data all-train.csv --out report --model model", "none whose split is 'test'"),
    ("evaluate --data head-only.csv --out report --model model", "none whose split is 'test'"),
    ("evaluate --data no-files.csv --out report --model model", "does not exist"),
    ("evaluate --data all-test.csv --out good.png --model model", "good.png is a file"),
    ("evaluate --data all-test.csv --out report --model nowhere", "no model folder nowhere"),
    # reproduce and shrink
    ("reproduce --data all-test.csv --out report --models nothing", "has no model pose, illumination, inpainting"),
    ("reproduce --data all-test.csv --out report --models nowhere", "no folder nowhere"),
    ("reproduce --data no-pose.csv --out report", "no column 'pose'"),
    ("reproduce --data missing --out report", "no manifest at missing"),
    ("shrink nothing --out small", "no readable model.json"),
    ("shrink altered-model --out small", "is not the file that model.json describes"),
    ("query good.png --pose 30 --illumination 3 --db db --model model --models nothing", "or a --models folder that"),
    # train and synth
    ("train pose --data no-pose.csv --out new-model", "no column 'pose'"),
    ("train pose --data all-test.csv --out new-model", "no row whose split is 'train'"),
    ("train pose --data missing --out new-model", "no manifest at missing"),
    ("train pose --data all-train.csv --out new-model --resume", "no checkpoint"),
    ("train pose --data all-train.csv --out new-model --steps-one 0", "give one with --start"),
    ("train pose --data all-train.csv --out new-model --start nothing", "no readable model.json"),
    ("train pose --recipe paper --data no-files.csv --out new-model", "does not exist"),
]

USAGE = [
    (f"query good.png --pose 31 {KNOWN}", "pose 31 is not one of -45, -30, -15, 0, 15, 30, 45"),
    ("edit good.png --pose 31 -o out.png --model model", "pose 31 is not one of"),
    ("query good.png --illumination 20 --db db", "illumination 20 is not one of 0, 1"),
    ("query good.png --illumination -1 --db db", "illumination -1 is not one of"),
    ("query good.png --all-poses --pose 30 --db db", "--all-poses and --pose together"),
    ("query good.png --all-poses --all-illuminations --db db", "choose one"),
    ("index photos --db new --task smile --model model", "no task 'smile'"),
    (f"query good.png --pose x {KNOWN}", "--pose"),
    (f"query good.png --pose 30 -k 0 {KNOWN}", "-k"),
    (f"query good.png --pose 30 -k -1 {KNOWN}", "-k"),
    (f"query good.png --pose 30 -k abc {KNOWN}", "-k"),
    (f"query good.png --pose 30 --colour red {KNOWN}", "--colour"),
    (f"query good.png cut.png --pose 30 --json {KNOWN}", "--json is for one image: take --jsonl or --csv"),
    (f"query good.png cut.png --pose 30 --sheet s.png {KNOWN}", "--sheet is for one image"),
    (f"query good.png --pose 30 --json --csv {KNOWN}", "--json and --csv together: choose one"),
    (f'query good.png --pose 30 --where "identity = anna" {KNOWN}', "expected text in quotes to compare identity"),
    (f"query good.png --pose 30 --distinct colour {KNOWN}", "no --distinct 'colour': choose one of identity, content"),
    ("index photos --db new --model model --max-memory lots", "'lots' is no size: give one such as 500MB or 2GB"),
    ("index photos --db new --model model --recall 1.5", "recall is 1.5; expected a share above 0 and up to 1"),
    ("index photos --db new --model model --max-ms 0", "max_ms is 0.0; expected milliseconds above 0"),
    ("index photos --db new --model model --max-memory 50", "nothing searches"),
    ("gallery plan --db db --max-memory 2XB", "'2XB' is no size"),
    ("query", "image"),
    ("index", "images"),
    ("edit good.png --model model", "--output"),
    ("find", "find"),
]

NETWORK_USAGE = [
    (f"query good.png --pose 30 --device toaster {KNOWN}", "device 'toaster' is not one of auto, cpu, cuda"),
    ("train smile --data all-train.csv --out new-model", "no task 'smile'"),
    ("train pose --data all-train.csv --out new-model --recipe slow", "no recipe 'slow'"),
    ("edit good.png --pose 30 --illumination 2 -o out.png --model model", "one --model, but"),
    ("edit good.png --illumination 2 -o out.png --model model", "is a model for pose, not for illumination"),
    ("index photos --db new --task illumination --model model", "is a model for pose, not for illumination"),
    ("evaluate --data all-test.csv --out report --task inpainting --model model", "is a model for pose, not for inp"),
    ("evaluate --data all-test.csv --out report --task smile", "no task 'smile'"),
    ("reproduce --data all-test.csv --out report --pairs 0", "--pairs"),
    ("train pose --data all-train.csv --out new-model --middle 0", "--middle"),
    ("index photos --db new --model model --candidates some", "no candidates 'some': choose one of likely, all"),
    ("evaluate --data all-test.csv", "--out"),
    ("evaluate --data all-test.csv --out report --queries 0 --model model", "--queries"),
    ("evaluate --data all-test.csv --out report --gate 2 --model model", "--gate"),
    ("train pose --data all-train.csv --out new-model --steps-one -1", "--steps-one"),
    ("synth --face-model x --out y --identities 1", "--identities"),
]


def assert_one_line(code: int, out: str, err: str, expected: int, words: str) -> None:
    assert (code, out) == (expected, ""), err
    assert len(err.splitlines()) == 1
    assert err.startswith("facesearch: ")
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("code", "line", "words", "factory"),
    [
        *((1, *mistake, stand_in_search) for mistake in FAILURES),
        *((2, *mistake, stand_in_search) for mistake in USAGE),
        *((1, *mistake, None) for mistake in NETWORK),
        *((2, *mistake, None) for mistake in NETWORK_USAGE),
    ],
)
def test_a_mistake_gives_one_line_and_changes_nothing(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    code: int,
    words: str,
    factory: Factory | None,
) -> None:
    monkeypatch.chdir(place)
    before = sorted(path for path in place.iterdir() if path.name != "new")
    assert_one_line(run(shlex.split(line), factory), *capsys.readouterr(), code, words)
    assert sorted(path for path in place.iterdir() if path.name != "new") == before


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (f"query cut.png --pose 30 {KNOWN}", 1, "cut.png is damaged or truncated"),
        (f"query good.png --pose 31 {KNOWN}", 2, "pose 31 is not one of"),
        ("query good.png --pose 30 --db db --model other-model", 1, "was described by model"),
        ("edit vast.png --pose 30 -o out.png --model model", 1, "11000 x 10000 pixels"),
    ],
)
def test_a_real_process_says_the_same_one_line(place: Path, line: str, code: int, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.app", *shlex.split(line)],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert_one_line(done.returncode, done.stdout, done.stderr, code, words)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        f"query good.png --pose 30 --device cuda {KNOWN}",
        "edit good.png -o out.png --device cuda --model model",
        "index photos --db new --device cuda --model model",
        "evaluate --data all-test.csv --out report --device cuda --model model",
        "train pose --data all-train.csv --out new-model --device cuda",
    ],
)
def test_a_gpu_that_is_not_there_gives_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.chdir(place)
    assert_one_line(run(shlex.split(line)), *capsys.readouterr(), 1, "no GPU that this PyTorch can use")


def test_a_gallery_that_another_writer_holds_gives_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    with Gallery.open(Path("db")) as gallery, gallery.writing():
        line = shlex.split(f"index photos {KNOWN}")
        assert_one_line(run(line, stand_in_search), *capsys.readouterr(), 1, "db")


def test_a_message_of_several_lines_becomes_one(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert_one_line(
        run(["query", "two\nlines.png", "--pose", "30"], stand_in_search), *capsys.readouterr(), 1, "two lines.png"
    )


def test_an_unforeseen_error_is_not_hidden(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object, **options: object) -> NoReturn:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.chdir(place)
    with pytest.raises(ZeroDivisionError):
        run(shlex.split(f"query good.png --pose 30 {KNOWN}"), fail)


def test_a_sound_command_line_in_the_same_place_succeeds(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The control of all the others: nothing but the named mistake makes them fail."""
    monkeypatch.chdir(place)
    assert run(shlex.split(f"query good.png --pose 30 --sheet {tmp_path}/sheet.png {KNOWN}"), stand_in_search) == 0
    assert capsys.readouterr().err == ""
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.mode == "RGB"
