"""The commands as a person uses them: help, and index, query, edit, evaluate, train and demo on a tiny data set."""

import csv
import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from typer import Option
from typer.main import get_command

from cli.app import app, run
from cli.options import Factory, group
from faceedit.cropping import Cropper, unseen
from faceedit.describes import Accepted, Usual
from faceedit.modelfile import load_model
from retrieval.face_search import FaceSearch
from retrieval.one_file import Read
from tests.damage import full_disk
from tests.stand_ins import HashEditor, KnowsPeople, ReadsHere, stand_in_search, told_lines
from tests.test_lookalikes import mask, mask_and_person

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = tuple(
    "demo index query compare edit serve evaluate reproduce train shrink synth data gallery doctor".split()
)
GROUPS = {
    "data": ("import",),
    "gallery": (
        *"create info list show label remove hidden unhide people problems verify repair compact redescribe".split(),
        *"copy export import relocate plan".split(),
    ),
    "gallery people": ("merge", "split", "not-same"),
}
WHOLE: Any = get_command(app)
PROGRESS = re.compile(r"^[a-z ]+: [\d,]+ of [\d,]+ .*\n", re.MULTILINE)  # told on stderr when the machine is slow
SERVING = {"fastapi", "starlette", "uvicorn", "prometheus_client", "python_multipart", "anyio"}
HEAVY = {"torch", "faiss", "sqlalchemy", "numpy", "PIL", "safetensors", "rich", "jinja2", *SERVING}


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """One command line, run in this process and in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("FACESEARCH_DB", "FACESEARCH_MODEL", "FACESEARCH_MODELS"):
        monkeypatch.delenv(name, raising=False)

    def called(*arguments: object, factory: Factory | None = None) -> Outcome:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments], factory)
        out, err = capsys.readouterr()
        return Outcome(code, out, re.sub(PROGRESS, "", err))

    return called


@pytest.fixture
def facesearch(call: Command) -> Command:
    """With a network."""
    return call


@pytest.fixture
def quick(call: Command) -> Command:
    """With a stand-in for the network; what it makes of a picture is decided by the name of --model."""
    return partial(call, factory=stand_in_search)


READING = (("list",), ("info",), ("problems",), ("verify",), ("show", "1"))


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "cli.app", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def photos(data_set: Path, tmp_path: Path) -> Path:
    """Two pictures of p0 and two of p1, each in the person's folder."""
    for name in ("p0_+00_00", "p0_+30_00", "p1_+00_00", "p1_-45_01"):
        target = tmp_path / "photos" / name[:2] / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data_set / "images" / f"{name}.png", target)
    return tmp_path / "photos"


@pytest.fixture(scope="module")
def listed(data_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of four pictures, which tests only read."""
    place = tmp_path_factory.mktemp("listed")
    (place / "photos").mkdir()
    for picture in sorted((data_set / "images").glob("*.png"))[:4]:
        shutil.copy(picture, place / "photos")
    with stand_in_search(place / "db") as faces:
        faces.index(place / "photos")
    return place / "db"


def slowly(case: object) -> Any:
    """Of several that are alike, one that all tests try, and the fast ones do not."""
    return pytest.param(case, marks=pytest.mark.slow)


# --- help ---


def test_help_names_every_command_with_its_help() -> None:
    shown = in_a_process("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.partition("Commands:")[2].strip().splitlines()
    texts = {name: text.strip() for name, _, text in (line.strip().partition(" ") for line in lines)}
    assert set(texts) == set(COMMANDS)
    assert all(len(text) > 20 for text in texts.values())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_and_option_has_help(facesearch: Command, command: str) -> None:
    shown = facesearch(command, "--help")
    assert (shown.code, shown.err) == (0, "")
    parameters = WHOLE.commands[command].params
    if command in GROUPS:
        assert all(name in shown.out for name in GROUPS[command])
        return
    assert parameters
    for parameter in parameters:
        assert len(parameter.help) > 5, parameter.name
        assert any(name in shown.out for name in parameter.opts), parameter.name


def test_help_takes_little_of_the_processor() -> None:
    """The process's own time, whatever else the machine does; once of three times, since caches may be cold."""
    if sys.platform == "win32":
        pytest.skip("no resource module")
    import resource

    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert in_a_process("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if seconds[-1] < 0.5:
            return
    raise AssertionError(f"it took {seconds} seconds")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS), ("gallery", "redescribe")])
def test_help_is_asked_for_in_two_ways(facesearch: Command, command: tuple[str, ...]) -> None:
    assert facesearch(*command, "-h") == facesearch(*command, "--help")


def test_the_version_is_told(facesearch: Command) -> None:
    assert re.fullmatch(r"facesearch \d+\.\d+\.\d+\n", facesearch("--version").out)


def test_help_is_whole_sentences() -> None:
    def parameters(command: Any) -> list[Any]:
        deeper = [one for sub in getattr(command, "commands", {}).values() for one in parameters(sub)]
        return [*command.params, *deeper]

    for one in parameters(WHOLE):
        if one.name not in ("install_completion", "show_completion"):  # Typer's own
            text = one.help.partition(" [default")[0]
            assert text[0].isupper() and text.endswith("."), (one.name, one.help)


def test_an_option_is_stated_by_its_help() -> None:
    def command(
        place: Annotated[str, "Where."],
        out: Annotated[Path, "--out", "-o", "Into this."],
        dry_run: Annotated[bool, "Only say it."] = False,
        size: Annotated[str | None, "SIZE", "So much."] = None,
        many: Annotated[int, Option(min=1, help="So many.")] = 2,
        one: int = 1,
    ) -> None:
        """Do it."""

    made: Any = get_command(group(command))
    stated = {one.name: (one.opts, one.secondary_opts, one.metavar, one.help, one.required) for one in made.params}
    assert {name: of for name, of in stated.items() if "completion" not in name} == {
        "place": (["place"], [], None, "Where.", True),
        "out": (["--out", "-o"], [], None, "Into this.", True),
        "dry_run": (["--dry-run"], [], None, "Only say it.", False),
        "size": (["--size"], [], "SIZE", "So much.", False),
        "many": (["--many"], [], None, "So many.", False),
        "one": (["--one"], [], None, None, False),
    }


