"""facesearch data, synth: make a data set with a manifest, from other people's folders or of rendered people."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Exit, Option

from cli import options
from cli.telling import ProgressBar
from faceedit.errors import UsageError
from retrieval.checks import require_output_folder


def import_(
    layout: Annotated[str, "Say multipie, folders (one for each person) or csv."],
    root: Annotated[Path, "The folder, or the CSV file."],
    out: Annotated[Path, "--out", "Write the data set into this folder; an unfinished one is continued."],
    landmarks: Annotated[Path | None, "A CSV that says path, eye_left_x, eye_left_y, ... (see docs)."] = None,
    size: Annotated[int, Option(min=8, max=1024, help="Make crops with so many pixels a side.")] = 60,
    upright: Annotated[bool, "Also turn each face until its eyes are level."] = False,
    faces: Annotated[
        str, "Without landmarks, cut out the only face (auto) or the largest, or take all as aligned crops."
    ] = "auto",
    detector: options.Detector = None,
    sessions: Annotated[str, "Take these sessions of Multi-PIE, such as 1 or 1,2."] = "1",
    recordings: Annotated[str, "Take these recordings of Multi-PIE; 1 is the neutral face."] = "1",
) -> None:
    """Align and crop photographs. By eyes and chin (or mouth), which a detector finds where nobody says them; writes
    images/, manifest.csv and skipped.csv."""
    require_output_folder(out)
    from faceedit.cropping import CropSettings
    from faceedit.sources.importing import LandmarkFile, cropper_of, import_photographs
    from faceedit.sources.layouts import list_layout

    cropper = cropper_of(layout, CropSettings(size, upright, faces), landmarks, detector)
    listing, points = list_layout(layout, root, sessions, recordings), LandmarkFile(landmarks) if landmarks else None
    with ProgressBar("aligning photographs") as bar:
        made = import_photographs(listing, out, points, cropper, bar.update)
    for line in made.lines():
        print(line, file=sys.stderr)
    print(made.text)
    if made.problems:
        raise Exit(3)


def synth(
    face_model: Annotated[Path, "--face-model", "The ICT Face Model Light: FaceXModel/ or ict_face_light.npz."],
    out: Annotated[Path, "--out", "Write into this folder; what is unfinished there is continued."],
    identities: Annotated[int, Option(min=2, help="Render so many people: 100 train, 149 test, more train.")] = 249,
    variety: Annotated[bool, "Vary expressions, lights, clothes, ...: to learn from for photographs."] = False,
    knob: options.Knob = None,
    seed: Annotated[
        int | None,
        Option(min=0, help="Choose the people by this number; another has others. [default: 0, with --variety 1]"),
    ] = None,
    processes: Annotated[int | None, Option(min=1, help="Start so many processes. [default: one per core]")] = None,
) -> None:
    """Render people from a face model. At 7 poses under 20 lights: images, masks, backgrounds and manifest.csv."""
    if knob and not variety:
        raise UsageError("--knob without --variety: the paper's protocol has none")
    from faceedit.synth.database import SynthConfig, render_database
    from faceedit.synth.variety import Variety
    from faceedit.training.knobs import turned

    chosen = turned(Variety(), knob or []) if variety else None
    config = SynthConfig(identities=identities, seed=int(variety) if seed is None else seed, variety=chosen)
    with ProgressBar("rendering people") as bar:
        manifest = render_database(face_model, out, config, processes, bar.update)
    print(f"{identities} people, {config.pictures:,} pictures: {manifest}")
