"""Does the imagined face look like the person? Measured on photographs of people nobody trained on.

    python benchmarks/imagined.py --sface FILE --yunet FILE --real FOLDER --model FOLDER --out OUT

FOLDER of --real: a manifest of aligned crops of people at several poses, with expressions. Every picture is turned to
each other pose of its person and expression, and compared with the photograph taken there, within the face: sharpness,
SSIM, squared error. An outside judge (SFace, which takes no part in training) says whom it takes each imagined face
for, among everybody photographed at that pose with that expression; a detector (YuNet) says how far the face is
turned: from where the nose is between the eyes, in degrees of a scale that is set on the photographs themselves. Beside
the imagined faces, both stages', stand the source as it is and its mirror image. Writes OUT/table.md, OUT/figures.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.crops import read_crops
from faceedit.editor import Editor
from faceedit.manifest import Manifest, read_manifest
from retrieval.evaluation.quality import quality

Pictures = NDArray[np.uint8]
Floats = NDArray[np.float64]
_SHOWN, _MARGIN = 160, 80  # pixels: what the detector gets of a crop, and grey around it
_SURE, _WITHIN = 0.5, 10.0  # score of a face that counts; degrees that a pose may be off


@dataclass(frozen=True)
class Turns:
    """Every picture turned to each other pose of the same person and expression: rows of the manifest (N,) to begin
    with and to arrive at, and the position (N,) of the target's pose in `poses`."""

    sources: NDArray[np.int64]
    truths: NDArray[np.int64]
    targets: NDArray[np.int64]


class Judge:
    """SFace and YuNet on crops (60 pixels or more, RGB)."""

    def __init__(self, sface: Path, yunet: Path) -> None:
        cv2.setNumThreads(1)
        self._names = cv2.FaceRecognizerSF.create(str(sface), "")
        side = _SHOWN + 2 * _MARGIN
        self._finds = cv2.FaceDetectorYN.create(str(yunet), "", (side, side), _SURE)

    def faces(self, pictures: list[Pictures]) -> Floats:
        """(N, 15) box, five points and score of the surest face, in pixels of `_framed`; NaN where there is none."""
        found = np.full((len(pictures), 15), np.nan)
        for i, picture in enumerate(pictures):
            _, faces = self._finds.detect(_framed(picture))
            if faces is not None:
                found[i] = faces[np.argmax(faces[:, 14])]
        return found

    def names(self, pictures: list[Pictures], faces: Floats) -> Floats:
        """(N, 128) of length 1: whom SFace sees, with the points of these faces."""
        out = []
        for picture, face in zip(pictures, faces, strict=True):
            crop = self._names.alignCrop(_framed(picture), face[None].astype(np.float32))
            out.append(self._names.feature(crop)[0])
        named = np.stack(out).astype(np.float64)
        return np.asarray(named / np.linalg.norm(named, axis=1, keepdims=True))


def _framed(picture: Pictures) -> Pictures:
    large = cv2.resize(picture[..., ::-1], (_SHOWN, _SHOWN), interpolation=cv2.INTER_CUBIC)
    m = _MARGIN
    return np.asarray(cv2.copyMakeBorder(large, m, m, m, m, cv2.BORDER_CONSTANT, value=(128, 128, 128)), np.uint8)


def noses(faces: Floats) -> Floats:
    """(N,) how far the nose is from the middle of the eyes, in eye distances, along the line through the eyes."""
    right, left, nose = faces[:, 4:6], faces[:, 6:8], faces[:, 8:10]
    along = left - right
    return np.asarray(((nose - (left + right) / 2) * along).sum(1) / (along**2).sum(1))


def yaws(ratios: Floats, known: Floats, poses: Floats) -> Floats:
    """Degrees of nose ratios (N,), by tan(yaw) = a ratio + b fitted to the photographs' ratios (M,) and poses (M,)."""
    usable = np.isfinite(known)
    a, b = np.polyfit(known[usable], np.tan(np.radians(poses[usable])), 1)
    return np.asarray(np.degrees(np.arctan(a * ratios + b)))


