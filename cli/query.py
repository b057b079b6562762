"""facesearch query: find people at another pose, in another light, without an occlusion."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.answers import FORMATS, printable, printer, write_sheet
from cli.asking import (
    AllIlluminationsOption,
    AllPosesOption,
    IlluminationOption,
    InpaintOption,
    PoseOption,
    asked_for,
    load_editors,
    swept,
)
from cli.options import (
    DbOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    ModelsOption,
    WhereOption,
    db_folder,
    filter_of,
    model_folder,
    require_file,
    require_picture_name,
)
from faceedit.errors import FaceEditError, UsageError

if TYPE_CHECKING:
    from retrieval.query import Answer

_STANDARD_INPUT = Path("-")


def query(
    images: Annotated[
        list[Path], typer.Argument(help="Aligned faces; a folder of them; - for paths on standard input")
    ],
    pose: PoseOption = None,
    illumination: IlluminationOption = None,
    inpaint: InpaintOption = False,
    all_poses: AllPosesOption = False,
    all_illuminations: AllIlluminationsOption = False,
    k: Annotated[int | None, typer.Option("-k", min=1, help="How many results [default: 5; in a sweep 1]")] = None,
    where: WhereOption = None,
    distinct: Annotated[
        str | None, typer.Option("--distinct", help="identity: each person once; content: each file's content once")
    ] = None,
    db: DbOption = None,
    model: ModelOption = None,
    models: ModelsOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object a line for each query")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print comma-separated values, one line for each result")
    ] = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a picture of query, imagined faces and results")] = None,
) -> None:
    """Imagine each person as asked, one attribute after the other, and find the nearest real pictures."""
    asked = asked_for(pose, illumination, inpaint)
    space = swept(all_poses, all_illuminations, asked)
    if not asked and space is None:
        raise UsageError("say how to see the person: --pose, --illumination, --inpaint, or --all-poses")
    form = _format(as_json, as_jsonl, as_csv)
    single = _single(images)
    if single is None and (form == "json" or sheet is not None):
        raise UsageError(f"{'--sheet' if sheet else '--json'} is for one image: take --jsonl or --csv for several")
    some = filter_of(where)
    _check_files(images, single, sheet)
    from index.gallery import Gallery
    from retrieval.query import QueryEngine, require_distinct

    if distinct is not None:
        require_distinct(distinct)
    failures = 0
    found = False
    with Gallery.open(db_folder(db)) as gallery:
        if len(gallery) == 0:
            from index.errors import GalleryEmptyError

            raise GalleryEmptyError(f"the gallery {db_folder(db)} is empty: run `facesearch index` on a folder first")
        task = gallery.config.task
        names = dict.fromkeys([task, *asked, *([space.name] if space else [])])
        own = {task: model_folder(model, task, models)}
        engine = QueryEngine(gallery, load_editors(names, models, device, own, gallery.config))
        show = printer(form, engine, space, several=single is None)

        def answers_for(image: Path) -> list[Answer]:
            if space is None:
                return [engine.query(image, asked, k or 5, some, distinct)]
            return list(engine.sweep(image, space, asked, k or 1, some, distinct))

        for image in _each(images) if single is None else [single]:
            try:
                require_file(image, "an image")
                answers = answers_for(image)
            except FaceEditError as error:
                if single is not None:
                    raise
                failures += 1
                print(f"skipped: {printable(str(error))}", file=sys.stderr)
                continue
            show(image, answers)
            found |= any(answer.matches for answer in answers)
            if sheet is not None:
                write_sheet(engine, answers, sheet)
    if failures:
        print(f"warning: {failures:,} of the images could not be queried with", file=sys.stderr)
        raise typer.Exit(3)
    if not found:
        raise typer.Exit(4)


def _format(as_json: bool, as_jsonl: bool, as_csv: bool) -> str:
    chosen = [name for name, on in zip(FORMATS[1:], (as_json, as_jsonl, as_csv), strict=True) if on]
    if len(chosen) > 1:
        raise UsageError(f"--{' and --'.join(chosen)} together: choose one")
    return chosen[0] if chosen else FORMATS[0]


def _single(images: Sequence[Path]) -> Path | None:
    """The one image to query with; None when there may be several."""
    one = images[0]
    return one if len(images) == 1 and one != _STANDARD_INPUT and not one.is_dir() else None


def _check_files(images: Sequence[Path], single: Path | None, sheet: Path | None) -> None:
    """Refuse what cannot be read before the network is loaded."""
    if single is not None:
        require_file(single, "an image")
        if sheet is not None:
            require_picture_name(sheet, single)
        from faceedit.images import read_crop

        read_crop(single)
    from retrieval.folder import find_images

    for image in images:
        if image.is_dir():
            find_images(image)
        elif image != _STANDARD_INPUT:
            require_file(image, "an image")


def _each(images: Sequence[Path]) -> Iterator[Path]:
    """Every image that is meant, one at a time."""
    from retrieval.folder import find_images

    for image in images:
        if image == _STANDARD_INPUT:
            yield from (Path(name) for line in sys.stdin if (name := line.rstrip("\r\n")))
        elif image.is_dir():
            yield from find_images(image)
        else:
            yield image
