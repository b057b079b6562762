"""Inputs that nobody would write and strangers might, for every parser of ours, and what must hold whatever is read.

A parser here is a strategy and a check. The check lets through the errors that the parser promises, each of which must
be one readable line; whatever else is raised is a mistake of ours. `tests/test_fuzzing.py` tries a few of each, with
those that once found something; `benchmarks/fuzz.py` tries them for as long as it is told to.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from faceedit.errors import ImageError, ImportSourceError, ManifestError
from faceedit.images import read_crop
from faceedit.manifest import PATH_COLUMNS, read_manifest
from faceedit.sources.importing import LandmarkFile
from faceedit.sources.table import list_table
from index.errors import WhereError
from index.gallery import Gallery, GalleryConfig
from index.values import Decision, Face, Photo
from index.where import FIELDS, parse
from retrieval.labelling import read_labels

LONGEST = 3_000  # characters of an error


@dataclass(frozen=True)
class Parser:
    """inputs: what it is given; check: gives it and raises AssertionError, or what is foreseen nowhere."""

    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], object]


def require_line(error: Exception) -> None:
    """An error is text that says something, and no more than a screen of it once it is printed."""
    assert str(error).strip(), f"an error without a word: {error!r}"
    assert len(str(error)) <= 40_000, f"an error of {len(str(error)):,} characters"


# --- inputs ---

WILD = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "\0", "../x", "/etc/passwd", "a/../../x", ".", "..", "a//b", "=1+1", "\x1b[2J", "\u202e", "é"]
    ),
    st.sampled_from(["x" * 300, "-1", "1e999", "nan", "9" * 400, "a" * 5_000, "\ufeff", "'", '"', "0x10", "१२", "\n"]),
)
NASTY = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2**31, 2**62 + 1, 2**63, 10**6, 10**7, 10**9, 10**30, 10**400, -(10**19)]),
    st.sampled_from([0.5, -0.0, 1e-320, 1e308, float("nan"), float("inf"), -float("inf")]),
    WILD,
    st.sampled_from(["\ud800", "f" * 64, "F" * 64, "pose", "illumination"]),
    st.sampled_from([[], {}, [[]], {"a": {}}, [1, 2], ["x"], [None] * 7, [0] * 7, list(range(300)), {"": None}]),
    st.recursive(st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3), max_leaves=8),
)


@st.composite
def changed_json(draw: st.DrawFn, valid: Any) -> Any:
    """A JSON value of which one to three places are replaced, left out, or added to."""
    content = {"": copy.deepcopy(valid)}
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(content))
        inside, key = draw(st.sampled_from(places))
        what = draw(st.sampled_from(("replace", "replace", "drop", "add")))
        if what == "replace" or len(places) == 1 or inside is content:
            inside[key] = draw(NASTY)
        elif what == "drop":
            del inside[key]
        elif isinstance(inside, dict):
            inside[draw(WILD)] = draw(NASTY)
        else:
            inside.insert(key, draw(NASTY))
    return content[""]


def _places(content: Any) -> Any:
    keys = content if isinstance(content, dict) else range(len(content))
    for key in keys:
        yield content, key
        if isinstance(content[key], dict | list) and content[key]:
            yield from _places(content[key])


@st.composite
def changed_bytes(draw: st.DrawFn, valid: bytes) -> bytes:
    """Bytes of which a few are others, missing, there twice, or new."""
    content = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        what = draw(st.sampled_from(("flip", "cut", "put", "drop", "twice")))
        length = draw(st.integers(1, 40))
        if what == "flip" and at < len(content):
            content[at] = draw(st.integers(0, 255))
        elif what == "cut":
            del content[at:]
        elif what == "put":
            content[at:at] = draw(st.binary(max_size=40) | WILD.map(lambda text: text.encode("utf-8", "replace")))
        elif what == "drop":
            del content[at : at + length]
        else:
            content[at:at] = content[at : at + length]
    return bytes(content)


def json_texts(valid: Any) -> st.SearchStrategy[bytes]:
    """Files of JSON: of which values were changed, of which bytes were, and some that are nothing like it."""
    text = json.dumps(valid)
    deep = st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b'{"format": ' + b"[" * 9_999 + b"]" * 9_999 + b"}"])
    changed = changed_json(valid).map(lambda content: json.dumps(content).encode())
    return st.one_of(changed, changed, changed, changed_bytes(text.encode()), st.binary(max_size=60), deep)


# --- conditions ---

_WORDS = (*FIELDS, "and", "or", "not", "between", "in", "like", "is", "null", "(", ")", ",", "=", "!=", "<>", "<", ">=")
_VALUES = (
    "'anna'",
    '"Ö"',
    "'%_'",
    "''",
    "-15",
    "0",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999",
)


def conditions() -> st.SearchStrategy[str]:
    piece = st.one_of(st.sampled_from(_WORDS), st.sampled_from(_VALUES), WILD)
    number = st.sampled_from(("id", "pose", "illumination", "decided", "size"))
    text = st.sampled_from(("identity", "expression", "path", "sha256"))
    whole = st.integers(-(2**63), 2**63).map(str)
    quoted = st.text(max_size=8).map(lambda words: "'" + words.replace("'", "''") + "'")
    sign = st.sampled_from(("=", "!=", "<", "<=", ">", ">=", "<>", "=="))
    one = st.one_of(
        st.tuples(number, sign, whole),
        st.tuples(text, sign, quoted),
        st.tuples(number, st.just("between"), whole, st.just("and"), whole),
        st.tuples(text, st.sampled_from(("like", "not like")), quoted),
        st.tuples(text, st.sampled_from(("in", "not in")), st.just("("), quoted, st.just(","), quoted, st.just(")")),
        st.tuples(number | text, st.sampled_from(("is null", "is not null"))),
    ).map(" ".join)
    tree = st.recursive(
        one,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from((" and ", " or ")), inner).map("".join),
            inner.map(lambda words: f"not ({words})"),
        ),
        max_leaves=30,
    )
    long = st.sampled_from(
        ["(" * 9_999, "not " * 2_000, "pose=1 and " * 900 + "pose=1", "id in (" + "1," * 4_000 + "1)"]
    )
    return st.one_of(tree, tree, st.lists(piece, max_size=12).map(" ".join), st.text(max_size=60), long)


@cache
def _gallery() -> Gallery:
    """Three faces, kept for every condition."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    made = Gallery.create(folder / "g", GalleryConfig("a" * 64, "pose", (-15, 0, 15), 4, folder))
    faces = [
        Face(Photo(path, sha256), labels, Decision(decided, (1.0, None, 2.0)))
        for path, sha256, labels, decided in (
            ("ö/1.png", "ab" * 32, _labels("Ánna", 15), 15),
            ("2.png", "", _labels(None, None), 0),
            ("a%_b.png", "cd" * 32, _labels("x'\"", -15), -15),
        )
    ]
    made.add(faces, np.eye(4, dtype=np.float32)[:3])
    return made


