"""Photographs in S3, of which moto's server is one: by one process, and by two Ray nodes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from PIL import Image

from index.gallery import Gallery
from index.store_answers import StoreError
from index.stored import place_of
from retrieval.face_search import FaceSearch
from tests.conftest import ROOT, blob_face
from tests.rays import Slow, TwoNodes, installed, two_nodes  # noqa: F401
from tests.stand_ins import HashEditor, ReadsHere

pytestmark = [
    pytest.mark.cluster,
    # what Ray and S3's libraries leave to the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
SECRET = "a-secret-of-tests"
KEYS = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
COUNT = 40


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of a server that has the bucket `faces`; processes find it as they find S3, by the environment."""
    pytest.importorskip("s3fs", reason="s3fs is not installed for tests: `make test-cluster` does so")
    server = pytest.importorskip("moto.server", reason="moto is not installed: `make test-cluster` does so")
    import boto3

    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "AKIAOFTESTS", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**keys, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="faces")
        yield client
    running.stop()


@pytest.fixture
def folder(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Pictures of five people in the bucket and the same on the disk, and what is none; the address of the former."""
    monkeypatch.setenv("FACESEARCH_CACHE", str(tmp_path / "cache"))
    for n in range(COUNT):
        path = tmp_path / "photos" / f"p{n % 5}" / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blob_face(n, 0, 0)).save(path)
    (tmp_path / "photos" / "bad.png").write_bytes(b"\x89PNG no picture")
    for path in (tmp_path / "photos").rglob("*.png"):
        key = f"{tmp_path.name}/{path.relative_to(tmp_path / 'photos').as_posix()}"
        s3.put_object(Bucket="faces", Key=key, Body=path.read_bytes())
    return f"s3://faces/{tmp_path.name}"


def picture(seed: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(blob_face(seed, 0, 0)).save(content, "PNG")
    return content.getvalue()


def index(place: Path, photos: str | Path, **wishes: Any) -> Any:
    with FaceSearch(place, describer=HashEditor(), reader=ReadsHere(crops=Slow(0))) as faces:
        return faces.index(photos, **wishes)


def described(place: Path) -> dict[str, tuple[str | None, str]]:
    with Gallery.open(place) as gallery:
        return {face.path: (face.identity, face.photo.sha256) for face in gallery.faces()}


def test_one_process_makes_of_s3_what_it_makes_of_a_disk(s3: Any, folder: str, tmp_path: Path) -> None:
    disk, store = index(tmp_path / "disk", tmp_path / "photos"), index(tmp_path / "store", folder)
    assert (store.described, len(store.skipped)) == (disk.described, len(disk.skipped)) == (COUNT, 1)
    assert described(tmp_path / "store") == described(tmp_path / "disk")
    assert (again := index(tmp_path / "store", folder)).described == 0 and again.unchanged == COUNT
    key = f"{tmp_path.name}/p0/0.png"
    content = s3.get_object(Bucket="faces", Key=key)["Body"].read()
    s3.put_object(Bucket="faces", Key=key, Body=content[:-1] + b"\0")  # as large as before, and another tag
    assert index(tmp_path / "store", folder).described == 1
    s3.delete_object(Bucket="faces", Key=key)
    assert index(tmp_path / "store", folder, prune=True).pruned == 1
    with FaceSearch(tmp_path / "store", describer=HashEditor(), reader=ReadsHere()) as faces:
        shown = next(iter(faces.gallery.faces()))
        assert faces.photo(shown.id, 60).shape == (60, 60, 3)
        assert str(faces.read_face(shown.id).path) == f"{folder}/{shown.path}"


def test_nothing_goes_where_s3_does_not_answer(s3: Any, folder: str, tmp_path: Path) -> None:
    done = command(tmp_path, "index", folder)
    assert done.returncode == 3 and f"{COUNT} described" in done.stdout, done.stderr
    before = described(tmp_path / "db")
    done = command(tmp_path, "index", folder, "--prune", "--yes", endpoint="http://127.0.0.1:9")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "EndpointConnectionError" in done.stderr
    done = command(tmp_path, "index", "s3://other/photos", "--prune", "--yes")
    assert done.returncode == 1 and "there is no other" in done.stderr
    with pytest.raises(StoreError, match="there is no other"):
        place_of("s3://other/photos/1.png").stat()
    assert described(tmp_path / "db") == before and len(before) == COUNT


@pytest.fixture
def guest(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Somebody whom S3 asks what he may do; what is called lets him do more."""
    import boto3

    iam = boto3.client("iam")
    iam.create_user(UserName="guest")
    key = iam.create_access_key(UserName="guest")["AccessKey"]

    def let(*actions: str, but: str = "none") -> None:
        allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        denied = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::faces/{but}"}
        said = json.dumps({"Version": "2012-10-17", "Statement": [allowed, denied]})
        _ask_for_rights(s3, False)
        iam.put_user_policy(UserName="guest", PolicyName="let", PolicyDocument=said)
        _ask_for_rights(s3, True)

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    _ask_for_rights(s3, True)
    yield let
    _ask_for_rights(s3, False)


def _ask_for_rights(s3: Any, always: bool) -> None:
    """Of every question from now on, or of none."""
    place, after = f"{s3.meta.endpoint_url}/moto-api/reset-auth", b"0" if always else b"inf"
    urlopen(Request(place, data=after, headers={"Content-Type": "text/plain"}), timeout=60).close()


def test_a_bucket_that_refuses_is_named_and_how_to_mend_it(
    s3: Any, folder: str, tmp_path: Path, guest: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "the bucket faces refuses (403: "
    mend = "let these keys list and read it (s3:ListBucket, s3:GetObject), or give others by $AWS_PROFILE"
    done = command(tmp_path, "index", folder)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert told in done.stderr and mend in done.stderr and not (tmp_path / "db").exists()
    guest("s3:ListBucket", "s3:GetObject")
    assert command(tmp_path, "index", folder).returncode == 3  # what is no picture
    before = described(tmp_path / "db")
    guest("s3:ListBucket")
    done = command(tmp_path, "index", folder, "--prune", "--yes")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and told in done.stderr, done.stdout + done.stderr
    _ask_for_rights(s3, False)
    s3.put_object(Bucket="faces", Key=f"{tmp_path.name}/p0/0.png", Body=picture(1_000))
    guest("s3:ListBucket", "s3:GetObject", but=f"{tmp_path.name}/p0/*")
    done = command(tmp_path, "index", folder, "--prune", "--yes")
    assert done.returncode == 3 and f"p0/0.png cannot be read ({told}" in done.stderr, done.stdout + done.stderr
    assert described(tmp_path / "db") == before and len(before) == COUNT
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    done = command(tmp_path, "index", folder)
    assert done.returncode == 1 and "Unable to locate credentials): give them by $AWS_PROFILE" in done.stderr


def command(folder: Path, *arguments: str, endpoint: str | None = None) -> subprocess.CompletedProcess[str]:
    """What a command says, which never is a secret, and leaves none behind."""
    program = "import sys; from cli.app import run; from tests.stand_ins import stand_in_search as one; "
    program += "sys.exit(run(sys.argv[1:], one))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})}
    line = [sys.executable, "-c", program, *arguments, "--db", str(folder / "db")]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=200)
    said = (done.stdout + done.stderr).encode() + b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    secrets = ("AKIAOFTESTS", SECRET, *(environment.get(f"AWS_{name}", SECRET) for name in KEYS))
    assert not any(one.encode() in said for one in secrets) and b"Traceback" not in said, done.stderr
    return done


@pytest.mark.skipif(not installed(), reason="Ray is not installed")
def test_two_ray_nodes_read_from_s3(s3: Any, folder: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    nodes: TwoNodes = request.getfixturevalue("two_nodes")  # whose processes have the environment of s3
    assert nodes.address
    report = index(tmp_path / "ray", folder, workers="ray")
    assert (report.described, len(report.skipped)) == (COUNT, 1)
    index(tmp_path / "one", folder)
    assert described(tmp_path / "ray") == described(tmp_path / "one")
