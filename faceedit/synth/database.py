"""Write a rendered data base to disk: several processes, one identity at a time, resumable.

Layout: DIR/images/ID/ID_POSE_LIGHT.png, DIR/masks/ID/ID_POSE.png (one alpha mask serves a pose's twenty lights),
DIR/backgrounds/POSE.png (what the camera sees behind the person, so that training can replace it), DIR/manifest.csv,
DIR/synth.json (how it was made). An identity's folder appears under its name only when it is complete.
"""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from PIL import Image

from faceedit.errors import ManifestError
from faceedit.files import write_whole
from faceedit.synth.head import MorphableHead, load_head
from faceedit.synth.scene import ILLUMINATIONS, POSES, Camera, background

PAPER_TRAIN, PAPER_TEST = 100, 149
COLUMNS = ("path", "identity", "pose", "illumination", "split", "mask", "background")
LICENCE = "Renders of the ICT Face Model Light, (c) 2020 USC Institute for Creative Technologies, MIT licence"


@dataclass(frozen=True)
class SynthConfig:
    """identities: how many people; seed: which people; the first 100 are for training and the next 149 for testing,
    as in the paper; any more are for training, and fewer keep the paper's share."""

    identities: int = PAPER_TRAIN + PAPER_TEST
    seed: int = 0
    camera: Camera = field(default_factory=Camera)

    def split(self, number: int) -> str:
        """'train' or 'test' for identity 1..identities."""
        train = PAPER_TRAIN
        if self.identities < PAPER_TRAIN + PAPER_TEST:
            train = round(self.identities * PAPER_TRAIN / (PAPER_TRAIN + PAPER_TEST))
        return "test" if train < number <= PAPER_TRAIN + PAPER_TEST else "train"

    def person_seed(self, number: int) -> int:
        """The seed of identity 1..identities: people of different data set seeds never coincide."""
        return self.seed * 1_000_000 + number


def render_database(
    face_model: Path,
    out: Path,
    config: SynthConfig,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Render every identity that is not there yet and write the manifest; return the manifest's path.

    progress(done, total) is called after each identity. Raises FaceModelError for an unusable model and ManifestError
    when `out` holds a data base that was made in another way.
    """
    head = load_head(face_model)
    out.mkdir(parents=True, exist_ok=True)
    _claim(out, head, config)
    _write_backgrounds(out, config)
    numbers = range(1, config.identities + 1)
    todo = [n for n in numbers if not _folder(out, "images", n).is_dir()]
    done = config.identities - len(todo)
    if progress:
        progress(done, config.identities)
    for _ in _rendered(face_model, out, config, todo, processes or os.cpu_count() or 1):
        done += 1
        if progress:
            progress(done, config.identities)
    return _write_manifest(out, config)


def _rendered(face_model: Path, out: Path, config: SynthConfig, todo: list[int], processes: int):  # type: ignore[no-untyped-def]
    if not todo:
        return
    if min(processes, len(todo)) == 1:
        _start_worker(face_model, out, config)
        yield from map(_render_identity, todo)
        return
    spawn = multiprocessing.get_context("spawn")  # fork is unsafe beside threaded libraries
    with spawn.Pool(min(processes, len(todo)), _start_worker, (face_model, out, config)) as pool:
        yield from pool.imap_unordered(_render_identity, todo)


_worker: tuple[MorphableHead, Path, SynthConfig] | None = None


def _start_worker(face_model: Path, out: Path, config: SynthConfig) -> None:
    global _worker
    _worker = (load_head(face_model), out, config)


def _render_identity(number: int) -> int:
    from faceedit.synth.render import photograph

    assert _worker is not None
    head, out, config = _worker
    photographs = photograph(head, config.person_seed(number), config.camera)
    name = f"{number:04d}"
    for kind in ("masks", "images"):  # the images' folder last: it marks the identity as complete
        final = _folder(out, kind, number)
        partial = final.with_name(f".{name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for p, pose in enumerate(POSES):
            if kind == "masks":
                Image.fromarray(photographs.masks[p]).save(partial / _mask_name(name, pose))
                continue
            for light in range(len(ILLUMINATIONS)):
                Image.fromarray(photographs.images[p, light]).save(partial / _image_name(name, pose, light))
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    return number


def _folder(out: Path, kind: str, number: int) -> Path:
    return out / kind / f"{number:04d}"


def _image_name(identity: str, pose: int, light: int) -> str:
    return f"{identity}_{pose:+03d}_{light:02d}.png"


def _mask_name(identity: str, pose: int) -> str:
    return f"{identity}_{pose:+03d}.png"


def _claim(out: Path, head: MorphableHead, config: SynthConfig) -> None:
    """Write synth.json, or check that the one there describes the same people and cameras."""
    digest = hashlib.sha256(head.mean.tobytes() + head.modes.tobytes()).hexdigest()
    made_by = {
        "seed": config.seed,
        "camera": asdict(config.camera),
        "face_model_sha256": digest,
        "poses": list(POSES),
        "illuminations": [asdict(light) for light in ILLUMINATIONS],
        "licence": LICENCE,
    }
    file = out / "synth.json"
    if file.exists():
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ManifestError(f"{file} is not readable JSON: choose another --out") from error
        if {k: v for k, v in before.items() if k != "identities"} != made_by:
            raise ManifestError(
                f"{out} holds a data base of another seed, camera or face model: "
                "give the same settings to continue it, or another --out"
            )
    elif (out / "images").exists():
        raise ManifestError(f"{out} already holds images that were not made here: choose another --out")
    text = json.dumps({"identities": config.identities, **made_by}, indent=2)
    write_whole(file, (text + "\n").encode())


def _write_backgrounds(out: Path, config: SynthConfig) -> None:
    folder = out / "backgrounds"
    folder.mkdir(exist_ok=True)
    for pose in POSES:
        Image.fromarray(background(pose, config.camera.size)).save(folder / f"{pose:+03d}.png")


def _write_manifest(out: Path, config: SynthConfig) -> Path:
    file = out / "manifest.csv"
    partial = file.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for number in range(1, config.identities + 1):
            name, split = f"{number:04d}", config.split(number)
            for pose in POSES:
                mask, behind = f"masks/{name}/{_mask_name(name, pose)}", f"backgrounds/{pose:+03d}.png"
                for light in range(len(ILLUMINATIONS)):
                    path = f"images/{name}/{_image_name(name, pose, light)}"
                    writer.writerow((path, name, pose, light, split, mask, behind))
    partial.replace(file)
    return file
