"""facesearch demo: index the sample gallery and query it."""

from __future__ import annotations

import csv
import hashlib
import time
from pathlib import Path
from typing import Annotated

import typer

from cli.options import SAMPLE_DB, DeviceOption, require_output_folder


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the demo's gallery and picture")] = Path("demo"),
    device: DeviceOption = "auto",
) -> None:
    """Index the sample gallery, answer queries of each task, and draw the results."""
    from faceedit.errors import FaceEditError

    if not (SAMPLE_DB / "queries" / "queries.csv").is_file():
        raise FaceEditError(f"the sample gallery is not at {SAMPLE_DB}: run the demo from a clone of the project")
    with (SAMPLE_DB / "queries" / "queries.csv").open(newline="", encoding="utf-8") as stream:
        queries = list(csv.DictReader(stream))
    require_output_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    from cli.answers import printer, write_sheet
    from cli.asking import asked_for, load_editors
    from cli.progress import ProgressBar
    from faceedit.manifest import read_manifest
    from retrieval.folder import find_images
    from retrieval.indexing import index_folder, labels_of, open_gallery
    from retrieval.query import QueryEngine

    images = find_images(SAMPLE_DB / "gallery")
    labels = labels_of(read_manifest(SAMPLE_DB / "gallery"))
    editors = load_editors(("pose", "illumination", "inpainting"), SAMPLE_DB / "models", device, {})
    editor = editors["pose"]
    # a gallery belongs to one model and one place: another gets its own
    place = hashlib.sha256(f"{editor.digest} {SAMPLE_DB}".encode()).hexdigest()[:8]
    with open_gallery(out / f"gallery-{place}", editor, SAMPLE_DB / "gallery") as gallery:
        with ProgressBar("describing the sample gallery") as bar:
            index_folder(gallery, editor, images, labels, bar.update)
        engine = QueryEngine(gallery, editors)
        for query in queries:
            path = SAMPLE_DB / "queries" / query["path"]
            pose, light = (int(query[name]) if query[name] else None for name in ("ask_pose", "ask_illumination"))
            answer = engine.query(path, asked_for(pose, light, query["ask_inpaint"] == "yes"))
            wanted = ", ".join(step.text for step in answer.steps)
            picture = out / f"{path.stem}_{wanted.replace(', ', '_').replace(' ', '_')}.png"
            print(f"\n{path.name}: person {query['identity']}, {wanted}?  -> {picture}")
            printer("table", engine, None, several=False)(path, [answer])
            write_sheet(engine, [answer], picture)
    print(f"\n{len(images):,} images indexed and {len(queries)} queries answered in {time.monotonic() - started:.1f} s")
    print(f"Look at the pictures in {out.resolve()}")
