"""Kill a gallery's writers at random moments, or let their disk fail, and look at what is left.

`python -m tests.crashing --kills 200 --faults 60 --seed 1 FOLDER` prints one line of JSON; a finding ends it with 1.
It forks, so it runs in a process of its own that has started no thread.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import resource
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import event
from sqlalchemy.engine import Engine

from faceedit.errors import UsageError
from index.errors import GalleryEmptyError, GalleryNotFoundError
from index.gallery import Gallery
from index.labels import HAND
from index.where import parse
from retrieval.face_search import FaceSearch
from retrieval.redescribing import redescribe
from retrieval.run_reports import IndexReport
from tests.attacked import read_photograph
from tests.forking import fork
from tests.people import USUAL
from tests.stand_ins import HashEditor, KnowsPeople, ReadsHere

BATCH = 3
FAULTS = ("full disk", "input/output error", "largest file")
DAMAGE = (
    "UPDATE face SET pose = 99, expression = 'x' WHERE id = (SELECT max(id) FROM face)",
    "UPDATE face SET identity = 'x' WHERE id % 3 = 0",
    "UPDATE photo SET size = 1, mtime_ns = 2 WHERE id % 4 = 0",
    "UPDATE record SET sha256 = zeroblob(32) WHERE slot % 3 = 0",
    "UPDATE record SET face_id = NULL WHERE slot % 5 = 0",
    "UPDATE staged SET decided = 0 WHERE face_id % 2 = 0",
    "UPDATE face SET box = '[1,2,3,4]' WHERE number = 2",
    "UPDATE face SET score = 0.5, landmarks = box WHERE box IS NOT NULL",
    "UPDATE photo SET width = 7, turn = 3 WHERE width > 0",
    "UPDATE photo SET faceless = 0 WHERE faceless = 1",
    "UPDATE kept SET identity = 'x'",
    "UPDATE passed SET kind = 'x'",
    "UPDATE hidden SET number = number + 7",
    "UPDATE member SET person = person + 1",
    "UPDATE placement SET person = person + 900",
    "UPDATE placement SET number = 0",
)

ROWS = {
    "second faces": "face WHERE number > 1",
    "photographs of nobody": "photo WHERE faceless = 1",
    "kept labels": "kept",
    "files passed over": "passed",
    "hidden faces": "hidden",
    "faces in persons": "member WHERE person IS NOT NULL",
    "what a hand said of persons": "placement",
}

MODELS = [
    HashEditor("a", descriptor_size=16, batch=BATCH),
    KnowsPeople(descriptor_size=24, batch=BATCH, usual_who=USUAL),
]
READER = ReadsHere(crops=read_photograph)  # without processes, which would not be killed with ours
SIZES = ((60, 60), (60, 60), (400, 240))  # crops, and a photograph with two faces


class Campaign:
    def __init__(self, folder: Path, seed: int) -> None:
        self.photos, self.db = folder / "photos", folder / "db"
        self.photos.mkdir(parents=True)
        self.rng = np.random.default_rng(seed)
        self.made = 0
        self.ids: list[int] = []
        self.count: Counter[str] = Counter()
        self.since: list[str] = []  # what was done since all was compared
        self.typical: dict[str, float] = {}

    # --- what users do ---

    def change_photos(self) -> None:
        """Some pictures are new, one is another, one has another name, one is a copy, one has gone."""
        for _ in range(int(self.rng.integers(1, 8))):
            self._save(self.photos / f"p{int(self.rng.integers(3))}" / f"{self.made:05d}.png")
        there = sorted(self.photos.rglob("*.png"))
        self.rng.shuffle(there)
        if len(there) > 15:
            for path in there[15:]:
                path.unlink()
        if self.rng.random() < 0.5:
            self._save(there[0])
        if self.rng.random() < 0.5:
            there[1 % len(there)].rename(self.photos / f"renamed-{self.made:05d}.png")
        if self.rng.random() < 0.3:
            first, second, aside = there[0], there[-1], self.photos / "aside"
            if first.exists() and second.exists() and first != second:
                first.rename(aside)
                second.rename(first)
                aside.rename(second)
        if self.rng.random() < 0.3 and there[0].exists():
            shutil.copy(there[0], self.photos / f"copy-{self.made:05d}.png")
        if self.rng.random() < 0.2:
            (self.photos / f"empty-{self.made:05d}.png").touch()
        if self.rng.random() < 0.2:
            (self.photos / f"note-{self.made % 5}.txt").write_text(f"no picture {self.made}\n", encoding="utf-8")
        if self.rng.random() < 0.2:
            Image.new("RGB", (400, 240), (self.made % 256, 90, 90)).save(self.photos / f"wall-{self.made % 7}.png")

    def _save(self, path: Path) -> None:
        self.made += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = SIZES[self.made % len(SIZES)]
        noise = np.random.default_rng(self.made).integers(0, 256, (height, width, 3), dtype=np.uint8)
        noise[0, 0] = self.made % 4  # one of four people, to whom knows them
        Image.fromarray(noise).save(path)

    def index(self) -> None:
        self._indexed(self.db, prune=bool(self.rng.random() < 0.5))

    def prune(self) -> None:
        self._indexed(self.db, prune=True)

    def _indexed(self, db: Path, prune: bool) -> IndexReport:
        with FaceSearch(db, describer=self._model(), reader=READER) as faces:
            return faces.index(self.photos, prune=prune, sure=True)

    def compact(self) -> None:
        with Gallery.open(self.db) as gallery:
            gallery.compact()

    def repair(self) -> None:
        with Gallery.open(self.db, damaged=True) as gallery:
            gallery.repair()

    def relocate(self) -> None:
        with Gallery.open(self.db) as gallery:
            gallery.set_image_root(self.photos)

    def remove(self) -> None:
        with Gallery.open(self.db) as gallery:
            ids = [image.id for image in gallery.faces()]
            some = self.rng.choice(ids, size=min(5, len(ids)), replace=False).tolist() if ids else []
            gallery.remove(gallery.siblings(some))  # one that is removed alone does not come back with its photograph

    def hide(self) -> None:
        with FaceSearch(self.db, describer=self._model(), reader=READER) as faces:
            names = [face.name for face in faces.gallery.faces()]
            if names:
                faces.remove(*self.rng.choice(names, size=min(3, len(names)), replace=False).tolist(), hide=True)

    def unhide(self) -> None:
        with FaceSearch(self.db, describer=self._model(), reader=READER) as faces:
            faces.unhide(*(one.name for one in faces.hidden()[::2]))

    def label(self) -> None:
        with Gallery.open(self.db) as gallery:
            gallery.update_labels(
                {
                    face.id: face.labels.changed(HAND, identity="somebody", pose=15)
                    for face in list(gallery.faces())[::2]
                }
            )

    def group(self) -> None:
        with FaceSearch(self.db, describer=self._model(), reader=READER) as faces:
            if self._model().who is not None:
                faces.group(anew=bool(self.rng.random() < 0.3))

    def correct(self) -> None:
        """Say of a person that it is also another, or that some of its faces, or another person, are not."""
        with FaceSearch(self.db, describer=self._model(), reader=READER) as faces:
            found = [one.number for one in faces.people()]
            if self._model().who is None or not found:
                return
            one, other = self.rng.choice(found, 2).tolist()
            theirs = [face.id for face in faces.gallery.faces(parse(f"person = {one}"))]
            kind = self.rng.random()
            if one == other or kind < 0.4:
                if len(theirs) > 1:
                    faces.split(one, theirs[0])
            elif kind < 0.7:
                with suppress(UsageError):  # two names
                    faces.merge(one, other)
            else:
                faces.not_same(one, other)

    def redescribe(self) -> None:
        with Gallery.open(self.db) as gallery:
            redescribe(gallery, self._model(other=True), drop=True, reader=READER)

    def search(self) -> None:
        with Gallery.open(self.db) as gallery:
            try:
                gallery.search(np.ones(gallery.config.descriptor_size), 3)
            except GalleryEmptyError:
                pass

    def _model(self, other: bool = False) -> HashEditor:
        try:
            with Gallery.open(self.db) as gallery:
                at = [model.digest for model in MODELS].index(gallery.config.model_digest)
        except GalleryNotFoundError:
            at = 0
        return MODELS[(at + other) % 2]

    # --- what makes users do it, and what they do again where it was cut off ---

    def before(self, name: str) -> None:
        """Damage that is repaired; a folder that has moved; people who are to be corrected."""
        if name in ("correct", "repair"):
            _done(self.group)
        if name == "repair":
            _done(self.correct)  # so that there is what a hand said, to be damaged
            self.ids = self._ids()
            self._damage()
        if name == "relocate":
            moved = self.photos.with_name("moved" if self.photos.name == "photos" else "photos")
            self.photos.rename(moved)
            self.photos = moved

    def after(self, name: str) -> None:
        """No image has gone with a repair, at whatever moment that ended."""
        if name in ("repair", "relocate"):
            _done(getattr(self, name))
        if name == "repair":
            assert self._ids() == self.ids, (self.ids, self._ids())

    def _ids(self) -> list[int]:
        connection = sqlite3.connect(self.db / "gallery.db")
        found = [id_ for (id_,) in connection.execute("SELECT id FROM face ORDER BY id")]
        connection.close()
        return found

    def _damage(self) -> None:
        """To a descriptor or to a row."""
        files = [path for path in sorted(self.db.glob("descriptors-*")) if path.stat().st_size]
        if files and self.rng.random() < 0.5:  # also of a redescription under way
            file = files[int(self.rng.integers(len(files)))]
            content = bytearray(file.read_bytes())
            content[int(self.rng.integers(len(content)))] ^= 16
            file.write_bytes(content)
            return
        connection = sqlite3.connect(self.db / "gallery.db")
        connection.execute(damage := DAMAGE[int(self.rng.integers(len(DAMAGE)))])
        self.since.append(damage)
        connection.commit()
        connection.close()

    # --- what befalls them ---

    def interrupted(self, name: str) -> None:
        """Run it in a process that is killed at some moment."""
        typical = self.typical.get(name, 0.05)
        slowness = int(self.rng.integers(2**31))

        def run() -> None:
            _slow_sync(np.random.default_rng(slowness))
            getattr(self, name)()

        child = fork(run)
        started = time.monotonic()
        deadline = started + float(self.rng.uniform(0, 1.2 * typical))
        while time.monotonic() < deadline:
            if _ended(child) is not None:
                break
            time.sleep(0.0002)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self.count["kills"] += 1
            self.count[f"killed while: {name}"] += 1
            self.since.append(f"{name} (killed)")
            self.typical[name] = 1.15 * typical  # it may be that it was never given enough time
            return
        self.count["finished before the kill"] += 1
        self.since.append(name)
        self.typical[name] = 0.7 * typical + 0.3 * (time.monotonic() - started)

    def failing(self, name: str) -> None:
        """Run it in a process whose disk fails at some moment."""
        seldom = min(FAULTS, key=lambda kind: self.count[f"fault: {kind}"])  # a full disk, mostly: there are free pages
        kind = seldom if self.rng.random() < 0.5 else FAULTS[int(self.rng.integers(len(FAULTS)))]
        number = int(self.rng.integers(1, 12))
        biggest = max((path.stat().st_size for path in self.db.glob("*") if path.is_file()), default=0)
        most = int(self.rng.uniform(0.2, 1.3) * biggest)

        def run() -> None:
            {"full disk": _full_disk, "input/output error": _failing_sync, "largest file": _largest_file}[kind](
                most if kind == "largest file" else number
            )
            getattr(self, name)()

        child = fork(run)
        while (code := _ended(child)) is None:
            time.sleep(0.0005)
        self.count["faults" if code else "faults that came too late"] += 1
        self.since.append(f"{name} ({kind if code else 'late'})")
        if code:
            self.count[f"fault: {kind}"] += 1

    # --- what is left ---

    def check(self, complete: bool) -> None:
        """Every finding is an error that ends the campaign. complete: bring the gallery up to date, without
        interruption, and compare it with one that never knew any."""

        def look() -> None:
            if not (self.db / "gallery.db").exists():
                return
            with Gallery.open(self.db) as gallery:
                found = gallery.verify()
                assert found.sound, found.findings
                assert found.checked + found.waiting == found.images == len(gallery)
                with gallery.writing():  # finishes what was cut off
                    pass
                assert gallery.verify().sound
                assert len(list(self.db.glob("descriptors*"))) <= 2, "descriptor files are left over"
            if complete:
                self._compare()

        if (self.db / "gallery.db").exists():
            self._count_rows()
        try:
            _done(look)
            if complete:
                self.since.clear()
        except AssertionError as error:
            raise SystemExit(f"a finding after {json.dumps(self.count)}; since: {', '.join(self.since)}") from error

    def _count_rows(self) -> None:
        """What was there to be damaged."""
        connection = sqlite3.connect(self.db / "gallery.db")
        for what, rows in ROWS.items():
            self.count[what] += connection.execute(f"SELECT count(*) FROM {rows}").fetchone()[0]
        connection.close()

    def _compare(self) -> None:
        self._indexed(self.db, prune=True)
        with FaceSearch(self.db, describer=self._model(), reader=READER) as faces:
            assert not faces.unhide(*(one.name for one in faces.hidden())).stay
            if self._model().who is not None:
                faces.group()
                persons = [(one.number, one.faces) for one in faces.people()]
                assert not faces.group().new and [(one.number, one.faces) for one in faces.people()] == persons
        for _ in range(2):  # the second time nothing is left to do
            report = self._indexed(self.db, prune=True)
        assert (report.described, report.pruned, report.renamed, report.duplicates) == (0, 0, 0, 0), report
        fresh = self.db.with_name("fresh")
        shutil.rmtree(fresh, ignore_errors=True)
        self._indexed(fresh, prune=False)
        with Gallery.open(fresh) as expected, Gallery.open(self.db) as gallery:
            assert _content(gallery) == _content(expected), _difference(_content(gallery), _content(expected))
            assert _beside(gallery) == _beside(expected)
            assert _found(gallery) == _found(expected)
            gallery.compact()
            assert _content(gallery) == _content(expected)


def _content(gallery: Gallery) -> dict[str, object]:
    images = list(gallery.faces())
    descriptors = gallery.descriptors([image.id for image in images])
    return {
        image.name: (image.photo, image.place, image.decision, descriptor.tobytes())
        for image, descriptor in zip(images, descriptors, strict=True)
    }


def _difference(found: dict[str, object], expected: dict[str, object]) -> str:
    names = sorted(found.keys() | expected.keys())
    return "\n".join(
        f"{one}: {found.get(one)} {expected.get(one)}" for one in names if found.get(one) != expected.get(one)
    )


def _beside(gallery: Gallery) -> list[tuple[str, str, bool]]:
    """The files that show nobody, cannot be read, or are no pictures."""
    problems = [(one.path, one.reason, one.faceless) for one in gallery.problems()]
    return sorted([*problems, *((one.path, one.kind, False) for one in gallery.passed().values())])


def _found(gallery: Gallery) -> list[tuple[str, int, float]]:
    """By content: of equals, the one that was added first comes first."""
    query = np.ones(gallery.config.descriptor_size, np.float32)
    return [(match.face.photo.sha256, match.face.number, match.distance) for match in gallery.search(query, 5)]


def _done(work: Callable[[], None]) -> None:
    """Do it in a child, without interruption."""
    child = fork(work, loud=True)
    while (code := _ended(child)) is None:
        time.sleep(0.0005)
    assert code == 0


def _ended(child: int) -> int | None:
    pid, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def _slow_sync(rng: np.random.Generator) -> None:
    """A disk that takes its time, before and after: more of the moments at which something is half done."""
    sync = os.fsync

    def slow(handle: int) -> None:
        time.sleep(rng.uniform(0, 0.004))
        sync(handle)
        time.sleep(rng.uniform(0, 0.004))

    os.fsync = slow  # type: ignore[assignment]


def _full_disk(pages: int) -> None:
    """The database may grow by so many pages."""

    def limit(connection: Any, _: object) -> None:
        have = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {have + pages // 4}")

    event.listen(Engine, "connect", limit)


def _failing_sync(number: int) -> None:
    """The descriptors cannot be brought onto the disk, the n-th time and from then on."""
    sync, calls = os.fsync, [0]

    def failing(handle: int) -> None:
        calls[0] += 1
        if calls[0] >= number // 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(handle)

    os.fsync = failing  # type: ignore[assignment]


def _largest_file(most: int) -> None:
    """No file may become longer: writes fail in the system itself, also SQLite's."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


OPERATIONS = (
    *("index", "index", "index", "prune", "compact", "compact", "redescribe", "redescribe"),
    *("remove", "hide", "unhide", "label", "search", "repair", "repair", "relocate", "group", "group", "correct"),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name in ("kills", "faults", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    campaign = Campaign(given.folder, given.seed)
    rounds = 0
    while campaign.count["kills"] < given.kills or campaign.count["faults"] < given.faults:
        rounds += 1
        campaign.change_photos()
        if rounds % 15 == 0:  # begin anew: creating a gallery may be cut off as well
            shutil.rmtree(campaign.db, ignore_errors=True)
        there = (campaign.db / "gallery.db").exists()
        name = OPERATIONS[int(campaign.rng.integers(len(OPERATIONS)))] if there else "index"
        campaign.before(name)
        if campaign.count["faults"] >= given.faults or rounds % 4:
            campaign.interrupted(name)
        else:
            campaign.failing(name)
        campaign.after(name)
        campaign.check(complete=rounds % 20 == 0)
    campaign.check(complete=True)
    print(json.dumps(campaign.count))


if __name__ == "__main__":
    main()