def test_an_option_with_two_metavars_is_a_mistake_of_ours() -> None:
    def command(size: Annotated[str | None, "SIZE", "NUMBER", "So much."] = None) -> None:
        """Do it."""

    with pytest.raises(TypeError, match="size states two metavars, 'SIZE' and 'NUMBER'"):
        group(command)


def test_a_list_of_commands_cuts_none_short() -> None:
    def short(command: Any) -> list[str]:
        below = getattr(command, "commands", {})
        deeper = [text for sub in below.values() for text in short(sub)]
        return [*(sub.get_short_help_str() for sub in below.values()), *deeper]

    texts = short(WHOLE)
    assert len(texts) == len(COMMANDS) + sum(map(len, GROUPS.values()))
    assert [text for text in texts if not text.endswith(".") or text.endswith("..")] == []


def test_a_shell_completes_commands() -> None:
    asked = {"_FACESEARCH_COMPLETE": "complete_bash", "COMP_WORDS": "facesearch gallery re", "COMP_CWORD": "2"}
    script = "import sys; sys.argv[0] = 'facesearch'; from cli.start import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **asked}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["remove", "repair", "redescribe", "relocate"], "")


def redirected(folder: Path, arguments: str, streams: str, first: str = "") -> subprocess.CompletedProcess[str]:
    """The command itself, with streams as a shell gives them; first: what that shell does before."""
    script = "import sys; sys.argv[0] = 'facesearch'; from cli.start import main; main()"
    command = ["sh", "-c", f'{first} "$0" -c "{script}" {arguments} {streams}', sys.executable]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's way to close streams")
@pytest.mark.parametrize(
    "closed", ["<&- >&- 2>&-", *map(slowly, ("2<note", "1<note", "2>&-", ">&-", "<&-", "0>>note"))]
)
def test_a_closed_stream_is_as_if_it_led_nowhere(listed: Path, tmp_path: Path, closed: str) -> None:
    """So is one that is open the wrong way: a shell's script whose errors are closed hands itself on in their place."""
    (tmp_path / "note").write_text("mine")
    done = redirected(tmp_path, f"gallery list --db {listed} --csv", closed)
    assert (done.returncode, done.stderr) == (0, "")
    lost = ">&-" in closed.replace("2>&-", "") or closed == "1<note"
    assert len(done.stdout.splitlines()) == (0 if lost else 5)
    assert (tmp_path / "note").read_text() == "mine"
    assert b"path" not in (listed / "gallery.db").read_bytes()[:6]  # nothing was printed into a file of ours


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's way to close streams")
@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", *map(slowly, ("2>&-", ">&-", "<&-"))])
def test_what_is_to_be_written_is_written_whatever_streams_are_closed(
    listed: Path, tmp_path: Path, closed: str
) -> None:
    copied = shutil.copytree(listed, tmp_path / "db")
    done = redirected(tmp_path, f"gallery label 1 --pose 15 --db {copied}", closed)
    assert (done.returncode, done.stderr) == (0, "")
    with stand_in_search(copied) as faces:
        assert [face.pose for face in faces.gallery.get([1])] == [15] and faces.gallery.verify().sound


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's way to pass over signals")
def test_an_interrupt_that_whoever_started_us_passes_over_is_passed_over(listed: Path, tmp_path: Path) -> None:
    """As of what a shell's script runs in the background."""
    done = redirected(tmp_path, f"gallery list --db {listed} --csv", "& kill -INT $!; wait $!", "trap '' INT;")
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 5)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without a device that is always full")
@pytest.mark.parametrize("streams", ["2>/dev/full", ">&- 2>&-", *map(slowly, ("2>&-", "2<note", "2</dev/full"))])
def test_what_cannot_be_said_on_stderr_ends_nothing(tmp_path: Path, streams: str) -> None:
    """The exit code is that of the work: 2 for an option that there is none of."""
    (tmp_path / "note").touch()
    done = redirected(tmp_path, "gallery list --nope", streams)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without a device that is always full")
@pytest.mark.parametrize("buffered", ["", slowly("1")])
@pytest.mark.parametrize("arguments", ["--version", *map(slowly, ("gallery --help", "gallery list --db {} --jsonl"))])
def test_what_cannot_be_printed_is_one_line(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, buffered: str
) -> None:
    """Nobody shall take half a list for the whole; but who reads no further has asked for no more."""
    monkeypatch.setenv("PYTHONUNBUFFERED", buffered)
    arguments = arguments.format(listed)
    done = redirected(tmp_path, arguments, ">/dev/full")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert re.match(r"facesearch: .*\(No space left on device\): (give it another place|make room)", done.stderr)
    silent = redirected(tmp_path, arguments, "| true")
    assert silent.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's way to close streams")
def test_processes_that_we_start_have_all_streams(tmp_path: Path) -> None:
    child = "[sys.executable, '-c', 'import sys; sys.exit(None in (sys.stdin, sys.stderr))']"
    script = (
        "from cli.start import open_streams; open_streams(); import subprocess, sys; "
        f"sys.exit(subprocess.run({child}).returncode)"
    )
    command = ["sh", "-c", f'"$0" -c "{script}" <&- 2>&-', sys.executable]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False).returncode == 0


def modules_after(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sys.modules, file=sys.stderr)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_imports_nothing_heavy() -> None:
    shown = modules_after("import cli.app; cli.app.run(['--help']); cli.app.run(['query', '--help'])")
    assert "cli.ask" in shown
    assert not HEAVY & shown
    assert "numpy" in modules_after("import faceedit.images")  # the check sees what it looks for


def test_usage_errors_import_nothing_heavy() -> None:
    assert not (HEAVY - {"numpy", "PIL"}) & modules_after(
        "import cli.app; cli.app.run('query x.png --pose 31'.split())"
    )


