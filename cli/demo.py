"""facesearch demo: index the sample gallery and query it."""

from __future__ import annotations

import csv
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DeviceOption, face_search

if TYPE_CHECKING:
    from retrieval.face_search import FaceSearch


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The folder for the demo's gallery and picture.")] = Path("demo"),
    sample: Annotated[
        Path | None, typer.Option(help="The folder of the sample. [default: the one that comes along]")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Index and query the sample gallery. It answers queries of each task, and draws the results."""
    from cli.progress import ProgressBar
    from faceedit.faces import can_be_found
    from faceedit.images import write_picture
    from index.search.faiss_files import faiss_module
    from retrieval.checks import require_output_folder
    from retrieval.models import SAMPLE_DB
    from retrieval.scene import has_people
    from retrieval.tables import counted

    sample = require_sample(sample or SAMPLE_DB)
    faiss_module()  # said now, not after all images are described
    with (sample / "queries" / "queries.csv").open(newline="", encoding="utf-8") as stream:
        queries = list(csv.DictReader(stream))
    require_output_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with face_search(context, _gallery(out, sample), models=sample / "models", device=device) as faces:
        with ProgressBar() as bar:
            images = faces.index(sample / "gallery", sample / "gallery", progress=bar.tell).images
        for query in queries:
            path = sample / "queries" / query["path"]
            pose, light = (int(query[name]) if query[name] else None for name in ("ask_pose", "ask_illumination"))
            answer = faces.query(path, pose=pose, illumination=light, inpaint=query["ask_inpaint"] == "yes")
            wanted = ", ".join(step.text for step in answer.steps)
            picture = out / f"{path.stem}_{wanted.replace(', ', '_').replace(' ', '_')}.png"
            print(f"\n{path.name}: person {query['identity']}, {wanted}?  -> {picture}\n{answer}")
            write_picture(answer.sheet, picture)
        if not can_be_found():
            print("\nWhole photographs, with several people in each: pip install '.[photos]', and run the demo again")
        elif has_people(sample / "gallery"):
            _photograph(context, faces, sample, out, device)
    seconds = time.monotonic() - started
    print(f"\n{counted(images, 'image')} indexed and {len(queries)} queries answered in {seconds:.1f} s")
    print(f"Look at the pictures in {out.resolve()}")


def _photograph(context: typer.Context, faces: FaceSearch, sample: Path, out: Path, device: str) -> None:
    """A photograph of five people: one of them is looked for in the sample gallery, and another in the photograph."""
    from faceedit.images import write_picture
    from retrieval.scene import PEOPLE, write_party

    party, number = out / "photographs" / "party.jpg", 2
    write_party(sample / "gallery", party)
    answer = faces.query(party, pose=30, face=number)
    picture = out / f"party_{number}_pose_30.png"
    print(f"\n{party.name}, face {number}: pose 30?  -> {picture}\n{answer}")
    write_picture(answer.sheet, picture)
    place, person = _gallery(out / "of-photographs", sample), PEOPLE[2]
    started = time.monotonic()
    with face_search(context, place, models=sample / "models", device=device) as others:
        lines = others.index(party.parent).lines(place, time.monotonic() - started)
        answer = others.query(sample / "gallery" / person / f"{person}_-30_00.png", pose=0, k=3)
    picture = out / f"{person}_in_party.png"
    print(f"\n{lines[0]}\n{person}_-30_00.png: where is this person, pose 0?  -> {picture}\n{answer}")
    write_picture(answer.sheet, picture)


def sample_search(context: typer.Context, device: str, out: Path = Path("demo")) -> FaceSearch:
    """The sample gallery, described where it was not yet, with its models."""
    from cli.progress import ProgressBar
    from retrieval.models import SAMPLE_DB

    sample = require_sample(SAMPLE_DB)
    faces = face_search(context, _gallery(out, sample), models=sample / "models", device=device)
    with ProgressBar() as bar:
        faces.index(sample / "gallery", sample / "gallery", progress=bar.tell)
    return faces


def require_sample(sample: Path) -> Path:
    """Raise FaceEditError where the sample is not there."""
    from faceedit.errors import FaceEditError

    if not (sample / "queries" / "queries.csv").is_file():
        raise FaceEditError(f"the sample gallery is not at {sample}: run the demo from a clone of the project")
    return sample


def _gallery(out: Path, sample: Path) -> Path:
    """A gallery belongs to one model and one place: another gets its own."""
    from faceedit.modelfile import model_digest

    named = f"{model_digest(sample / 'models' / 'pose')} {sample}"
    return out / f"gallery-{hashlib.sha256(named.encode()).hexdigest()[:8]}"
