"""The API over a small gallery: what is asked comes back as FaceSearch says it, and errors as the command says them."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from facesearch.server.errors import as_error
from facesearch.server.service import Service
from facesearch.server.settings import Limits
from retrieval.face_search import FaceSearch
from tests.served import API, knowing, over, picture, serving, stand_in, write_faces
from tests.stand_ins import HashEditor
from tests.test_lookalikes import content as png
from tests.test_lookalikes import mask, mask_and_person


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_faces(tmp_path / "photos")


@pytest.fixture
def faces(photos: Path, tmp_path: Path) -> Iterator[FaceSearch]:
    with over(photos, tmp_path / "db") as opened:
        yield opened


@pytest.fixture
def both(faces: FaceSearch) -> Iterator[tuple[TestClient, Service]]:
    with serving(faces) as opened:
        yield opened


@pytest.fixture
def client(both: tuple[TestClient, Service]) -> TestClient:
    return both[0]


# --- asking ---


@pytest.mark.parametrize("form", [True, False])
def test_an_upload_is_answered_as_facesearch_answers_it(
    still_client: TestClient, still: FaceSearch, form: bool
) -> None:
    upload = {"files": {"picture": ("anna.png", picture(), "image/png")}} if form else {"content": picture()}
    said = still_client.post(f"{API}/query", params={"pose": 30, "k": 3, "where": "id > 1"}, **upload)
    assert said.status_code == 200, said.text
    expected = still.query(picture(), pose=30, k=3, where="id > 1")
    found = said.json()
    assert [(one["id"], one["rank"], one["distance"]) for one in found["results"]] == [
        (one.face.id, one.rank, round(one.distance, 6)) for one in expected
    ]
    assert found["asked"] == {"pose": 30} and [step["text"] for step in found["steps"]] == ["pose 30"]


def test_a_face_of_the_gallery_is_asked_about_and_never_finds_itself(
    still_client: TestClient, still: FaceSearch
) -> None:
    found = still_client.post(f"{API}/query", params={"of": 2, "k": 100}).json()
    assert sorted(one["id"] for one in found["results"]) == [1, 3, 4, 5, 6]
    path = still.gallery.config.image_root / still.gallery.get([2])[0].path
    assert [one["id"] for one in found["results"]] == [one.face.id for one in still.query(path, k=100)]


def test_imagined_faces_are_links_to_pictures(still_client: TestClient, still: FaceSearch) -> None:
    found = still_client.post(f"{API}/query", params={"pose": 30, "inpaint": True}, content=picture()).json()
    expected = still.query(picture(), pose=30, inpaint=True)
    links = [found["source"], *(step["picture"] for step in found["steps"])]
    shown = [still_client.get(f"{API}/{link}") for link in links]
    assert all(one.headers["content-type"] == "image/png" for one in shown)
    pictures = [np.asarray(Image.open(io.BytesIO(one.content))) for one in shown]
    for got, wanted in zip(pictures, [expected.source, *(step.picture for step in expected.steps)], strict=True):
        np.testing.assert_array_equal(got, wanted)
    gone = still_client.get(f"{API}/imagined/nobody/source")
    assert gone.status_code == 404 and gone.json()["code"] == "forgotten"
    assert still_client.get(f"{API}/{found['source'].replace('source', '7')}").status_code == 404


def test_imagined_faces_are_forgotten(still: FaceSearch) -> None:
    with serving(still, Limits(imagined=2)) as (client, _):
        links = [client.post(f"{API}/edit", params={"pose": 30, "of": n}).json()["source"] for n in (1, 2, 3)]
        assert [client.get(f"{API}/{link}").status_code for link in links] == [404, 200, 200]
    with serving(still, Limits(imagined_seconds=-1)) as (client, _):
        link = client.post(f"{API}/edit", params={"pose": 30, "of": 1}).json()["source"]
        assert client.get(f"{API}/{link}").status_code == 404


def test_a_sweep_answers_at_every_value(still_client: TestClient, still: FaceSearch) -> None:
    found = still_client.post(f"{API}/sweep", params={"attribute": "pose", "of": 1, "k": 2}).json()
    assert [one["asked"]["pose"] for one in found["answers"]] == [-45, -30, -15, 0, 15, 30, 45]
    assert all(len(one["results"]) == 2 for one in found["answers"])
    lights = still_client.post(f"{API}/sweep", params={"attribute": "illumination", "of": 1}).json()
    assert len(lights["answers"]) == 20


def test_two_faces_are_compared_as_facesearch_compares_them(tmp_path: Path, photos: Path) -> None:
    with knowing(tmp_path / "who") as knows:
        knows.index(photos)
        with serving(knows) as (client, _):
            said = client.post(f"{API}/compare", params={"other": 2}, content=picture())
            assert said.status_code == 200, said.text
            assert said.json() == {**knows.compare(picture(), knows.read_face(2)).as_json(), "warnings": []}
            own = client.post(f"{API}/compare", params={"other": 2, "of": 2}).json()
            assert own["same"] is True and own["distance"] < 1e-3
            wrong = client.post(f"{API}/compare", params={"other": 2, "of": 1, "false_accepts": 0.3})
            assert wrong.json()["code"] == "usage" and "choose one of 0.01, 0.001" in wrong.json()["hint"] + wrong.text


def test_a_picture_says_which_faces_it_shows_and_what_looks_like_one(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    describer, reason = HashEditor(), "not seen again at a second look"
    with FaceSearch(tmp_path / "none", describer=describer) as faces, serving(faces) as (client, _):
        said = client.post(f"{API}/faces", content=png(mask_and_person())).json()
        assert (said["size"], [face["number"] for face in said["faces"]], said["warnings"]) == ([800, 600], [1], [])
        [one] = said["lookalikes"]
        assert one["reason"] == reason and abs(one["box"][0] + one["box"][2] / 2 - 250) < 40
        refused = client.post(f"{API}/faces", content=png(mask()))
        assert refused.status_code == 422 and refused.json()["code"] == "no_face"
        assert refused.json()["message"].endswith(f"looks like a face and was left out ({reason})")
        crop = client.post(f"{API}/faces", content=picture()).json()
        assert (crop["size"], len(crop["faces"]), crop["lookalikes"]) == (None, 1, [])


def test_an_edit_needs_no_gallery(tmp_path: Path) -> None:
    with serving(stand_in(tmp_path / "none")) as (client, _):
        said = client.post(f"{API}/edit", params={"pose": -15}, content=picture())
        assert said.status_code == 200 and [step["value"] for step in said.json()["steps"]] == [-15]
        refused = client.post(f"{API}/query", content=picture())
        assert (refused.status_code, refused.json()["code"]) == (404, "gallery_not_found")
        assert client.get(f"{API}/gallery").json()["info"] is None
        assert client.get("/readyz").json() == {"ready": True, "gallery": False}


REFUSED = [
    ({"pose": 31}, picture(), 422, "attribute_value", "pose 31 is not one of -45, -30, -15, 0, 15, 30, 45"),
    ({"where": "nonsense"}, picture(), 422, "where", "in the condition 'nonsense', at character 1, there is nonsense"),
    ({"distinct": "nose"}, picture(), 422, "usage", "no --distinct 'nose'"),
    ({}, b"no picture", 422, "image", "the given picture is not an image"),
    ({}, b"", 422, "which_picture", "say whom you mean"),
    ({"of": 1}, picture(), 422, "which_picture", "say whom you mean"),
    ({"of": 99}, b"", 404, "unknown_image", "the gallery holds no image 99"),
    ({"k": 0}, picture(), 422, "invalid", "k Input should be greater than or equal to 1"),
    ({"pose": "left"}, picture(), 422, "invalid", "pose Input should be a valid integer"),
]


@pytest.mark.parametrize(("asked", "content", "status", "code", "says"), REFUSED)
def test_what_cannot_be_asked_is_told_as_the_command_tells_it(
    still_client: TestClient, asked: dict[str, object], content: bytes, status: int, code: str, says: str
) -> None:
    said = still_client.post(f"{API}/query", params=asked, content=content)  # type: ignore[arg-type]
    assert (said.status_code, said.json()["code"]) == (status, code), said.text
    assert said.json()["message"].startswith(says) and set(said.json()) == {"code", "message", "hint"}


def test_message_and_hint_are_the_whole_sentence(still_client: TestClient, still: FaceSearch) -> None:
    said = still_client.post(f"{API}/query", params={"pose": 31}, content=picture()).json()
    with pytest.raises(Exception) as error:
        still.query(picture(), pose=31)
    assert f"{said['message']}: {said['hint']}" == str(error.value)


# --- uploads ---


def test_what_the_disk_refuses_is_told_as_the_command_tells_it() -> None:
    told = as_error(OSError(errno.ENOSPC, "No space left on device", "x.db"))
    assert told.message == "the disk refuses x.db (No space left on device)"
    assert told.hint.startswith("make room or give another place")


def test_uploads_are_limited_in_bytes_and_pixels(still: FaceSearch) -> None:
    big = io.BytesIO()
    Image.new("RGB", (400, 400)).save(big, "PNG")
    with serving(still, Limits(bytes=20_000, pixels=100_000)) as (client, served):
        for content in (bytes(30_000), iter([bytes(15_000), bytes(15_000)])):
            said = client.post(f"{API}/query", content=content)
            assert (said.status_code, said.json()["code"]) == (413, "too_large")
        many = client.post(f"{API}/query", content=big.getvalue())
        assert many.status_code == 413 and "400 x 400 pixels" in many.json()["message"]
        assert served.uploads.held == 0


def test_all_uploads_together_are_limited(still: FaceSearch) -> None:
    with serving(still, Limits(bytes_together=10)) as (client, served):
        said = client.post(f"{API}/query", content=picture())
        assert (said.status_code, said.json()["code"]) == (503, "full")
        assert int(said.headers["retry-after"]) > 0 and served.uploads.held == 0


FORM = "multipart/form-data; boundary=a"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        (FORM, b"--b\r\n"),
        (
            "multipart/form-data; boundary=a",
            b'--a\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--a--\r\n',
        ),
        (FORM, b""),
        ("multipart/form-data; boundary=" + "a" * 300, b"x"),
    ],
)
def test_a_form_that_holds_no_picture_is_refused(still_client: TestClient, kind: str, body: bytes) -> None:
    said = still_client.post(f"{API}/query", content=body, headers={"Content-Type": kind})
    assert (said.status_code, said.json()["code"]) == (400, "bad_form")


def test_nothing_of_an_upload_is_written(client: TestClient, faces: FaceSearch, tmp_path: Path) -> None:
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    client.post(f"{API}/query", files={"picture": ("secret-name.png", picture(), "image/png")})
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) in (
        before,
        sorted([*before, *faces.folder.glob("exact-*")]),  # the index that the first search saves
    )


# --- showing ---


def test_faces_come_page_by_page_with_their_total(still_client: TestClient) -> None:
    first = still_client.get(f"{API}/faces", params={"limit": 4}).json()
    assert ([face["id"] for face in first["faces"]], first["total"]) == ([1, 2, 3, 4], 6)
    rest = still_client.get(f"{API}/faces", params={"limit": 4, "cursor": first["next"]}).json()
    assert ([face["id"] for face in rest["faces"]], rest["next"]) == ([5, 6], None)
    chosen = still_client.get(f"{API}/faces", params={"where": "identity = 'ANNA'", "offset": 1}).json()
    assert [face["id"] for face in chosen["faces"]] == [2, 3] and chosen["total"] == 3
    assert still_client.get(f"{API}/faces", params={"cursor": "x"}).json()["code"] == "bad_cursor"
    one = still_client.get(f"{API}/faces/1").json()
    assert one == first["faces"][0] and one["identity"] == "anna" and one["origins"] == {"identity": "folder"}


def test_pictures_are_never_larger_than_asked_and_known_by_their_tag(client: TestClient, photos: Path) -> None:
    half = np.zeros((300, 300, 3), np.uint8)
    half[:, :150] = 200
    path = photos / "anna" / "0.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.fromarray(half).save(path.with_suffix(".jpg"), exif=exif)
    path.unlink()
    with serving(stand_in(photos.parent / "other")) as (other, served):
        served.faces.index(photos)
        number = next(face.id for face in served.faces.gallery.faces() if face.path.endswith(".jpg"))
        first = other.get(f"{API}/photos/{number}/picture", params={"size": 300})
        assert first.status_code == 200, first.text
        shown = Image.open(io.BytesIO(first.content))
        assert first.headers["content-type"] == "image/jpeg" and shown.size == (240, 240)  # upright
        assert not shown.getexif()
        assert np.asarray(shown)[10].mean() > 150 > 50 > np.asarray(shown)[-10].mean()
        known = {"If-None-Match": first.headers["etag"]}
        again = other.get(f"{API}/photos/{number}/picture", params={"size": 300}, headers=known)
        assert (again.status_code, again.content) == (304, b"")
        assert other.get(f"{API}/photos/{number}/picture", params={"size": 300}).content == first.content
        crop = Image.open(io.BytesIO(other.get(f"{API}/faces/{number}/crop", params={"size": 120}).content))
        assert crop.size == (120, 120)
        assert other.get(f"{API}/photos/{number}/picture", params={"size": 5}).status_code == 422


def test_a_file_that_is_another_now_is_not_shown(client: TestClient, photos: Path, tmp_path: Path) -> None:
    (photos / "anna" / "0.png").write_bytes(picture())
    said = client.get(f"{API}/photos/1/picture")
    assert said.status_code == 422 and "changed since" in said.json()["message"]
    (photos / "anna" / "2.png").unlink()
    (tmp_path / "secret.png").write_bytes(picture(3))
    (photos / "anna" / "2.png").symlink_to(tmp_path / "secret.png")
    assert client.get(f"{API}/photos/2/picture").status_code == 422


def test_labels_are_corrected_for_one_for_many_and_by_condition(client: TestClient, faces: FaceSearch) -> None:
    assert client.patch(f"{API}/faces/1", json={"identity": "Clara", "pose": 15}).json() == {"faces": 1, "warnings": []}
    many = {"ids": [2, 3], "labels": {"expression": "smile"}}
    assert client.patch(f"{API}/faces", json=many).json()["faces"] == 2
    by_condition = {"where": "identity = 'ben'", "labels": {"identity": None}}
    assert client.patch(f"{API}/faces", json=by_condition).json()["faces"] == 3
    said = client.get(f"{API}/faces").json()["faces"]
    assert [face["identity"] for face in said] == ["Clara", "anna", "anna", None, None, None]
    assert (said[0]["pose"], said[1]["expression"]) == (15, "smile") and said[0]["origins"]["identity"] == "hand"
    for wrong in ({"labels": {"identity": "x"}}, {"ids": [1], "where": "id = 1", "labels": {"identity": "x"}}):
        assert client.patch(f"{API}/faces", json=wrong).json()["code"] == "usage"
    assert client.patch(f"{API}/faces/1", json={"nose": "x"}).json()["code"] == "invalid"
    assert client.patch(f"{API}/faces/99", json={"pose": 1}).status_code == 404


def test_what_is_removed_leaves_no_picture(client: TestClient, faces: FaceSearch) -> None:
    for n in (1, 2):
        assert client.get(f"{API}/faces/{n}/crop").status_code == 200
        assert client.get(f"{API}/photos/{n}/picture").status_code == 200
    kept = list((faces.folder / "pictures").iterdir())
    assert len(kept) == 4
    content = faces.gallery.get([1])[0].photo.sha256
    assert client.delete(f"{API}/faces/1").json()["faces"] == 1
    left = [path.name for path in (faces.folder / "pictures").iterdir()]
    assert len(left) == 2 and not any(content in name for name in left)
    assert client.get(f"{API}/faces/1/crop").status_code == 404
    assert client.request("DELETE", f"{API}/faces", json={"where": "id > 4"}).json()["faces"] == 2
    assert client.get(f"{API}/faces").json()["total"] == 3


def test_the_gallery_tells_what_it_holds(client: TestClient, photos: Path) -> None:
    about = client.get(f"{API}/gallery").json()
    assert (about["info"]["images"], about["info"]["people"], about["info"]["image_root"]) == (6, 2, str(photos))
    assert [one["name"] for one in about["attributes"]] == ["pose", "illumination", "inpainting"]
    assert client.get(f"{API}/gallery/problems").json() == {"problems": []}
    assert "6 images" in client.get(f"{API}/gallery/plan").json()["lines"][0]


# --- around it ---


def test_the_api_describes_itself(still_client: TestClient) -> None:
    described = still_client.get("/openapi.json").json()
    assert {f"{API}/query", f"{API}/faces/{{face}}", f"{API}/jobs/{{job}}/events"} <= set(described["paths"])
    assert "multipart/form-data" in described["paths"][f"{API}/query"]["post"]["requestBody"]["content"]
    json.dumps(described)


def test_requests_are_counted_by_route_and_never_by_path(client: TestClient) -> None:
    client.get(f"{API}/faces/1")
    client.get(f"{API}/faces/2")
    client.get("/secret/path")
    text = client.get("/metrics").text
    assert f'facesearch_requests_total{{method="GET",route="{API}/faces/{{face}}",status="200"}} 2.0' in text
    assert "secret" not in text
