"""Who writes into a gallery, and what others may do meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from index.config import GalleryConfig
from index.errors import EngineError, GalleryChangedError, GalleryLockedError
from index.progress import Alive
from index.search.engine import Engine
from index.search.engine_following import drain
from index.tidying import tidy
from index.truth import engine as engine_rows
from index.truth import state
from index.truth.database import PATIENCE, Database, Lock
from index.truth.rights import TURN, claim

SEVERAL = 5_000  # changed faces that an engine learns of before a writer has finished
TURNS = 600.0  # seconds: one may tell an engine of thousands
_DAY, _LONG, _MOMENT = 86_400.0, 120.0, 0.05
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """Seconds that a hand waits for its turn to write. quiet: before it is told whom it waits for, and altogether where
    that has all of the gallery; turns: altogether, where others take turns."""

    quiet: float = PATIENCE
    turns: float = TURNS

    def __post_init__(self) -> None:
        if min(self.quiet, self.turns) < 0:
            raise ValueError(f"quiet {self.quiet}, turns {self.turns}: expected 0 or more seconds each")


PATIENT = Patience()


class Writer:
    """Lets one write into a gallery at a time, or several side by side; what it says holds for the gallery. May be
    shared by threads."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        config: GalleryConfig,
        engine: Engine | None,
        patience: Patience = PATIENT,
    ) -> None:
        """config: what the gallery is made for, as whoever has it open knows; engine: what is told of every change,
        None: nothing is."""
        self._folder, self._database, self.config, self._engine = folder, database, config, engine
        self._patience = patience
        self._lock, self._turn = database.lock(), database.lock(TURN)
        self._claims = 0
        self._threads = RLock()

    @property
    def as_opened(self) -> bool:
        """Whether the folder still holds this gallery, by the same model, of the same images' folder; False where
        another process has made it anew, redescribed or relocated it: then it is to be opened again."""
        return self._lock.held or self._turn.held or (self._database.in_place and self._is_configured())

    @contextmanager
    def writing(self, patience: float = 0.0, alive: Alive | None = None) -> Iterator[None]:
        """Keep other writers out for the length of the block; blocks may be nested. patience: seconds to wait for
        others that take turns with this one; alive: as `turn` has it.

        Raises GalleryLockedError, with the holder's process id, when another one is writing; where it was waited for,
        GalleryChangedError when that made another gallery of it.
        """
        with self._threads:
            if self._lock.held:
                self._lock.require()
                yield
                return
            with self._held(self._lock, patience, patience, alive):
                yield

    @contextmanager
    def building(self) -> Iterator[None]:
        """Keep other writers out for the length of the block, which changes nothing that they look at: others may claim
        folders meanwhile, and wait for their turn to write. Raises as `writing`, also where folders are claimed."""
        with self._threads:
            nested = self._lock.held
            with self.writing():
                if not nested:
                    self._lock.let_claim()
                yield

    @contextmanager
    def turn(self, patience: float = 0.0, alive: Alive | None = None) -> Iterator[None]:
        """Keep other writers out for the length of the block, which is a moment. Blocks may be nested. Where one writes
        at a time it is `writing`. Where several write side by side, the turns of others are waited for, also those of
        this process; after 10 seconds it is told whose. patience: of a run, seconds that it waits for who has all of
        the gallery; turns it waits for as long as they take. 0: a hand, which waits as the gallery was opened to.
        alive: called every second after that; what it raises ends the waiting.

        Raises as `writing`.
        """
        if not self._database.several_write:
            with self.writing(patience, alive):
                yield
            return
        began, turns = time.monotonic(), _DAY if patience else self._patience.turns
        if not self._threads.acquire(timeout=turns):
            raise GalleryLockedError(
                f"the gallery {self._database.name} is being written by others in this process, who wait for their "
                "turn: try again when they have had it"
            )
        try:
            held = self._lock if self._lock.held else self._turn
            if held.held:
                held.require()
                yield
                return
            waited = time.monotonic() - began
            with self._held(self._turn, max(patience, self._patience.quiet), max(turns - waited, 0), alive):
                yield
        finally:
            self._threads.release()

    @contextmanager
    def claiming(self, folder: str) -> Iterator[bool]:
        """Keep others from claiming this folder below the images' folder, one in it, or one that it lies in, for the
        length of the block; "" is all of it, and nobody else writes. Whether others write beside this one: then what
        was read may be another the next moment, and is looked at again in the `turn` that writes. Where only one writes
        at a time, it is `writing`.

        Raises GalleryLockedError, which names the holder, after 10 seconds where that has all of the gallery;
        GalleryChangedError where another gallery was made of it.
        """
        if not folder or not self._database.several_write:
            with self.writing():
                yield False
            return
        lock = self._database.lock(claim(folder))
        lock.acquire(PATIENCE)
        self._claims += 1
        try:
            self._require_as_opened()
            yield True
            lock.require()
        finally:
            self._claims -= 1
            lock.release()
        if self._engine is not None and self._engine_waits(1):
            with self.turn(TURNS):
                """It learns of all that is left."""

    def give_back(self) -> None:
        """Let others write."""
        self._lock.release()
        self._turn.release()

    def tell_engine(self, least: int = SEVERAL) -> None:
        """Let the engine learn of what changed, if that is so much. Where it does not answer, what was written stands,
        and waits for the next who writes."""
        if self._engine is None or not self._engine_waits(least):
            return
        try:
            drain(self._database, self._engine)
        except EngineError as error:
            _log.warning("%s; what changed is searched in the database until the engine has learned of it", error)

    def _engine_waits(self, least: int) -> bool:
        """Whether so many changed faces wait for it to learn of them."""
        with self._database.glance() as session:
            return engine_rows.waits(session, least)

    @contextmanager
    def _held(self, lock: Lock, patience: float, turns: float, alive: Alive | None) -> Iterator[None]:
        self._wait_for(lock, patience, turns, alive)
        try:
            if patience:
                self._require_as_opened()
            tidy(self._folder, self._database)  # what a crash left over
            yield
            self.tell_engine(SEVERAL if self._claims else 1)
        finally:
            lock.release()

    def _wait_for(self, lock: Lock, patience: float, turns: float, alive: Alive | None) -> None:
        """Take it within so many seconds of patience, or of turns, where others have it in turns; after a while it is
        told who has it, and then waited for without losing one's place."""
        quiet = min(patience, turns, self._patience.quiet)
        try:
            lock.acquire(quiet)
        except GalleryLockedError as error:
            most = turns if error.in_turn else patience
            if most - quiet < _MOMENT:
                raise
            how = f"{most / 60:.0f} minutes" if most >= _LONG else f"{most:.0f} seconds"
            long = "until it has finished" if most > TURNS else f"for up to {how}"
            _log.warning("%s: waiting %s", str(error).partition("; ")[0], long)
            lock.acquire(most - quiet, alive)

    def _require_as_opened(self) -> None:
        if not (self._database.in_place and self._is_configured()):
            raise GalleryChangedError(
                f"the gallery {self._database.name} was made anew, redescribed or relocated by another process "
                "meanwhile: run this again"
            )

    def _is_configured(self) -> bool:
        with self._database.reading() as session:
            return state.is_for(session, self.config)
