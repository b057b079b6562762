"""A server over a small gallery without a network, as tests of it need one."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

from PIL import Image
from starlette.testclient import TestClient

from faceedit.align import Landmarks
from faceedit.attributes import TASKS
from faceedit.cropping import Cropper
from faceedit.describes import Accepted, Usual
from faceedit.face_detector import Face, Faces
from facesearch.server.app import make_app
from facesearch.server.service import Service, service_of
from facesearch.server.settings import Limits, Settings
from facesearch.server.start import Server, address_at, bind
from retrieval.face_search import FaceSearch
from tests.conftest import blob_face
from tests.stand_ins import HashEditor, KnowsPeople, ReadsHere, Sees

HERE = "http://127.0.0.1:8000"
API = "/api/v1"


def write_faces(folder: Path, count: int = 6, people: tuple[str, ...] = ("anna", "ben")) -> Path:
    """Pictures, each in its person's folder."""
    for seed in range(count):
        path = folder / people[seed % len(people)] / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blob_face(seed, 15 * (seed % 3), seed)).save(path)
    return folder


def write_people(folder: Path, counts: tuple[int, ...] = (4, 3, 2)) -> Path:
    """So many pictures of each person, in one folder; a person is told by the colour in a picture's corner."""
    folder.mkdir(parents=True, exist_ok=True)
    for person, count in enumerate(counts):
        for n in range(count):
            face = blob_face(10 * person + n, 15 * (n % 3), n)
            face[:4, :4] = (60 * person + 20, 200 - 60 * person, 90)
            Image.fromarray(face).save(folder / f"{person}_{n}.png")
    return folder


def picture(seed: int = 40) -> bytes:
    """A crop that no gallery holds, as the content of a file."""
    content = io.BytesIO()
    Image.fromarray(blob_face(seed, 0, seed)).save(content, "PNG")
    return content.getvalue()


def stand_in(folder: Path) -> FaceSearch:
    """Without a network."""
    editors = {space.name: HashEditor("served", space) for space in TASKS.values()}
    return FaceSearch(folder, describer=editors, reader=ReadsHere(), finder=Cropper(load=SeesTwo))


def knowing(folder: Path) -> FaceSearch:
    """Without a network, and it says who somebody is."""
    accepted = (Accepted(0.01, 0.6, 1.0, 1.0, 1.0), Accepted(0.001, 0.5, 1.0, 1.0, 1.0))
    usual = Usual("a test", "2026-01-01", 10, 0.1, 0.2, 0.3, accepted)
    return FaceSearch(folder, describer=KnowsPeople(usual_who=usual), reader=ReadsHere())


@contextmanager
def over(photos: Path, folder: Path) -> Iterator[FaceSearch]:
    """The same, with these pictures indexed."""
    with stand_in(folder) as opened:
        opened.index(photos)
        yield opened


class SeesTwo(Sees):
    """A detector that sees two faces in whatever it is shown, side by side, the left one larger."""

    def faces(self, photograph: Image.Image, side: int = 0, /) -> Faces:
        width, height = photograph.size
        sizes = ((0.25, 0.4), (0.75, 0.3))
        return Faces(photograph, 0, tuple(_face_at(width * at, height * 0.5, height * size) for at, size in sizes))


def _face_at(x: float, y: float, size: float) -> Face:
    points = Landmarks(
        (x - 0.2 * size, y - 0.15 * size),
        (x + 0.2 * size, y - 0.15 * size),
        (x - 0.15 * size, y + 0.2 * size),
        (x + 0.15 * size, y + 0.2 * size),
    )
    return Face((x - 0.4 * size, y - 0.5 * size, 0.8 * size, size), points, 0.9)


@contextmanager
def live(faces: FaceSearch, port: int = 0, **settings: Any) -> Iterator[tuple[str, Service]]:
    """The address of a server that listens, and what is behind it."""
    told, listening = Settings(port=port, **settings), Event()
    served = service_of(faces, told)
    with bind(told.host, told.port) as bound:
        server = Server(make_app(served), told, listening.set)
        thread = Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            assert listening.wait(20)
            yield address_at(bound, told), served
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def serving(faces: FaceSearch, limits: Limits | None = None, **settings: Any) -> Iterator[tuple[TestClient, Service]]:
    """A client of a server, and what is behind it."""
    served = service_of(faces, replace(Settings(**settings), limits=limits or Limits()))
    with TestClient(make_app(served), base_url=HERE) as client:
        yield client, served


def job_over(client: TestClient, kind: str, seconds: float = 60.0, **asked: Any) -> Any:
    """A job that was begun, once it is over."""
    begun = client.post(f"{API}/jobs", json={"kind": kind, **asked})
    assert begun.status_code == 202, begun.text
    end = time.monotonic() + seconds
    while (job := client.get(f"{API}/jobs/{begun.json()['id']}").json())["state"] in ("waiting", "running"):
        assert time.monotonic() < end
        time.sleep(0.02)
    return job


def raw(address: str, *parts: bytes, wait: float = 5.0, pause: float = 0.0) -> bytes:
    """What comes back for these bytes; empty where the server hangs up without a word. wait: seconds for each answer,
    pause: between parts. Raises OSError where nobody listens."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=wait) as opened:
        found = b""
        try:
            for part in parts:
                opened.sendall(part)
                time.sleep(pause)
            while block := opened.recv(65_536):
                found += block
        except OSError:
            pass
    return found
