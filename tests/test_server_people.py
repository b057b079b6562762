"""People over the API: grouped by a job, and what is said of them is what FaceSearch says and the gallery keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from retrieval.face_search import FaceSearch
from tests.served import API, job_over, knowing, serving, write_people


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[FaceSearch]:
    with knowing(tmp_path / "db") as opened:
        opened.index(write_people(tmp_path / "photos"))
        yield opened


@pytest.fixture
def client(faces: FaceSearch) -> Iterator[TestClient]:
    with serving(faces) as (opened, _):
        yield opened


def grouped(client: TestClient, **asked: Any) -> Any:
    return job_over(client, "group", **asked)


def people(client: TestClient, **asked: Any) -> Any:
    said = client.get(f"{API}/people", params=asked)
    assert said.status_code == 200, said.text
    return said.json()


def test_faces_are_grouped_by_a_job_and_people_come_page_by_page(client: TestClient, faces: FaceSearch) -> None:
    before = people(client)
    assert (before["total"], before["grouped"], before["new"]) == (0, False, len(faces.gallery))
    job = grouped(client)
    assert job["state"] == "done" and job["outcome"]["persons"] == 3
    first = people(client, limit=2)
    second = people(client, limit=2, cursor=first["next"])
    found = first["people"] + second["people"]
    assert [one["faces"] for one in found] == sorted((one["faces"] for one in found), reverse=True)
    assert second["next"] is None and first["total"] == 3 and first["grouped"] and first["new"] == 0
    expected = {one.number: (one.title, one.faces, one.cover) for one in faces.people()}
    assert {one["number"]: (one["title"], one["faces"], one["cover"]) for one in found} == expected
    one = client.get(f"{API}/people/{found[0]['number']}").json()
    whose = client.get(f"{API}/faces", params={"where": f"person = {one['number']}"}).json()
    assert one == found[0] and whose["total"] == one["faces"]
    assert {face["person"] for face in whose["faces"]} == {one["number"]}
    numbers = [one["number"] for one in people(client, order="number")["people"]]
    assert numbers == sorted(numbers)


def test_a_name_is_said_of_all_faces_and_taken_away(client: TestClient, faces: FaceSearch) -> None:
    grouped(client)
    number = people(client)["people"][0]["number"]
    done = client.post(f"{API}/people/{number}/name", json={"name": "Clara"}).json()
    assert done["faces"] == faces.gallery.people.get(number).faces
    assert [one["number"] for one in people(client, named=True)["people"]] == [number]
    assert people(client, named=False)["total"] == 2
    client.post(f"{API}/people/{number}/name", json={"name": None})
    assert people(client, named=True)["total"] == 0


def test_merge_split_and_not_the_same_outlive_the_next_grouping(client: TestClient, faces: FaceSearch) -> None:
    grouped(client)
    one, two, three = (person["number"] for person in people(client, order="number")["people"])
    merged = client.post(f"{API}/people/{one}/merge", json={"people": [two]}).json()
    assert merged["number"] == one and people(client)["total"] == 2
    some = faces.gallery.people.faces_of([three])[three][:1]
    split = client.post(f"{API}/people/{three}/split", json={"faces": some})
    assert split.status_code == 200, split.text
    other = split.json()["person"]["number"]
    kept = client.post(f"{API}/people/{three}/not-same", json={"people": [one]}).json()
    assert [person["number"] for person in kept] == [three, one]
    assert grouped(client, anew=True)["state"] == "done"
    assert {person["number"] for person in people(client)["people"]} == {one, three, other}
    assert faces.gallery.people.faces_of([other])[other][:1] == some


def test_who_is_not_there_or_cannot_be_is_told(client: TestClient) -> None:
    grouped(client)
    for method, path, body in (
        ("GET", "people/99", None),
        ("POST", "people/99/name", {"name": "x"}),
        ("POST", "people/1/merge", {"people": [99]}),
    ):
        said = client.request(method, f"{API}/{path}", json=body)
        assert said.status_code == 404 and said.json()["code"] == "unknown_person", said.text
    said = client.post(f"{API}/people/1/split", json={"faces": [10**6]})
    assert said.status_code == 422 or said.status_code == 404
    assert client.post(f"{API}/people/1/merge", json={"people": []}).status_code == 422
    assert client.get(f"{API}/people", params={"cursor": "no"}).json()["code"] == "bad_cursor"