def test_a_group_alone_shows_its_help(facesearch: Command) -> None:
    shown = facesearch("data")
    assert (shown.code, shown.out) == (2, "")
    assert len(shown.err.splitlines()) > 5 and "import" in shown.err


def test_no_command_at_all_shows_the_help(facesearch: Command) -> None:
    shown = facesearch()
    assert (shown.code, shown.out) == (2, "")
    assert len(shown.err.splitlines()) > 10
    assert all(command in shown.err for command in COMMANDS)


# --- index and query ---


def test_index_then_query_as_table_json_and_sheet(quick: Command, photos: Path) -> None:
    indexed = quick("index", "photos", "--db", "db")
    assert (indexed.code, indexed.err) == (0, "")
    assert indexed.out.startswith("db: 4 images; 4 described, 0 unchanged, 0 skipped")

    asked = ("query", "photos/p0/p0_+00_00.png", "--pose", "30", "-k", "2", "--db", "db")
    table = quick(*asked, "--sheet", "sheet.png")
    assert (table.code, table.err) == (0, "")
    lines = table.out.splitlines()
    assert lines[0].split() == ["rank", "distance", "identity", "pose", "path"]
    assert [line.split()[0] for line in lines[1:]] == ["1", "2"]
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 4 * 120

    answer = json.loads(quick(*asked, "--json").out)
    assert (answer["query"], answer["asked"]) == ("photos/p0/p0_+00_00.png", {"pose": 30})
    results = answer["results"]
    assert [result["rank"] for result in results] == [1, 2]
    assert results[0]["distance"] <= results[1]["distance"]
    for line, result in zip(lines[1:], results, strict=True):
        rank, distance, identity, pose, path = line.split(maxsplit=4)
        assert (int(rank), identity, int(pose), path) == tuple(result[k] for k in ("rank", "identity", "pose", "path"))
        assert float(distance) == pytest.approx(result["distance"], abs=1e-4)
        assert Path(path).is_file()
        assert identity == Path(path).parent.name
        assert not path.endswith("p0_+00_00.png")  # the query itself


def test_negative_poses_and_k_beyond_the_gallery_are_taken(quick: Command, photos: Path) -> None:
    quick("index", photos, "--db", "db")
    asked = ("query", photos / "p0/p0_+00_00.png", "--pose", "-45", "-k", "1000", "--json", "--db", "db")
    answer = json.loads(quick(*asked).out)
    assert answer["asked"] == {"pose": -45}
    assert len(answer["results"]) == 3


def test_with_nothing_asked_those_that_look_most_alike_are_found(quick: Command, photos: Path) -> None:
    assert quick("index", photos).code == 0
    first = sorted(photos.rglob("*.png"))[0]
    content = first.read_bytes()
    Path("same.png").write_bytes(content)
    done = quick("query", "same.png", "-k", 2, "--json")
    answer = json.loads(done.out)
    assert (done.code, answer["asked"], answer["results"][0]["path"]) == (0, {}, str(first.resolve()))
    assert answer["results"][0]["distance"] < 0.01 < answer["results"][1]["distance"]


def test_index_says_what_it_did_as_json_and_does_it_once(quick: Command, photos: Path) -> None:
    asked = ("index", photos, "--db", "db", "--json")
    first, second = quick(*asked), quick(*asked)
    counts: dict[str, Any] = {"gallery": "db", "images": 4, "relabelled": 0, "vanished": 0, "skipped": []}
    counts |= {"changed": 0, "renamed": 0, "duplicates": 0, "pruned": 0, "search": {"kind": "exact", "recall": 1.0}}
    counts |= {"labels": None, "same_names": [], "warnings": [], "photos": 4, "without_face": []}
    counts |= {"returned": 0, "hidden": 0, "passed_over": [], "passed_over_kinds": {}, "exclude_unmatched": []}
    counts |= {"left_out": {"count": 0, "first": []}, "others": [], "lookalikes": 0, "lookalike_reasons": {}}
    assert json.loads(first.out) == {**counts, "described": 4, "unchanged": 0}
    assert json.loads(second.out) == {**counts, "described": 0, "unchanged": 4}


