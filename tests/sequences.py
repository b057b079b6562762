"""The same random sequence of what users do for a gallery of every kind, with kills between: all answer alike.

`python -m tests.sequences --seed 1 --steps 20 --kills 0.3 FOLDER NAME=PLACE[=VECTORS] ...` prints one line of JSON; a
finding ends it with 1. The first kind is what the others are compared with. Whatever was killed is done again without
interruption. It forks, so it runs in a process of its own that has started no thread.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from index.errors import GalleryLockedError
from index.gallery import Gallery
from index.search.plan import Planner, Rates, Requirements
from retrieval.face_search import FaceSearch
from tests.forking import fork
from tests.stand_ins import KnowsPeople, ReadsHere

SIZE = 16_384  # numbers of a descriptor: so many that engines are asked where some 50 faces or more pass
EVERY = Requirements(recall=1.0, max_ms=60_000)
REDUCED = Planner(
    dict.fromkeys(("exact", "ivf", "hnsw"), 10**9) | {"flat": 0},
    Rates(half=1e9, codes=1e9),
    few=SIZE,
    lengths=(400, 800),
)
QUESTIONS: tuple[dict[str, Any], ...] = (
    {"pose": 15},
    {"pose": -30, "where": "decided <= 0"},
    {"pose": 15, "where": "identity = 'ANNA' or identity is null"},
    {"pose": 15, "where": "not (identity = 'Stra\u00dfe') and id > 3"},
    {"pose": 15, "where": "identity != 'anna' or expression = 'smile'"},
    {"pose": 0, "where": "path like '%1%' and pose is null"},
    {"pose": 0, "where": "pose is null or pose between -30 and 30"},
    {"pose": 15, "distinct": "identity"},
    {"pose": 15, "distinct": "content", "where": "decided != 15"},
    {},
    {"where": "decided < 30"},
    {"distinct": "identity"},
)


@dataclass(frozen=True)
class Kind:
    """place: of a gallery; vectors: what searches it; reduced: in a folder, by an index of reduced descriptors."""

    name: str
    place: str
    vectors: str

    @property
    def reduced(self) -> bool:
        return self.vectors == "reduced"

    def opened(self) -> FaceSearch:
        describer = KnowsPeople(descriptor_size=SIZE, batch=16)
        return FaceSearch(self.place, describer=describer, reader=ReadsHere(crops=None))


class Sequences:
    def __init__(self, folder: Path, kinds: Sequence[Kind], seed: int, kills: float) -> None:
        self.folder, self.photos, self.kinds, self.kills = folder, folder / "photos", kinds, kills
        self.chosen, self.made, self.count = random.Random(seed), 0, Counter[str]()
        self.did: list[str] = []
        self.asked = folder / "asked.png"
        _save(self.asked, 10**6)
        for _ in range(100):
            self._new()
        for kind in kinds:
            self._finished(lambda kind=kind: self._create(kind))  # type: ignore[misc]

    def run(self, steps: int) -> None:
        self._everywhere("index", _index)
        for _ in range(steps):
            name = self.chosen.choice(
                ("change", "change", "change", "label", "label", "remove", "hide", "hide", "unhide", "compact", "late")
            )
            getattr(self, f"_{name}")()
            self._compare()

    # --- what users do: each is said by names, so that it is the same for every kind and may be done again ---

    def _change(self) -> None:
        there = sorted(self.photos.rglob("*.png"))
        self.chosen.shuffle(there)
        for path in there[:4] if len(there) > 90 else ():
            path.unlink()
        _save(there[5], self._number())
        there[6].rename(self.photos / "p1" / f"moved{self._number()}.png")
        shutil.copy(there[7], self.photos / "p2" / f"copy{self._number()}.png")
        for _ in range(self.chosen.randrange(6)):
            self._new()
        self._everywhere("index", _index)

    def _label(self) -> None:
        names, label = self._some(5), self.chosen.choice(("Anna", "Stra\u00dfe", "it's", "", "\u00c4"))
        expression = self.chosen.choice(("smile", ""))
        pose = self.chosen.choice((0, 45, None))

        def labelled(kind: Kind, faces: FaceSearch) -> None:
            if there := _there(faces, names):
                faces.label(*there, identity=label, pose=pose, expression=expression)

        self._everywhere("label", labelled)

    def _remove(self) -> None:
        names = self._some(3)
        self._everywhere("remove", lambda kind, faces: _removed(faces, _there(faces, names), False))

    def _hide(self) -> None:
        names = self._some(3)
        self._everywhere("hide", lambda kind, faces: _removed(faces, _there(faces, names), True))
        self._compare()
        self._everywhere("index", _index)  # they stay away

    def _unhide(self) -> None:
        draw = self.chosen.randrange(3)

        def unhidden(kind: Kind, faces: FaceSearch) -> None:
            faces.unhide(*(one.name for n, one in enumerate(sorted(faces.hidden(), key=_name)) if n % 3 != draw))

        def all_unhidden(kind: Kind, faces: FaceSearch) -> None:
            faces.unhide(*(one.name for one in faces.hidden()))

        if self.chosen.random() < 0.5:
            self._everywhere("unhide", unhidden, kills=0.0)  # done again it would bring back others
            self._compare()
        else:
            self._everywhere("unhide", all_unhidden)
        self._everywhere("index", _index)  # what was cut off, and whose file had gone

    def _compact(self) -> None:
        self._everywhere("compact", _compacted)

    def _late(self) -> None:
        """Who changes something dies before the engine has learned of it; it is asked then."""
        names, label = self._some(5), f"late{self._number()}"
        gone = self._some(1)

        def dies(kind: Kind, faces: FaceSearch) -> None:
            gallery = faces.gallery
            with gallery.writing():
                if there := _there(faces, names):
                    faces.label(*there, identity=label)
                _removed(faces, _there(faces, gone), False)
                os._exit(0)

        for kind in self.kinds:
            self._finished(lambda kind=kind: self._opened(kind, dies))  # type: ignore[misc]
        self.did.append("late")
        self._compare(late=True)

    # --- how it is done ---

    def _everywhere(self, what: str, do: Callable[[Kind, FaceSearch], None], kills: float | None = None) -> None:
        self.did.append(what)
        self.count[what] += 1
        for kind in self.kinds:
            if self.chosen.random() < (self.kills if kills is None else kills):
                self._killed(kind, do)
            self._finished(lambda kind=kind: self._opened(kind, do))  # type: ignore[misc]

    def _opened(self, kind: Kind, do: Callable[[Kind, FaceSearch], None]) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                with kind.opened() as faces:
                    do(kind, faces)
                return
            except GalleryLockedError:  # a server learns a moment later that its client was killed
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _killed(self, kind: Kind, do: Callable[[Kind, FaceSearch], None]) -> None:
        child = fork(lambda: self._opened(kind, do))
        time.sleep(self.chosen.uniform(0, 0.8))
        pid, _ = os.waitpid(child, os.WNOHANG)
        if pid == 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self.count[f"kills of {kind.name}"] += 1

    def _finished(self, work: Callable[[], object]) -> None:
        child = fork(work, loud=True)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status):
            raise SystemExit(f"a finding after {json.dumps(self.count)}: {', '.join(self.did)}")

    def _create(self, kind: Kind) -> None:
        with kind.opened() as faces:
            faces.create(self.photos, "faiss" if kind.reduced else kind.vectors)

    def _compare(self, late: bool = False) -> None:
        answers = {}
        for kind in self.kinds:
            said = self.folder / "said"
            self._finished(lambda kind=kind, said=said: said.write_bytes(pickle.dumps(self._said(kind))))  # type: ignore[misc]
            answers[kind.name] = pickle.loads(said.read_bytes())
            self.count[f"late answers of {kind.name}"] += late and answers[kind.name].pop("lag") > 0
            answers[kind.name].pop("lag", None)
        expected = answers[self.kinds[0].name]
        for name, found in answers.items():
            for question, said_ in found.items():
                if not _alike(question, said_, expected[question]):
                    raise SystemExit(
                        f"a finding after {', '.join(self.did)}: {name} answers {question} by\n{said_}\nbut "
                        f"{self.kinds[0].name} by\n{expected[question]}"
                    )
        self.count["answers"] += sum(map(len, answers.values()))

    def _said(self, kind: Kind) -> dict[str, Any]:
        with kind.opened() as faces:
            gallery = faces.gallery
            if kind.reduced:
                gallery.prepare(Requirements(recall=0.99, max_ms=60_000), planner=REDUCED)
            found: dict[str, Any] = {"lag": gallery.lag}
            for asked in QUESTIONS:
                answer = faces.query(self.asked, k=10, **asked)
                found[str(asked)] = [(match.distance, match.face.name) for match in answer.results]
            found["faces"] = _faces(gallery)
            found["hidden"] = sorted(one.name for one in faces.hidden())
            if not found["lag"]:
                verified = gallery.verify()
                assert verified.sound, verified.findings
        return found

    def _new(self) -> None:
        number = self._number()
        _save(self.photos / f"p{number % 4}" / f"{number}.png", number)

    def _number(self) -> int:
        self.made += 1
        return self.made

    def _some(self, count: int) -> list[str]:
        there = sorted(path.relative_to(self.photos).as_posix() for path in self.photos.rglob("*.png"))
        return self.chosen.sample(there, count)


def _index(kind: Kind, faces: FaceSearch) -> None:
    report = faces.index(faces.gallery.config.image_root, prune=True, sure=True, requirements=EVERY)
    assert report.not_searched is None, report.not_searched


def _there(faces: FaceSearch, names: Sequence[str]) -> list[str]:
    return sorted(faces.gallery.faces_at(list(names)))


def _removed(faces: FaceSearch, names: Sequence[str], hide: bool) -> None:
    if names:
        faces.remove(*names, hide=hide)


def _compacted(kind: Kind, faces: FaceSearch) -> None:
    faces.compact()


def _name(hidden: Any) -> str:
    return str(hidden.name)


def _alike(question: str, found: Any, expected: Any) -> bool:
    """Of equals anybody may be the one that is shown."""
    if not question.startswith("{"):
        return bool(found == expected)
    if len(found) != len(expected) or any(abs(a - b) > 1e-3 for (a, _), (b, _) in zip(found, expected, strict=True)):
        return False
    last = expected[-1][0] - 2e-3 if expected else 0.0
    nearer = [sorted(name for distance, name in one if distance < last) for one in (found, expected)]
    return "distinct" in question or nearer[0] == nearer[1]


def _faces(gallery: Gallery) -> list[Any]:
    faces = sorted(gallery.faces(), key=lambda one: one.name)
    looks = gallery.descriptors([face.id for face in faces])
    return [
        (one.name, one.labels, one.decision, one.photo.sha256, hash(look.tobytes()))
        for one, look in zip(faces, looks, strict=True)
    ]


def _save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    noise[:4, :4] = (20 * (seed % 12), 100, 30)  # who it is
    Image.fromarray(noise).save(path)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("kinds", nargs="+")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--kills", type=float, default=0.3)
    given = parser.parse_args()
    kinds = []
    for one in given.kinds:
        name, vectors, place = one.split(",", 2)
        kinds.append(Kind(name, place, vectors))
    given.folder.mkdir(parents=True, exist_ok=True)
    sequence = Sequences(given.folder, kinds, given.seed, given.kills)
    sequence.run(given.steps)
    print(json.dumps(sequence.count))


if __name__ == "__main__":
    main()
