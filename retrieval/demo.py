"""The demo: the sample gallery that comes along, described where it was not yet, and what is found in it."""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from faceedit.errors import FaceEditError
from faceedit.images import write_picture
from faceedit.modelfile import model_digest
from faceedit.yunet import can_be_found
from index.progress import Progress
from index.search.faiss_files import faiss_module
from retrieval.checks import require_output_folder
from retrieval.face_search import FaceSearch
from retrieval.models import SAMPLE_DB
from retrieval.scene import PEOPLE, has_people, write_party
from retrieval.tables import counted

Opens = Callable[[Path, Path], FaceSearch]
"""Makes the FaceSearch of a gallery's folder and a folder of models."""
_ASKED_FACE = 2  # of the photograph


class Demo:
    """The sample in a folder, whose galleries and pictures lie below `out`.

    Raises FaceEditError where the sample is not there, FaissMissingError.
    """

    def __init__(self, opens: Opens, out: Path, sample: Path | None = None) -> None:
        self._opens, self._out, self._sample = opens, out, sample or SAMPLE_DB
        if not (self._sample / "queries" / "queries.csv").is_file():
            raise FaceEditError(
                f"the sample gallery is not at {self._sample}: run the demo from a clone of the project"
            )
        faiss_module()  # said now, not after all images are described
        require_output_folder(out)

    def search(self, progress: Progress | None = None) -> FaceSearch:
        """The sample gallery with its models."""
        self._out.mkdir(parents=True, exist_ok=True)
        faces = self._opened(self._out)
        faces.index(self._sample / "gallery", self._sample / "gallery", progress=progress)
        return faces

    def shown(self, faces: FaceSearch, started: float) -> Iterator[str]:
        """What to tell of each step, once it is done: queries of each task, then those of a photograph. started: when
        the demo did, by `time.monotonic`."""
        with (self._sample / "queries" / "queries.csv").open(newline="", encoding="utf-8") as stream:
            queries = list(csv.DictReader(stream))
        for query in queries:
            yield self._answered(faces, query)
        if not can_be_found():
            yield "\nWhole photographs, with several people in each: pip install '.[photos]', and run the demo again"
        elif has_people(self._sample / "gallery"):
            yield from self._photograph(faces)
        images, seconds = counted(len(faces.gallery), "image"), time.monotonic() - started
        yield f"\n{images} indexed and {len(queries)} queries answered in {seconds:.1f} s"
        yield f"Look at the pictures in {self._out.resolve()}"

    def _answered(self, faces: FaceSearch, query: dict[str, str]) -> str:
        path = self._sample / "queries" / query["path"]
        pose, light = (int(query[name]) if query[name] else None for name in ("ask_pose", "ask_illumination"))
        answer = faces.query(path, pose=pose, illumination=light, inpaint=query["ask_inpaint"] == "yes")
        wanted = ", ".join(step.text for step in answer.steps)
        picture = self._out / f"{path.stem}_{wanted.replace(', ', '_').replace(' ', '_')}.png"
        write_picture(answer.sheet, picture)
        return f"\n{path.name}: person {query['identity']}, {wanted}?  -> {picture}\n{answer}"

    def _photograph(self, faces: FaceSearch) -> Iterator[str]:
        """Of five people: one of them is looked for in the sample gallery, and another in the photograph."""
        party = self._out / "photographs" / "party.jpg"
        write_party(self._sample / "gallery", party)
        answer = faces.query(party, pose=30, face=_ASKED_FACE)
        picture = self._out / f"party_{_ASKED_FACE}_pose_30.png"
        write_picture(answer.sheet, picture)
        yield f"\n{party.name}, face {_ASKED_FACE}: pose 30?  -> {picture}\n{answer}"
        person, started = PEOPLE[2], time.monotonic()
        with self._opened(self._out / "of-photographs") as others:
            told = others.index(party.parent).lines(others.folder, time.monotonic() - started)[0]
            answer = others.query(self._sample / "gallery" / person / f"{person}_-30_00.png", pose=0, k=3)
        picture = self._out / f"{person}_in_party.png"
        write_picture(answer.sheet, picture)
        yield f"\n{told}\n{person}_-30_00.png: where is this person, pose 0?  -> {picture}\n{answer}"

    def _opened(self, place: Path) -> FaceSearch:
        """A gallery belongs to one model and one place: another gets its own."""
        named = f"{model_digest(self._sample / 'models' / 'pose')} {self._sample}"
        folder = place / f"gallery-{hashlib.sha256(named.encode()).hexdigest()[:8]}"
        return self._opens(folder, self._sample / "models")
