"""Does the imagined face look like the person? Measured on photographs of people nobody trained on.

    python benchmarks/imagined.py --sface FILE --yunet FILE --real FOLDER --model FOLDER --out OUT

FOLDER of --real: a manifest of crops of people at several poses, with expressions. They are taken as `facesearch index`
takes them, or, with --faces aligned, as they lie. Every picture is turned to each other pose of its person and
expression, and compared with the photograph taken there, within the face: sharpness,
SSIM, squared error. An outside judge (SFace, which takes no part in training) says whom it takes each imagined face
for, among everybody photographed at that pose with that expression; a detector (YuNet) says how far the face is
turned: from where the nose is between the eyes, in degrees of a scale that is set on the photographs themselves. Beside
the imagined faces, both stages' and what is shown of them (`faceedit.enlarging`), stand the source as it is and its
mirror image; and, where everybody was photographed with two expressions, a photograph of the right person at the right
pose with another expression, which says how far the judges can be trusted. People who are asked to look at one place do
not all turn equally far, and no picture from elsewhere says how far: so the last row is how often the pose would be
right of a face that is always turned as the photographs of its pose are on average. Writes OUT/table.md and
OUT/figures.json.
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

from faceedit.cropping import AUTO, FACES, Cropper, CropSettings
from faceedit.editor import Editor
from faceedit.enlarging import enlarged
from faceedit.manifest import Manifest, read_manifest
from retrieval.evaluation.pictures import labelled_crops
from retrieval.evaluation.quality import Quality, quality

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
        if int(cv2.__version__.split(".")[0]) > 4:
            raise SystemExit(f"OpenCV {cv2.__version__} does not run SFace: install opencv-python-headless<5")
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


def other_faces(manifest: Manifest) -> NDArray[np.int64]:
    """(M,) of each picture the row of one of the same person at the same pose with another expression; -1: none."""
    columns = manifest.columns["identity"], manifest.labels("pose"), manifest.columns["expression"]
    rows = list(enumerate(zip(*columns, strict=True)))

    def other(who: str, pose: str, face: str) -> int:
        return next((row for row, own in rows if own[:2] == (who, pose) and own[2] != face), -1)

    return np.array([other(*own) for _, own in rows])


Imagine = Callable[[Pictures, NDArray[np.int64]], dict[str, Pictures]]


def by_editor(editor: Editor) -> Imagine:
    """Both stages' pictures by a model, and what is shown of them."""

    def imagine(pictures: Pictures, values: NDArray[np.int64]) -> dict[str, Pictures]:
        edits = editor.portraits(pictures, values)
        return {
            "stage one": np.stack([edit.generated for edit in edits]),
            "stage two": np.stack([edit.refined for edit in edits]),
            "shown": np.stack([enlarged(*one, editor.backdrop(one[1])) for one in zip(edits, pictures, strict=True)]),
        }

    return imagine


def measure(
    imagine: Imagine, judge: Judge, manifest: Manifest, poses: tuple[int, ...], faces: str = AUTO
) -> dict[str, dict[str, Any]]:
    """Every figure of the unturned and the mirrored source, of `other_faces` where all have one, and of what `imagine`
    makes of the source, by name; in `by_turn` for each source's and target's pose; and `Truth.at_the_mean`."""
    shown = labelled_crops(manifest, Cropper(CropSettings(faces=faces)))
    photographs = [np.asarray(Image.open(path).convert("RGB")) for path in manifest.paths()]
    turned = turns(manifest, poses)
    true_faces = judge.faces(photographs)
    if not np.isfinite(true_faces).all():
        raise SystemExit("the detector misses a photograph: choose another set, or another detector")
    truth = Truth(manifest, turned, true_faces, judge.names(photographs, true_faces))
    sources = shown[turned.sources]
    made = {"source": sources, "mirrored source": sources[:, :, ::-1]}
    others = other_faces(manifest)[turned.truths]
    if (others >= 0).all():
        made["another photograph"] = shown[others]
    made |= imagine(sources, turned.targets)
    figures = {}
    for name, pictures in made.items():
        each = truth.compared(pictures, judge) | _likeness(quality(pictures, shown[turned.truths]))
        of_turn = {turn: _means({k: v[rows] for k, v in each.items()}) for turn, rows in truth.by_turn().items()}
        figures[name] = {**_means(each), "by_turn": of_turn}
    return figures | {"the mean pose": {"pose_right": round(truth.at_the_mean(), 4)}}


