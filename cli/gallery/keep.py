"""facesearch gallery: keep a gallery sound, small and up to date."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from typer import Exit

from cli import options
from cli.telling import ProgressBar, say, show


def create(
    db: options.Db = None,
    vectors: Annotated[
        str,
        "ENGINE",
        "Search by faiss; or, of a gallery on a server, by pgvector, milvus://HOST:PORT/COLLECTION or a "
        "Milvus Lite's FILE.db.",
    ] = "faiss",
    root: Annotated[str | None, "The images' folder, or its address in a store. [default: this one]"] = None,
    task: options.Task = None,
    model: options.Model = None,
    descriptor: options.Descriptor = None,
    identity: options.Identity = None,
) -> None:
    """Make an empty gallery. `facesearch index` does so by itself; this is for saying what searches it."""
    with options.face_search(db, model=model, attribute=task, descriptor=descriptor, identity=identity) as faces:
        made = faces.create(root or ".", vectors)
    print("\n".join(made.lines()))


def verify(db: options.Db = None, as_json: options.Json = False) -> None:
    """Check that a gallery is sound. The database, every descriptor against its hash, and the index against every
    descriptor."""
    from retrieval.gallery_info import verification_lines

    with options.gallery_of(db, damaged=True) as gallery, ProgressBar("checking descriptors") as bar:
        found = gallery.verify(bar.update)
    show(as_json, {**asdict(found), "sound": found.sound}, verification_lines(found))
    if not found.sound:
        raise Exit(1)


def repair(db: options.Db = None) -> None:
    """Mend what is damaged. No image goes: those whose descriptors or rows are damaged keep their ids and labels, and
    wait to be described again; indexes are built anew."""
    from retrieval.gallery_info import repair_lines

    with options.gallery_of(db, damaged=True) as gallery:
        done = gallery.repair()
    print("\n".join(repair_lines(done)))


def compact(db: options.Db = None) -> None:
    """Give back the space of removed images. Ids stay."""
    with options.face_search(db) as faces, ProgressBar() as bar:
        done = faces.compact(bar.tell)
    print("\n".join(done.lines(faces.place)))
    say("warning", done.warnings())


def redescribe(
    db: options.Db = None,
    task: options.Task = None,
    model: options.Model = None,
    descriptor: options.Descriptor = None,
    candidates: options.Candidates = "likely",
    identity: options.Identity = None,
    drop: Annotated[bool, "Remove images whose files have gone or cannot be read."] = False,
    detector: options.Detector = None,
    give_up: Annotated[bool, "Forget what was begun."] = False,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Describe every image by another model. Or with another encoder: ids and labels stay, and the gallery stays as it
    is until all are described; an interrupted run is taken up again."""
    by = {"attribute": task, "descriptor": descriptor, "candidates": candidates, "identity": identity}
    with options.face_search(db, model=model, device=device, **by) as faces:
        if give_up:
            forgotten = faces.give_up_redescription()
            print("nothing was under way" if forgotten is None else f"{forgotten:,} new descriptions forgotten")
            return
        with ProgressBar() as bar:
            report = faces.redescribe(drop=drop, detector=detector, progress=bar.tell)
    say("not described", () if as_json else report.unread_lines())
    show(as_json, report.as_json(), report.lines(faces.place))
    say("warning", report.warnings())
    if not report.finished:
        raise Exit(3)


def plan(
    db: options.Db = None,
    max_memory: options.MaxMemory = None,
    recall: options.Recall = None,
    max_ms: options.MaxMs = None,
    as_json: options.Json = False,
) -> None:
    """Say how the gallery is searched best. Within so much memory and time, and why; nothing is changed."""
    from retrieval.search_requirements import requirements_of

    requirements = requirements_of(options.place_of(db), max_memory, recall, max_ms)
    from retrieval.gallery_info import plan_lines

    with options.gallery_of(db) as gallery:
        made = gallery.plan(requirements)
    show(as_json, {**asdict(made), "chosen": made.chosen.kind if made.chosen else None}, plan_lines(made))
    made.require()
