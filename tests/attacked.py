"""Galleries with all that may lie in one, and what every command answers when it is asked: for `tests/hostile.py`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceedit.align import Landmarks
from faceedit.cropping import Cropper
from faceedit.face_detector import Face as PhotographedFace
from faceedit.face_detector import Faces
from index.gallery import Decision, Gallery
from index.search.plan import SLOW, Planner, Requirements
from retrieval.describing import known_errors
from retrieval.face_search import FaceSearch
from retrieval.one_file import Read, read_by
from tests.stand_ins import HashEditor, ReadsHere, Sees

MODEL, NEXT = HashEditor("a", descriptor_size=16), HashEditor("b", descriptor_size=24)
PEOPLE, COUNT = 4, 20
READING = ("list", "show", "info", "problems", "hidden", "query", "where", "verify", "plan", "export")
WRITING = (
    "index",
    "label",
    "remove",
    "hide",
    "unhide",
    "compact",
    "relocate",
    "redescribe",
    "prepare",
    "prune",
    "repair",
)


@dataclass(frozen=True)
class Place:
    """A gallery of the campaign, and what may be reached from it: pictures, a query, and what must stay as it is."""

    db: Path
    around: Path

    @property
    def photos(self) -> Path:
        return self.around / "photos"

    @property
    def picture(self) -> Path:
        return self.around / "query.png"

    @property
    def outside(self) -> Path:
        return self.around / "precious"

    def search(self, editor: HashEditor = MODEL) -> FaceSearch:
        return FaceSearch(self.db, describer=editor, reader=ReadsHere(crops=read_photograph))


class TwoFaces(Sees):
    """Stands in for the detector: two faces in every photograph that is not of one colour."""

    def faces(self, photograph: Image.Image, side: int = 640, /) -> Faces:
        if not np.asarray(photograph.resize((4, 4))).std((0, 1)).any():
            return Faces(photograph, 0, ())
        return Faces(photograph, 0, (_face(40, 120), _face(230, 90)))


def _face(left: float, side: float) -> PhotographedFace:
    places = ((0.3, 0.35), (0.7, 0.35), (0.35, 0.7), (0.65, 0.7))
    points = ((left + x * side, 60 + y * side) for x, y in places)
    return PhotographedFace((left, 60, side, side), Landmarks(*points), 0.9)


def read_photograph(path: Path) -> Read:
    """With two faces in every photograph."""
    return read_by(Cropper(load=TwoFaces), path)


# --- what is attacked ---


def templates(folder: Path) -> dict[str, Place]:
    """Galleries of two dozen faces with all that may lie in one; the file of one of them has gone."""
    place = Place(folder / "exact", folder)
    _write_files(place)
    with place.search() as faces:
        faces.index(place.photos, requirements=Requirements(recall=0.9))
        faces.label(where="identity = 'p1'", identity="Änna", pose=15)
        faces.label(3, expression="smile", illumination=7)
        faces.label("p3/party.png#2", identity="Änna")
        faces.label("p3/two.png#1", identity="p3")
        faces.remove(5)
        faces.remove("p3/two.png#2", "p1/13.png", hide=True)
        faces.gallery.people.write({}, [[1, 2, 3, 21], [4, 22]], [6, 7])
        faces.gallery.people.place_apart([2], {1: 1, 3: 1})
        faces.label(where="path like 'p2/1%'", identity="Änna")
        for gone in (place.photos / "p2").glob("1*.png"):
            gone.unlink()
        faces.index(place.photos / "p2", prune=True, sure=True)  # what a hand said of them is kept
        faces.query(place.picture, pose=15)
    (place.photos / "p2" / "02.png").unlink()
    made = {"exact": place}
    for kind in ("flat", "hnsw"):
        made[kind] = copied(place, kind)
        with Gallery.open(made[kind].db) as gallery:
            planner = Planner({**dict.fromkeys(("exact", "flat", "ivf", "hnsw"), 10**9), kind: 0})
            gallery.prepare(Requirements(recall=0.5, max_ms=10_000), planner=planner)
    made["redescribing"] = copied(place, "redescribing")
    with Gallery.open(made["redescribing"].db) as gallery:
        _begin_redescribing(gallery)
    return made


def copied(place: Place, name: str) -> Place:
    copy = Place(place.around / name, place.around)
    shutil.rmtree(copy.db, ignore_errors=True)
    shutil.copytree(place.db, copy.db)
    return copy


def _write_files(place: Place) -> None:
    for n in range(COUNT + 1):
        path = place.photos / f"p{n % PEOPLE}" / f"{n:02}.png" if n < COUNT else place.picture
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(n).integers(0, 256, (60, 60, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    (place.photos / "p0" / "bad.png").write_bytes(b"no picture")
    for name, seed in (("party", 90), ("two", 91)):
        noise = np.random.default_rng(seed).integers(0, 256, (240, 400, 3), dtype=np.uint8)
        Image.fromarray(noise).save(place.photos / "p3" / f"{name}.png")
    Image.new("RGB", (400, 240), (120, 150, 180)).save(place.photos / "p3" / "wall.png")
    for name in ("note.txt", "read me.md"):  # passed over
        (place.photos / "p1" / name).write_text("no picture\n", encoding="utf-8")
    place.outside.mkdir()
    for name in ("x", "y.png", "descriptors-1.f16", "gallery.db"):
        (place.outside / name).write_bytes(name.encode() * 50)


def _begin_redescribing(gallery: Gallery) -> None:
    config, size = gallery.config, NEXT.descriptor_size
    gallery.redescribing.begin(replace(config, model_digest=NEXT.digest, descriptor_size=size))
    there = [face for face in gallery.redescribing.waiting() if (gallery.config.image_root / face.path).exists()][:7]
    crops = np.stack([np.asarray(Image.open(gallery.config.image_root / face.path)) for face in there])
    described = NEXT.describe(crops)
    decided = zip(there, described.best, described.errors, strict=True)
    decisions = [(face, Decision(config.values[best], known_errors(errors))) for face, best, errors in decided]
    gallery.redescribing.stage(
        [replace(face, decision=decision) for face, decision in decisions], described.descriptors
    )


# --- what users do; each gives what its answer says ---


def run(name: str, place: Place) -> Any:
    """What a command answers, or what the gallery holds after it."""
    if name in ("verify", "repair"):
        return _tended(name, place)
    with place.search(NEXT if name == "redescribe" else MODEL) as faces:
        answer = _COMMANDS[name](faces, place)
        return _content(faces.gallery) if name in WRITING else answer


def _tended(name: str, place: Place) -> Any:
    with Gallery.open(place.db, damaged=True) as gallery:
        if name == "verify":
            return gallery.verify()
        return gallery.repair()


def _export(faces: FaceSearch, place: Place) -> object:
    out = place.around / "out"
    shutil.rmtree(out, ignore_errors=True)
    faces.gallery.export(out)
    lines = [json.loads(line) for line in (out / "faces.jsonl").read_text(encoding="utf-8").splitlines()]
    return lines, (out / "descriptors.npy").read_bytes()


def found_by(faces: FaceSearch, place: Place, where: str | None = None) -> object:
    answer = faces.query(place.picture, pose=15, k=6, where=where)
    return [(one.face, round(one.distance, 5)) for one in answer.results]


def _indexed_and_found(faces: FaceSearch, place: Place) -> object:
    """Whichever ids are given to what is added."""
    faces.index(place.photos)
    answer = faces.query(place.picture, pose=15, k=6)
    return [(replace(one.face, id=0), round(one.distance, 5)) for one in answer.results]


def _info(faces: FaceSearch, place: Place) -> object:
    return {
        name: value for name, value in faces.info().as_json().items() if name not in ("gallery", "bytes", "indexes")
    }


def _content(gallery: Gallery) -> object:
    faces = list(gallery.faces())
    rows = [
        replace(face, photo=replace(face.photo, stamp=replace(face.photo.stamp, inode=0, ctime_ns=0))) for face in faces
    ]
    return rows, gallery.config.model_digest, gallery.descriptors([face.id for face in faces]).tobytes()


_COMMANDS: Mapping[str, Callable[[FaceSearch, Place], Any]] = {
    "list": lambda faces, place: list(faces.gallery.faces()),
    "show": lambda faces, place: (faces.gallery.get([1, 7]), faces.gallery.descriptors([1, 7]).tobytes()),
    "info": _info,
    "problems": lambda faces, place: [replace(one, found="") for one in faces.gallery.problems()],
    "hidden": lambda faces, place: faces.hidden(),
    "query": found_by,
    "index and query": _indexed_and_found,
    "where": lambda faces, place: found_by(faces, place, "identity = 'änna' or pose is null"),
    "plan": lambda faces, place: [
        (one.kind, one.memory) for one in faces.gallery.plan(planner=Planner(rates=SLOW)).options
    ],
    "export": _export,
    "index": lambda faces, place: faces.index(place.photos),
    "prune": lambda faces, place: faces.index(place.photos, prune=True),
    "label": lambda faces, place: faces.label(2, 4, identity="ben"),
    "remove": lambda faces, place: faces.remove(1, 8),
    "hide": lambda faces, place: faces.remove(1, "p3/party.png#1", hide=True),
    "unhide": lambda faces, place: faces.unhide("p1/13.png", "p3/two.png#2"),
    "compact": lambda faces, place: faces.compact(),
    "relocate": lambda faces, place: faces.relocate(place.photos),
    "redescribe": lambda faces, place: faces.redescribe(drop=True),
    "prepare": lambda faces, place: faces.prepare(),
}
