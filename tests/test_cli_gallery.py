"""The commands of `facesearch gallery`, over a gallery without a model's help."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.app import run
from index.gallery import FileStamp, Gallery, GalleryConfig, Problem
from tests.conftest import blob_face
from tests.faces import new_face, unit_vectors
from tests.servers import new_address
from tests.stand_ins import ReadsHere, stand_in_search

SIZE = 16
Call = Callable[..., tuple[int, str, str]]


IN_FILES = pytest.mark.parametrize("call", ["folder"], indirect=True)
"""What looks into the gallery's files, or damages them."""


@pytest.fixture(params=["folder", pytest.param("postgres", marks=pytest.mark.cluster)])
def call(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """`call("list", ...)` of a gallery of six images, of which p/5.png has no file and nobody's label."""
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path / "cache"))
    db = "db" if request.param == "folder" else new_address(request.getfixturevalue("postgres"))
    photos = tmp_path / "photos"
    (photos / "p").mkdir(parents=True)
    config = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, photos)
    rows = [
        new_face(
            f"p/{n}.png",
            (n % 3 - 1) * 15,
            (1.0, None, 3.0),
            identity="anna" if n < 3 else "ben",
            pose=(n % 3 - 1) * 15,
            illumination=n,
            sha256=hashlib.sha256(b"").hexdigest(),
        )
        for n in range(5)
    ]
    for row in rows:
        (photos / row.path).touch()
    monkeypatch.chdir(tmp_path)
    with Gallery.create(db, config) as gallery:
        gallery.add([*rows, new_face("p/5.png", 15, (None,) * 3)], unit_vectors(6, SIZE))
        gallery.note_problems([Problem("p/bad.png", FileStamp(1, 2), "p/bad.png is empty (0 bytes)")])

    def called(*arguments: object) -> tuple[int, str, str]:
        code = run(["gallery", *map(str, arguments), "--db", db], stand_in_search)
        return code, *capsys.readouterr()

    return called


def paths(text: str) -> list[str]:
    return [json.loads(line)["path"] for line in text.splitlines()]


def test_info(call: Call) -> None:
    code, out, _ = call("info", "--json")
    about = json.loads(out)
    assert code == 0 and (about["images"], about["people"], about["problems"]) == (6, 2, 1)
    assert (about["task"], about["values"], about["descriptor"], about["indexes"]) == ("pose", [-15, 0, 15], SIZE, [])
    assert about["bytes"] > 6 * SIZE * 2
    assert "6 of 2 people; 1 file unread" in call("info")[1]


def test_list(call: Call) -> None:
    assert paths(call("list", "--jsonl")[1]) == [f"p/{n}.png" for n in range(6)]
    assert paths(call("list", "--where", "identity = 'ben' and pose >= 0", "--jsonl")[1]) == ["p/4.png"]
    title, *lines = call("list", "--limit", "2")[1].splitlines()
    assert title.split() == ["id", "path", "identity", "pose", "illumination", "expression", "decided"]
    assert [line.split()[1] for line in lines] == ["p/0.png", "p/1.png"]
    rows = list(csv.DictReader(io.StringIO(call("list", "--csv")[1])))
    assert (rows[1]["path"], rows[1]["pose"], rows[1]["decided"]) == ("p/1.png", "0", "0")
    assert (rows[5]["pose"], rows[5]["decided"]) == ("", "15")
    assert call("list", "--where", "identity = 'zoe'")[:2] == (4, "")


def test_listed_columns_stand_below_their_titles(call: Call) -> None:
    call("label", "4", "--identity", "somebody with a long name")
    title, *lines = call("list")[1].splitlines()
    for name, column in (("path", [f"p/{n}.png" for n in range(6)]), ("illumination", [*"01234", "-"])):
        assert [line[title.index(name) :].split("  ")[0] for line in lines] == column
    assert len(lines) == 6 and not any(line.endswith(" ") for line in (title, *lines))


