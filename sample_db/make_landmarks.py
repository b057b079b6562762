"""Make sample_db/models/landmarks: render people, let the detector look at them, learn, write the network and its card.

    python sample_db/make_landmarks.py FACE_MODEL WORK [--people 80] [--steps 3000]

FACE_MODEL: the ICT Face Model Light, as for `facesearch synth`. WORK: a folder for people/ and the checkpoint; what is
there is gone on with. Needs the extras synth and photos, and the package onnx; a person takes 5 seconds of one core,
an update 0.25. The first 12 people are held out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from faceedit.face_detector import FaceDetector
from faceedit.landmarks import FOLDER
from faceedit.synth.database import LICENCE
from faceedit.synth.head import load_head
from faceedit.training.landmark_pictures import load_people, render_people
from faceedit.training.landmarks import LandmarkRun, export_landmarks, train_landmarks

HELD_OUT = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("face_model", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--people", type=int, default=80)
    parser.add_argument("--steps", type=int, default=3000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    files = []
    head = load_head(given.face_model)
    for file in render_people(head, FaceDetector(), given.work / "people", range(given.people)):
        files.append(file)
        print(f"\r{len(files)} of {given.people} people", end="", flush=True)
    learn, held = load_people(files[HELD_OUT:]), load_people(files[:HELD_OUT])
    run = LandmarkRun(given.work, given.steps)
    network = train_landmarks(learn, held, run, lambda step, errors: print(f"\n{step}: {errors}", flush=True))
    provenance = {"updates": run.steps, "of": run.batch, "pictures": len(learn), "people": given.people - HELD_OUT}
    export_landmarks(network, FOLDER, provenance, LICENCE)
    print(f"\n{FOLDER}")


if __name__ == "__main__":
    main()