def _labels(identity: str | None, pose: int | None) -> Any:
    from index.values import Labels

    return Labels.given("hand", identity=identity, pose=pose)


def check_condition(text: str) -> None:
    """What is read can be asked of a gallery, and together with its contrary it is fulfilled by every face."""
    try:
        condition = parse(text)
    except WhereError as error:
        return require_line(error)
    passed = {face.id for face in _gallery().faces(condition)}
    with suppress(WhereError):  # one level deeper than conditions may be
        failed = {face.id for face in _gallery().faces(parse(f"not ({text})"))}
        assert passed | failed == {1, 2, 3} and not passed & failed


# --- tables ---

_HEADER = "path,identity,pose,illumination,expression,session,split,mask,background"
_MANIFEST = f"{_HEADER}\na.png,anna,-45,0,calm,1,train,m.png,b.png\nb/c.png,Ö,,7,,,test,m.png,\n"
_POINTS = [
    f"{point}_{axis}" for point in ("eye_left", "eye_right", "mouth_left", "mouth_right", "chin") for axis in "xy"
]


@st.composite
def tables(draw: st.DrawFn, valid: str) -> bytes:
    """A CSV of which cells or bytes are others."""
    rows = [line.split(",") for line in valid.splitlines()]
    for _ in range(draw(st.integers(0, 4))):
        row = draw(st.sampled_from(rows))
        row[draw(st.integers(0, len(row) - 1))] = draw(WILD)
    text = "\n".join(",".join(row) for row in rows) + "\n"
    return draw(st.one_of(st.just(text.encode("utf-8", "replace")), changed_bytes(text.encode("utf-8", "replace"))))


