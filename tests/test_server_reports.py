"""Evaluations asked for over the API: measured as FaceSearch measures, kept, bounded, and not believed blindly."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from facesearch.server.reports import KEPT, Reports
from retrieval.face_search import FaceSearch
from tests.served import API, job_over, over, serving, write_faces


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """3 people at 7 poses, each picture another noise."""
    folder = tmp_path / "root" / "labelled"
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "identity", "pose", "illumination"])
        for person in range(3):
            for pose in (-45, -30, -15, 0, 15, 30, 45):
                name = f"{person}_{pose}.png"
                Image.fromarray(chance.integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(folder / name)
                rows.writerow([name, f"p{person}", pose, 0])
    return folder


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[FaceSearch]:
    with over(write_faces(tmp_path / "photos"), tmp_path / "db") as opened:
        yield opened


@pytest.fixture
def client(faces: FaceSearch, data: Path) -> Iterator[TestClient]:
    with serving(faces, roots=(data.parent,)) as (opened, _):
        yield opened


def ended(client: TestClient, **asked: Any) -> Any:
    """A job that is over."""
    return job_over(client, "evaluate", 120, **asked)


def test_a_data_set_below_a_root_is_measured_and_its_report_kept(
    client: TestClient, faces: FaceSearch, data: Path
) -> None:
    generation = faces.gallery.generation
    job = ended(client, root=0, folder="labelled", queries=40)
    assert job["state"] == "done", job
    expected = faces.evaluate(data, queries=40)
    report = client.get(f"{API}/reports/{job['outcome']['report']}").json()
    made = report["figures"].pop("made")
    assert report["figures"] == json.loads(json.dumps(expected)) and made.startswith("20")
    assert job["outcome"]["recall"]["1"] == expected["recall"]["1"]["value"]
    assert [one["id"] for one in client.get(f"{API}/reports").json()["reports"]] == [report["id"]]
    assert faces.gallery.generation == generation
    assert client.delete(f"{API}/reports/{report['id']}").status_code == 204
    gone = client.get(f"{API}/reports/{report['id']}")
    assert gone.status_code == 404 and "there is no report" in gone.json()["message"]


def test_what_is_no_data_set_is_told(client: TestClient, data: Path) -> None:
    for asked in ({"root": 0}, {}, {"root": 0, "folder": "labelled/nowhere"}):
        assert client.post(f"{API}/jobs", json={"kind": "evaluate", **asked}).status_code == 404
    (data / "manifest.csv").write_text("path,identity\n0_0.png,anna\n", encoding="utf-8")
    job = ended(client, root=0, folder="labelled")
    assert job["state"] == "failed" and job["outcome"]["code"] == "manifest"


def test_a_table_that_lies_elsewhere_is_not_read(client: TestClient, data: Path) -> None:
    (data.parent / "linked").mkdir()
    (data.parent / "linked" / "manifest.csv").symlink_to(data / "manifest.csv")
    said = client.post(f"{API}/jobs", json={"kind": "evaluate", "root": 0, "folder": "linked"})
    assert said.status_code == 404 and said.json()["code"] == "no_data_set"


def test_the_last_reports_are_kept(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    numbers = [reports.keep({"task": "pose", "n": n}) for n in range(KEPT + 3)]
    assert numbers == list(range(1, KEPT + 4))
    assert [one["id"] for one in reports.all()] == numbers[:2:-1]
    assert Reports(tmp_path).get(KEPT)["n"] == KEPT - 1


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b'{"recall": NaN}', b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b'{"a": "' + b"x" * 1_000_001],
)
def test_what_is_no_report_is_passed_over(tmp_path: Path, content: bytes) -> None:
    reports = Reports(tmp_path)
    sound = reports.keep({"task": "pose"})
    (tmp_path / "reports" / "7.json").write_bytes(content)
    assert [one["id"] for one in reports.all()] == [sound]


def test_links_in_the_place_of_reports_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"secret": 1}')
    reports = Reports(tmp_path / "db")
    reports.keep({"task": "pose"})
    (tmp_path / "db" / "reports" / "7.json").symlink_to(tmp_path / "secret.json")
    assert [one["id"] for one in reports.all()] == [1]
    other = Reports(tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "reports").symlink_to(tmp_path)
    assert other.all() == []
    with pytest.raises(OSError, match="is a link"):
        other.keep({"task": "pose"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db", "other", "secret.json"]
