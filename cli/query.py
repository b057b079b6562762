"""facesearch query: find people at another pose, in another light, without an occlusion."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Context, Exit, Option

from cli.options import (
    AllIlluminationsOption,
    AllPosesOption,
    DbOption,
    DeviceOption,
    FaceOption,
    IdentityOption,
    IlluminationOption,
    InpaintOption,
    JsonOption,
    ModelOption,
    ModelsOption,
    PoseOption,
    WhereOption,
    face_search,
    one_of,
    swept,
)
from cli.telling import say, warn_of


def query(
    context: Context,
    images: Annotated[
        list[Path] | None,
        Argument(help="Photographs or aligned faces; a folder of them; - for paths on standard input."),
    ] = None,
    person: Annotated[
        str | None, Option(help="Ask for somebody of the gallery instead: by name, or by number of `people`.")
    ] = None,
    pose: PoseOption = None,
    illumination: IlluminationOption = None,
    inpaint: InpaintOption = False,
    all_poses: AllPosesOption = False,
    all_illuminations: AllIlluminationsOption = False,
    k: Annotated[int | None, Option("-k", min=1, help="Show so many results. [default: 5; in a sweep 1]")] = None,
    where: WhereOption = None,
    distinct: Annotated[
        str | None, Option(help="Show each identity, each file's content or each photo once: by that name.")
    ] = None,
    max_distance: Annotated[float | None, Option(help="Leave results out that are farther, from 0 to 2.")] = None,
    face: FaceOption = None,
    db: DbOption = None,
    model: ModelOption = None,
    models: ModelsOption = None,
    identity: IdentityOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    as_jsonl: Annotated[bool, Option("--jsonl", help="Print one JSON object a line for each query.")] = False,
    as_csv: Annotated[bool, Option("--csv", help="Print comma-separated values, one line for each result.")] = False,
    sheet: Annotated[
        Path | None, Option(help="Write a picture of query, imagined faces and results to this file.")
    ] = None,
) -> None:
    """Imagine a person as asked, and find them. One attribute is imagined after the other; what is found are the
    nearest real pictures. With nothing asked, they are those of whom it is, at any look. With --person all faces of
    that person say who it is."""
    from retrieval.checks import require_no_image
    from retrieval.wishes import asked_for, condition_of, require_distance, require_distinct

    asked = asked_for(pose, illumination, inpaint)
    attribute = swept(all_poses, all_illuminations, asked)
    require_distinct(distinct)
    require_distance(max_distance)
    from index.stored import place_typed
    from retrieval.answer_text import Format
    from retrieval.query_images import Asked

    asked_of, condition = Asked([*map(place_typed, images or ())], person, face), condition_of(where)
    form = Format(one_of("table", json=as_json, jsonl=as_jsonl, csv=as_csv), attribute, several=asked_of.single is None)
    asked_of.require(sheet, as_json)
    wishes: dict[str, Any] = {"pose": pose, "illumination": illumination, "inpaint": inpaint}
    wishes |= {"where": condition, "distinct": distinct, "max_distance": max_distance}
    found, answered, failures = False, 0, list[str]()

    def skipped(reason: str) -> None:
        failures.append(reason)
        say("skipped", [reason])

    with face_search(context, db, model=model, models=models, identity=identity, device=device) as faces:
        if sheet is not None:
            from faceedit.images import write_picture
            from retrieval.sheets import answer_sheet

            require_no_image(sheet, faces.gallery.config.image_root)
        for image, source in asked_of.sources(sys.stdin, lambda image: faces.read(image, face=face), skipped):
            if source is not None:
                warn_of(source)
            if attribute is None:
                answers = [faces.query(source, person=person, k=k or 5, **wishes)]
            else:
                answers = faces.sweep(source, attribute.name, person=person, k=k or 1, **wishes)
            print(form.text(str(image), answers, first=answered == 0), flush=True)
            if hint := form.hint(str(image), answers):
                print(hint, file=sys.stderr)
            answered += 1
            found |= any(answer.results for answer in answers)
            if sheet is not None:
                write_picture(answer_sheet(answers), sheet)
    _require_all(len(failures), answered, found, max_distance)


def _require_all(failures: int, answered: int, found: bool, max_distance: float | None) -> None:
    """Leave with the code of what is missing, and say what it is."""
    if failures:
        say("warning", [f"{failures:,} of the images could not be queried with"])
        raise Exit(3)
    if not answered:
        say("nothing asked", ["no image was named on standard input"])
        raise Exit(4)
    if not found:
        within = "" if max_distance is None else f", within a distance of {max_distance:g}"
        say("nothing found", [f"no picture of the gallery meets the conditions{within}"])
        raise Exit(4)
