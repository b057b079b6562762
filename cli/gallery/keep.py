"""facesearch gallery: keep a gallery sound, small and up to date."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from cli.options import (
    CandidatesOption,
    DbOption,
    DescriptorOption,
    DeviceOption,
    ImagesArgument,
    JsonOption,
    MaxMemoryOption,
    MaxMsOption,
    ModelOption,
    RecallOption,
    TaskOption,
    WhereOption,
    db_folder,
    face_search,
)
from retrieval.tables import aligned, counted, printable


def remove(
    context: typer.Context,
    images: ImagesArgument = None,
    where: WhereOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which they are.")] = False,
    db: DbOption = None,
) -> None:
    """Remove images, and erase their descriptors. The files themselves stay."""
    from retrieval.wishes import condition_of

    condition = condition_of(where)
    from cli.progress import ProgressBar
    from retrieval.choosing import chosen_ids

    with face_search(context, db) as faces, ProgressBar() as bar:
        if dry_run:
            ids = chosen_ids(faces.gallery, images or (), condition)
            for image in faces.gallery.get(ids):
                print(printable(image.path))
            print(f"{counted(len(ids), 'image')} would be removed", file=sys.stderr)
            return
        done = faces.remove(*(images or ()), where=condition, progress=bar.tell)
    print(f"{counted(done.images, 'image')} removed, their descriptors erased")
    _warn_not_searched(done.not_searched)


def verify(db: DbOption = None, as_json: JsonOption = False) -> None:
    """Check that a gallery is sound. The database, every descriptor against its hash, and the index against every
    descriptor."""
    from cli.progress import ProgressBar
    from index.gallery import Gallery

    with Gallery.open(db_folder(db), damaged=True) as gallery, ProgressBar("checking descriptors") as bar:
        found = gallery.verify(bar.update)
    if as_json:
        print(json.dumps({**asdict(found), "sound": found.sound}))
    else:
        print(f"{counted(found.images, 'image')}: {found.checked:,} descriptors agree with their hash")
        if found.waiting:
            print(f"{counted(found.waiting, 'image')} to be described again: run `facesearch index`")
        print(found.index)
        print("sound" if found.sound else "\n".join(map(printable, found.findings)))
    if not found.sound:
        raise typer.Exit(1)


def repair(db: DbOption = None) -> None:
    """Mend what is damaged. No image goes: those whose descriptors or rows are damaged keep their ids and labels, and
    wait to be described again; indexes are built anew."""
    from index.gallery import Gallery

    with Gallery.open(db_folder(db), damaged=True) as gallery:
        done = gallery.repair()
    for path in done.doubtful:
        print(f"look at its labels, which may be damaged: {printable(path)}")
    for path in done.waiting:
        print(f"to be described again: {printable(path)}")
    again = "; run `facesearch index` to describe them" if done.waiting else ""
    print(f"{counted(len(done.waiting), 'image')} to be described again{again}")
    if done.staged:
        print(f"{done.staged:,} damaged descriptions by the next model will be made anew by `gallery redescribe`")
    if done.settings:
        print("search.json was damaged and is deleted: give --max-memory, --max-ms and --recall again")


def compact(context: typer.Context, db: DbOption = None) -> None:
    """Give back the space of removed images. Ids stay."""
    from cli.progress import ProgressBar
    from index.search.plan import size_text

    with face_search(context, db) as faces, ProgressBar() as bar:
        done = faces.compact(bar.tell)
    sizes = done.sizes
    print(f"{faces.folder}: {size_text(sizes.before)} before, {size_text(sizes.after)} now, without the index")
    _warn_not_searched(done.not_searched)


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
    """Describe every image by another model. Ids and labels stay, and so does the gallery until all are described; an
    interrupted run is taken up again."""
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
    _warn_not_searched(report.not_searched)
    if not report.finished:
        raise typer.Exit(3)


def plan(
    db: DbOption = None,
    max_memory: MaxMemoryOption = None,
    recall: RecallOption = None,
    max_ms: MaxMsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how the gallery is searched best. Within so much memory and time, and why; nothing is changed."""
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
            f"{counted(made.count, 'image')}, descriptors of {made.size:,} numbers, {made.dimensions} for a first "
            f"look; within {made.requirements.text}:"
        )
        table = [["", "search", "memory", "time", "to build", ""]]
        for option in made.options:
            mark = "*" if option is chosen else ""
            about = [size_text(option.memory), f"{option.milliseconds:.1f} ms", f"{option.build_seconds:.0f} s"]
            table.append([mark, option.kind, *about, option.against or KINDS[option.kind]])
        print("\n".join(aligned(table)))
        print("times are estimates; an index is measured when it is built")
    made.require()


def _warn_not_searched(reason: Exception | None) -> None:
    """Say why there is no new index; the gallery is searched all the same."""
    if reason is not None:
        print(f"warning: the index is not built anew: {reason}", file=sys.stderr)