def test_what_looks_like_a_face_and_is_left_out_is_counted(quick: Command, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    (tmp_path / "photos").mkdir()
    mask().save(tmp_path / "photos" / "mask.png")
    mask_and_person().save(tmp_path / "photos" / "party.png")
    reason = "not seen again at a second look"
    told = quick("index", "photos", "--db", "db")
    assert (
        told.code == 0
        and told.err == ""
        and told.out.splitlines()[1:]
        == [
            "1 photograph without a face; `gallery problems` lists them",
            f"2 places look like faces and were left out ({reason})",
        ]
    )
    assert "left out" not in quick("index", "photos", "--db", "db").out  # nothing was read
    as_json = json.loads(quick("index", "photos", "--db", "db2", "--json").out)
    assert (as_json["lookalikes"], as_json["lookalike_reasons"]) == (2, {reason: 2})
    one = rf"no face is found in \S*mask\.png; 1 place, at \d+,\d+, looks like a face and was left out \({reason}\)"
    assert re.search(one, quick("gallery", "problems", "--db", "db").out)
    refused = quick("query", "photos/mask.png", "--db", "db")
    assert (refused.code, refused.out) == (4, "")
    assert re.fullmatch(rf"facesearch: {one}: give a picture that shows one, or a crop of it\n", refused.err)
    answered = quick("query", "photos/party.png", "--db", "db")
    assert "left out" not in answered.out + answered.err


def test_images_that_keep_an_earlier_description_are_told(quick: Command, photos: Path) -> None:
    asked = ("index", photos, "--db", "db")
    quick(*asked)
    assert quick(*asked).err == ""
    told = quick(*asked, "--candidates", "all")
    assert "4 images were described before by their likely candidates alone" in told.err and told.code == 0
    assert "likely" not in quick(*asked[:3], "db2", *asked[4:], "--candidates", "all").err


def test_several_images_are_queried_one_after_the_other(quick: Command, photos: Path, tmp_path: Path) -> None:
    quick("index", photos, "--db", "db")
    good, bad = sorted(photos.rglob("*.png")), tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    asked = ("--pose", "30", "-k", "2", "--db", "db")
    told = quick("query", good[0], bad, good[1], *asked, "--jsonl")
    assert told.code == 3
    answers = [json.loads(line) for line in told.out.splitlines()]
    assert [answer["query"] for answer in answers] == [str(good[0]), str(good[1])]
    assert all(len(answer["results"]) == 2 for answer in answers)
    assert told.err.splitlines() == [
        f"skipped: {bad} is not an image: give a PNG, JPEG or other picture",
        "warning: 1 of the images could not be queried with",
    ]
    folder = quick("query", photos, *asked, "--csv")
    lines = list(csv.DictReader(io.StringIO(folder.out)))
    assert (folder.code, len(lines)) == (0, 2 * len(good))
    assert [line["query"] for line in lines[::2]] == [str(path) for path in good]
    assert [line["rank"] for line in lines] == ["1", "2"] * len(good)
    assert {line["asked"] for line in lines} == {"pose 30"}
    assert {k: lines[0][k] for k in ("path", "identity")} == {
        k: answers[0]["results"][0][k] for k in ("path", "identity")
    }
    table = told_lines(f"\ufeff{good[0]}\r\n\n{good[1]}\n", "query", "-", *asked)  # as Windows writes it
    assert (table.returncode, table.stderr) == (0, "")
    assert [line for line in table.stdout.splitlines() if line.startswith(str(photos))] == [*map(str, good[:2])]


def test_results_can_be_restricted_and_each_person_shown_once(quick: Command, photos: Path) -> None:
    quick("index", photos, "--db", "db")
    image = sorted(photos.rglob("*.png"))[0]

    def found(*more: str) -> list[str]:
        asked = ("query", image, "--pose", "30", "-k", "9", "--db", "db", "--json", *more)
        results = json.loads(quick(*asked).out)["results"]
        assert [result["distance"] for result in results] == sorted(result["distance"] for result in results)
        assert [result["rank"] for result in results] == list(range(1, len(results) + 1))
        return [result["identity"] for result in results]

    assert len(found()) == 3 and set(found()) == {"p0", "p1"}
    assert set(found("--where", "identity != 'p0'")) == {"p1"}
    assert sorted(found("--distinct", "identity")) == ["p0", "p1"]
    assert len(found("--distinct", "content")) == 3
    nobody = quick("query", image, "--pose", "30", "--db", "db", "--where", "pose is not null")
    assert nobody.code == 4


@pytest.mark.slow
def test_a_plan_says_what_is_chosen_and_why_not_the_others(quick: Command, photos: Path) -> None:
    quick("index", photos, "--db", "db")
    shown = quick("gallery", "plan", "--db", "db", "--max-memory", "1.5 GB", "--max-ms", "50")
    assert shown.code == 0
    head, titles, *options, _ = shown.out.splitlines()
    assert head.startswith("4 images, descriptors of 28,800 numbers") and "within 1.5 GB, 50 ms, recall 0.99" in head
    assert titles.split() == ["search", "memory", "time", "to", "build"]
    assert [line.lstrip("* ").split()[0] for line in options] == ["exact", "flat", "ivf", "hnsw"]
    assert options[0].startswith("*") and all("needs" in line for line in options[1:])
    plan = json.loads(quick("gallery", "plan", "--db", "db", "--json").out)
    assert (plan["chosen"], plan["count"], len(plan["options"])) == ("exact", 4, 4)


def test_an_index_that_cannot_be_had_does_not_hide_what_was_done(quick: Command, photos: Path) -> None:
    asked = ("index", photos, "--db", "db")
    assert quick(*asked, "--recall", "1", "--max-memory", "400kB").code == 0
    (photos / "p0" / "bad.png").write_bytes(b"no picture")
    for n in range(7):
        Image.fromarray(np.full((60, 60, 3), 9 * n, np.uint8)).save(photos / "p1" / f"{n}.png")
    told = quick(*asked, "--json")  # eleven need more than 400 kB, but nobody asked this time
    report = json.loads(told.out)
    assert (told.code, report["described"], len(report["skipped"]), report["search"]) == (3, 7, 1, None)
    assert "the gallery is searched as before: nothing searches 11 images within 400 kB" in told.err
    again = quick(*asked, "--recall", "1")
    assert again.code == 2 and "nothing searches 12 images within 400 kB" in again.err  # memory is remembered
    assert quick(*asked, "--max-memory", "1MB").code == 3
    (Path("db") / "search.json").write_text("{")
    damaged = quick(*asked)
    assert damaged.code == 1 and "search.json is damaged" in damaged.err


def test_what_the_system_forbids_is_named(call: Command, photos: Path) -> None:
    def forbidden(*_: object, **__: object) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", "closed/db")

    told = call("index", photos, "--db", "closed/db", factory=forbidden)
    words = "closed/db may not be opened (Permission denied): check its permissions, and of the folders above"
    assert (told.code, told.err) == (1, f"facesearch: {words}\n")


def test_a_full_disk_keeps_nobody_from_reading(quick: Command, photos: Path) -> None:
    assert quick("index", photos, "--db", "db").code == 0
    asked = [("query", photos / "p0" / "p0_+00_00.png", "--pose", "0"), *(("gallery", *line) for line in READING)]
    assert quick(*asked[0], "--db", "db").code == 0  # its index is saved

    def answers() -> list[Outcome]:
        told = [quick(*line, "--db", "db") for line in asked]
        return [one._replace(out=re.sub("on disk .*", "", one.out)) for one in told]  # but for what SQLite shares

    before = answers()
    with full_disk():
        assert answers() == before
        refused = quick("gallery", "label", "1", "--identity", "anna", "--db", "db")
    assert refused.code == 1 and "check the free space" in refused.err and len(refused.err.splitlines()) == 1
    assert answers() == before


def test_a_picture_that_a_full_disk_refuses_leaves_what_was_there(quick: Command, photos: Path) -> None:
    assert quick("index", photos, "--db", "db").code == 0
    one = photos / "p0" / "p0_+00_00.png"
    asked = (("edit", one, "--pose", "30", "-o"), ("query", one, "--pose", "30", "--db", "db", "--sheet"))
    assert quick(*asked[0], "there.png").code == 0
    Path("link.png").symlink_to("there.png")
    before = Path("there.png").read_bytes()
    with full_disk():
        told = [quick(*line, name) for line in asked for name in ("new.png", "there.png", "link.png")]
    assert {(one.code, len(one.err.splitlines())) for one in told} == {(1, 1)}
    assert all("cannot write" in one.err and "too large" in one.err for one in told)
    left = {path.name for path in Path().iterdir() if path.is_file()}
    assert (left, Path("there.png").read_bytes() == before) == ({"there.png", "link.png"}, True)
    assert quick(*asked[1], "link.png").code == 0
    assert Path("link.png").is_symlink() and Path("there.png").read_bytes() != before


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's way to limit files")
@pytest.mark.parametrize(
    "line", [" ".join(READING[0]), *(slowly(" ".join(line)) for line in READING[1:]), "label 1 --pose 15"]
)
def test_where_no_file_may_grow_a_process_reads(quick: Command, listed: Path, tmp_path: Path, line: str) -> None:
    """In a process of its own, which finds none of what SQLite shares among processes."""
    copied = shutil.copytree(listed, tmp_path / "db")
    told = redirected(tmp_path, f"gallery {line} --db {copied}", "", "ulimit -f 0;")
    if line.startswith("label"):
        assert (told.returncode, told.stdout, len(told.stderr.splitlines())) == (1, "", 1)
    else:
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout.count("\n") == quick("gallery", *line.split(), "--db", copied).out.count("\n")


def test_labels_from_a_manifest_appear_in_the_results(quick: Command, data_set: Path, tmp_path: Path) -> None:
    for name in ("p0_+00_00.png", "p1_-45_01.png"):
        (tmp_path / "images").mkdir(exist_ok=True)
        shutil.copy(data_set / "images" / name, tmp_path / "images")
    shutil.copy(data_set / "manifest.csv", tmp_path)
    quick("index", "images", "--labels", "manifest.csv", "--db", "db")
    query = ("query", data_set / "images/p0_+15_00.png", "--pose", "0", "--json", "--db", "db")
    results = json.loads(quick(*query).out)["results"]
    assert {(result["identity"], result["pose"]) for result in results} == {("p0", 0), ("p1", -45)}


def test_skipped_files_are_listed_and_exit_with_3(quick: Command, photos: Path) -> None:
    (photos / "p0" / "empty.png").write_bytes(b"")
    (photos / "p1" / "text.png").write_bytes(b"no picture")
    indexed = quick("index", photos, "--db", "db", "--json")
    assert indexed.code == 3
    lines = indexed.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("skipped: ") for line in lines)
    assert "empty.png is empty" in lines[0]
    assert "text.png is not an image" in lines[1]
    said = json.loads(indexed.out)
    assert said["images"] == 4
    assert [Path(item["path"]).name for item in said["skipped"]] == ["empty.png", "text.png"]


