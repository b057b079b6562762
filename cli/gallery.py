"""facesearch gallery: look at a gallery, correct it, and check it."""

from __future__ import annotations

import csv
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.answers import aligned, printable
from cli.options import (
    DbOption,
    JsonOption,
    WhereOption,
    db_folder,
    filter_of,
)
from faceedit.errors import UsageError
from index.where import LARGEST

if TYPE_CHECKING:
    from index.gallery import Gallery, StoredImage

group = typer.Typer(help="Look at a gallery, correct it, and check it.", no_args_is_help=True, rich_markup_mode=None)

_SHOWN = ("id", "path", "identity", "pose", "illumination", "expression", "decided")
PathsArgument = Annotated[
    list[str] | None, typer.Argument(help="Images: their paths as `list` shows them, or as files, or their ids")
]


@group.command("info")
def info(db: DbOption = None, as_json: JsonOption = False) -> None:
    """Say what the gallery holds, where, described by which model, and how it is searched."""
    from index.gallery import Gallery
    from index.search.plan import size_text

    with Gallery.open(db_folder(db)) as gallery:
        config, images, problems = gallery.config, len(gallery), len(gallery.problems())
        migration = gallery.migration()
        about: dict[str, Any] = {
            "gallery": str(gallery.folder),
            "images": images,
            "people": gallery.count_identities(),
            "problems": problems,
            "image_root": str(config.image_root),
            "model": config.model_digest[:12],
            "task": config.task,
            "values": list(config.values),
            "descriptor": config.descriptor_size,
            "migration": asdict(migration) if migration else None,
            "bytes": _bytes(gallery.folder),
            "indexes": sorted(path.name for path in gallery.folder.iterdir() if _is_index(path)),
        }
    if as_json:
        print(json.dumps(about))
        return
    there = "" if config.image_root.is_dir() else "  (not there now)"
    lines = [
        ["gallery", about["gallery"]],
        ["images", f"{images:,} of {about['people']:,} people" + (f"; {problems:,} files unread" if problems else "")],
        ["files below", f"{about['image_root']}{there}"],
        ["described by", f"model {about['model']} for {config.task}, {config.descriptor_size:,} numbers an image"],
        ["on disk", size_text(about["bytes"])],
        ["searched by", ", ".join(about["indexes"]) or "no saved index; the next search makes one"],
    ]
    if migration is not None:
        to = f"to model {migration.model_digest[:12]}: {migration.staged:,} of {images:,} images described"
        lines.append(["migration", f"{to}; `gallery migrate --model` with that model goes on, --give-up forgets it"])
    print("\n".join(aligned(lines)))


@group.command("list")
def list_images(
    where: WhereOption = None,
    db: DbOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many [default: all]")] = None,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object a line for each image")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values")] = False,
) -> None:
    """List images with their labels; `decided` is the value that the network saw."""
    if as_jsonl and as_csv:
        raise UsageError("--jsonl and --csv together: choose one")
    some = filter_of(where)
    from itertools import islice

    from index.gallery import Gallery

    count = 0
    writer = csv.DictWriter(sys.stdout, _SHOWN, lineterminator="\n")
    if as_csv:
        writer.writeheader()
    with Gallery.open(db_folder(db)) as gallery:
        for image in islice(gallery.images(some), limit):
            row = _row(gallery, image)
            if as_jsonl:
                print(json.dumps(row))
            elif as_csv:
                writer.writerow(row)
            else:
                print("  ".join(_text(row[name]) for name in _SHOWN))
            count += 1
    if not count:
        raise typer.Exit(4)


