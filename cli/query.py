"""facesearch query: find people at another pose, in another light, without an occlusion."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import (
    AllIlluminationsOption,
    AllPosesOption,
    DbOption,
    DeviceOption,
    FaceOption,
    IlluminationOption,
    InpaintOption,
    JsonOption,
    ModelOption,
    ModelsOption,
    PoseOption,
    WhereOption,
    face_search,
    swept,
)

if TYPE_CHECKING:
    from retrieval.answers import Answer

_STANDARD_INPUT = Path("-")


def query(
    context: typer.Context,
    images: Annotated[
        list[Path],
        typer.Argument(help="Photographs or aligned faces; a folder of them; - for paths on standard input."),
    ],
    pose: PoseOption = None,
    illumination: IlluminationOption = None,
    inpaint: InpaintOption = False,
    all_poses: AllPosesOption = False,
    all_illuminations: AllIlluminationsOption = False,
    k: Annotated[int | None, typer.Option("-k", min=1, help="Show so many results. [default: 5; in a sweep 1]")] = None,
    where: WhereOption = None,
    distinct: Annotated[
        str | None,
        typer.Option("--distinct", help="Show each identity once, or each file's content once: identity or content."),
    ] = None,
    max_distance: Annotated[float | None, typer.Option(help="Leave results out that are farther, from 0 to 2.")] = None,
    face: FaceOption = None,
    db: DbOption = None,
    model: ModelOption = None,
    models: ModelsOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object a line for each query.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print comma-separated values, one line for each result.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(help="Write a picture of query, imagined faces and results to this file.")
    ] = None,
) -> None:
    """Imagine a person as asked, and find them. One attribute is imagined after the other; what is found are the
    nearest real pictures. With nothing asked, they are those that look most alike."""
    from faceedit.errors import ImageError
    from retrieval.checks import require_no_image
    from retrieval.wishes import asked_for, condition_of, require_distance, require_distinct

    asked = asked_for(pose, illumination, inpaint)
    attribute = swept(all_poses, all_illuminations, asked)
    require_distinct(distinct)
    require_distance(max_distance)
    from faceedit.text import printable
    from retrieval.answer_text import Format

    single, condition = _single(images), condition_of(where)
    form = Format(_format(as_json, as_jsonl, as_csv), attribute, several=single is None)
    _check_files(images, single, sheet, as_json)
    wishes: dict[str, Any] = {"pose": pose, "illumination": illumination, "inpaint": inpaint}
    wishes |= {"where": condition, "distinct": distinct, "max_distance": max_distance}
    found, answered, failures = False, 0, 0
    with face_search(context, db, model=model, models=models, device=device) as faces:
        if sheet is not None:
            require_no_image(sheet, faces.gallery.config.image_root)
        for image in _each(images):
            try:
                source = faces.read(image, face=face)
            except ImageError as error:
                if single is not None:
                    raise
                failures += 1
                print(f"skipped: {printable(str(error))}", file=sys.stderr)
                continue
            for warning in source.warnings:
                print(f"warning: {printable(f'{image}: {warning}')}", file=sys.stderr)
            if attribute is None:
                answers = [faces.query(source, k=k or 5, **wishes)]
            else:
                answers = faces.sweep(source, attribute.name, k=k or 1, **wishes)
            print(form.text(str(image), answers, first=answered == 0), flush=True)
            if hint := form.hint(str(image), answers):
                print(hint, file=sys.stderr)
            answered += 1
            found |= any(answer.results for answer in answers)
            if sheet is not None:
                _write_sheet(answers, sheet)
    if failures:
        print(f"warning: {failures:,} of the images could not be queried with", file=sys.stderr)
        raise typer.Exit(3)
    if not answered:
        print("nothing asked: no image was named on standard input", file=sys.stderr)
        raise typer.Exit(4)
    if not found:
        within = "" if max_distance is None else f", within a distance of {max_distance:g}"
        print(f"nothing found: no picture of the gallery meets the conditions{within}", file=sys.stderr)
        raise typer.Exit(4)


def _format(as_json: bool, as_jsonl: bool, as_csv: bool) -> str:
    from faceedit.errors import UsageError

    chosen = [name for name, on in (("json", as_json), ("jsonl", as_jsonl), ("csv", as_csv)) if on]
    if len(chosen) > 1:
        raise UsageError(f"--{' and --'.join(chosen)} together: choose one")
    return chosen[0] if chosen else "table"


def _single(images: Sequence[Path]) -> Path | None:
    """The one image to query with; None when there may be several."""
    one = images[0]
    return one if len(images) == 1 and one != _STANDARD_INPUT and not one.is_dir() else None


def _check_files(images: Sequence[Path], single: Path | None, sheet: Path | None, as_json: bool) -> None:
    """Refuse what cannot be read before the gallery is opened."""
    from faceedit.errors import UsageError
    from retrieval.checks import require_file, require_picture_name
    from retrieval.kinds import find_images

    if single is None and (as_json or sheet is not None):
        raise UsageError(f"{'--sheet' if sheet else '--json'} is for one image: take --jsonl or --csv for several")
    for image in images:
        if image.is_dir():
            find_images(image)
        elif image != _STANDARD_INPUT:
            require_file(image, "an image")
    if sheet is not None:
        require_picture_name(sheet, single)


def _each(images: Sequence[Path]) -> Iterator[Path]:
    """Every image that is meant, one at a time."""
    from retrieval.kinds import find_images

    for image in images:
        if image == _STANDARD_INPUT:
            yield from (Path(name) for line in sys.stdin if (name := line.rstrip("\r\n")))
        elif image.is_dir():
            yield from find_images(image)
        else:
            yield image


def _write_sheet(answers: Sequence[Answer], path: Path) -> None:
    from faceedit.images import write_picture
    from retrieval.sheets import answer_sheet

    write_picture(answer_sheet(answers), path)
