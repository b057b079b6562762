"""facesearch demo: index the sample gallery and query it."""

from __future__ import annotations

import csv
import hashlib
import time
from pathlib import Path
from typing import Annotated

import typer

from cli.options import SAMPLE_DB, DeviceOption, model_folder, require_output_folder


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the demo's gallery and picture")] = Path("demo"),
    device: DeviceOption = "auto",
) -> None:
    """Index the sample gallery, find one person at another pose, and draw the results."""
    from faceedit.errors import FaceEditError

    if not (SAMPLE_DB / "queries" / "queries.csv").is_file():
        raise FaceEditError(f"the sample gallery is not at {SAMPLE_DB}: run the demo from a clone of the project")
    with (SAMPLE_DB / "queries" / "queries.csv").open(newline="", encoding="utf-8") as stream:
        queries = list(csv.DictReader(stream))
    require_output_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    from cli.progress import ProgressBar
    from cli.query import print_answer, write_sheet
    from faceedit.editor import Editor
    from faceedit.manifest import read_manifest
    from retrieval.indexing import find_images, index_folder, labels_of, open_gallery
    from retrieval.query import QueryEngine

    images = find_images(SAMPLE_DB / "gallery")
    labels = labels_of(read_manifest(SAMPLE_DB / "gallery"))
    editor = Editor.load(model_folder(SAMPLE_DB / "models" / "pose"), device)
    # a gallery belongs to one model and one place: another gets its own
    place = hashlib.sha256(f"{editor.digest} {SAMPLE_DB}".encode()).hexdigest()[:8]
    with open_gallery(out / f"gallery-{place}", editor, SAMPLE_DB / "gallery") as gallery:
        with ProgressBar("describing the sample gallery") as bar:
            index_folder(gallery, editor, images, labels, bar.update)
        engine = QueryEngine(gallery, editor)
        for query in queries:
            path = SAMPLE_DB / "queries" / query["path"]
            answer = engine.query(path, int(query["pose"]), 5)
            picture = out / f"{path.stem}_to_{int(query['pose']):+03d}.png"
            print(f"\n{path.name}: person {query['identity']} at {query['pose']} degrees?  -> {picture}")
            print_answer(engine, answer, path, as_json=False)
            write_sheet(engine, answer, picture)
    print(f"\n{len(images):,} images indexed and {len(queries)} queries answered in {time.monotonic() - started:.1f} s")
    print(f"Look at the pictures in {out.resolve()}")