def _in_folder(name: str, content: bytes, check: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        (Path(folder) / name).write_bytes(content)
        check(Path(folder) / name)


def check_manifest(content: bytes) -> None:
    """Every path stays below the folder, every column has a text for every row, numbers are numbers."""

    def check(file: Path) -> None:
        try:
            manifest = read_manifest(file)
            root = file.parent.resolve()
            for column in PATH_COLUMNS & manifest.columns.keys():
                for text in manifest.columns[column]:
                    assert (root / text).resolve().is_relative_to(root), text
                    with suppress(ImageError):
                        read_crop(root / text)
            assert {len(texts) for texts in manifest.columns.values()} == {len(manifest)}
            for column in manifest.columns:
                manifest.labels(column)
            manifest.integers("pose")
        except ManifestError as error:
            require_line(error)
        except KeyError as error:
            assert error.args == ("pose",), "a column that is not there"

    _in_folder("manifest.csv", content, check)


def check_labels(content: bytes) -> None:
    """Every label that a manifest gives can be kept by a gallery and comes back."""

    def check(file: Path) -> None:
        from retrieval.errors import RetrievalError

        try:
            labels = read_labels(file, [file.parent.resolve() / "a.png"]) or {}
        except (ManifestError, RetrievalError) as error:
            return require_line(error)
        config = GalleryConfig("a" * 64, "pose", (0,), 2, file.parent)
        with Gallery.create(file.parent / "g", config) as gallery:
            faces = [Face(Photo(f"{n}.png"), given, Decision(0, (None,))) for n, given in enumerate(labels.values())]
            gallery.add(faces, np.tile(np.array([1, 0], np.float32), (len(faces), 1)))
            assert [face.labels for face in gallery.faces()] == list(labels.values())
            for face in gallery.faces():
                if face.identity is not None:
                    quoted = "'" + face.identity.replace("'", "''") + "'"
                    assert face.id in [one.id for one in gallery.faces(parse(f"identity = {quoted}"))]

    _in_folder("labels.csv", content, check)


def check_landmarks(content: bytes) -> None:
    """A table of photographs with their landmarks, and the same as a file of landmarks."""

    def check(file: Path) -> None:
        (file.parent / "a.png").touch()
        for read in (list_table, LandmarkFile):
            try:
                found = read(file)
            except ImportSourceError as error:
                require_line(error)
                continue
            for photograph in getattr(found, "photographs", ()):
                assert photograph.path.resolve().is_relative_to(file.parent.resolve())
                assert (file.parent / "images" / photograph.name).resolve().is_relative_to(file.parent.resolve())

    _in_folder("photographs.csv", content, check)


_PHOTOGRAPHS = ",".join(["path,identity,pose", *_POINTS]) + "\na.png,anna,15,20,20,40,20,22,40,38,40,30,50\n"
PARSERS: dict[str, Parser] = {
    "conditions": Parser(conditions(), check_condition),
    "manifests": Parser(tables(_MANIFEST), check_manifest),
    "labels": Parser(tables(_MANIFEST.replace("c.png", "a.png")), check_labels),
    "landmarks": Parser(tables(_PHOTOGRAPHS), check_landmarks),
}
