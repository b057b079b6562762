"""Inputs that nobody would write and strangers might, for every parser of ours, and what must hold whatever is read.

A parser here is a strategy and a check. The check lets through the errors that the parser promises, each of which must
be one readable line; whatever else is raised is a mistake of ours. `tests/test_fuzzing.py` tries a few of each, with
those that once found something; `benchmarks/fuzz.py` tries them for as long as it is told to.
"""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from atexit import register
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from hypothesis import strategies as st

from faceedit.attributes import TASKS
from faceedit.errors import FaceEditError, ImageError, ImportSourceError, ManifestError, UsageError
from faceedit.files import leads_out
from faceedit.images import read_crop
from faceedit.manifest import PATH_COLUMNS, read_manifest
from faceedit.sources.importing import LandmarkFile
from faceedit.sources.table import list_table
from faceedit.text import cell, printable
from index.errors import GalleryError, RequirementsError, WhereError
from index.gallery import Gallery, GalleryConfig
from index.labels import Labels
from index.values import Decision, Face, Photo
from index.where import FIELDS, parse
from retrieval.labelling import read_labels


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
            inside[key] = copy.deepcopy(draw(NASTY))
        elif what == "drop":
            del inside[key]
        elif isinstance(inside, dict):
            inside[draw(WILD)] = copy.deepcopy(draw(NASTY))
        else:
            inside.insert(key, copy.deepcopy(draw(NASTY)))
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
    deep = st.sampled_from([b"[" * 5_000, b'{"a":' * 5_000, b'{"format": ' + b"[" * 9_999 + b"]" * 9_999 + b"}"])
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


def _kept() -> Path:
    """A folder that stays as long as the process."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    register(rmtree, folder, ignore_errors=True)
    return folder


@cache
def _gallery() -> Gallery:
    """Three faces, kept for every condition."""
    folder = _kept()
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


def _labels(identity: str | None, pose: int | None) -> Labels:
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


# --- models ---


@cache
def _model() -> tuple[Path, dict[str, Any], bytes]:
    """The folder, card and weights of a small model, that all changes start from."""
    from faceedit.networks import NetworkConfig
    from tests.conftest import write_model

    config = NetworkConfig(attributes=7, hidden=1, middle=1, compact=True)
    folder = write_model(_kept() / "model", config=config)
    return folder, json.loads((folder / "model.json").read_bytes()), (folder / "model.safetensors").read_bytes()


def check_card(text: bytes) -> None:
    """A card that is read is one of a network that can be made, or of one that the weights are too small for."""
    from faceedit.errors import ModelFileError
    from faceedit.modelcard import read_card
    from faceedit.modelfile import load_model, model_digest

    folder = _model()[0]
    (folder / "model.json").write_bytes(text)
    try:
        card, checksum = read_card(folder)
        assert len(card.task) == card.network.attributes <= 100 and len(checksum) == 64
        assert len(model_digest(folder)) == 64
        assert load_model(folder).card == card
    except ModelFileError as error:
        require_line(error)


def check_weights(change: Any) -> None:
    """Weights that a card agrees with are the network's own, and numbers."""
    from faceedit.errors import ModelFileError
    from faceedit.modelfile import load_model

    folder, card, _ = _model()
    data = _weights(change)
    (folder / "model.safetensors").write_bytes(data)
    (folder / "model.json").write_text(json.dumps({**card, "sha256": hashlib.sha256(data).hexdigest()}))
    try:
        for network in load_model(folder).networks:
            assert all(tensor.isfinite().all() for tensor in network.state_dict().values())
    except ModelFileError as error:
        require_line(error)


@st.composite
def cards(draw: st.DrawFn) -> bytes:
    return draw(json_texts(_model()[1]))


@st.composite
def weights(draw: st.DrawFn) -> tuple[Any, ...]:
    """How they are changed: another table of contents, and the length that is said of it; or where four bytes are
    others, and how much of all is left."""
    data = _model()[2]
    length = int.from_bytes(data[:8], "little")
    if draw(st.booleans()):
        header = draw(json_texts(json.loads(data[8 : 8 + length])))
        return header, draw(st.just(len(header)) | st.just(len(header)) | st.integers(0, 2**64 - 1))
    number = draw(st.sampled_from([b"\0\0\xc0\x7f", b"\0\0\x80\xff", b"\xff\xff\x7f\x7f", b"\1\0\0\0"]))
    return draw(st.integers(8 + length, len(data) - 4)), number, draw(st.just(len(data)) | st.integers(0, len(data)))


def _weights(change: Any) -> bytes:
    data = _model()[2]
    length = int.from_bytes(data[:8], "little")
    if isinstance(change[0], bytes):
        return int(change[1]).to_bytes(8, "little") + change[0] + data[8 + length :]
    at, number, left = change
    at -= (at - length) % 4
    return bytes(data[:at] + number + data[at + 4 :])[:left]


# --- exports ---


@cache
def _export() -> Path:
    """What three faces are exported as."""
    target = _kept() / "out"
    _gallery().export(target)
    return target


