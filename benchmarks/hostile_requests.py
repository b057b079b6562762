"""What a server withstands: ten thousand requests that nobody honest sends, slow ones and a thousand open connections.

    python benchmarks/hostile_requests.py --requests 10000

The server is `facesearch serve` itself over a small gallery, in a folder of its own with a secret beside. What is said
at the end: how it answered, its memory at the beginning and at most, what changed on the disk, whether the secret came
out, and whether it still answers. Seeds are counted from --seed, so that a run can be had again.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from urllib.parse import quote, urlsplit

from PIL import Image

from retrieval.face_search import FaceSearch
from retrieval.models import SAMPLE_DB
from tests.served import API, raw

ROOT = Path(__file__).resolve().parent.parent
SECRET = "b3c0-the-secret-beside-the-gallery"
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_AT_ONCE = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=60, help="bodies that come a byte a second")
    parser.add_argument("--open", type=int, default=1_000, help="connections that only are there")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        prepare(place)
        with listening(place) as (address, process):
            print(json.dumps(withstood(place, address, process, given), indent=2))


def prepare(place: Path) -> None:
    for name in ("0101", "0102"):
        shutil.copytree(SAMPLE_DB / "gallery" / name, place / "root" / name)
    (place / "secret.json").write_text(json.dumps({"secret": SECRET}))
    (place / "root" / "way-out").symlink_to(place)
    with FaceSearch(place / "db", identity="own") as faces:
        faces.index(place / "root")
        faces.query(picture(), pose=30)


@contextmanager
def listening(place: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "cli.app", "serve", "--db", str(place / "db"), "--port", "0", "--identity", "own"]
    command += ["--root", str(place / "root")]
    with (
        (place / "log").open("w") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[0].rstrip("/"), process
        finally:
            process.terminate()


def withstood(
    place: Path, address: str, process: subprocess.Popen[str], given: argparse.Namespace
) -> dict[str, object]:
    seen = Seen(address)
    for _ in range(50):  # networks are loaded, caches warm
        seen.ask(request(f"{API}/query?pose=30", method="POST", body=picture()))
    seen.statuses.clear()
    before, began = kept(place), memory(process.pid, "VmRSS")
    started = time.monotonic()
    with opened(address, given.open) as many, ThreadPoolExecutor(_AT_ONCE + given.slow) as pool:
        slow = [pool.submit(seen.ask_slowly, given.seed + n) for n in range(given.slow)]
        tenths, step = [], max(1, given.requests // 10)
        for first in range(0, given.requests, step):
            some = range(first, min(first + step, given.requests))
            list(pool.map(lambda n: seen.ask(hostile(random.Random(given.seed + n))), some))
            tenths.append(memory(process.pid, "VmRSS"))
        for one in slow:
            one.result()
        answered = seen.ask(request("/healthz"))
    return {
        "requests": given.requests,
        "seconds": round(time.monotonic() - started),
        "slow bodies": given.slow,
        "connections that were open": many,
        "answers": dict(sorted(seen.statuses.items())),
        "memory at the beginning, MB": began,
        "memory after each tenth, MB": tenths,
        "memory at most, MB": memory(process.pid, "VmHWM"),
        "files that changed": sorted(changed(before, kept(place))),
        "the secret came out": seen.leaked,
        "log names a mistake": "Traceback" in (place / "log").read_text(errors="replace"),
        "answers still": answered.startswith(b"HTTP/1.1 200"),
    }


@dataclass
class Seen:
    """What came back."""

    address: str
    statuses: Counter[str] = field(default_factory=Counter)
    leaked: int = 0
    lock: Lock = field(default_factory=Lock)

    def ask(self, *parts: bytes, wait: float = 60.0, pause: float = 0.0) -> bytes:
        said = b""
        with suppress(OSError):  # the server may be full
            said = raw(self.address, *parts, wait=wait, pause=pause)
        status = said[9:12].decode("latin-1") if said.startswith(b"HTTP/1.1 ") else "none"
        with self.lock:
            self.statuses[status] += 1
            self.leaked += SECRET.encode() in said
        return said

    def ask_slowly(self, seed: int) -> None:
        content = picture()
        head = request(f"{API}/query?pose=30", f"Content-Length: {len(content)}", method="POST")
        self.ask(head, *(content[n : n + 1] for n in range(40)), pause=1.0)


@contextmanager
def opened(address: str, count: int) -> Iterator[int]:
    """So many connections that say nothing, or begin to; fewer where this machine opens fewer files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count + 1_000)), hard))
    place = urlsplit(address)
    made = [socket.create_connection((place.hostname or "", place.port or 0), timeout=60) for _ in range(count)]
    for one in made[::2]:
        one.sendall(b"GET /healthz HT")
    try:
        yield len(made)
    finally:
        for one in made:
            one.close()