def test_a_gallery_of_only_the_query_finds_nothing_and_exits_with_4(quick: Command, photos: Path) -> None:
    shutil.rmtree(photos / "p1")
    (photos / "p0" / "p0_+30_00.png").unlink()
    quick("index", photos, "--db", "db")
    asked = ("query", photos / "p0/p0_+00_00.png", "--pose", "0", "--db", "db")
    found = quick(*asked, "--json", "--sheet", "sheet.png")
    assert found.code == 4 and found.err.splitlines() == [
        "nothing found: no picture of the gallery meets the conditions"
    ]
    assert json.loads(found.out)["results"] == []


def measured_search(folder: Path, **options: Any) -> FaceSearch:
    """By a model whose first results were right within 0.2, and nearly all within 0.3."""
    describer = HashEditor("measured", usual=Usual("people", "2026-11-26", 100, 0.1, 0.2, 0.3))
    return FaceSearch(folder, describer=describer, reader=ReadsHere(), finder=Cropper(glance=unseen))


def test_what_is_too_far_is_left_out_and_where_nothing_is_left_the_code_is_4(call: Command, photos: Path) -> None:
    ask = partial(call, factory=measured_search)
    ask("index", photos, "--db", "db")
    one, other = photos / "p0" / "p0_+00_00.png", photos / "p1" / "p1_+00_00.png"
    asked = ("--pose", "30", "-k", "1", "--db", "db")
    far = [json.loads(ask("query", image, *asked, "--json").out)["results"][0]["distance"] for image in (one, other)]
    nearer, limit = min(far), sum(far) / 2
    assert nearer > 0.3  # of pictures that nothing is known of
    told = ask("query", one, *asked)
    assert (told.code, len(told.err.splitlines())) == (0, 1)
    assert f"nothing is near {one}: the first result is {far[0]:.3f} away, and 99 % of 100 right" in told.err
    both = ask("query", one, other, *asked, "--jsonl", "--max-distance", limit)
    found = [len(json.loads(line)["results"]) for line in both.out.splitlines()]
    assert (both.code, found) == (0, [int(one <= limit) for one in far])
    none = ask("query", one, other, *asked, "--jsonl", "--max-distance", nearer / 2)
    assert (none.code, [json.loads(line)["results"] for line in none.out.splitlines()]) == (4, [[], []])
    swept = ask("query", one, "--all-poses", "--db", "db", "--max-distance", 0)
    assert (swept.code, len(swept.out.splitlines())) == (4, 1)
    for wrong in ("-0.1", "2.1", "nan", "0,8", "near"):
        assert ask("query", one, *asked, "--max-distance", wrong).code == 2


