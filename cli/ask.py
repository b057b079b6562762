"""facesearch query, compare, edit: what pictures are asked for, with each other, and to be imagined otherwise."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Exit, Option

from cli import options
from cli.telling import say, show, warn_of
from index.stored import place_typed
from retrieval.checks import require_image, require_no_image, require_picture_name
from retrieval.tables import shown


def query(
    images: Annotated[
        list[Path] | None,
        Argument(help="Photographs or aligned faces; a folder of them; - for paths on standard input."),
    ] = None,
    person: Annotated[str | None, "Ask for somebody of the gallery instead: by name, or by number of `people`."] = None,
    pose: options.Pose = None,
    illumination: options.Illumination = None,
    inpaint: options.Inpaint = False,
    all_poses: options.AllPoses = False,
    all_illuminations: options.AllIlluminations = False,
    k: Annotated[int | None, Option("-k", min=1, help="Show so many results. [default: 5; in a sweep 1]")] = None,
    where: options.Where = None,
    distinct: Annotated[str | None, "Show each identity, each file's content or each photo once: by that name."] = None,
    max_distance: Annotated[float | None, "Leave results out that are farther, from 0 to 2."] = None,
    face: options.Face = None,
    db: options.Db = None,
    model: options.Model = None,
    models: options.Models = None,
    identity: options.Identity = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
    as_jsonl: Annotated[bool, "--jsonl", "Print one JSON object a line for each query."] = False,
    as_csv: Annotated[bool, "--csv", "Print comma-separated values, one line for each result."] = False,
    sheet: Annotated[Path | None, "Write a picture of query, imagined faces and results to this file."] = None,
) -> None:
    """Imagine a person as asked, and find them. One attribute is imagined after the other; what is found are the
    nearest real pictures. With nothing asked, they are those of whom it is, at any look. With --person all faces of
    that person say who it is."""
    from retrieval.wishes import Selection, asked_for, condition_of

    every = options.swept(all_poses, all_illuminations, asked_for(pose, illumination, inpaint))
    selection = Selection(k or (1 if every else 5), condition_of(where), distinct, max_distance)
    wishes: dict[str, Any] = {"pose": pose, "illumination": illumination, "inpaint": inpaint, "person": person}
    from retrieval.answer_text import Format
    from retrieval.query_images import Asked, Outcome
    from retrieval.sheets import write_answers

    asked, outcome = Asked([*map(place_typed, images or ())], person, face), Outcome(partial(say, "skipped"))
    form = Format(options.one_of("table", json=as_json, jsonl=as_jsonl, csv=as_csv), every, asked.single is None)
    asked.require(sheet, as_json)
    with options.face_search(db, model=model, models=models, identity=identity, device=device) as faces:
        if sheet is not None:
            require_no_image(sheet, faces.gallery.config.image_root)
        for image, source in asked.sources(sys.stdin, lambda image: faces.read(image, face=face), outcome.skip):
            warn_of(source)
            if every is None:
                answers = [faces.query(source, **wishes, **vars(selection))]
            else:
                answers = faces.sweep(source, every.name, **wishes, **vars(selection))
            print(form.text(str(image), answers, first=not outcome.answered), flush=True)
            say("warning", form.warnings(str(image), answers))
            outcome.count(answers)
            if sheet is not None:
                write_answers(answers, sheet)
    if missing := outcome.missing(max_distance):
        say(*missing)
        raise Exit(3 if outcome.failed else 4)


def compare(
    one: Annotated[Path, "A photograph or an aligned face."],
    other: Annotated[Path, "Another one."],
    false_accepts: Annotated[float, "Let this share of strangers pass for one person: 0.01, 0.001 or 0.0001."] = 0.001,
    face: options.Face = None,
    other_face: Annotated[int | None, Option(min=1, help="Mean this face of the other picture.")] = None,
    identity: options.Identity = None,
    model: options.Model = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Say whether two pictures show one person. The exit code is 0 where they do, and 4 where they do not."""
    one, other = map(require_image, (one, other))
    with options.face_search(model=model, identity=identity, device=device) as faces:
        sources = faces.read(one, face=face), faces.read(other, face=other_face)
        warn_of(*sources)
        found = faces.compare(*sources, false_accepts=false_accepts)
    show(as_json, found.as_json(), [str(found)])
    if not found.same:
        raise Exit(4)


def edit(
    image: Annotated[Path, "A photograph or an aligned face."],
    output: Annotated[Path, "--output", "-o", "Write the picture to this file."],
    pose: options.Pose = None,
    illumination: options.Illumination = None,
    inpaint: options.Inpaint = False,
    all_poses: options.AllPoses = False,
    all_illuminations: options.AllIlluminations = False,
    size: Annotated[
        int | None, "Make pictures with sides of so many pixels, 60 to 240. [default: as the image has, within these]"
    ] = None,
    face: options.Face = None,
    model: options.Model = None,
    models: options.Models = None,
    device: options.Device = "auto",
) -> None:
    """Imagine a face as asked. With --all-poses (or nothing asked) it is a strip of all seven."""
    from retrieval.wishes import asked_for

    asked = asked_for(pose, illumination, inpaint)
    every = options.swept(all_poses or not (asked or all_illuminations), all_illuminations, asked)
    image = require_image(image)
    require_picture_name(output, image)
    from faceedit.images import write_picture

    wishes: dict[str, Any] = {"pose": pose, "illumination": illumination, "inpaint": inpaint}
    with options.face_search(model=model, models=models, device=device) as faces:
        source = faces.read(image, size=size, face=face)
        warn_of(source)
        if every is None:
            steps = faces.edit(source, **wishes)
            picture, told = steps[-1].picture, ", ".join(step.text for step in steps)
        else:
            picture = faces.strip(source, every.name, **wishes)
            own = faces.decide(source, every.name)
            told = f"{every.name} {', '.join(map(str, every.values))}; the image itself looks like {own}"
    write_picture(picture, output)
    print(f"{shown(output)}: {told}")