def turns(manifest: Manifest, poses: tuple[int, ...]) -> Turns:
    groups: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(manifest.columns["identity"], manifest.columns["expression"], strict=True)):
        groups.setdefault(key, []).append(row)
    pairs = np.array([(a, b) for rows in groups.values() for a in rows for b in rows if a != b])
    values = np.array([poses.index(int(pose)) for pose in manifest.integers("pose")])
    return Turns(pairs[:, 0], pairs[:, 1], values[pairs[:, 1]])


Imagine = Callable[[Pictures, NDArray[np.int64]], dict[str, Pictures]]


def by_editor(editor: Editor) -> Imagine:
    """Both stages' pictures by a model."""

    def imagine(pictures: Pictures, values: NDArray[np.int64]) -> dict[str, Pictures]:
        edits = editor.edit_many(pictures, values)
        return {
            "stage one": np.stack([edit.generated for edit in edits]),
            "stage two": np.stack([edit.refined for edit in edits]),
        }

    return imagine


def measure(imagine: Imagine, judge: Judge, manifest: Manifest, poses: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    """Every figure of the unturned and the mirrored source, and of what `imagine` makes of it, by name."""
    shown = read_crops(manifest.paths())
    photographs = [np.asarray(Image.open(path).convert("RGB")) for path in manifest.paths()]
    turned = turns(manifest, poses)
    true_faces = judge.faces(photographs)
    if not np.isfinite(true_faces).all():
        raise SystemExit("the detector misses a photograph: choose another set, or another detector")
    who = judge.names(photographs, true_faces)
    sources = shown[turned.sources]
    made = {"source": sources, "mirrored source": sources[:, :, ::-1], **imagine(sources, turned.targets)}
    labels = np.array(manifest.integers("pose"), np.float64)
    true_noses = noses(true_faces)
    asked = yaws(true_noses, true_noses, labels)[turned.truths]
    figures = {}
    for name, pictures in made.items():
        faces = judge.faces(list(pictures))
        turned_by = yaws(noses(faces), true_noses, labels)
        found = np.isfinite(faces[:, 0])
        named = judge.names(list(pictures), np.where(found[:, None], faces, true_faces[turned.truths]))
        figures[name] = {
            **quality(pictures, shown[turned.truths]).summary(),
            **_whom(named, who, manifest, turned),
            "pose_right": round(float((np.abs(turned_by - asked) <= _WITHIN).mean()), 4),
            "found": round(float(found.mean()), 4),
        }
    return figures


def _whom(named: Floats, who: Floats, manifest: Manifest, turned: Turns) -> dict[str, float]:
    """How often the right person is the likest among the photographs of the target's pose and expression, and the mean
    cosine to the right one."""
    keys = np.array([f"{p} {e}" for p, e in zip(manifest.labels("pose"), manifest.columns["expression"], strict=True)])
    likeness = named @ who.T
    own = likeness[np.arange(len(named)), turned.truths]
    rivals = np.where(keys[None] == keys[turned.truths][:, None], likeness, -2.0)
    return {"first": round(float((rivals.max(1) <= own).mean()), 4), "cosine": round(float(own.mean()), 4)}


def table(figures: dict[str, dict[str, Any]]) -> str:
    columns = ("sharpness", "ssim", "mse", "first", "cosine", "pose_right", "found")
    lines = ["| | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(f"{own[c]:g}" for c in columns) + " |" for name, own in figures.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("sface", "yunet", "real", "model", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    editor = Editor.load(given.model)
    manifest = read_manifest(given.real, ("path", "identity", "pose", "expression"))
    figures = measure(by_editor(editor), Judge(given.sface, given.yunet), manifest, editor.attribute.values)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    (given.out / "table.md").write_text(table(figures), encoding="utf-8")
    print(table(figures))


if __name__ == "__main__":
    main()
