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
    MaxMemoryOption,
    MaxMsOption,
    ModelOption,
    RecallOption,
    TaskOption,
    chosen_model,
    db_folder,
    require_output_folder,
    requirements_of,
)


def index(
    images: Annotated[Path, typer.Argument(help="Folder of the gallery's images")],
    db: DbOption = None,
    labels: Annotated[Path | None, typer.Option(help="manifest.csv: path, identity, pose, ...")] = None,
    task: TaskOption = None,
    model: ModelOption = None,
    descriptor: DescriptorOption = None,
    candidates: CandidatesOption = "likely",
    prune: Annotated[bool, typer.Option("--prune", help="Remove the images whose files have gone")] = False,
    max_memory: MaxMemoryOption = None,
    recall: RecallOption = None,
    max_ms: MaxMsOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Describe every image under all candidate poses (or lights, for another task) and keep it searchable."""
    from faceedit.manifest import read_manifest
    from retrieval.folder import find_images
    from retrieval.indexing import index_folder, labels_of, open_gallery, require_named

    folder = chosen_model(model, task)
    requirements = requirements_of(max_memory, recall, max_ms)
    found = find_images(images)
    require_output_folder(db_folder(db))
    known = labels_of(read_manifest(labels)) if labels else None
    if known is not None:
        require_named(found, known)
    from cli.progress import ProgressBar
    from faceedit.editor import Editor
    from index.plan import KINDS, make_plan, measure_rates
    from index.reduction import STEP

    started = time.monotonic()
    editor = Editor.load(folder, device, descriptor or _kind_in(db_folder(db)), candidates)
    if requirements is not None:
        make_plan(len(found), editor.descriptor_size, STEP, requirements, measure_rates()).require()  # at the very best
    with open_gallery(db_folder(db), editor, images) as gallery:
        with ProgressBar("describing images") as bar:
            report = index_folder(gallery, editor, found, known, bar.update, prune)
        total = len(gallery)
        prepared = None
        if total:
            with ProgressBar("preparing the search") as bar:
                prepared = gallery.prepare(requirements, lambda what, done, of: bar.update(done, of, title=what))
    seconds = time.monotonic() - started
    for path, reason in report.skipped:
        print(f"skipped: {reason if str(path) in reason else f'{path}: {reason}'}", file=sys.stderr)
    if as_json:
        skipped = [{"path": str(path), "reason": reason} for path, reason in report.skipped]
        counts = {"described": report.described, "unchanged": report.unchanged, "relabelled": report.relabelled}
        counts |= {"renamed": report.renamed, "duplicates": report.duplicates}
        counts |= {"vanished": report.vanished, "pruned": report.pruned}
        searched = {"kind": prepared.kind, "recall": prepared.recall} if prepared else None
        about = {"gallery": str(db_folder(db)), "images": total, **counts, "skipped": skipped, "search": searched}
        print(json.dumps(about))
    else:
        print(
            f"{db_folder(db)}: {total:,} images; {report.described:,} described, {report.unchanged:,} unchanged, "
            f"{len(report.skipped):,} skipped in {seconds:.1f} s"
        )
        for number, what in (
            (report.renamed, "were known under another name"),
            (report.duplicates, "have the content of another image, and share its description"),
            (report.pruned, "were removed: their files are gone"),
        ):
            if number:
                print(f"{number:,} {what}")
        if report.relabelled:
            print(f"{report.relabelled:,} got new labels")
        if prepared is not None and prepared.index is not None:
            print(
                f"searched by {KINDS[prepared.kind]}: {prepared.recall:.4f} of the ten nearest found in "
                f"{prepared.index.milliseconds:.1f} ms"
            )
    if report.vanished:
        print(
            f"warning: the files of {report.vanished:,} images in the gallery have gone; --prune removes them",
            file=sys.stderr,
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
