"""facesearch index: describe a folder of pictures into a gallery."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import (
    CandidatesOption,
    DbOption,
    DescriptorOption,
    DeviceOption,
    JsonOption,
    MaxMemoryOption,
    MaxMsOption,
    ModelOption,
    RecallOption,
    TaskOption,
    db_folder,
    face_search,
)
from faceedit.text import message


def index(
    context: typer.Context,
    images: Annotated[Path, typer.Argument(help="The folder of the gallery's images.")],
    db: DbOption = None,
    labels: Annotated[
        Path | None, typer.Option(help="A manifest.csv that says path, identity, pose, ... of the images.")
    ] = None,
    task: TaskOption = None,
    model: ModelOption = None,
    descriptor: DescriptorOption = None,
    candidates: CandidatesOption = "likely",
    prune: Annotated[bool, typer.Option("--prune", help="Remove the images whose files have gone.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try files again that could not be read before.")] = False,
    identity_level: Annotated[
        str | None,
        typer.Option(
            "--identity-level",
            metavar="LEVEL",
            help="Which folder below IMAGES names a person: first, last or a number. [default: as before, or last]",
        ),
    ] = None,
    max_memory: MaxMemoryOption = None,
    recall: RecallOption = None,
    max_ms: MaxMsOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Describe a folder of images into a gallery. Every image is described under all candidate poses (or lights, for
    another task) and can be searched from then on."""
    from cli.progress import ProgressBar
    from retrieval.search_requirements import requirements_of

    started, place = time.monotonic(), db_folder(db)
    requirements = requirements_of(place, max_memory, recall, max_ms)
    options = {"attribute": task, "descriptor": descriptor, "candidates": candidates}
    with face_search(context, db, model=model, device=device, **options) as faces, ProgressBar() as bar:
        wishes: dict[str, Any] = {"prune": prune, "retry": retry, "identity_level": identity_level}
        report = faces.index(images, labels, requirements=requirements, progress=bar.tell, **wishes)
    for line in report.skipped_lines():
        print(f"skipped: {line}", file=sys.stderr)
    if as_json:
        print(json.dumps({"gallery": str(place), **report.as_json()}))
    else:
        print("\n".join(report.lines(place, time.monotonic() - started)))
    for line in report.warnings():
        print(f"warning: {line}", file=sys.stderr)
    if report.not_searched is not None and requirements is not None:
        raise report.not_searched
    if report.not_searched is not None:
        print(f"warning: the gallery is searched as before: {message(str(report.not_searched))}", file=sys.stderr)
    if report.skipped:
        raise typer.Exit(3)
