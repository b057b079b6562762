"""Change any byte and any cell of any file of a gallery, and look at what every command makes of it.

`python -m tests.hostile --mutations 5000 --commands 200 --seed 1 FOLDER` prints one line of JSON, and a line on stderr
for each finding; a finding ends it with 1. What may be harmed lies in FOLDER, and nothing is run that could harm more.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from index.gallery import Gallery
from index.search.plan import SLOW, Planner, Requirements
from retrieval.search import FaceSearch
from tests.damage import ROWS, damage
from tests.stand_ins import HashEditor, ReadsHere

MODEL, NEXT = HashEditor("a", descriptor_size=16), HashEditor("b", descriptor_size=24)
PEOPLE, COUNT, PATIENCE = 4, 20, 60  # seconds for one command
READING = ("list", "show", "info", "problems", "query", "where", "verify", "plan", "export")
WRITING = ("index", "label", "remove", "compact", "relocate", "redescribe", "prepare", "prune", "repair")


class Finding(Exception):
    """What must not be."""


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
        return FaceSearch(self.db, describer=editor, reader=ReadsHere())


# --- what is attacked ---


def templates(folder: Path) -> dict[str, Place]:
    """Galleries of twenty faces with all that may lie in one; the file of one of them has gone."""
    place = Place(folder / "exact", folder)
    _write_files(place)
    with place.search() as faces:
        faces.index(place.photos, requirements=Requirements(recall=0.9))
        faces.label(where="identity = 'p1'", identity="Änna", pose=15)
        faces.label(3, expression="smile", illumination=7)
        faces.remove(5)
        faces.query(place.picture, pose=15)
    (place.photos / "p2" / "02.png").unlink()
    made = {"exact": place}
    for kind in ("flat", "hnsw"):
        made[kind] = _copied(place, kind)
        with Gallery.open(made[kind].db) as gallery:
            planner = Planner({**dict.fromkeys(("exact", "flat", "ivf", "hnsw"), 10**9), kind: 0})
            gallery.prepare(Requirements(recall=0.5, max_ms=10_000), planner=planner)
    made["redescribing"] = _copied(place, "redescribing")
    with Gallery.open(made["redescribing"].db) as gallery:
        _begin_redescribing(gallery)
    return made


def _copied(place: Place, name: str) -> Place:
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
    place.outside.mkdir()
    for name in ("x", "y.png", "descriptors-1.f16", "gallery.db"):
        (place.outside / name).write_bytes(name.encode() * 50)


def _begin_redescribing(gallery: Gallery) -> None:
    config, size = gallery.config, NEXT.descriptor_size
    gallery.begin_redescription(replace(config, model_digest=NEXT.digest, descriptor_size=size))
    there = [face for face in gallery.waiting() if (gallery.config.image_root / face.path).exists()][:7]
    crops = np.stack([np.asarray(Image.open(gallery.config.image_root / face.path)) for face in there])
    gallery.stage(there, NEXT.describe(crops).descriptors)


# --- what users do; each gives what its answer says ---


def run(name: str, place: Place) -> Any:
    """What a command answers, or what the gallery holds after it."""
    if name in ("verify", "repair"):
        return _tended(name, place)
    with place.search(NEXT if name == "redescribe" else MODEL) as faces:
        answer = _COMMANDS[name](faces, place)
        return answer if name in READING else _content(faces.gallery)


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


def _found(faces: FaceSearch, place: Place, where: str | None = None) -> object:
    answer = faces.query(place.picture, pose=15, k=6, where=where)
    return [(one.face, round(one.distance, 5)) for one in answer.results]


def _info(faces: FaceSearch, place: Place) -> object:
    return {name: value for name, value in faces.info().as_json().items() if name not in ("bytes", "indexes")}


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
    "problems": lambda faces, place: [replace(one, found="", reason="") for one in faces.gallery.problems()],
    "query": _found,
    "where": lambda faces, place: _found(faces, place, "identity = 'änna' or pose is null"),
    "plan": lambda faces, place: [
        (one.kind, one.memory) for one in faces.gallery.plan(planner=Planner(rates=SLOW)).options
    ],
    "export": _export,
    "index": lambda faces, place: faces.index(place.photos),
    "prune": lambda faces, place: faces.index(place.photos, prune=True),
    "label": lambda faces, place: faces.label(2, 4, identity="ben"),
    "remove": lambda faces, place: faces.remove(1, 8),
    "compact": lambda faces, place: faces.compact(),
    "relocate": lambda faces, place: faces.relocate(place.photos),
    "redescribe": lambda faces, place: faces.redescribe(drop=True),
    "prepare": lambda faces, place: faces.prepare(),
}


# --- the campaign ---


class Campaign:
    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.templates = templates(folder)
        self.work = Place(folder / "work", folder)
        self.count: Counter[str] = Counter()
        self.expected: dict[tuple[str, str], Any] = {}
        for template, place in self.templates.items():
            for name in READING + WRITING:
                self.expected[template, name] = run(name, _copied(place, "work"))

    def harmed(self) -> tuple[str, str, str]:
        """A copy of a template, changed in one place, as a gallery that came from elsewhere: the template, the kind of
        damage, and in full what was done."""
        template = str(self.rng.choice(list(self.templates)))
        _copied(self.templates[template], "work")
        what, told = damage(self.work.db, self.work.outside, self.rng)
        for path in self.work.db.iterdir():
            if not path.is_symlink():
                os.utime(path, ns=(10**18, 10**18))
        return template, what, told

    def mutate(self) -> None:
        template, what, told = self.harmed()
        outside = _hashes(self.work.outside)
        names = [str(self.rng.choice(READING)), "verify", str(self.rng.choice(WRITING))]
        try:
            self._reads(template, what, names[0])
            self._verifies(template, what)
            self._writes(template, what, names[2])
            if outside != _hashes(self.work.outside):
                raise Finding("what lies outside was changed")
        except Finding as error:
            raise Finding(f"{template}, {told}, {', '.join(names)}: {error}") from error
        self.count["mutations"] += 1

    def _reads(self, template: str, what: str, name: str) -> bool:
        before = _hashes(self.work.db, ("gallery.db", "descriptors-"))
        found = self._answer(what, name)
        if _hashes(self.work.db, ("gallery.db", "descriptors-")) != before:
            raise Finding(f"{name} changed files")
        if found is not None and name != "verify" and found != self.expected[template, name]:
            raise Finding(f"{name} answered {found!r:.800}; expected {self.expected[template, name]!r:.800}")
        return found is not None

    def _verifies(self, template: str, what: str) -> None:
        found = self._answer(what, "verify")
        if found is None or not found.sound:
            self.count[f"{what}: verify sees it"] += 1
            return
        self.count[f"{what}: changes nothing"] += 1
        for name in ("list", "query", "where", "problems", "info"):
            if not self._reads(template, what, name):
                raise Finding(f"verify says sound, and {name} refuses")

    def _writes(self, template: str, what: str, name: str) -> None:
        before = self._answer(what, "verify")
        there = (self.work.db / "gallery.db").exists()
        found = self._answer(what, name)
        if name == "repair":
            return self._repaired(template, what, found)
        if there and found is not None and found != self.expected[template, name]:
            raise Finding(f"{name} left {found!r:.1500}; expected {self.expected[template, name]!r:.1500}")
        after = self._answer(what, "verify")
        if found is not None and before is not None and before.sound and (after is None or not after.sound):
            raise Finding(f"{name} left what is not sound: {after and after.findings}")

    def _repaired(self, template: str, what: str, found: Any) -> None:
        """Every face is there under its id; labels are unless they were told to be doubtful; and it is sound."""
        if found is None:
            return
        after = self._answer(what, "verify")
        if after is None or not after.sound:
            raise Finding(f"repair left {after and after.findings}")
        expected = {face.id: face for face in self.expected[template, "list"]}
        with Gallery.open(self.work.db) as gallery:
            faces = {face.id: face for face in gallery.faces()}
        doubtful = set(found.doubtful)
        for id_, face in faces.items():
            if id_ in expected and face.labels != expected[id_].labels and face.path not in doubtful:
                raise Finding(f"repair left {face}; expected {expected[id_]}")
        if len(faces) < len(expected) and what not in ROWS:
            raise Finding(f"repair left the faces {sorted(faces)} of {sorted(expected)}")
        if not doubtful and what not in ROWS:
            with self.work.search() as search:
                search.index(self.work.photos)
                if _found(search, self.work) != self.expected[template, "query"]:
                    raise Finding(f"after repair and index a query answers {_found(search, self.work)}")

    def _answer(self, what: str, name: str) -> Any:
        """None where it refuses in one clear line."""
        signal.alarm(PATIENCE)
        try:
            found = run(name, self.work)
        except Exception as error:
            if not hasattr(error, "exit_code") and not isinstance(error, OSError):
                raise Finding(f"{name} ended in {type(error).__name__}: {error}") from error
            if not str(error).strip() or "Traceback" in str(error):
                raise Finding(f"{name} refused without a word") from error
            self.count[f"{what}: refused"] += 1
            return None
        finally:
            signal.alarm(0)
        self.count[f"{what}: answered"] += 1
        return found

    def command(self) -> None:
        """The same through the real command, which prints."""
        template, _, told = self.harmed()
        outside = _hashes(self.work.outside)
        name = str(self.rng.choice(("list", "info", "problems", "verify", "repair", "compact", "plan")))
        done = subprocess.run(
            [sys.executable, "-m", "cli.app", "gallery", name, "--db", str(self.work.db)],
            cwd=Path(__file__).resolve().parent.parent,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        lines = done.stderr.strip().splitlines()
        self.count[f"command: exit {done.returncode}"] += 1
        if "Traceback" in done.stderr or done.returncode not in (0, 1, 2, 3, 4):
            raise Finding(f"{template}, {told}, {name}: {done.stderr[-2000:]}")
        if done.returncode in (1, 2) and not lines and name != "verify":
            raise Finding(f"{template}, {told}, {name}: refused without a word")
        if done.returncode and "sound" in done.stdout.splitlines():
            raise Finding(f"{template}, {told}, {name}: sound, and exit code {done.returncode}")
        if outside != _hashes(self.work.outside):
            raise Finding(f"{template}, {told}, {name}: what lies outside was changed")


def _hashes(folder: Path, names: tuple[str, ...] = ("",)) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name.startswith(names) and not path.name.endswith(("-wal", "-shm"))
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name in ("mutations", "commands", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    logging.disable()
    given.folder.mkdir(parents=True, exist_ok=True)
    campaign = Campaign(given.folder, given.seed)
    findings = 0
    for attack, times in ((campaign.mutate, given.mutations), (campaign.command, given.commands)):
        for _ in range(times):
            try:
                attack()
            except Finding as error:
                findings += 1
                print(str(error), file=sys.stderr, flush=True)
    print(json.dumps(campaign.count))
    raise SystemExit(findings > 0)


if __name__ == "__main__":
    main()