# --- what is sent ---


def hostile(chance: random.Random) -> bytes:
    return chance.choices(KINDS, WEIGHTS)[0](chance)


def request(path: str, *headers: str, method: str = "GET", body: bytes = b"", host: str = "127.0.0.1") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    if body and not any(one.lower().startswith(("content-length", "transfer-encoding")) for one in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def picture(kind: str = "PNG", size: tuple[int, int] | None = None) -> bytes:
    face = Image.open(SAMPLE_DB / "queries" / "0104_+00_06.png").convert("RGB")
    content = io.BytesIO()
    (face.resize(size) if size else face).save(content, kind)
    return content.getvalue()


def damaged(chance: random.Random) -> bytes:
    """A picture's file cut, changed, repeated, or something else altogether."""
    content = picture(chance.choice(_FORMATS), chance.choice((None, (60, 60), (300, 200), (1_000, 30))))
    kind = chance.randrange(5)
    if kind == 0:
        return content[: chance.randrange(1, len(content))]
    if kind == 1:
        made = bytearray(content)
        for _ in range(chance.randrange(1, 40)):
            made[chance.randrange(min(len(made), chance.choice((64, 10**9))))] = chance.randrange(256)
        return bytes(made)
    if kind == 2:
        return content * chance.randrange(1, 4)
    if kind == 3:
        return vast(chance)
    return chance.randbytes(chance.randrange(1, 3_000))


def vast(chance: random.Random) -> bytes:
    """A small file that says it is a huge picture."""
    side = chance.choice((7_000, 20_000, 60_000)).to_bytes(4, "big")
    header = b"IHDR" + side + side + b"\x08\x02\x00\x00\x00"
    import zlib

    def chunk(body: bytes) -> bytes:
        return (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    data = zlib.compress(b"\0" * 1_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(header) + chunk(b"IDAT" + data) + chunk(b"IEND")


def upload(chance: random.Random) -> bytes:
    route = chance.choice(("query?pose=30", "sweep", "edit?illumination=9", "faces", "compare?other=1", "query"))
    return request(f"{API}/{route}", method="POST", body=damaged(chance))


def form(chance: random.Random) -> bytes:
    edge = chance.choice((b"x", b"x" * 300, b"\xff\x00", b""))
    name = chance.choice((b"picture", b"Picture", b"a" * 50_000, b'"; filename="/etc/passwd', b"\r\n"))
    part = b"--" + edge + b'\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n'
    body = (part + damaged(chance) + b"\r\n") * chance.choice((1, 1, 2, 400))
    body += chance.choice((b"", b"--" + edge + b"--\r\n"))
    kind = f"Content-Type: multipart/form-data; boundary={edge.decode('latin-1')}"
    return request(f"{API}/query?pose=30", kind.replace("\0", ""), method="POST", body=body)


def wrong_length(chance: random.Random) -> bytes:
    length = chance.choice(("-1", "99999999999999999999", "5, 6", "0x10", "50000000", "1e3", "٣", ""))
    headers = [f"Content-Length: {length}"] if chance.random() < 0.7 else ["Transfer-Encoding: chunked"]
    body = chance.choice((b"zz\r\n\r\n", b"ffffffffff\r\nabc", b"5\r\nab", b"0\r\n\r\n", b"x" * 100))
    return request(f"{API}/query", *headers, method="POST", body=body)


def wrong_host(chance: random.Random) -> bytes:
    host = chance.choice(
        ("evil.example", "127.0.0.1.evil.example", "[::ffff:8.8.8.8]", "localhost@evil.example", "", "a" * 9_000)
    )
    return request(chance.choice((f"{API}/gallery", "/", "/metrics", f"{API}/faces/1/crop")), host=host)


def wrong_origin(chance: random.Random) -> bytes:
    origin = chance.choice(
        ("https://evil.example", "null", "http://127.0.0.1.evil.example", "file://", "http://127.0.0.1:1")
    )
    body = json.dumps({"ids": [1], "labels": {"identity": "evil"}}).encode()
    method = chance.choice(("PATCH", "DELETE", "POST"))
    return request(f"{API}/faces", f"Origin: {origin}", "Content-Type: text/plain", method=method, body=body)


def path(chance: random.Random) -> bytes:
    up = chance.choice(("../", "..%2f", "%2e%2e/", "..\\", "..%5c", "....//", "%252e%252e/", "..%c0%af", "way-out/"))
    end = chance.choice(("secret.json", "etc/passwd", "settings.py", "gallery.db", "proc/self/environ"))
    tricked = up * chance.randrange(1, 9) + end
    return request(
        chance.choice(
            (
                f"/{tricked}",
                f"/app.js/{tricked}",
                f"//{tricked}",
                f"{API}/folders?root=0&folder={quote(tricked)}",
                f"{API}/photos/{tricked}/picture",
                f"{API}/imagined/{tricked}/source",
                f"{API}/reports/{tricked}",
                f"http://evil.example/{tricked}",
            )
        )
    )


def job(chance: random.Random) -> bytes:
    """Into a folder that is not below the root: nothing that would be done."""
    folder = chance.choice(("..", "way-out", "way-out/db", "/etc", "a\0b", "x" * 5_000, "../" * 40, "C:\\"))
    kind = chance.choice(("index", "export", "evaluate", "rm", ["index"], None))
    asked = {
        "kind": kind,
        "root": chance.choice((0, 1, -1, 10**9, "0")),
        "folder": folder,
        "queries": chance.choice((1, -1, 10**9)),
    }
    return request(f"{API}/jobs", "Content-Type: application/json", method="POST", body=json.dumps(asked).encode())


def question(chance: random.Random) -> bytes:
    number = chance.choice(("0", "-1", "1e9", "9" * 400, "1.5", "NaN", "", "%00", "१", "1;drop"))
    where = quote(
        chance.choice(("(" * 4_000, "identity = 'x' or " * 600, "pose in (" + "1," * 9_000, "'", "path like '%" * 50))
    )
    return request(
        chance.choice(
            (
                f"{API}/faces?where={where}",
                f"{API}/faces?limit={number}&offset={number}",
                f"{API}/faces?cursor={'A' * chance.randrange(1, 99)}",
                f"{API}/faces/{number}/crop?size={number}",
                f"{API}/photos/{number}",
                f"{API}/jobs/{number}/events",
                f"{API}/imagined/{number}/{number}?size={number}",
                f"{API}/query?of={number}",
            )
        ),
        method=chance.choice(("GET", "POST", "PUT", "TRACE", "G" * 300)),
    )


def body_of_text(chance: random.Random) -> bytes:
    deep = b"[" * chance.choice((10, 100_000))
    body = chance.choice(
        (deep, b"{" * 50, b"\xff\xfe", b'{"ids": [' + b"1," * 100_000 + b"1]}", b'{"key": "' + b"x" * 3_000_000 + b'"}')
    )
    route = chance.choice(("faces", "session", "jobs", "jobs/1/cancel"))
    method = "PATCH" if route == "faces" else "POST"
    return request(f"{API}/{route}", "Content-Type: application/json", method=method, body=body)


def none_at_all(chance: random.Random) -> bytes:
    many = b"".join(b"X-%d: y\r\n" % n for n in range(5_000))
    return chance.choice(
        (
            chance.randbytes(5_000),
            b"GET / HTTP/9.9\r\n\r\n",
            b"\x16\x03\x01\x02\x00",
            b"GET / HTTP/1.1\r\n" + many,
            b"\r\n" * 500,
        )
    )


KINDS: list[Callable[[random.Random], bytes]] = [
    *(upload, form, wrong_length, wrong_host, wrong_origin, path, job, question, body_of_text, none_at_all)
]
WEIGHTS = (40, 8, 6, 6, 6, 12, 6, 8, 4, 4)


# --- what is left ---


def kept(place: Path) -> dict[str, str]:
    """The content of every file but the log, and those that a database has while it is open."""
    passing = ("-wal", "-shm", "log", "gallery.lock", "gallery.lock.holder")
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in place.rglob("*")
        if path.is_file() and not path.is_symlink() and not path.name.endswith(passing)
    }


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def memory(process: int, what: str) -> int:
    """MB of a process: VmRSS now, VmHWM at most."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) // 1_000


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