def test_a_sheet_is_not_drawn_among_the_pictures_of_the_gallery(quick: Command, photos: Path) -> None:
    quick("index", photos, "--db", "db")
    other = photos / "p1" / "p1_+00_00.png"
    before = other.read_bytes()
    asked = ("query", photos / "p0" / "p0_+00_00.png", "--pose", "30", "--db", "db", "--sheet")
    refused = quick(*asked, other)
    assert refused.code == 2 and "lies among the gallery's images and would be lost" in refused.err
    assert other.read_bytes() == before
    (photos.parent / "elsewhere.png").touch()
    (photos / "link.png").symlink_to(photos.parent / "elsewhere.png")
    (photos.parent / "same").symlink_to(photos)
    for new in (photos / "new.png", photos / "p1" / "new.png", photos.parent / "same" / "new.png"):
        refused = quick(*asked, new)
        assert refused.code == 2 and not new.exists() and len(refused.err.splitlines()) == 1
        assert "the next `facesearch index` would take it for one of them: name a file that is not below" in refused.err
    assert quick(*asked, photos / "link.png").code == 2
    assert quick(*asked, photos.parent / "photos.png").code == 0 and (photos.parent / "photos.png").is_file()


def test_the_sheet_is_drawn_although_a_result_s_file_has_gone(quick: Command, photos: Path) -> None:
    quick("index", photos, "--db", "db")
    (photos / "p1" / "p1_+00_00.png").unlink()
    asked = ("query", photos / "p0/p0_+00_00.png", "--pose", "0", "--db", "db")
    assert quick(*asked, "--sheet", "sheet.png").code == 0
    assert Path("sheet.png").is_file()


