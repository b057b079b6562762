"""facesearch query: find a person at another pose, in another light, without an occlusion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.answers import print_answer, print_sweep, write_sheet
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
    db_folder,
    model_folder,
    require_file,
    require_picture_name,
)


def query(
    image: Annotated[Path, typer.Argument(help="An aligned face of the person")],
    pose: PoseOption = None,
    illumination: IlluminationOption = None,
    inpaint: InpaintOption = False,
    all_poses: AllPosesOption = False,
    all_illuminations: AllIlluminationsOption = False,
    k: Annotated[int | None, typer.Option("-k", min=1, help="How many results [default: 5; in a sweep 1]")] = None,
    db: DbOption = None,
    model: ModelOption = None,
    models: ModelsOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a picture of query, imagined faces and results")] = None,
) -> None:
    """Imagine the person as asked, one attribute after the other, and find the nearest real pictures."""
    from faceedit.errors import UsageError

    asked = asked_for(pose, illumination, inpaint)
    space = swept(all_poses, all_illuminations, asked)
    if not asked and space is None:
        raise UsageError("say how to see the person: --pose, --illumination, --inpaint, or --all-poses")
    require_file(image, "an image")
    if sheet is not None:
        require_picture_name(sheet, image)
    from faceedit.images import read_crop

    read_crop(image)  # refuse an unreadable picture before the network is loaded
    from index.gallery import Gallery

    with Gallery.open(db_folder(db)) as gallery:
        if len(gallery) == 0:
            from index.errors import GalleryEmptyError

            raise GalleryEmptyError(f"the gallery {db_folder(db)} is empty: run `facesearch index` on a folder first")
        task = gallery.config.task
        names = dict.fromkeys([task, *asked, *([space.name] if space else [])])
        own = {task: model_folder(model, task, models)}
        from retrieval.query import QueryEngine

        engine = QueryEngine(gallery, load_editors(names, models, device, own, gallery.config))
        if space is None:
            answers = [engine.query(image, asked, k or 5)]
            print_answer(engine, answers[0], image, as_json)
        else:
            answers = list(engine.sweep(image, space, asked, k or 1))
            print_sweep(engine, space, answers, image, as_json)
        if sheet is not None:
            write_sheet(engine, answers, sheet)
    if not any(answer.matches for answer in answers):
        raise typer.Exit(4)
