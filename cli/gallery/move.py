"""facesearch gallery: move a gallery, as plain files or after its pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Context, Exit, Option

from cli.options import DbOption, db_place, face_search, gallery_of
from cli.telling import say
from faceedit.errors import UsageError
from retrieval.checks import require_keepable, require_output_folder
from retrieval.tables import counted, shown


def copy(
    context: Context,
    source: Annotated[str, Argument(metavar="FROM", help="A gallery's folder, or its address on a server.")],
    target: Annotated[str, Argument(metavar="TO", help="A new folder, or an address where there is none yet.")],
    vectors: Annotated[
        str, Option(metavar="ENGINE", help="Let this search a copy on a server: see `gallery create`.")
    ] = "faiss",
) -> None:
    """Copy a gallery to another place. From a folder to a server, back, or between two of a kind; all of it is read
    again and compared at the end, and a copy that was cut off goes on where it ended."""
    if not source or not target:  # elsewhere that means the usual gallery
        raise UsageError("FROM or TO is empty: give a gallery's folder, or its address on a server")
    place = db_place(target)
    if isinstance(place, Path):
        require_output_folder(place)
    from cli.progress import ProgressBar
    from retrieval.gallery_info import copied_lines, copy_warnings

    with face_search(context, source) as faces, ProgressBar("copying") as bar:
        done = faces.copy(place, bar.tell, vectors=vectors)
    print("\n".join(copied_lines(done, shown(faces.place), shown(place))))
    say("warning", copy_warnings(done, shown(faces.place)))


def export(
    folder: Annotated[Path, Argument(help="A new folder.")],
    pictures: Annotated[bool, Option("--pictures", help="Copy the images as well.")] = False,
    db: DbOption = None,
) -> None:
    """Write a gallery as plain files. These are gallery.json, faces.jsonl, descriptors.npy and perhaps pictures/."""
    require_output_folder(folder)
    from cli.progress import ProgressBar
    from retrieval.gallery_info import not_copied_lines

    with gallery_of(db) as gallery, ProgressBar("exporting") as bar:
        done = gallery.export(folder, pictures, bar.update)
    print(f"{shown(folder)}: {counted(done.images, 'image')}" + (" with their pictures" if pictures else ""))
    for line in not_copied_lines(done):
        print(line, file=sys.stderr)
    if done.missing:
        raise Exit(3)


def import_(
    folder: Annotated[Path, Argument(help="What `facesearch gallery export` wrote.")],
    root: Annotated[str | None, Option(help="Say where the images lie. [default: in the export, or as before]")] = None,
    db: DbOption = None,
) -> None:
    """Make a gallery of an exported one. Ids stay."""
    from index.stored import place_of
    from retrieval.folder import is_folder

    images = None if root is None else place_of(root)
    if images is not None and not is_folder(images):
        raise UsageError(f"{root} is no folder: give the one that the images lie in")
    require_keepable((images or folder).resolve())  # the images lie in one of them
    place = db_place(db)
    if not isinstance(place, Path):
        raise UsageError(f"{place} is on a server, and an export is read into a folder only: give a folder as --db")
    require_output_folder(place)
    from cli.progress import ProgressBar
    from index.care.restore import restore
    from index.gallery import Gallery
    from index.named_stores import name_store
    from retrieval.gallery_info import missing_files

    name_store(images or folder)
    with ProgressBar("importing") as bar:
        restore(folder, place, None if images is None else images.resolve(), bar.update)
    with Gallery.open(place) as gallery:
        missing = missing_files(gallery, gallery.config.image_root)
        below = shown(gallery.config.image_root)
        print(f"{shown(place)}: {counted(len(gallery), 'image')}, whose files lie below {below}")
    if missing:
        where = "say where they are with `facesearch gallery relocate`"
        say("warning", [f"the files of {counted(missing, 'image')} are not there; {where}"])


def relocate(
    context: Context,
    root: Annotated[
        str, Argument(help="Where the images lie now, with the same paths below it; or a folder that theirs lies in.")
    ],
    db: DbOption = None,
) -> None:
    """Say where the images lie now. For when their folder has moved, or one above it is to be indexed."""
    from index.stored import place_of

    with face_search(context, db) as faces:
        missing = faces.relocate(root)
        print(f"{shown(faces.place)}: images below {shown(place_of(root).resolve())}")
    if missing:
        say("warning", [f"the files of {counted(missing, 'image')} are not there"])
