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
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from index.gallery import Gallery
from tests.attacked import READING, WRITING, Place, copied, run, templates
from tests.damage import ROWS, TABLES, damage

PATIENCE = 60  # seconds for one command
SEEN = ("exact", "search", "search.json", "checked.json")  # every change of these is seen


class Finding(Exception):
    """What must not be."""


class Campaign:
    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.templates = templates(folder)
        self.work = Place(folder / "work", folder)
        self.count: Counter[str] = Counter()
        self._answers: dict[tuple[str, str], Any] = {}
        signal.signal(signal.SIGALRM, _too_long)

    def expected(self, template: str, name: str) -> Any:
        """What a command answers on a copy that nobody harmed."""
        if (template, name) not in self._answers:
            self._answers[template, name] = run(name, copied(self.templates[template], "sound"))
        return self._answers[template, name]

    def harmed(self) -> tuple[str, str, str]:
        """A copy of a template, changed in one place, as a gallery that came from elsewhere: the template, the kind of
        damage, and in full what was done."""
        template = str(self.rng.choice(list(self.templates)))
        copied(self.templates[template], "work")
        what, told = damage(self.work.db, self.work.outside, self.rng)
        for path in self.work.db.iterdir():
            if not path.is_symlink():
                os.utime(path, ns=(10**18, 10**18))
        return template, what, told

    def mutate(self) -> None:
        template, what, told = self.harmed()
        outside = _hashes(self.work.outside)
        names = ["verify", str(self.rng.choice(READING)), str(self.rng.choice(WRITING))]
        try:
            found = self._verifies(template, what)
            self._reads(template, what, names[1])
            self._writes(template, what, names[2], found)
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
        if found is not None and name != "verify" and what not in ROWS and found != self.expected(template, name):
            raise Finding(f"{name} answered {found!r:.800}; expected {self.expected(template, name)!r:.800}")
        return found is not None

    def _verifies(self, template: str, what: str) -> bool:
        """Whether it says sound: then everything is as it was, or nobody could tell what is missing."""
        kept = ("gallery.", "descriptors-", "exact-", "search.json")
        before = _hashes(self.work.db, kept)
        found = self._answer(what, "verify")
        if _hashes(self.work.db, kept) != before:
            raise Finding("verify changed files")
        if found is None or not found.sound:
            self.count[f"{what}: verify sees it"] += 1
            return False
        same = _rows(self.work.db) == _rows(self.templates[template].db)
        if (not same and what not in ROWS) or what.split(" of ")[-1] in (
            "exact",
            "search",
            "search.json",
            "checked.json",
        ):
            raise Finding("verify says sound")
        self.count[f"{what}: {'changes nothing' if same else 'verify cannot see it'}"] += 1
        for name in ("list", "query") if same else ():
            if not self._reads(template, what, name):
                raise Finding(f"verify says sound, and {name} refuses")
        return True

    def _writes(self, template: str, what: str, name: str, sound: bool) -> None:
        there = (self.work.db / "gallery.db").exists()
        raised = _last_ids(self.work.db) not in (None, _last_ids(self.templates[template].db))
        found = self._answer(what, name)
        if name == "repair":
            self._repaired(template, what, found)
            return
        if there and found is not None and what not in ROWS:
            answered, expected = (_unnumbered(one) if raised else one for one in (found, self.expected(template, name)))
            if answered != expected:
                raise Finding(f"{name} left {answered!r:.1500}; expected {expected!r:.1500}")
        if found is not None and sound and not self._verifies_now(what):
            raise Finding(f"{name} left what is not sound")

    def _verifies_now(self, what: str) -> bool:
        found = self._answer(what, "verify")
        return found is not None and bool(found.sound)

    def _repaired(self, template: str, what: str, found: Any) -> None:
        """Every face is there under its id; labels are unless they were told to be doubtful; and it is sound."""
        if found is None:
            return
        after = self._answer(what, "verify")
        if after is None or not after.sound:
            raise Finding(f"repair left {after and after.findings}")
        expected = {face.id: face for face in self.expected(template, "list")}
        with Gallery.open(self.work.db) as gallery:
            faces = {face.id: face for face in gallery.faces()}
        doubtful = set(found.doubtful)
        for id_, face in faces.items():
            if id_ in expected and face.labels != expected[id_].labels and face.path not in doubtful:
                raise Finding(f"repair left {face}; expected {expected[id_]}")
        if len(faces) < len(expected) and what not in ROWS:
            raise Finding(f"repair left the faces {sorted(faces)} of {sorted(expected)}")
        if not doubtful and not found.unhidden and what not in ROWS:
            answered = self._answer(what, "index and query")
            if _ungrouped(answered) != _ungrouped(self.expected(template, "index and query")):
                raise Finding(f"after repair and index a query answers {answered}")

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


def _too_long(*_: object) -> None:
    raise Finding(f"it took more than {PATIENCE} s")


def _rows(db: Path) -> list[object]:
    """What stands in every table, cell by cell; of the engine's own, an id too high is as good as another."""
    connection = sqlite3.connect(db / "gallery.db")
    try:
        return [list(map(repr, connection.execute(f"SELECT * FROM {table}"))) for table in TABLES[:-1]]
    finally:
        connection.close()


def _last_ids(db: Path) -> list[object] | None:
    """What the engine remembers of the ids that it gave; None where it cannot be read."""
    if not (db / "gallery.db").is_file():
        return None
    connection = sqlite3.connect(f"{(db / 'gallery.db').as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT name, seq FROM sqlite_sequence ORDER BY name").fetchall()
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    finally:
        connection.close()


def _unnumbered(answer: Any) -> Any:
    """What a writing command left, whichever ids it gave: those that were last given may have been raised."""
    faces, *others = answer
    return [replace(face, id=0) for face in faces], *others


def _ungrouped(answer: Any) -> Any:
    """An answer but for the persons of its faces: those whose rows were damaged are grouped again by who asks for
    it."""
    return [(replace(face, person=None), distance) for face, distance in answer or ()]


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
    print(json.dumps({**campaign.count, "findings": findings, "seconds of computing": round(time.process_time())}))
    raise SystemExit(findings > 0)


if __name__ == "__main__":
    main()