def test_a_large_gallery_has_one_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is listed a page at a time."""
    config = GalleryConfig("a" * 64, "pose", (0,), SIZE, tmp_path)
    with Gallery.create(tmp_path / "db", config) as gallery:
        faces = [new_face(f"{n:04}.png", 0, (1.0,)) for n in range(2_001)]
        gallery.add(faces, unit_vectors(2_001, SIZE))
    assert run(["gallery", "list", "--db", str(tmp_path / "db")], stand_in_search) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [f"{n:04}.png" for n in range(2_001)]
    assert {line.index(".png") for line in lines} == {title.index("path") + 4}


def test_show(call: Call) -> None:
    shown = json.loads(call("show", "2", "p/5.png", "photos/p/0.png", "--json")[1])
    assert [one["path"] for one in shown] == ["p/0.png", "p/1.png", "p/5.png"]
    assert [one["there"] for one in shown] == [True, True, False]
    assert shown[0]["errors"] == {"-15": 1.0, "15": 3.0}
    assert "identity      anna" in call("show", "1")[1]


def test_label(call: Call) -> None:
    assert call("label", "p/5.png", "1", "--identity", "zoe", "--pose", "30")[1] == "2 images labelled\n"
    assert call("label", "--where", "identity = 'zoe' and id = 1", "--pose", "")[1] == "1 image labelled\n"
    rows = [json.loads(line) for line in call("list", "--where", "identity = 'zoe'", "--jsonl")[1].splitlines()]
    assert [(row["path"], row["pose"], row["illumination"]) for row in rows] == [
        ("p/0.png", None, 0),
        ("p/5.png", 30, None),
    ]


@IN_FILES
def test_remove(call: Call, tmp_path: Path) -> None:
    code, out, err = call("remove", "--where", "identity = 'anna'", "--dry-run")
    assert (code, out.split(), err) == (0, ["p/0.png", "p/1.png", "p/2.png"], "3 images would be removed\n")
    assert call("remove", "--where", "identity = 'anna'")[1] == "3 images removed, their descriptors erased\n"
    assert paths(call("list", "--jsonl")[1]) == ["p/3.png", "p/4.png", "p/5.png"]
    [descriptors] = (tmp_path / "db").glob("descriptors*.f16")
    records = np.fromfile(descriptors, np.float16).reshape(-1, SIZE)
    assert not records[:3].any() and records[3:].any(1).all()
    assert (tmp_path / "photos" / "p" / "0.png").exists()


def test_problems(call: Call) -> None:
    assert call("problems")[1] == "p/bad.png  p/bad.png is empty (0 bytes)\n"
    assert json.loads(call("problems", "--json")[1])[0]["path"] == "p/bad.png"


@IN_FILES
def test_verify_and_repair(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("verify")
    assert code == 0 and out.splitlines()[0] == "6 images: 6 descriptors agree with their hash"
    [path] = (tmp_path / "db").glob("descriptors*.f16")
    content = bytearray(path.read_bytes())
    content[2 * SIZE] ^= 1
    path.write_bytes(content)
    code, out, _ = call("verify", "--json")
    assert code == 1 and json.loads(out)["damaged"] == ["p/1.png"]
    assert call("repair")[1].splitlines() == [
        "to be described again: p/1.png",
        "1 image to be described again; run `facesearch index` to describe them",
    ]
    assert call("verify")[1].splitlines()[:2] == [
        "6 images: 5 descriptors agree with their hash",
        "1 image to be described again: run `facesearch index`",
    ]
    assert call("verify")[0] == 0


def test_a_plan_has_no_trailing_blanks(call: Call) -> None:
    code, out, _ = call("plan")
    assert code == 0 and len(out.splitlines()) > 4
    assert [line for line in out.splitlines() if line.endswith(" ")] == []


@IN_FILES
def test_compact(call: Call, tmp_path: Path) -> None:
    call("remove", "1", "3")
    assert call("compact")[1].startswith("db: ")
    [file] = (tmp_path / "db").glob("descriptors*")
    assert file.stat().st_size == 4 * SIZE * 2
    assert call("verify")[0] == 0 and len(paths(call("list", "--jsonl")[1])) == 4


@IN_FILES
def test_export_and_import(call: Call, tmp_path: Path) -> None:
    code, out, err = call("export", "out", "--pictures")
    assert (code, out) == (3, "out: 6 images with their pictures\n")
    assert err.startswith("not copied: p/5.png\nwarning: the files of 1 image were not copied: they are not there, or")
    assert call("export", "plain")[0] == 0
    shown = call("list", "--jsonl")[1]
    (tmp_path / "db").rename(tmp_path / "before")
    code, out, err = call("import", "out")
    assert (code, out) == (0, f"db: 6 images, whose files lie below {tmp_path / 'out' / 'pictures'}\n")
    assert err.startswith("warning: the files of 1 image are not there; say where they are with")
    assert call("list", "--jsonl")[1] == shown and call("verify")[0] == 0
    (tmp_path / "db").rename(tmp_path / "second")
    assert call("import", "plain", "--root", "photos")[0] == 0
    assert json.loads(call("info", "--json")[1])["image_root"] == str(tmp_path / "photos")


def test_redescribe(call: Call, tmp_path: Path) -> None:
    for n in range(6):
        Image.fromarray(blob_face(n, 0, 0)).save(tmp_path / "photos" / "p" / f"{n}.png")
    before = call("list", "--jsonl")[1]
    code, out, _ = call("redescribe", "--model", "one")
    assert code == 0 and ": 6 images described by model " in out and str(tmp_path) not in out
    labels = ("id", "path", "identity", "pose", "illumination")
    kept = [[json.loads(line)[name] for name in labels] for line in call("list", "--jsonl")[1].splitlines()]
    assert kept == [[json.loads(line)[name] for name in labels] for line in before.splitlines()]
    assert call("verify")[0] == 0
    code, _, err = call("redescribe", "--model", "one")
    assert code == 2 and "is described by the model" in err
    (tmp_path / "photos" / "p" / "4.png").unlink()
    code, out, err = call("redescribe", "--model", "another", "--json")
    report = json.loads(out)
    assert code == 3 and not report["finished"] and report["described"] == 5
    about = json.loads(call("info", "--json")[1])
    assert about["redescription"]["staged"] == 5
    assert "5 of 6 images described; `gallery redescribe --model` with that model goes on" in call("info")[1]
    assert call("redescribe", "--give-up")[1] == "5 new descriptions forgotten\n"
    assert call("redescribe", "--give-up")[1] == "nothing was under way\n"
    code, out, _ = call("redescribe", "--model", "another", "--drop")
    assert code == 0 and out.endswith(", 1 removed: their files cannot be read\n")
    assert json.loads(call("info", "--json")[1])["model"] != about["model"]


@IN_FILES
def test_redescribe_by_a_network(
    call: Call, tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from faceedit.modelfile import model_digest

    for n in range(6):
        Image.fromarray(blob_face(n, 0, 0)).save(tmp_path / "photos" / "p" / f"{n}.png")
    asked = ["gallery", "redescribe", "--db", "db", "--model", str(model_folder), "--device", "cpu"]
    assert run(asked) == 0
    done, changed = capsys.readouterr().out.splitlines()
    assert done == f"db: 6 images described by model {model_digest(model_folder)[:12]}"
    assert changed.startswith("5 faces with labels by a hand in files that changed since")
    assert run(asked) == 2


def test_relocate(call: Call, tmp_path: Path) -> None:
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    assert "(not there now)" in call("info")[1]
    code, out, err = call("relocate", "elsewhere")
    assert code == 0 and out.endswith(f"images below {tmp_path / 'elsewhere'}\n")
    assert err == "warning: the files of 1 image are not there\n"
    assert json.loads(call("show", "1", "--json")[1])[0]["there"]


def test_a_gallery_of_a_part_is_given_the_whole_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: object, code: int = 0) -> tuple[str, str]:
        factory = partial(stand_in_search, reader=ReadsHere())
        assert run([*map(str, arguments), "--db", str(tmp_path / "db")], factory) == code
        return capsys.readouterr()

    whole, part = tmp_path / "all", tmp_path / "all" / "p"
    for n, folder in enumerate((part, part / "p", part / "p" / "p", whole / "q")):  # where some go, others were
        folder.mkdir(parents=True)
        Image.fromarray(blob_face(n, 0, 0)).save(folder / "x.png")
    told("index", part)
    before = [json.loads(line) for line in told("gallery", "list", "--jsonl")[0].splitlines()]
    assert f"a part of {whole}: say `facesearch gallery relocate {whole}` first" in told("index", whole, code=1)[1]
    assert told("gallery", "relocate", whole) == (f"{tmp_path / 'db'}: images below {whole}\n", "")
    after = [json.loads(line) for line in told("gallery", "list", "--jsonl")[0].splitlines()]
    assert [one["path"] for one in after] == [f"p/{one['path']}" for one in before]
    assert [{**one, "path": ""} for one in after] == [{**one, "path": ""} for one in before]
    assert "sound" in told("gallery", "verify")[0]
    assert "4 images; 1 described, 3 unchanged, 0 skipped" in told("index", whole)[0]


def test_why_a_file_could_not_be_read_names_it_where_it_lies_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: object, code: int = 0) -> tuple[str, str]:
        factory = partial(stand_in_search, reader=ReadsHere())
        assert run([*map(str, arguments), "--db", str(tmp_path / "db")], factory) == code
        return capsys.readouterr()

    def line(name: str, bad: Path) -> str:
        return f"{name}  {bad} is not an image: give a PNG, JPEG or other picture\n"

    for n in range(2):
        (tmp_path / "a" / "photos").mkdir(parents=True, exist_ok=True)
        Image.fromarray(blob_face(n, 0, 0)).save(tmp_path / "a" / "photos" / f"{n}.png")
    (tmp_path / "a" / "photos" / "bad.png").write_text("{file} no picture")
    told("index", tmp_path / "a" / "photos", code=3)
    assert told("gallery", "problems")[0] == line("bad.png", tmp_path / "a" / "photos" / "bad.png")
    (tmp_path / "a").rename(tmp_path / "b")
    told("gallery", "relocate", tmp_path / "b" / "photos")
    bad = tmp_path / "b" / "photos" / "bad.png"
    assert told("gallery", "problems")[0] == line("bad.png", bad)
    assert json.loads(told("gallery", "problems", "--json")[0])[0]["reason"].startswith(f"{bad} is not")
    told("gallery", "relocate", tmp_path / "b")
    assert told("gallery", "problems")[0] == line("photos/bad.png", bad)
    again = told("index", tmp_path / "b", "--json", code=3)
    assert again[1].startswith(f"skipped: {bad} is not an image")
    assert json.loads(again[0])["skipped"][0]["reason"].startswith(f"{bad} is not an image")


def test_labels_of_pruned_images_come_back_where_they_were_after_relocating(tmp_path: Path) -> None:
    whole = tmp_path / "all"
    for folder in ("p/a", "p/b"):  # of one content
        (whole / folder).mkdir(parents=True)
        Image.fromarray(blob_face(1, 0, 0)).save(whole / folder / "1.png")
    Image.fromarray(blob_face(2, 0, 0)).save(whole / "p" / "stays.png")
    (whole / "p" / "note.txt").write_text("no picture")
    with stand_in_search(tmp_path / "db", reader=ReadsHere()) as faces:
        faces.index(whole / "p")
        for name in ("a", "b"):
            faces.label(f"{name}/1.png", identity=name.upper())
            (whole / "p" / name / "1.png").rename(tmp_path / f"{name}.png")
        assert faces.index(whole / "p", prune=True, sure=True).pruned == 2
        faces.relocate(whole)
        for name in ("b", "a"):
            (tmp_path / f"{name}.png").rename(whole / "p" / name / "1.png")
            faces.index(whole)
        said = {face.path: face.identity for face in faces.gallery.faces()}
        assert (said["p/a/1.png"], said["p/b/1.png"]) == ("A", "B")
        assert faces.gallery.verify().sound


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show",), "say which images: their paths or ids, or --where"),
        (("show", "p/9.png"), "the gallery holds no image 'p/9.png'"),
        (("show", "99"), "holds no image 99"),
        (("remove",), "say which images"),
        (("remove", "p/1.png", "--where", "pose = 0"), "paths and --where together: choose one"),
        (("remove", "--where", "pose = 99"), "no image fulfils the condition"),
        (("remove", "--where", "pose ="), "it ends; expected a whole number"),
        (("label", "p/1.png"), "say what to change"),
        (("label", "1", "--pose", "9" * 30), "is too large a number"),
        (("show", "9" * 30), "holds no image '999"),
        (("list", "--where", f"id = {'9' * 5000}"), "expected a whole number"),
        (("list", "--where", " or ".join(["id=1"] * 1200)), "has more than 500 comparisons"),
        (("label", "1", "--identity", "\udcff"), "is not valid Unicode"),
        (("show", "\udcff.png"), "not valid Unicode"),
        (("list", "--where", "identity = '\udcff'"), "the condition \"identity = '\\udcff'\" is not valid Unicode"),
        (("export", "."), ". is there already"),
        (("label", "p/1.png", "--pose", "left"), "pose 'left' is no whole number: give one"),
        (("list", "--csv", "--jsonl"), "--jsonl and --csv together"),
        (("relocate", "nowhere"), "nowhere is no folder"),
        (("export", "photos"), "photos is there already: give a folder that does not exist yet"),
        (("export", "photos/p/0.png/x"), "is a file: give a folder to write into"),
        (("import", "photos", "--root", "nowhere"), "nowhere is no folder"),
        (("redescribe", "--task", "age"), "no task 'age'"),
    ],
)
def test_a_mistake_gives_one_line_and_changes_nothing(
    call: Call, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    before = call("list", "--jsonl")
    code, out, err = call(*arguments)
    assert code in (1, 2, 4) and out == "" and len(err.splitlines()) == 1 and words in err
    assert call("list", "--jsonl") == before


@IN_FILES
@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("import", "photos"), "db is there already"), (("relocate", "db"), "db holds none of the gallery's 6 images")],
)
def test_a_mistake_about_a_folder_does_so_too(
    call: Call, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    test_a_mistake_gives_one_line_and_changes_nothing(call, tmp_path, arguments, words)


@IN_FILES
@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--model", "nowhere"), "no model folder nowhere"),
        (("--descriptor", "long"), "no descriptor 'long'"),
        (("--device", "tpu"), "tpu"),
    ],
)
def test_a_model_that_cannot_be_had_is_refused(
    call: Call, capsys: pytest.CaptureFixture[str], option: tuple[str, ...], words: str
) -> None:
    code = run(["gallery", "redescribe", "--db", "db", *option])
    out, err = capsys.readouterr()
    assert code in (1, 2) and out == "" and len(err.splitlines()) == 1 and words in err


def test_no_command_loads_torch() -> None:
    import subprocess
    import sys

    root = Path(__file__).resolve().parent.parent
    code = "import sys, cli.app, index.gallery; print({'torch', 'faiss', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


ODD = ["=1+1.png", "+1", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1", "\x1b[2J", "a\u202egnp.exe", "a\nb", "\u2066x"]


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gallery whose labels and paths are meant for a spreadsheet, or for the terminal."""
    config = GalleryConfig("a" * 64, "pose", (-15, 0, 15), SIZE, tmp_path)
    faces = [new_face(name, -15, identity=name, pose=-15, expression=name) for name in ODD]
    with Gallery.create(tmp_path / "db", config) as gallery:
        gallery.add(faces, np.eye(SIZE, dtype=np.float32)[: len(ODD)])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "db"


