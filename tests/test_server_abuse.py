"""What strangers send: no crash, nothing written, nothing read that is not the gallery's, memory that stays."""

from __future__ import annotations

import http.client
import random
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from facesearch.server.settings import Limits
from retrieval.face_search import FaceSearch
from tests.served import API, live, picture, raw, stand_in, write_faces

pytestmark = pytest.mark.slow
SECRET = b"a secret beside the gallery"


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[FaceSearch]:
    (tmp_path / "secret.txt").write_bytes(SECRET)
    with stand_in(tmp_path / "db") as opened:
        opened.index(write_faces(tmp_path / "photos"))
        yield opened


def request(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


PATHS = [
    "/../../../etc/passwd",
    "/..%2f..%2fsecret.txt",
    "/%2e%2e/secret.txt",
    "//secret.txt",
    "/app.js/../../settings.py",
    "/..\\settings.py",
    "/app.js%00.html",
    f"{API}/photos/../../secret/picture",
    f"{API}/faces/1e9/crop",
    f"{API}/faces/{'9' * 400}/crop",
    f"{API}/folders?folder=../..",
    f"{API}/folders?folder=%00",
    f"{API}/imagined/..%2f..%2fsecret.txt/source",
    f"{API}/faces?where={'(' * 4_000}",
    f"{API}/faces?cursor={'A' * 99}",
    "/" + "a" * 60_000,
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_to_a_file_that_is_not_the_page_s(faces: FaceSearch, path: str) -> None:
    with live(faces) as (address, _):
        said = raw(address, request(path))
        assert SECRET not in said and b"root:" not in said and b"SHORTEST_KEY" not in said
        assert said[:13] != b"HTTP/1.1 500 "
        assert raw(address, request("/healthz")).startswith(b"HTTP/1.1 200")


UPLOAD = f"{API}/query"
BROKEN = [
    [b"\x00\xff" * 5_000],
    [b"GET / HTTP/9.9\r\n\r\n"],
    [request(UPLOAD, "Content-Length: 99999999999999999999", method="POST")],
    [request(UPLOAD, "Content-Length: -1", method="POST")],
    [request(UPLOAD, "Content-Length: 5", "Content-Length: 6", method="POST", body=b"12345")],
    [request(UPLOAD, "Transfer-Encoding: chunked", method="POST", body=b"zz\r\n\r\n")],
    [request(UPLOAD, "Transfer-Encoding: chunked", method="POST", body=b"ffffffffff\r\nabc")],
    [request(UPLOAD, "Content-Length: 50000000", method="POST")],
    [b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5_000))],
]


@pytest.mark.parametrize("parts", BROKEN)
def test_requests_that_are_none_end_and_others_are_served(faces: FaceSearch, parts: list[bytes]) -> None:
    with live(faces, limits=Limits(seconds=1)) as (address, served):
        said = raw(address, *parts)
        assert said[:13] != b"HTTP/1.1 500 " and b"Traceback" not in said
        assert raw(address, request("/healthz")).startswith(b"HTTP/1.1 200")
        assert served.uploads.held == 0


def test_who_does_not_go_on_is_hung_up_on(faces: FaceSearch) -> None:
    with live(faces, limits=Limits(seconds=0.5)) as (address, _):
        for begun in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "):
            started = time.monotonic()
            assert raw(address, begun, wait=10) == b""
            assert time.monotonic() - started < 5
        head = request(UPLOAD, "Content-Length: 1000", method="POST", body=b"only this")
        assert raw(address, head, wait=10).startswith(b"HTTP/1.1 408")


def test_a_thousand_that_only_connect_keep_nobody_out(faces: FaceSearch) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4_096:
        pytest.skip("this machine opens too few files")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4_096, hard))
    opened = []
    try:
        with live(faces, limits=Limits(seconds=2)) as (address, _):
            place = urlsplit(address)
            opened = [socket.create_connection((place.hostname or "", place.port or 0)) for _ in range(1_000)]
            assert raw(address, request(f"{API}/faces/1")).startswith(b"HTTP/1.1 200")
            time.sleep(5)
            for one in opened:
                one.settimeout(5)
                assert one.recv(1) == b""
    finally:
        for one in opened:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_two_thousand_hostile_uploads_leave_nothing_behind(faces: FaceSearch, tmp_path: Path) -> None:
    faces.query(picture())  # the index that a first search saves
    before = lasting(tmp_path)
    chance, whole = random.Random(0), picture()
    with live(faces) as (address, served):
        place = urlsplit(address)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        seen, sizes = set(), []
        for n in range(2_000):
            connection.request("POST", f"{UPLOAD}?pose=30&k=1", damaged(whole, chance))
            answer = connection.getresponse()
            answer.read()
            seen.add(answer.status)
            if n in (200, 1_999):
                sizes.append(resident())
        connection.close()
        assert seen <= {200, 400, 413, 422} and len(seen) > 1
        assert served.uploads.held == 0
        assert sizes[1] - sizes[0] < 60_000_000
    assert lasting(tmp_path) == before


def lasting(folder: Path) -> list[Path]:
    """All files but those that a database has while it is open."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A picture's file cut, changed, repeated, or something else altogether."""
    kind = chance.randrange(4)
    if kind == 0:
        return content[: chance.randrange(1, len(content))]
    if kind == 1:
        made = bytearray(content)
        for _ in range(chance.randrange(1, 20)):
            made[chance.randrange(len(made))] = chance.randrange(256)
        return bytes(made)
    if kind == 2:
        return content * chance.randrange(1, 4)
    return chance.randbytes(chance.randrange(1, 3_000))


def resident() -> int:
    """Bytes of memory that this process, and so the server in it, has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
