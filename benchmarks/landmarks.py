"""What the landmark network is worth: raw photographs of people cut by a detector's own points, and by the network's.

    python benchmarks/landmarks.py --real REAL [--model FOLDER] [--landmarks FOLDER]

REAL: photographs.csv (path, identity, pose, expression) of raw photographs, and manifest.csv of published crops of the
same, never trained on. Every photograph is asked for at each other pose of its person with the same expression, in the
gallery of all: recall@1 and @5, by the pose that is asked for, for the published crops, for the detector's and for the
network's. Beside it, where these lie against the published crops, which are found again in the photographs to a
hundredth of a pixel (Evangelidis and Psarakis, PAMI 2008).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.align import EYES, Landmarks, align, crop_side
from faceedit.attributes import POSE
from faceedit.decoding import read_photograph
from faceedit.editor import Editor
from faceedit.face_detector import FaceDetector
from faceedit.images import read_crops
from faceedit.landmarks import FOLDER, LandmarkFinder
from faceedit.manifest import Manifest, read_manifest

MODELS = Path(__file__).resolve().parent.parent / "sample_db" / "models"
KEYS = ("identity", "pose", "expression")
Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=MODELS / "pose")
    parser.add_argument("--landmarks", type=Path, default=FOLDER)
    given = parser.parse_args()
    published, raw = read_manifest(given.real), read_manifest(given.real / "photographs.csv")
    row_of = {key: row for row, key in enumerate(_keys(published))}
    rows = np.array([row_of[key] for key in _keys(raw)])
    photographs = [read_photograph(path) for path in raw.paths()]
    crops = {"published": read_crops([published.paths()[row] for row in rows])}
    true = np.array(
        [_place(photograph, published.paths()[row]) for photograph, row in zip(photographs, rows, strict=True)]
    )
    faces = [FaceDetector().faces(photograph).found[0] for photograph in photographs]
    finder = LandmarkFinder(given.landmarks)
    started = time.process_time()
    found = [finder(photograph, face) for photograph, face in zip(photographs, faces, strict=True)]
    print(f"{1000 * (time.process_time() - started) / len(found):.1f} ms a face, of one core and more threads")
    for name, points in (("detector", [face.landmarks for face in faces]), ("network", found)):
        crops[name] = np.stack([align(one, mark) for one, mark in zip(photographs, points, strict=True)])
        _tell_places(name, np.array([_square(mark) for mark in points]), true, np.array(raw.integers("pose")))
    editor = Editor.load(given.model, "cpu")
    for name, pictures in crops.items():
        _tell_recall(name, editor, pictures, raw)


def _keys(manifest: Manifest) -> list[tuple[str, ...]]:
    return list(zip(*(manifest.columns[name] for name in KEYS), strict=True))


def _square(points: Landmarks) -> tuple[float, float, float]:
    """A crop's middle across, its eye line and its side, pixels of the photograph."""
    return (points.eyes[0] + points.mouth[0]) / 2, points.eyes[1], crop_side(points)


def _place(photograph: Image.Image, crop: Path) -> tuple[float, float, float]:
    """Where a published crop was cut: begun by a coarse search over sizes, ended by maximising the correlation."""
    grey, small = np.asarray(photograph.convert("L")), np.asarray(Image.open(crop).convert("L"))
    surest, first = -1.0, (0.0, 0.0, 0.0)
    for side in np.linspace(0.3, 0.75, 46) * grey.shape[1]:
        shrunk = cv2.resize(grey, None, fx=len(small) / side, fy=len(small) / side, interpolation=cv2.INTER_AREA)
        padded = cv2.copyMakeBorder(shrunk, 30, 30, 30, 30, cv2.BORDER_REPLICATE)
        _, sure, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(padded, small, cv2.TM_CCOEFF_NORMED))
        if sure > surest:
            surest, first = sure, ((x - 30) * side / len(small), (y - 30) * side / len(small), side)
    share = first[2] / len(small)
    soft = cv2.GaussianBlur(grey, (0, 0), share / 2)
    warp = np.array([[share, 0, first[0]], [0, share, first[1]]], np.float32)
    correlate: Any = cv2.findTransformECC  # whose stubs want a mask
    warp = np.asarray(correlate(small, soft, warp, cv2.MOTION_AFFINE, (3, 60, 1e-6), None, 3)[1])
    side = float(np.sqrt(np.linalg.det(warp[:, :2]))) * len(small)
    middle = warp[:, :2] @ np.full(2, (len(small) - 1) / 2) + warp[:, 2]
    return float(middle[0]), float(middle[1]) - (0.5 - EYES) * side, side


def _tell_places(name: str, mine: Floats, true: Floats, poses: NDArray[np.integer[Any]]) -> None:
    off = np.column_stack([(mine[:, :2] - true[:, :2]) / true[:, 2:], np.log(mine[:, 2] / true[:, 2])])
    for pose in np.unique(poses):
        mean, spread = off[poses == pose].mean(0), off[poses == pose].std(0)
        told = (
            f"{what} {m:+.3f} sd {s:.3f}" for what, m, s in zip(("across", "eyes", "side"), mean, spread, strict=True)
        )
        print(f"{name}, {pose:+d}: {', '.join(told)}")


def _tell_recall(name: str, editor: Editor, pictures: NDArray[np.uint8], raw: Manifest) -> None:
    poses = np.array(raw.integers("pose"))
    people = np.array([f"{who} {look}" for who, _, look in _keys(raw)])
    pairs = np.argwhere((people[:, None] == people) & ~np.eye(len(people), dtype=bool))
    values = np.array([POSE.values.index(int(pose)) for pose in poses])
    edits = editor.edit_many(pictures[pairs[:, 0]], values[pairs[:, 1]])
    like = np.stack([edit.descriptor for edit in edits]) @ editor.describe(pictures).descriptors.T
    own = like[np.arange(len(pairs)), pairs[:, 1]]
    like[np.arange(len(pairs)), pairs[:, 0]] = -np.inf
    rank = (like > own[:, None]).sum(1)
    parts = {"all": np.ones(len(pairs), bool), **{f"to {p:+d}": poses[pairs[:, 1]] == p for p in np.unique(poses)}}
    told = (f"{part} {(rank[chosen] < 1).mean():.3f} {(rank[chosen] < 5).mean():.3f}" for part, chosen in parts.items())
    print(f"{name}, recall@1 and @5: {', '.join(told)}; cosine to the right one {own.mean():.4f}")


if __name__ == "__main__":
    main()