def test_a_table_of_comma_separated_values_holds_no_formula(odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gallery", "list", "--csv", "--db", "db"], stand_in_search) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == len(ODD) and {row["pose"] for row in rows} == {"-15"}  # a number is none
    texts = [row[name] for row in rows for name in ("path", "identity", "expression")]
    assert all(text.isprintable() and not text.lstrip().startswith(tuple("=+-@")) for text in texts)
    assert [row["path"] for row in rows][:4] == ["'=1+1.png", "'+1", "'-2", "'@SUM(A1)"]


@pytest.mark.parametrize("name", ODD)
def test_an_error_obeys_no_terminal(odd: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["list", "--where", f"identity ~ '{name}'"], ["show", f"{name}?"], ["remove", f"{name}?"]):
        assert run(["gallery", *command, "--db", "db"], stand_in_search) == 2
        told = capsys.readouterr().err
        assert told.endswith("\n") and told[:-1].isprintable() and len(told) < 4_200


def test_a_long_error_keeps_its_beginning_and_its_end(odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gallery", "show", "x" * 100_000, "--db", "db"], stand_in_search) == 2
    told = capsys.readouterr().err
    assert len(told) < 4_200 and told.startswith("facesearch: the gallery holds no image 'xxx")
    assert told.endswith("xxx': give a path as `facesearch gallery list` shows it\n")


def test_an_empty_gallery_is_made_and_says_what_searches_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db, photos = str(tmp_path / "db"), tmp_path / "photos"
    photos.mkdir()
    make = ("gallery", "create", "--db", db, "--root", str(photos))
    assert run([*make, "--vectors", "milvus://root:h1dden@db/faces"], stand_in_search) == 2
    assert run([*make, "--vectors", "pgvector"], stand_in_search) == 2
    assert "h1dden" not in capsys.readouterr().err and not Path(db).exists()
    assert run([*make, "--vectors", "faiss"], stand_in_search) == 0
    assert "searched by   faiss; no saved index" in capsys.readouterr().out
    assert run(list(make), stand_in_search) == 1
    assert "holds a gallery already" in capsys.readouterr().err
    assert run(["gallery", "info", "--db", db, "--json"], stand_in_search) == 0
    assert json.loads(capsys.readouterr().out)["vectors"] == "faiss"
    assert run(["gallery", "create", "--db", str(tmp_path / "x"), "--root", str(tmp_path / "no")], stand_in_search) == 2
