"""Faces that are deleted over the API stay away, are listed, and come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from retrieval.face_search import FaceSearch
from tests.served import API, job_over, over, serving, write_faces


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[FaceSearch]:
    with over(write_faces(tmp_path / "photos"), tmp_path / "db") as opened:
        yield opened


@pytest.fixture
def client(faces: FaceSearch) -> Iterator[TestClient]:
    with serving(faces) as (opened, _):
        yield opened


def test_a_deleted_face_stays_away_and_comes_back(client: TestClient, faces: FaceSearch) -> None:
    name = client.get(f"{API}/faces/2").json()["path"]
    assert client.delete(f"{API}/faces/2").json() == {"faces": 1, "hidden": [name], "warnings": []}
    told = client.get(f"{API}/hidden").json()
    assert (told["total"], told["next"], told["hidden"][0]["name"]) == (1, None, name)
    assert job_over(client, "index")["outcome"]["hidden"] == 1 and len(faces.gallery) == 5
    done = client.post(f"{API}/hidden/back", json={"names": [name]}).json()
    assert done["waiting"] == done["stay"] == [] and len(done["faces"]) == 1
    assert client.get(f"{API}/faces/{done['faces'][0]}").json()["path"] == name
    assert client.get(f"{API}/hidden").json()["total"] == 0


def test_what_is_only_erased_comes_with_the_next_look(client: TestClient, faces: FaceSearch) -> None:
    assert client.delete(f"{API}/faces/2", params={"hide": False}).json()["hidden"] == []
    assert job_over(client, "index")["outcome"]["hidden"] == 0 and len(faces.gallery) == 6


def test_hidden_faces_come_page_by_page_the_last_first(client: TestClient) -> None:
    said = client.request("DELETE", f"{API}/faces", json={"ids": [1, 3, 5]}).json()
    assert said["faces"] == 3
    first = client.get(f"{API}/hidden", params={"limit": 2}).json()
    second = client.get(f"{API}/hidden", params={"limit": 2, "cursor": first["next"]}).json()
    assert [one["name"] for one in first["hidden"] + second["hidden"]] == said["hidden"][::-1]
    assert second["next"] is None


def test_who_is_not_hidden_does_not_come_back(client: TestClient) -> None:
    said = client.post(f"{API}/hidden/back", json={"names": ["nobody.png"]})
    assert said.status_code == 422 and "no hidden face is named 'nobody.png'" in said.json()["message"]
    assert client.post(f"{API}/hidden/back", json={"names": []}).status_code == 422
