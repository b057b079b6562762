"""facesearch gallery: move a gallery, as plain files or after its pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Exit

from cli import options
from cli.telling import ProgressBar, say
from faceedit.errors import UsageError
from index.stored import place_of
from retrieval.checks import require_output_folder
from retrieval.tables import counted, shown


def copy(
    source: Annotated[str, "FROM", "A gallery's folder, or its address on a server."],
    target: Annotated[str, "TO", "A new folder, or an address where there is none yet."],
    vectors: Annotated[str, "ENGINE", "Let this search a copy on a server: see `gallery create`."] = "faiss",
) -> None:
    """Copy a gallery to another place. From a folder to a server, back, or between two of a kind; all of it is read
    again and compared at the end, and a copy that was cut off goes on where it ended."""
    if not source or not target:  # elsewhere that means the usual gallery
        raise UsageError("FROM or TO is empty: give a gallery's folder, or its address on a server")
    place = options.place_of(target)
    from retrieval.gallery_info import copied_lines, copy_warnings

    with options.face_search(source) as faces, ProgressBar("copying") as bar:
        done = faces.copy(place, bar.tell, vectors=vectors)
    print("\n".join(copied_lines(done, faces.place, place)))
    say("warning", copy_warnings(done, faces.place))


def export(
    folder: Annotated[Path, "A new folder."],
    pictures: Annotated[bool, "Copy the images as well."] = False,
    db: options.Db = None,
) -> None:
    """Write a gallery as plain files. These are gallery.json, faces.jsonl, descriptors.npy and perhaps pictures/."""
    require_output_folder(folder)
    from retrieval.gallery_info import not_copied_lines

    with options.gallery_of(db) as gallery, ProgressBar("exporting") as bar:
        done = gallery.export(folder, pictures, bar.update)
    print(f"{shown(folder)}: {counted(done.images, 'image')}" + (" with their pictures" if pictures else ""))
    for line in not_copied_lines(done):
        print(line, file=sys.stderr)
    if done.missing:
        raise Exit(3)


def import_(
    folder: Annotated[Path, "What `facesearch gallery export` wrote."],
    root: Annotated[str | None, "Say where the images lie. [default: in the export, or as before]"] = None,
    db: options.Db = None,
) -> None:
    """Make a gallery of an exported one. Ids stay."""
    with options.face_search(db) as faces, ProgressBar("importing") as bar:
        done = faces.restore(folder, root, bar.update)
    print("\n".join(done.lines()))
    say("warning", done.warnings())


def relocate(
    root: Annotated[str, "Where the images lie now, with the same paths below it; or a folder that theirs lies in."],
    db: options.Db = None,
) -> None:
    """Say where the images lie now. For when their folder has moved, or one above it is to be indexed."""
    with options.face_search(db) as faces:
        missing = faces.relocate(root)
        print(f"{shown(faces.place)}: images below {shown(place_of(root).resolve())}")
    if missing:
        say("warning", [f"the files of {counted(missing, 'image')} are not there"])
