"""facesearch index: describe a folder of pictures into a gallery."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from cli.options import (
    CandidatesOption,
    DbOption,
    DescriptorOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    TaskOption,
    chosen_model,
    db_folder,
    require_output_folder,
)


def index(
    images: Annotated[Path, typer.Argument(help="Folder of the gallery's images")],
    db: DbOption = None,
    labels: Annotated[Path | None, typer.Option(help="manifest.csv: path, identity, pose, ...")] = None,
    task: TaskOption = None,
    model: ModelOption = None,
    descriptor: DescriptorOption = None,
    candidates: CandidatesOption = "likely",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Describe every image under all candidate poses (or lights, for another task) and keep it searchable."""
    from faceedit.manifest import read_manifest
    from retrieval.indexing import find_images, index_folder, labels_of, open_gallery, require_named

    folder = chosen_model(model, task)
    found = find_images(images)
    require_output_folder(db_folder(db))
    known = labels_of(read_manifest(labels)) if labels else None
    if known is not None:
        require_named(found, known)
    from cli.progress import ProgressBar
    from faceedit.editor import Editor

    started = time.monotonic()
    editor = Editor.load(folder, device, descriptor or _kind_in(db_folder(db)), candidates)
    with open_gallery(db_folder(db), editor, images) as gallery:
        with ProgressBar("describing images") as bar:
            report = index_folder(gallery, editor, found, known, bar.update)
        total = len(gallery)
    seconds = time.monotonic() - started
    for path, reason in report.skipped:
        print(f"skipped: {reason if str(path) in reason else f'{path}: {reason}'}", file=sys.stderr)
    if as_json:
        skipped = [{"path": str(path), "reason": reason} for path, reason in report.skipped]
        counts = {"described": report.described, "unchanged": report.unchanged, "relabelled": report.relabelled}
        counts["vanished"] = report.vanished
        print(json.dumps({"gallery": str(db_folder(db)), "images": total, **counts, "skipped": skipped}))
    else:
        print(
            f"{db_folder(db)}: {total:,} images; {report.described:,} described, {report.unchanged:,} unchanged, "
            f"{len(report.skipped):,} skipped in {seconds:.1f} s"
        )
        if report.relabelled:
            print(f"{report.relabelled:,} got new labels")
    if report.vanished:
        print(
            f"warning: the files of {report.vanished:,} images in the gallery are not there any more", file=sys.stderr
        )
    if report.skipped:
        raise typer.Exit(3)


def _kind_in(db: Path) -> str:
    """The kind of descriptor that a gallery holds; a learned one where there is no gallery yet."""
    from faceedit.editor import LEARNED, descriptor_kind
    from index.errors import GalleryNotFoundError
    from index.gallery import Gallery

    try:
        with Gallery.open(db) as gallery:
            return descriptor_kind(gallery.config.descriptor_size)
    except GalleryNotFoundError:
        return LEARNED
