"""facesearch demo: index the sample gallery and query it."""

from __future__ import annotations

import csv
import hashlib
import time
from pathlib import Path
from typing import Annotated

import typer

from cli.options import DeviceOption, face_search


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
    from faceedit.errors import FaceEditError
    from faceedit.images import write_picture
    from index.search.faiss_files import faiss_module
    from retrieval.checks import require_output_folder
    from retrieval.models import SAMPLE_DB
    from retrieval.tables import counted

    sample = sample or SAMPLE_DB
    if not (sample / "queries" / "queries.csv").is_file():
        raise FaceEditError(f"the sample gallery is not at {sample}: run the demo from a clone of the project")
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
    seconds = time.monotonic() - started
    print(f"\n{counted(images, 'image')} indexed and {len(queries)} queries answered in {seconds:.1f} s")
    print(f"Look at the pictures in {out.resolve()}")


def _gallery(out: Path, sample: Path) -> Path:
    """A gallery belongs to one model and one place: another gets its own."""
    from faceedit.modelfile import model_digest

    named = f"{model_digest(sample / 'models' / 'pose')} {sample}"
    return out / f"gallery-{hashlib.sha256(named.encode()).hexdigest()[:8]}"
