"""facesearch index: describe a folder of pictures into a gallery."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.answers import printable
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

if TYPE_CHECKING:
    from index.search.plan import Requirements
    from index.search.prepare import Prepared
    from retrieval.indexing import IndexReport


def index(
    images: Annotated[Path, typer.Argument(help="Folder of the gallery's images")],
    db: DbOption = None,
    labels: Annotated[Path | None, typer.Option(help="manifest.csv: path, identity, pose, ...")] = None,
    task: TaskOption = None,
    model: ModelOption = None,
    descriptor: DescriptorOption = None,
    candidates: CandidatesOption = "likely",
    prune: Annotated[bool, typer.Option("--prune", help="Remove the images whose files have gone")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try files again that could not be read before")] = False,
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
    place = db_folder(db)
    requirements = requirements_of(place, max_memory, recall, max_ms)
    refused: list[tuple[Path, str]] = []
    found = find_images(images, refused)
    require_output_folder(place)
    known = labels_of(read_manifest(labels)) if labels else None
    if known is not None:
        require_named(found, known)
    from cli.progress import ProgressBar
    from faceedit.editor import ALL, Editor
    from index.errors import GalleryError
    from index.search.plan import read_requirements

    read_requirements(place)  # say now that they are damaged
    started = time.monotonic()
    editor = Editor.load(folder, device, descriptor or _kind_in(place), candidates)
    if requirements is not None:
        _require_possible(place, len(found), editor.descriptor_size, requirements)
    failure: GalleryError | OSError | None = None
    prepared = None
    with open_gallery(place, editor, images) as gallery:
        with ProgressBar("describing images") as bar:
            report = index_folder(gallery, editor, found, known, bar.update, prune, retry)
        total = len(gallery)
        kept = sum(None in image.errors for image in gallery.images()) if candidates == ALL and report.unchanged else 0
        if total:
            try:
                with ProgressBar("preparing the search") as bar:
                    prepared = gallery.prepare(requirements, lambda what, done, of: bar.update(done, of, title=what))
            except (GalleryError, OSError) as error:
                failure = error
    report.skipped += refused
    for path, reason in report.skipped:
        told = reason if str(path) in reason else f"{path}: {reason}"
        print(f"skipped: {printable(told)}", file=sys.stderr)
    if as_json:
        print(json.dumps({"gallery": str(place), "images": total, **_content(report, prepared)}))
    else:
        _print(f"{place}: {total:,} images", report, prepared, time.monotonic() - started)
    if kept:
        print(
            f"warning: {kept:,} images were described before by their likely candidates alone, and stay as they are; "
            "to try all of them, index into another --db",
            file=sys.stderr,
        )
    if report.vanished:
        print(
            f"warning: the files of {report.vanished:,} images in the gallery have gone; --prune removes them",
            file=sys.stderr,
        )
    if failure is not None and requirements is not None:
        raise failure
    if failure is not None:
        print(f"warning: the gallery is searched as before: {failure}", file=sys.stderr)
    if report.skipped:
        raise typer.Exit(3)


def _content(report: IndexReport, prepared: Prepared | None) -> dict[str, Any]:
    return {
        **{name: number for name, number in vars(report).items() if isinstance(number, int)},
        "skipped": [{"path": str(path), "reason": reason} for path, reason in report.skipped],
        "search": {"kind": prepared.kind, "recall": prepared.recall} if prepared else None,
    }


def _print(begin: str, report: IndexReport, prepared: Prepared | None, seconds: float) -> None:
    print(
        f"{begin}; {report.described:,} described, {report.unchanged:,} unchanged, {len(report.skipped):,} skipped "
        f"in {seconds:.1f} s"
    )
    for number, what in (
        (report.renamed, "were known under another name"),
        (report.duplicates, "have the content of another image, and share its description"),
        (report.changed, "have other content than before, and keep their labels"),
        (report.pruned, "were removed: their files have gone"),
        (report.relabelled, "got new labels"),
    ):
        if number:
            print(f"{number:,} {what}")
    if prepared is not None and prepared.index is not None:
        from index.search.plan import KINDS

        print(
            f"searched by {KINDS[prepared.kind]}: {prepared.recall:.4f} of the ten nearest found in "
            f"{prepared.index.milliseconds:.1f} ms"
        )


def _require_possible(db: Path, found: int, size: int, requirements: Requirements) -> None:
    """Refuse, before anything is described, what no way of searching could keep to."""
    from index.errors import GalleryNotFoundError
    from index.gallery import Gallery
    from index.search.plan import make_plan, measure_rates
    from index.search.reduction import STEP

    try:
        with Gallery.open(db) as gallery:
            found = max(found, len(gallery))
    except GalleryNotFoundError:
        pass
    make_plan(found, size, STEP, requirements, measure_rates()).require()


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