@st.composite
def exports(draw: st.DrawFn) -> dict[str, bytes]:
    """The three files, of which one is changed; the hashes of the others are right."""
    files = {path.name: path.read_bytes() for path in _export().iterdir()}
    name = draw(st.sampled_from(("gallery.json", "faces.jsonl", "faces.jsonl", "descriptors.npy")))
    if name == "gallery.json":
        files[name] = draw(json_texts(json.loads(files[name])))
    elif name == "faces.jsonl":
        lines = files[name].splitlines()
        at = draw(st.integers(0, len(lines) - 1))
        lines[at] = draw(json_texts(json.loads(lines[at]))).replace(b"\n", b" ")
        files[name] = b"\n".join(lines) + b"\n"
    else:
        files[name] = draw(changed_bytes(files[name]))
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        about = json.loads(files["gallery.json"])
        for other in ("faces.jsonl", "descriptors.npy"):
            about["sha256"][other] = hashlib.sha256(files[other]).hexdigest()
        files["gallery.json"] = json.dumps(about).encode()
    return files


def check_export(files: dict[str, bytes]) -> None:
    """It is refused and leaves nothing, or becomes a gallery that is sound, can be searched, and exported as it was."""
    from index.care.restore import restore

    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for file, content in files.items():
            (folder / "in" / file).write_bytes(content)
        try:
            restore(folder / "in", folder / "g", folder)
        except GalleryError as error:
            assert [path.name for path in folder.iterdir()] == ["in"]
            return require_line(error)
        with Gallery.open(folder / "g") as gallery:
            assert gallery.verify().sound
            faces = list(gallery.faces())
            assert all(not leads_out(face.path) and 0 < face.id <= 2**62 for face in faces)
            if faces and gallery.config.descriptor_size == 4:
                gallery.search(np.array([1, 0, 0, 0], np.float32), 2)
            gallery.export(folder / "out")
        restore(folder / "out", folder / "again", folder)
        with Gallery.open(folder / "again") as again:
            assert list(again.faces()) == faces


# --- files beside a data set and an import; what is written on a command line ---


def check_settings(text: bytes) -> None:
    """import.json and synth.json of the same content."""
    from faceedit.errors import TrainingError
    from faceedit.sources.importing import import_photographs
    from faceedit.sources.listing import Listing, Photograph
    from faceedit.training.sets import read_training_set

    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        for file in ("import.json", "synth.json"):
            (folder / file).write_bytes(text)
        (folder / "manifest.csv").write_text("path,identity,pose,illumination\na.png,anna,0,0\n")
        try:
            read = read_training_set([folder], TASKS["pose"])
            json.dumps(read.provenance), str(read.licence)
        except (TrainingError, ManifestError, UsageError) as error:
            require_line(error)
        photograph = Photograph(folder / "none.png", "none", {"identity": "anna"}, ("none.png",))
        try:
            import_photographs(Listing("csv x", ("identity",), [photograph]), folder)
        except ImportSourceError as error:
            require_line(error)


_SETTINGS = {
    "source": "csv x",
    "crops": {"images/none.png": "0" * 64},
    "seed": 1,
    "identities": 4,
    "licence": "MIT",
    "variety": {},
}


def check_words(text: str) -> None:
    """A size, a knob, a set of sessions, an image by its name: a command says what is wrong with it."""
    from faceedit.training.knobs import turned
    from faceedit.training.recipes import RECIPES
    from index.errors import AddressError, UnknownImageError
    from retrieval.choosing import chosen_ids
    from retrieval.search_requirements import parsed_size

    for read in (
        parsed_size,
        lambda given: turned(next(iter(RECIPES.values())), [given]),
        lambda given: turned(next(iter(RECIPES.values())), [f"network.hidden={given}"]),
        lambda given: chosen_ids(_gallery(), [given], None),
    ):
        try:
            read(text)
        except (FaceEditError, AddressError, UnknownImageError, RequirementsError) as error:
            require_line(error)


def check_cell(value: Any) -> None:
    """What is printed is one line without anything that a terminal obeys, and no formula; nothing else is changed."""
    text = printable(str(value))
    assert text.isprintable() and (not str(value).isprintable() or text == str(value))
    written = cell(value)
    if isinstance(value, str):
        assert isinstance(written, str) and written.isprintable() and not written.lstrip().startswith(tuple("=+-@"))
        assert written in (text, f"'{text}")
    else:
        assert written is value


_PHOTOGRAPHS = ",".join(["path,identity,pose", *_POINTS]) + "\na.png,anna,15,20,20,40,20,22,40,38,40,30,50\n"
PARSERS: dict[str, Parser] = {
    "conditions": Parser(conditions(), check_condition),
    "manifests": Parser(tables(_MANIFEST), check_manifest),
    "labels": Parser(tables(_MANIFEST.replace("c.png", "a.png")), check_labels),
    "landmarks": Parser(tables(_PHOTOGRAPHS), check_landmarks),
    "cards": Parser(cards(), check_card),
    "weights": Parser(weights(), check_weights),
    "exports": Parser(exports(), check_export),
    "settings": Parser(json_texts(_SETTINGS), check_settings),
    "words": Parser(st.one_of(WILD, st.text(max_size=30), st.from_regex(r"[0-9.]{1,400} ?[kmgt]?b?")), check_words),
    "cells": Parser(st.one_of(NASTY, st.text()), check_cell),
}
