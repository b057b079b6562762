"""facesearch data: make a data set with a manifest from other people's folders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option, Typer

from cli.options import DetectorOption
from retrieval.checks import require_output_folder
from retrieval.tables import shown

group = Typer(help="Make a data set of photographs.", no_args_is_help=True)
_LISTED = 20  # files named on stderr; skipped.csv names all that were skipped


@group.callback()
def data() -> None:
    """Make a data set of photographs. They come from Multi-PIE, from folders or from a CSV."""


@group.command("import")
def import_(
    layout: Annotated[str, Argument(help="Say multipie, folders (one for each person) or csv.")],
    root: Annotated[Path, Argument(help="The folder, or the CSV file.")],
    out: Annotated[Path, Option(help="Write the data set into this folder; an unfinished one is continued.")],
    landmarks: Annotated[
        Path | None, Option(help="A CSV that says path, eye_left_x, eye_left_y, ... (see docs).")
    ] = None,
    size: Annotated[int, Option(min=8, max=1024, help="Make crops with so many pixels a side.")] = 60,
    upright: Annotated[bool, Option("--upright", help="Also turn each face until its eyes are level.")] = False,
    faces: Annotated[
        str, Option(help="Without landmarks, cut out the only face (auto) or the largest, or take all as aligned.")
    ] = "auto",
    detector: DetectorOption = None,
    sessions: Annotated[str, Option(help="Take these sessions of Multi-PIE, such as 1 or 1,2.")] = "1",
    recordings: Annotated[str, Option(help="Take these recordings of Multi-PIE; 1 is the neutral face.")] = "1",
) -> None:
    """Align and crop photographs. By eyes and chin (or mouth), which a detector finds where nobody says them; writes
    images/, manifest.csv and skipped.csv."""
    require_output_folder(out)
    from cli.progress import ProgressBar
    from faceedit.cropping import CropSettings
    from faceedit.sources.importing import LandmarkFile, cropper_of, import_photographs
    from faceedit.sources.layouts import list_layout

    cropper = cropper_of(layout, CropSettings(size, upright, faces), landmarks, detector)
    listing = list_layout(layout, root, sessions, recordings)
    points = LandmarkFile(landmarks) if landmarks else None
    with ProgressBar("aligning photographs") as bar:
        made = import_photographs(listing, out, points, cropper, bar.update)
    for line in made.lines(_LISTED):
        print(line, file=sys.stderr)
    left_out = len(made.skipped) - len(made.problems)
    print(f"{shown(made.manifest)}: {made.crops:,} crops; {len(made.problems):,} skipped, {left_out:,} not asked for")
    if made.problems:
        raise Exit(3)
