"""facesearch gallery: keep a gallery sound, small and up to date."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from typer import Context, Exit, Option

from cli.options import (
    CandidatesOption,
    DbOption,
    DescriptorOption,
    DetectorOption,
    DeviceOption,
    IdentityOption,
    JsonOption,
    MaxMemoryOption,
    MaxMsOption,
    ModelOption,
    RecallOption,
    TaskOption,
    db_folder,
    face_search,
    gallery_of,
)
from cli.telling import say, show, warn_not_searched
from faceedit.text import printable


def create(
    context: Context,
    db: DbOption = None,
    vectors: Annotated[
        str,
        Option(
            metavar="ENGINE",
            help="Search by faiss; or, of a gallery on a server, by pgvector, milvus://HOST:PORT/COLLECTION or a "
            "Milvus Lite's FILE.db.",
        ),
    ] = "faiss",
    root: Annotated[
        str | None, Option(help="The images' folder, or its address in a store. [default: this one]")
    ] = None,
    task: TaskOption = None,
    model: ModelOption = None,
    descriptor: DescriptorOption = None,
    identity: IdentityOption = None,
) -> None:
    """Make an empty gallery. `facesearch index` does so by itself; this is for saying what searches it."""
    options = {"attribute": task, "descriptor": descriptor, "identity": identity}
    with face_search(context, db, model=model, **options) as faces:
        made = faces.create(root or ".", vectors)
    print("\n".join(made.lines()))


def verify(db: DbOption = None, as_json: JsonOption = False) -> None:
    """Check that a gallery is sound. The database, every descriptor against its hash, and the index against every
    descriptor."""
    from cli.progress import ProgressBar
    from retrieval.gallery_info import verification_lines

    with gallery_of(db, damaged=True) as gallery, ProgressBar("checking descriptors") as bar:
        found = gallery.verify(bar.update)
    show(as_json, {**asdict(found), "sound": found.sound}, verification_lines(found))
    if not found.sound:
        raise Exit(1)


def repair(db: DbOption = None) -> None:
    """Mend what is damaged. No image goes: those whose descriptors or rows are damaged keep their ids and labels, and
    wait to be described again; indexes are built anew."""
    from retrieval.gallery_info import repair_lines

    with gallery_of(db, damaged=True) as gallery:
        done = gallery.repair()
    print("\n".join(repair_lines(done)))


def compact(context: Context, db: DbOption = None) -> None:
    """Give back the space of removed images. Ids stay."""
    from cli.progress import ProgressBar
    from index.search.plan import size_text

    with face_search(context, db) as faces, ProgressBar() as bar:
        done = faces.compact(bar.tell)
    sizes, place = done.sizes, printable(str(faces.place))
    print(f"{place}: {size_text(sizes.before)} before, {size_text(sizes.after)} now, without the index")
    warn_not_searched(done.not_searched)


def redescribe(
    context: Context,
    db: DbOption = None,
    task: TaskOption = None,
    model: ModelOption = None,
    descriptor: DescriptorOption = None,
    candidates: CandidatesOption = "likely",
    identity: IdentityOption = None,
    drop: Annotated[bool, Option("--drop", help="Remove images whose files have gone or cannot be read.")] = False,
    detector: DetectorOption = None,
    give_up: Annotated[bool, Option("--give-up", help="Forget what was begun.")] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Describe every image by another model. Or with another encoder: ids and labels stay, and the gallery stays as it
    is until all are described; an interrupted run is taken up again."""
    from cli.progress import ProgressBar

    options = {"attribute": task, "descriptor": descriptor, "candidates": candidates, "identity": identity}
    with face_search(context, db, model=model, device=device, **options) as faces:
        if give_up:
            forgotten = faces.give_up_redescription()
            print("nothing was under way" if forgotten is None else f"{forgotten:,} new descriptions forgotten")
            return
        with ProgressBar() as bar:
            report = faces.redescribe(drop=drop, detector=detector, progress=bar.tell)
    if not as_json:
        unread = (reason if path in reason else f"{path}: {reason}" for path, reason in report.unread)
        say("not described", map(printable, unread))
    show(as_json, report.as_json(), report.lines(faces.place))
    warn_not_searched(report.not_searched)
    if not report.finished:
        raise Exit(3)


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
    from retrieval.gallery_info import plan_lines

    with gallery_of(db) as gallery:
        made = gallery.plan(requirements)
    show(as_json, {**asdict(made), "chosen": made.chosen.kind if made.chosen else None}, plan_lines(made))
    made.require()