def _likeness(of: Quality) -> dict[str, Floats]:
    return {"mse": of.mse, "ssim": of.ssim, "sharp": of.sharpness, "true_sharp": of.true_sharpness}


def _means(each: dict[str, Floats]) -> dict[str, Any]:
    """The mean of every figure (N,); the sharpness as a share of the truths'."""
    means = {name: float(np.nanmean(own)) for name, own in each.items()}
    means["sharpness"] = means.pop("sharp") / means.pop("true_sharp")
    return {name: round(own, 4) for name, own in means.items()}


@dataclass(frozen=True)
class Truth:
    """The photographs that turns lead to. faces (M, 15) and who (M, 128): of each picture of the manifest, by the
    judge."""

    manifest: Manifest
    turned: Turns
    faces: Floats
    who: Floats

    def compared(self, pictures: Pictures, judge: Judge) -> dict[str, Floats]:
        """Of each picture (N, 60, 60, 3): whether the right person is the likest of all who were photographed in the
        target's pose and expression, the cosine to the right one, whether the pose is right and by how much it is off,
        and whether a face is found at all."""
        faces, truths = judge.faces(list(pictures)), self.turned.truths
        found = np.isfinite(faces[:, 0])
        off = self._yaws(faces) - self._yaws(self.faces)[truths]
        named = judge.names(list(pictures), np.where(found[:, None], faces, self.faces[truths]))
        likeness = named @ self.who.T
        own = likeness[np.arange(len(named)), truths]
        rivals = np.where(self._keys()[None] == self._keys()[truths][:, None], likeness, -2.0)
        return {
            "first": (rivals.max(1) <= own).astype(float),
            "cosine": own,
            "pose_right": (np.abs(off) <= _WITHIN).astype(float),
            "pose_off": off,
            "found": found.astype(float),
        }

    def at_the_mean(self) -> float:
        """Of a face that is turned as the photographs of the target's pose are on average: how often that is right."""
        true_yaws, labels = self._yaws(self.faces), np.array(self.manifest.integers("pose"))
        mean = {pose: true_yaws[labels == pose].mean() for pose in labels.tolist()}
        off = true_yaws - np.array([mean[pose] for pose in labels.tolist()])
        return float((np.abs(off[self.turned.truths]) <= _WITHIN).mean())

    def _yaws(self, faces: Floats) -> Floats:
        """(N,) of faces (N, 15)."""
        return yaws(noses(faces), noses(self.faces), np.array(self.manifest.integers("pose"), np.float64))

    def by_turn(self) -> dict[str, NDArray[np.int64]]:
        """Which turns lead from a pose to another."""
        poses = self.manifest.labels("pose")
        names = np.array(
            [f"{poses[a]} to {poses[b]}" for a, b in zip(self.turned.sources, self.turned.truths, strict=True)]
        )
        return {str(name): np.flatnonzero(names == name) for name in dict.fromkeys(names)}

    def _keys(self) -> NDArray[np.str_]:
        """The pose and expression of each picture."""
        columns = self.manifest.labels("pose"), self.manifest.columns["expression"]
        return np.array([f"{pose} {face}" for pose, face in zip(*columns, strict=True)])


def table(figures: dict[str, dict[str, Any]]) -> str:
    columns = ("sharpness", "ssim", "mse", "first", "cosine", "pose_right", "found")
    lines = ["| | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(f"{own[c]:g}" if c in own else "" for c in columns) + " |"
        for name, own in figures.items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("sface", "yunet", "real", "model", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--faces", choices=FACES, default=AUTO)
    given = parser.parse_args()
    editor = Editor.load(given.model)
    manifest = read_manifest(given.real, ("path", "identity", "pose", "expression"))
    figures = measure(
        by_editor(editor), Judge(given.sface, given.yunet), manifest, editor.attribute.values, given.faces
    )
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    (given.out / "table.md").write_text(table(figures), encoding="utf-8")
    print(table(figures))


if __name__ == "__main__":
    main()
