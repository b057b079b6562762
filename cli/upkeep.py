"""facesearch gallery: keep a gallery sound, small, portable, and up to date."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.gallery import group as group
from cli.gallery import warn_not_searched
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
    db_folder,
    face_search,
)
from faceedit.errors import UsageError
from retrieval.checks import require_output_folder
from retrieval.tables import aligned, printable

_FEW = 20  # lines that name what is missing


@group.command("verify")
def verify(db: DbOption = None, as_json: JsonOption = False) -> None:
    """Check the database, every descriptor against its hash, and the index against every descriptor."""
    from cli.progress import ProgressBar
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery, ProgressBar("checking descriptors") as bar:
        found = gallery.verify(bar.update)
    if as_json:
        print(json.dumps({**asdict(found), "sound": found.sound}))
    else:
        print(f"{found.images:,} images: {found.checked:,} descriptors agree with their hash")
        print(found.index)
        print("sound" if found.sound else "\n".join(found.findings))
    if not found.sound:
        raise typer.Exit(1)


@group.command("repair")
def repair(db: DbOption = None) -> None:
    """Mend what can be mended: images with damaged descriptors go, to be described again; indexes are built anew."""
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery:
        done = gallery.repair()
    for path in done.removed:
        print(f"removed: {printable(path)}")
    again = "; run `facesearch index` to describe them again" if done.removed else ""
    print(f"{len(done.removed):,} images removed{again}")
    if done.waiting:
        print(f"{done.waiting:,} damaged descriptions by the next model will be made anew by `gallery redescribe`")


@group.command("compact")
def compact(context: typer.Context, db: DbOption = None) -> None:
    """Give the space of removed images back to the disk; ids stay."""
    from cli.progress import ProgressBar
    from index.search.plan import size_text

    with face_search(context, db) as faces, ProgressBar() as bar:
        done = faces.compact(bar.tell)
    sizes = done.sizes
    print(f"{faces.folder}: {size_text(sizes.before)} before, {size_text(sizes.after)} now, without the index")
    warn_not_searched(done.not_searched)


@group.command("redescribe")
def redescribe(
    context: typer.Context,
    db: DbOption = None,
    task: TaskOption = None,
    model: ModelOption = None,
    descriptor: DescriptorOption = None,
    candidates: CandidatesOption = "likely",
    drop: Annotated[
        bool, typer.Option("--drop", help="Remove images whose files have gone or cannot be read.")
    ] = False,
    give_up: Annotated[bool, typer.Option("--give-up", help="Forget what was begun.")] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Describe every image again by another model, keeping ids and labels. The gallery stays as it is until all are
    described; an interrupted run is taken up again."""
    from cli.progress import ProgressBar

    options = {"attribute": task, "descriptor": descriptor, "candidates": candidates}
    with face_search(context, db, model=model, device=device, **options) as faces:
        if give_up:
            forgotten = faces.give_up_redescription()
            print("nothing was under way" if forgotten is None else f"{forgotten:,} new descriptions forgotten")
            return
        with ProgressBar() as bar:
            report = faces.redescribe(drop=drop, progress=bar.tell)
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        for path, reason in report.unread:
            print(f"not described: {reason if path in reason else f'{path}: {reason}'}", file=sys.stderr)
        print("\n".join(report.lines(faces.folder)))
    warn_not_searched(report.not_searched)
    if not report.finished:
        raise typer.Exit(3)


@group.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    pictures: Annotated[bool, typer.Option("--pictures", help="Copy the images as well.")] = False,
    db: DbOption = None,
) -> None:
    """Write the gallery as plain files: gallery.json, images.jsonl, descriptors.npy and perhaps pictures/."""
    require_output_folder(folder)
    from cli.progress import ProgressBar
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery, ProgressBar("exporting") as bar:
        done = gallery.export(folder, pictures, bar.update)
    print(f"{folder}: {done.images:,} images" + (" with their pictures" if pictures else ""))
    if done.missing:
        for path in done.missing[:_FEW]:
            print(f"not there: {printable(path)}", file=sys.stderr)
        print(f"warning: the files of {len(done.missing):,} images are not there and were not copied", file=sys.stderr)
        raise typer.Exit(3)


@group.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="What `facesearch gallery export` wrote.")],
    root: Annotated[
        Path | None, typer.Option("--root", help="Say where the images lie. [default: in the export, or as before]")
    ] = None,
    db: DbOption = None,
) -> None:
    """Make a gallery of an exported one; ids stay."""
    if root is not None and not root.is_dir():
        raise UsageError(f"{root} is no folder: give the one that the images lie in")
    place = db_folder(db)
    require_output_folder(place)
    from cli.progress import ProgressBar
    from index.care.exchange import restore
    from index.gallery import Gallery
    from retrieval.about import missing_files

    with ProgressBar("importing") as bar:
        restore(folder, place, None if root is None else root.resolve(), bar.update)
    with Gallery.open(place) as gallery:
        missing = missing_files(gallery, gallery.config.image_root)
        print(f"{place}: {len(gallery):,} images, whose files lie below {gallery.config.image_root}")
    if missing:
        where = "say where they are with `facesearch gallery relocate`"
        print(f"warning: the files of {missing:,} images are not there; {where}", file=sys.stderr)


@group.command("relocate")
def relocate(
    context: typer.Context,
    root: Annotated[Path, typer.Argument(help="Where the images lie now; below it their paths are the same.")],
    db: DbOption = None,
) -> None:
    """Say where the images lie now, after their folder moved."""
    with face_search(context, db) as faces:
        missing = faces.relocate(root)
        print(f"{faces.folder}: images below {root.resolve()}")
    if missing:
        print(f"warning: {missing:,} images are not there", file=sys.stderr)


@group.command("plan")
def plan(
    db: DbOption = None,
    max_memory: MaxMemoryOption = None,
    recall: RecallOption = None,
    max_ms: MaxMsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how the gallery is searched best within so much memory and time, and why; nothing is changed."""
    from retrieval.search_requirements import requirements_of

    requirements = requirements_of(db_folder(db), max_memory, recall, max_ms)
    from index.gallery import Gallery
    from index.search.plan import KINDS, size_text

    with Gallery.open(db_folder(db)) as gallery:
        made = gallery.plan(requirements)
    chosen = made.chosen
    if as_json:
        print(json.dumps({**asdict(made), "chosen": chosen.kind if chosen else None}))
    else:
        print(
            f"{made.count:,} images, descriptors of {made.size:,} numbers, {made.dimensions} for a first look; "
            f"within {made.requirements.text}:"
        )
        table = [["", "search", "memory", "time", "to build", ""]]
        for option in made.options:
            mark = "*" if option is chosen else ""
            about = [size_text(option.memory), f"{option.milliseconds:.1f} ms", f"{option.build_seconds:.0f} s"]
            table.append([mark, option.kind, *about, option.against or KINDS[option.kind]])
        print("\n".join(aligned(table)))
        print("times are estimates; an index is measured when it is built")
    made.require()
