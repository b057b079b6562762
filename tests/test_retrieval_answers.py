"""An answer stands for itself: it prints, becomes JSON and shows itself in a notebook, with its gallery closed."""

from __future__ import annotations

import base64
import io
import json
import pickle
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.answers import Answer, table
from retrieval.face_search import FaceSearch
from retrieval.sheets import answer_sheet
from tests.conftest import blob_face
from tests.stand_ins import HashEditor, ReadsHere, stand_in_search

ODD = '<b>"anna" & co</b>'


@pytest.fixture
def answers(tmp_path: Path) -> list[Answer]:
    """Asked for a pose; for a pose and a light; in a sweep. The gallery is closed and its photos may go."""
    for seed in range(4):
        path = tmp_path / "photos" / (ODD.replace("/", "") if seed % 2 else "ben") / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blob_face(seed, 0, seed)).save(path)
    with stand_in_search(tmp_path / "db", reader=ReadsHere()) as faces:
        faces.index(tmp_path / "photos")
        one, both = (
            faces.query(blob_face(9, 0, 0), pose=30, k=2),
            faces.query(blob_face(9, 0, 0), pose=0, illumination=3),
        )
        return [one, both, *faces.sweep(blob_face(9, 0, 0))]


def test_it_becomes_json(answers: list[Answer]) -> None:
    content = json.loads(json.dumps(answers[0].as_json()))
    assert (content["query"], content["asked"], len(content["results"])) == ("", {"pose": 30}, 2)
    assert content["near"] is None
    first, result = content["results"][0], answers[0].results[0]
    names = "rank distance identity pose illumination path face box file person suggested"
    assert list(first) == names.split()
    assert (first["face"], first["box"]) == (1, None)
    assert (first["rank"], first["pose"], first["illumination"]) == (1, result.decided, None)
    assert first["distance"] == pytest.approx(result.distance, abs=1e-6)
    assert Path(first["path"]).is_absolute() and Path(first["path"]).is_file()


def test_it_is_the_sequence_of_its_results(answers: list[Answer]) -> None:
    one = answers[0]
    assert (one[0], one[-1], one[:1], [*one], [*reversed(one)]) == (
        one.results[0],
        one.results[1],
        one.results[:1],
        [*one.results],
        [*one.results][::-1],
    )
    assert one.results[1] in one and one.index(one.results[1]) == 1
    with pytest.raises(IndexError):
        one[2]


def test_it_prints_as_a_table(answers: list[Answer]) -> None:
    title, *lines = str(answers[0]).splitlines()
    assert title.split() == ["rank", "distance", "identity", "pose", "path"]
    assert [line.split()[0] for line in lines] == ["1", "2"]
    assert str(answers[1]).splitlines()[0].split() == ["rank", "distance", "identity", "pose", "illumination", "path"]
    assert len(repr(answers[0])) < 3_000 and "array(" not in repr(answers[0])


def test_a_sweep_is_one_table(answers: list[Answer]) -> None:
    lines = table(answers[2:], HashEditor().attribute)
    assert [line.split("  ")[0].strip() for line in lines] == [
        "asked",
        *(f"pose {value}" for value in range(-45, 46, 15)),
    ]


class Images(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "img"  # nothing of a name becomes an element
        self.found.append(dict(attrs))


def test_a_notebook_shows_a_sheet_with_its_words(answers: list[Answer]) -> None:
    parser = Images()
    parser.feed(answers[0]._repr_html_())
    [image] = parser.found
    alt, source = image["alt"], image["src"]
    assert alt is not None and source is not None
    assert alt.startswith("Query -, imagined as pose 30. Found: 1: ") and ODD.replace("/", "") + " at" in str(
        [one.alt for one in answers]
    )
    kind, _, data = source.partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as shown:
        np.testing.assert_array_equal(np.asarray(shown), answers[0].sheet)


def test_the_sheet_has_a_row_for_each_answer_and_a_cell_for_each_picture(answers: list[Answer]) -> None:
    one, two = answers[0].sheet, answers[1].sheet
    assert (
        two.shape[0] == one.shape[0] and two.shape[1] > one.shape[1]
    )  # four results and two steps against two and one
    assert answer_sheet(answers[2:]).shape[0] > 6 * 120


def test_a_sheet_is_as_fine_as_its_pictures(answers: list[Answer]) -> None:
    """Up to 240 pixels a side: the query, the imagined face and the results, each from its own file."""
    striped = np.zeros((300, 300, 3), np.uint8)
    striped[:, ::2] = 255
    small = answers[0].sheet
    path = answers[0].results[0].path
    Image.fromarray(striped[:220, :220]).save(path)
    large = answer_sheet([answers[0]])
    assert large.shape[0] - small.shape[0] == 100 and large.shape[1] - small.shape[1] == 4 * 100
    runs = (large[:, :-1, 0].astype(int) - large[:, 1:, 0]).__abs__() == 255
    assert runs.sum() >= 219 * 220  # every stripe of the file is there
    Image.fromarray(striped).save(path)
    assert answer_sheet([answers[0]]).shape[0] - small.shape[0] == 120


def test_an_answer_shows_its_query_and_its_steps_at_the_query_s_size(tmp_path: Path) -> None:
    path = tmp_path / "photos" / "one.png"
    path.parent.mkdir()
    Image.fromarray(blob_face(0, 0, 0)).resize((180, 200)).save(path)
    with stand_in_search(tmp_path / "db", reader=ReadsHere()) as faces:
        faces.index(path.parent)
        answer = faces.query(path.read_bytes(), pose=30, illumination=3, k=1)
    assert answer.source.shape == (180, 180, 3)
    assert [step.picture.shape for step in answer.steps] == [(180, 180, 3)] * 2
    assert [step.edit.refined.shape for step in answer.steps] == [(60, 60, 3)] * 2
    sent = pickle.loads(pickle.dumps(answer))
    np.testing.assert_array_equal(sent.sheet, answer.sheet)


def test_a_file_that_has_gone_is_grey_in_the_sheet(answers: list[Answer]) -> None:
    answers[0].results[0].path.unlink()
    assert ((answers[0].sheet == 128).all(2)).sum() >= 120 * 120


def test_an_answer_without_results_says_so(tmp_path: Path) -> None:
    Image.fromarray(blob_face(1, 0, 0)).save(tmp_path / "1.png")
    with FaceSearch(tmp_path / "db", describer=HashEditor(), reader=ReadsHere()) as faces:
        faces.index(tmp_path)
        answer = faces.query(tmp_path / "1.png", pose=30)
    assert len(answer) == 0 and answer.alt.endswith("Found: nothing")
    assert re.fullmatch(r"rank  distance  identity  pose  path", str(answer))
    assert answer.sheet.shape[1] < 4 * 140