def test_db_and_model_may_come_from_the_environment(
    facesearch: Command, photos: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACESEARCH_DB", "from-environment")
    monkeypatch.setenv("FACESEARCH_MODEL", str(model_folder))
    assert facesearch("index", photos).out.startswith("from-environment: 4 images")
    assert facesearch("query", photos / "p0/p0_+00_00.png", "--pose", "0").code == 0


# --- one attribute after the other, and sweeps ---


@pytest.fixture
def labelled(quick: Command, photos: Path) -> Path:
    """A gallery of four pictures, described for pose."""
    assert quick("index", photos, "--db", "db").code == 0
    return photos


def test_a_chain_shows_every_step_and_ends_with_the_gallery_s_own_attribute(quick: Command, labelled: Path) -> None:
    asked = ("query", labelled / "p0/p0_+00_00.png", "--pose", "30", "--illumination", "7", "--inpaint", "-k", "2")
    options = ("--db", "db")
    table = quick(*asked, *options, "--sheet", "sheet.png")
    assert (table.code, table.err) == (0, "")
    assert table.out.splitlines()[0].split() == ["rank", "distance", "identity", "pose", "illumination", "path"]
    answer = json.loads(quick(*asked, *options, "--json").out)
    assert answer["asked"] == {"inpainting": 0, "illumination": 7, "pose": 30}
    assert answer["results"][0]["illumination"] is None  # nobody labelled it, and this gallery's model cannot tell
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 6 * 120  # query, three steps, two results
    # the same steps one by one
    quick("edit", asked[1], "--inpaint", "-o", "1.png")
    quick("edit", "1.png", "--illumination", "7", "-o", "2.png")
    last = ("query", "2.png", "--pose", "30", "--db", "db", "--json")
    stepwise = json.loads(quick(*last).out)["results"]
    found = {result["path"]: result["distance"] for result in stepwise}
    for result in answer["results"]:
        assert found[result["path"]] == pytest.approx(result["distance"], abs=1e-3)


def test_another_attribute_alone_is_asked_of_a_gallery_of_poses(quick: Command, labelled: Path) -> None:
    for options in (("--illumination", "3"), ("--inpaint",)):
        asked = ("query", labelled / "p0/p0_+00_00.png", *options, "--db", "db", "--json")
        found = quick(*asked)
        assert (found.code, found.err) == (0, "")
        assert len(json.loads(found.out)["results"]) == 3


def test_a_gallery_of_lights_is_its_own(quick: Command, photos: Path) -> None:
    assert quick("index", photos, "--db", "lights", "--task", "illumination").code == 0
    asked = ("query", photos / "p0/p0_+00_00.png", "--illumination", "3", "--db", "lights")
    table = quick(*asked)
    assert table.code == 0
    assert table.out.splitlines()[0].split() == ["rank", "distance", "identity", "illumination", "path"]
    assert all(line.split()[3].isdigit() for line in table.out.splitlines()[1:])  # what the network decided


@pytest.mark.parametrize(("option", "count"), [("--all-poses", 7), ("--all-illuminations", 20)])
def test_a_sweep_has_one_row_for_each_value(quick: Command, labelled: Path, option: str, count: int) -> None:
    asked = ("query", labelled / "p0/p0_+00_00.png", option, "--db", "db")
    table = quick(*asked, "--sheet", "sheet.png")
    assert (table.code, table.err) == (0, "")
    lines = table.out.splitlines()
    assert len(lines) == count + 1
    name, values = ("pose", range(-45, 46, 15)) if count == 7 else ("illumination", range(20))
    assert [line.split("  ")[0] for line in lines[1:]] == [f"{name} {value}" for value in values]
    with Image.open("sheet.png") as sheet:
        assert sheet.height > count * 120 and sheet.width < 5 * 140
    answers = json.loads(quick(*asked, "--json", "-k", "2").out)["answers"]
    assert [len(answer["results"]) for answer in answers] == [2] * count
    one = quick("query", asked[1], "--pose", "-30", "-k", "1", "--db", "db", "--json")
    if option == "--all-poses":
        assert answers[1]["results"][0]["path"] == json.loads(one.out)["results"][0]["path"]
        assert [answer["asked"]["pose"] for answer in answers] == [-45, -30, -15, 0, 15, 30, 45]


def test_a_sweep_says_all_that_was_asked(quick: Command, labelled: Path) -> None:
    asked = ("query", labelled / "p0/p0_+00_00.png", "--all-illuminations", "--pose", "30", "--db", "db")
    lines = quick(*asked).out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == [f"pose 30, illumination {light}" for light in range(20)]


def test_shrink_makes_a_model_that_answers_as_the_whole_one(
    facesearch: Command, photos: Path, model_folder: Path
) -> None:
    made = facesearch("shrink", model_folder, "--out", "small")
    assert (made.code, made.err) == (0, "")
    assert "2.0 MB instead of 5.5 MB" in made.out
    again = facesearch("shrink", model_folder, "--out", "small")
    assert again.code == 1 and "holds a model already" in again.err
    assert facesearch("index", photos, "--db", "db", "--model", "small").code == 0
    asked = ("query", photos / "p0/p0_+00_00.png", "--pose", "30", "--db", "db", "--model")
    assert facesearch(*asked, "small").code == 0
    assert "was described by model" in facesearch(*asked, model_folder).err


# --- edit ---


@pytest.mark.parametrize(
    ("options", "size"),
    [(("--pose", "30"), (60, 60)), (("--pose", "-45"), (60, 60)), ((), (420, 60)), (("--all-poses",), (420, 60))],
)
def test_edit_writes_one_face_or_a_strip_of_seven(
    quick: Command, photos: Path, options: tuple[str, ...], size: tuple[int, int]
) -> None:
    made = quick("edit", photos / "p0/p0_+00_00.png", *options, "-o", "out.png")
    assert (made.code, made.err) == (0, "")
    assert made.out.startswith("out.png: ")
    with Image.open("out.png") as picture:
        assert (picture.size, picture.mode) == (size, "RGB")


def test_the_strip_holds_each_edit_in_order(quick: Command, photos: Path) -> None:
    image = photos / "p0/p0_+00_00.png"
    quick("edit", image, "-o", "strip.png")
    quick("edit", image, "--pose", "-30", "-o", "one.png")
    with Image.open("strip.png") as strip, Image.open("one.png") as one:
        second = np.asarray(strip, dtype=np.int64)[:, 60:120]
        np.testing.assert_allclose(second, np.asarray(one, dtype=np.int64), atol=2)


def test_pictures_of_any_size_are_edited(quick: Command, photos: Path) -> None:
    with Image.open(photos / "p0/p0_+00_00.png") as image:
        image.resize((128, 200)).convert("L").save("large.jpg")
    assert quick("edit", "large.jpg", "--pose", "0", "-o", "out.png").code == 0


def test_a_face_is_edited_at_the_size_of_the_image_or_at_the_one_asked_for(quick: Command, photos: Path) -> None:
    with Image.open(photos / "p0/p0_+00_00.png") as image:
        image.resize((150, 150)).save("large.png")

    def size(*options: str) -> tuple[int, int]:
        assert quick("edit", "large.png", *options, "-o", "out.png").code == 0
        with Image.open("out.png") as picture:
            return picture.size

    assert (size("--pose", "30"), size("--pose", "30", "--size", "60")) == ((150, 150), (60, 60))
    assert (size("--size", "240", "--inpaint"), size("--size", "100")) == ((240, 240), (700, 100))


@pytest.mark.parametrize("size", ["59", "0", "-5", "241", "1000000"])
def test_a_size_that_makes_no_sense_is_refused(quick: Command, photos: Path, size: str) -> None:
    done = quick("edit", photos / "p0/p0_+00_00.png", "--pose", "30", "--size", size, "-o", "out.png")
    assert done.code == 2
    assert done.err == f"facesearch: size is {size}: give the side of the picture in pixels, 60 to 240\n"
    assert not Path("out.png").exists()


# --- evaluate and train ---


@pytest.mark.slow
def test_evaluate_writes_a_report_and_a_missed_gate_exits_with_5(
    facesearch: Command, data_set: Path, model_folder: Path
) -> None:
    asked = ("evaluate", "--data", data_set, "--model", model_folder, "--queries", "10", "--seed", "3")
    done = facesearch(*asked, "--out", "report")
    assert (done.code, done.err) == (0, "")
    report = json.loads(Path("report/report.json").read_text(encoding="utf-8"))
    needed = {"queries", "gallery", "recall", "by_source", "by_target", "mse", "baselines"}
    assert needed | {"decided_accuracy"} <= set(report)
    assert (report["queries"], report["gallery"], report["about"]["seed"]) == (10, 28, 3)
    assert {path.name for path in Path("report").iterdir()} == {"report.json", "report.md", "pictures"}
    assert "report/report.md" in done.out
    assert f"two-stage descriptor  {report['recall']['1']['value']:.3f}" in done.out

    assert facesearch(*asked, "--out", "report", "--gate", "0").code == 0
    missed = facesearch(*asked, "--out", "missed", "--gate", "1")
    assert (missed.code, missed.err) == (5, "")
    again = json.loads(Path("missed/report.json").read_text(encoding="utf-8"))
    assert again == report  # written all the same, and the same seed gives the same figures


@pytest.mark.slow
def test_evaluate_records_its_figures_in_the_model_where_that_is_asked(
    facesearch: Command, data_set: Path, models_folder: Path
) -> None:
    """By light: the nearest picture of the same person and pose is right then, also without training."""
    shutil.copytree(models_folder / "illumination", "model")
    loaded = load_model(Path("model"))
    before = json.loads(Path("model/model.json").read_text(encoding="utf-8"))
    asked = ("evaluate", "--data", data_set, "--model", "model", "--queries", "8")
    assert facesearch(*asked, "--out", "report").code == 0
    assert json.loads(Path("model/model.json").read_text(encoding="utf-8")) == before
    done = facesearch(*asked, "--out", "again", "--record")
    assert (done.code, done.err) == (0, "")
    report = json.loads(Path("again/report.json").read_text(encoding="utf-8"))
    card = json.loads(Path("model/model.json").read_text(encoding="utf-8"))
    of = f"({data_set.name}: identity,illumination,pose; descriptor paper)"
    wanted = {f"recall@{rank} {of}": found["value"] for rank, found in report["recall"].items()}
    wanted |= {f"mse_{stage} {of}": value for stage, value in report["mse"].items()}
    assert card["metrics"] == {**before["metrics"], **wanted}
    known = card["distances"]["paper"]
    assert {name: known[name] for name in ("half", "most", "nearly_all")} == report["right_distances"]
    assert (known["data"], known["right"]) == (data_set.name, round(8 * report["recall"]["1"]["value"]))
    assert {**card, "metrics": before["metrics"], "distances": before["distances"]} == before
    assert load_model(Path("model")).digest == loaded.digest  # of weights that stay


@pytest.mark.slow
def test_a_model_that_was_just_trained_answers_queries(facesearch: Command, data_set: Path, photos: Path) -> None:
    steps = ("--steps-one", "2", "--steps-two", "2")
    trained = facesearch("train", "pose", "--recipe", "paper", "--data", data_set, "--out", "model", *steps)
    assert trained.code == 0
    assert all(line.startswith("stage ") for line in trained.err.splitlines())  # progress, if it is slow
    assert trained.out.startswith("model: model ")
    assert facesearch("index", photos, "--db", "db", "--model", "model").code == 0
    asked = ("query", photos / "p0/p0_+00_00.png", "--pose", "30", "--db", "db", "--model", "model", "--json")
    assert len(json.loads(facesearch(*asked).out)["results"]) == 3


# --- the demo, and being interrupted ---


@pytest.mark.slow
def test_the_demo_answers_the_sample_queries_and_draws_them(
    facesearch: Command, data_set: Path, photos: Path, models_folder: Path, tmp_path: Path
) -> None:
    sample = tmp_path / "sample"
    (sample / "queries").mkdir(parents=True)
    shutil.copytree(photos, sample / "gallery")
    (sample / "models").symlink_to(models_folder)
    shutil.copy(data_set / "images" / "p0_-15_00.png", sample / "queries" / "who.png")
    with (sample / "gallery" / "manifest.csv").open("w", newline="") as stream:
        rows = [(path.relative_to(sample / "gallery"), path.parent.name) for path in sample.glob("gallery/*/*.png")]
        csv.writer(stream).writerows([("path", "identity"), *rows])
    (sample / "queries" / "queries.csv").write_text(
        "path,identity,ask_pose,ask_illumination,ask_inpaint\nwho.png,p0,30,7,yes\n"
    )
    for _ in range(2):  # the second time the gallery is there
        shown = facesearch("demo", "--out", "demo", "--sample", sample)
        assert (shown.code, shown.err) == (0, "")
        assert "4 images indexed and 1 queries answered" in shown.out
        assert str(tmp_path / "demo") in shown.out
        with Image.open(tmp_path / "demo" / "who_complete_illumination_7_pose_30.png") as picture:
            assert picture.width > 8 * 120  # the query, three steps and the results


def test_a_demo_without_its_sample_says_so(facesearch: Command) -> None:
    shown = facesearch("demo", "--sample", "nowhere")
    assert (shown.code, shown.out, len(shown.err.splitlines())) == (1, "", 1)
    assert not Path("demo").exists()


class Interrupted(ReadsHere):
    def ahead(self, paths: Sequence[Path], batch: int, /) -> Iterator[list[Read]]:
        raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0.005, 0.05, 0.2, *map(slowly, (0.02, 0.1, 0.4))])
