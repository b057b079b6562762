"""A person's mistake gives one clear line on stderr, nothing on stdout, and an exit code that is not zero.

Without a network: what is wrong with models, and what measures and trains them, is in test_cli_bad_models.py.
"""

import shlex
from pathlib import Path
from typing import NoReturn

import pytest
from PIL import Image

from cli.app import run
from index.gallery import Gallery
from tests.mistakes import KNOWN, assert_a_process_refuses, assert_one_line, assert_refused, write_mistakes
from tests.stand_ins import stand_in_search


@pytest.fixture(scope="module")
def place(data_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything that can be wrong is."""
    folder = tmp_path_factory.mktemp("place")
    write_mistakes(folder, data_set)
    return folder


FAILURES = [
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


@pytest.mark.parametrize(
    ("code", "line", "words"), [*((1, *mistake) for mistake in FAILURES), *((2, *mistake) for mistake in USAGE)]
)
def test_a_mistake_gives_one_line_and_changes_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, code: int, words: str
) -> None:
    monkeypatch.chdir(place)
    assert_refused(place, capsys, line, code, words, stand_in_search)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (f"query cut.png --pose 30 {KNOWN}", 1, "cut.png is damaged or truncated"),
        (f"query good.png --pose 31 {KNOWN}", 2, "pose 31 is not one of"),
    ],
)
def test_a_real_process_says_the_same_one_line(place: Path, line: str, code: int, words: str) -> None:
    assert_a_process_refuses(place, line, code, words)


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