@group.command("show")
def show(images: PathsArgument = None, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show everything that is known of images."""
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery:
        found = gallery.get(_ids(gallery, images, None))
        shown = [{**_row(gallery, image), **_details(gallery, image)} for image in found]
    if as_json:
        print(json.dumps(shown))
        return
    print("\n\n".join("\n".join(aligned([[name, _text(value)] for name, value in one.items()])) for one in shown))


@group.command("label")
def label(
    images: PathsArgument = None,
    where: WhereOption = None,
    identity: Annotated[str | None, typer.Option(help="Who it is; empty for unknown")] = None,
    pose: Annotated[str | None, typer.Option(help="Degrees; empty for unknown")] = None,
    illumination: Annotated[str | None, typer.Option(help="Number of the light; empty for unknown")] = None,
    expression: Annotated[str | None, typer.Option(help="Expression; empty for unknown")] = None,
    db: DbOption = None,
) -> None:
    """Correct the labels of images; those that are not given stay."""
    texts = {"identity": identity, "expression": expression}
    changes: dict[str, Any] = {name: text or None for name, text in texts.items() if text is not None}
    changes |= {
        name: _number(name, text) for name, text in (("pose", pose), ("illumination", illumination)) if text is not None
    }
    if not changes:
        raise UsageError("say what to change: --identity, --pose, --illumination or --expression")
    some = filter_of(where) if where is not None else None
    from dataclasses import replace

    from index.gallery import Gallery, Labels

    with Gallery.open(db_folder(db)) as gallery, gallery.writing():
        found = gallery.get(_ids(gallery, images, some))
        new = {
            image.path: replace(Labels(image.identity, image.pose, image.illumination, image.expression), **changes)
            for image in found
        }
        print(f"{gallery.update_labels(new):,} images labelled")


@group.command("remove")
def remove(
    images: PathsArgument = None,
    where: WhereOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which they are")] = False,
    db: DbOption = None,
) -> None:
    """Remove images from the gallery and erase their descriptors; the files themselves stay."""
    some = filter_of(where) if where is not None else None
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery:
        ids = _ids(gallery, images, some)
        if dry_run:
            for image in gallery.get(ids):
                print(printable(image.path))
            print(f"{len(ids):,} images would be removed", file=sys.stderr)
        else:
            reduced = any(gallery.folder.glob("search-*"))  # an index that only `prepare` makes
            print(f"{gallery.remove(ids):,} images removed, their descriptors erased")
            if reduced:
                prepare_search(gallery)


@group.command("problems")
def problems(db: DbOption = None, as_json: JsonOption = False) -> None:
    """List the files that could not be read, and why; `index` tries them again when they change."""
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery:
        found = gallery.problems()
    if as_json:
        print(json.dumps([{"path": one.path, "reason": one.reason, "found": one.found} for one in found]))
        return
    for one in found:
        print(f"{printable(one.path)}  {printable(one.reason)}")


def prepare_search(gallery: Gallery) -> None:
    """Give the gallery the index that its requirements ask for. That none can be built is a warning."""
    from cli.progress import ProgressBar
    from index.errors import GalleryEmptyError, GalleryError

    try:
        with ProgressBar("preparing the search") as bar:
            gallery.prepare(None, lambda what, done, of: bar.update(done, of, title=what))
    except GalleryEmptyError:
        pass
    except (GalleryError, OSError) as error:
        print(f"warning: the index is not built anew: {error}", file=sys.stderr)


def _ids(gallery: Gallery, names: list[str] | None, where: Any) -> list[int]:
    """The ids of the images that are meant, ascending. Raises UsageError, UnknownImageError."""
    if not names and where is None:
        raise UsageError("say which images: their paths or ids, or --where a condition")
    if names and where is not None:
        raise UsageError("paths and --where together: choose one")
    if not names:
        ids = [image.id for image in gallery.images(where)]
        if not ids:
            print("no image fulfils the condition", file=sys.stderr)
            raise typer.Exit(4)
        return ids
    found = []
    for name in names:
        if name.isdecimal() and len(name) < len(str(LARGEST)):
            found.append(gallery.get([int(name)])[0].id)
            continue
        known = gallery.ids_of([name]) or gallery.ids_of([_relative(gallery, name)])
        if not known:
            raise UsageError(f"the gallery holds no image {name!r}: give a path as `facesearch gallery list` shows it")
        found += known.values()
    return sorted(set(found))


def _relative(gallery: Gallery, name: str) -> str:
    """The path below the image root of a file that is named as the shell sees it."""
    path, root = Path(name).absolute(), gallery.config.image_root
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else name


def _row(gallery: Gallery, image: StoredImage) -> dict[str, Any]:
    values = {**vars(image), "decided": gallery.config.values[image.candidate]}
    return {name: values[name] for name in _SHOWN}


def _details(gallery: Gallery, image: StoredImage) -> dict[str, Any]:
    from retrieval.folder import is_gone

    file = gallery.config.image_root / image.path
    errors = zip(gallery.config.values, image.errors, strict=True)
    return {
        "file": str(file),
        "there": not is_gone(file),
        "sha256": image.sha256,
        "bytes": image.size,
        "errors": {str(value): round(error, 1) for value, error in errors if error is not None},
    }


def _number(name: str, text: str) -> int | None:
    try:
        number = int(text) if text else None
    except ValueError as error:
        raise UsageError(f"--{name} {text!r} is no whole number") from error
    if number is not None and abs(number) >= LARGEST:
        raise UsageError(f"--{name} {text!r} is too large a number")
    return number


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process works there
            stat = path.stat()
            total += stat.st_size if S_ISREG(stat.st_mode) else 0
    return total


def _is_index(path: Path) -> bool:
    return path.name.startswith(("exact-", "search-")) and not path.name.endswith(".tmp")


def _text(value: Any) -> str:
    return "-" if value is None else printable(str(value))