def test_an_interrupt_is_one_line_also_while_modules_are_loaded(tmp_path: Path, after: float) -> None:
    script = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "sys.argv = ['facesearch', 'query', '-', '--pose', '30']; "
        "from cli.start import main; print(flush=True); main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    told = "before ours"
    while told.endswith(("before ours", 'File "<string>", line 1, in <module>\nKeyboardInterrupt\n')):
        with subprocess.Popen(  # stdin stays open: it waits for a path
            command, cwd=tmp_path, env=environment, stdin=-1, stdout=-1, stderr=-1, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(after)
            process.send_signal(signal.SIGINT)
            told = process.communicate(timeout=60)[1]  # on a busy machine main may not have been called yet
    nothing, kept = "nothing was begun", "what was finished is kept"
    assert (process.returncode, told) in [(130, f"facesearch: interrupted: {one}\n") for one in (nothing, kept)]


def test_an_interrupt_exits_with_130(call: Command, photos: Path) -> None:
    stopped = call("index", photos, "--db", "db", factory=partial(stand_in_search, reader=Interrupted()))
    assert (stopped.code, stopped.out) == (130, "")
    assert stopped.err == "facesearch: interrupted: what was finished is kept\n"


def test_two_pictures_are_compared_by_the_command(photos_of_people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def made(folder: Path, **options: Any) -> FaceSearch:
        usual = Usual("people", "2026-11-26", 10, 0.1, 0.2, 0.4, (Accepted(0.001, 0.5, 0.9, 0.8, 1.0),))
        finder = Cropper(glance=unseen)
        return FaceSearch(folder, describer=KnowsPeople(usual_who=usual), reader=ReadsHere(), finder=finder)

    one, same, other = (str(photos_of_people / name) for name in ("a1.png", "a2.png", "b1.png"))
    assert run(["compare", one, same], made) == 0
    assert capsys.readouterr().out.startswith("same: 0.0")
    assert run(["compare", one, other, "--json"], made) == 4
    said = json.loads(capsys.readouterr().out)
    assert said["same"] is False and said["distance"] > 0.5
    assert run(["compare", one, same, "--false-accepts", "0.3"], made) == 2
    assert "in 0.3 of pairs: choose one of 0.001" in capsys.readouterr().err
    assert run(["compare", one, str(photos_of_people / "none.png")], made) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture
def photos_of_people(tmp_path: Path) -> Path:
    for name, person, number in (("a1", 40, 1), ("a2", 40, 2), ("b1", 90, 1)):
        noise = np.random.default_rng(number).integers(0, 256, (60, 60, 3), dtype=np.uint8)
        noise[0, 0] = person
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    return tmp_path
