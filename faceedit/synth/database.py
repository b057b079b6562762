"""Write a rendered database to disk: several processes, one identity at a time, resumable.

Layout: DIR/images/ID/ID_POSE_LIGHT.png, DIR/masks/ID/ID_POSE.png (one alpha mask serves a pose's twenty lights),
DIR/backgrounds/POSE.png (what the camera sees behind the person, so that training can replace it), DIR/manifest.csv,
DIR/synth.json (how it was made). An identity's folder appears under its name only when it is complete.
A database with variety has ID_EXPRESSION_POSE_LIGHT.png and masks ID_EXPRESSION_POSE.png, and stands on black; beside
them DIR/loose.csv names pictures ID_EXPRESSION_looseN_LIGHT.png of no pose in particular, to turn from, and
DIR/places/ID/ID_EXPRESSION.npz says which place of the head each pixel shows (`faceedit.synth.places`): first at the
seven poses, then in the loose pictures.
"""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from faceedit.errors import ManifestError, MissingPackageError
from faceedit.files import write_whole
from faceedit.synth.head import MorphableHead, load_head
from faceedit.synth.places import save_places
from faceedit.synth.scene import ILLUMINATIONS, POSES, Camera, background
from faceedit.synth.variety import Variety, expression_name, numbered_lights

if TYPE_CHECKING:
    from faceedit.synth.render import Photographs

PAPER_TRAIN, PAPER_TEST = 100, 149
COLUMNS = ("path", "identity", "pose", "illumination", "split", "mask", "background")
VARIETY_COLUMNS = ("path", "identity", "pose", "illumination", "expression", "split", "mask", "places", "view")
LOOSE_COLUMNS = tuple(name for name in VARIETY_COLUMNS if name != "pose")
TEST_EVERY = 25  # of a database with variety, every 25th person is for testing
LICENCE = "Renders of the ICT Face Model Light, (c) 2020 USC Institute for Creative Technologies, MIT licence"


@dataclass(frozen=True)
class SynthConfig:
    """identities: how many people; seed: which people; the first 100 are for training and the next 149 for testing,
    as in the paper; any more are for training, and fewer keep the paper's share. variety: what photographs vary in,
    instead of the paper's protocol."""

    identities: int = PAPER_TRAIN + PAPER_TEST
    seed: int = 0
    camera: Camera = field(default_factory=Camera)
    variety: Variety | None = None

    def split(self, number: int) -> str:
        """'train' or 'test' for identity 1..identities."""
        if self.variety is not None:
            return "test" if number % TEST_EVERY == 0 else "train"
        train = PAPER_TRAIN
        if self.identities < PAPER_TRAIN + PAPER_TEST:
            train = round(self.identities * PAPER_TRAIN / (PAPER_TRAIN + PAPER_TEST))
        return "test" if train < number <= PAPER_TRAIN + PAPER_TEST else "train"

    def lights_of(self, number: int) -> tuple[int, ...]:
        """The number of each light of identity 1..identities."""
        if self.variety is None:
            return tuple(range(len(ILLUMINATIONS)))
        return numbered_lights(self.person_seed(number), self.variety)

    @property
    def pictures(self) -> int:
        """How many are rendered of all people, those beside the poses too."""
        once = len(POSES) if self.variety is None else (len(POSES) + self.variety.loose) * self.variety.expressions
        return sum(once * len(self.lights_of(number)) for number in range(1, self.identities + 1))

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

    progress(done, total) is called after each identity. Raises MissingPackageError without the extra `synth`,
    FaceModelError for an unusable model and ManifestError when `out` holds a database that was made in another way.
    """
    _require_renderer()
    head = load_head(face_model)
    if config.variety is not None:
        head.require_expressions()
    out.mkdir(parents=True, exist_ok=True)
    _claim(out, head, config)
    if config.variety is None:
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


def _require_renderer() -> None:
    """Before workers start, each of which would fail."""
    try:
        import embreex  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            "rendering needs embreex: in the folder of facesearch, pip install '.[synth]'"
        ) from error


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
    from faceedit.synth.render import photograph, photograph_variety

    assert _worker is not None
    head, out, config = _worker
    seed, name = config.person_seed(number), f"{number:04d}"
    if config.variety is None:
        sessions = [(name, photograph(head, seed, config.camera))]
    else:
        shot = photograph_variety(head, seed, config.camera, config.variety)
        sessions = [(f"{name}_{expression_name(i)}", photographs) for i, photographs in enumerate(shot)]
    kinds = ("masks", "images") if config.variety is None else ("masks", "places", "images")
    for kind in kinds:  # the images' folder last: it marks the identity as complete
        final = _folder(out, kind, number)
        partial = final.with_name(f".{name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for session, photographs in sessions:
            _write_session(partial, kind, session, photographs, config.lights_of(number))
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    return number


def _write_session(folder: Path, kind: str, name: str, photographs: Photographs, lights: Sequence[int]) -> None:
    if kind == "places":
        save_places(folder / f"{name}.npz", photographs.places)
        return
    takes = [f"{pose:+03d}" for pose in POSES] + [_loose(n) for n in range(len(photographs.masks) - len(POSES))]
    for p, take in enumerate(takes):
        if kind == "masks":
            Image.fromarray(photographs.masks[p]).save(folder / _mask_name(name, take))
            continue
        for light, image in zip(lights, photographs.images[p], strict=True):
            Image.fromarray(image).save(folder / _image_name(name, take, light))


def _loose(number: int) -> str:
    return f"loose{number}"


def _folder(out: Path, kind: str, number: int) -> Path:
    return out / kind / f"{number:04d}"


def _image_name(session: str, take: str, light: int) -> str:
    return f"{session}_{take}_{light:02d}.png"


def _mask_name(session: str, take: str) -> str:
    return f"{session}_{take}.png"


def _places_name(name: str, session: str) -> str:
    return f"places/{name}/{session}.npz"


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
    if config.variety is not None:
        assert head.expressions is not None
        made_by |= {"variety": asdict(config.variety)}
        made_by |= {"expressions_sha256": hashlib.sha256(head.expressions.tobytes()).hexdigest()}
    made_by = json.loads(json.dumps(made_by))  # as it reads back: a tuple is a list there
    file = out / "synth.json"
    if file.exists():
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ManifestError(f"{file} is not readable JSON: choose another --out") from error
        if {k: _modern(k, v) for k, v in before.items() if k != "identities"} != made_by:
            raise ManifestError(
                f"{out} holds a database of another seed, camera, variety or face model: "
                "give the same settings to continue it, or another --out"
            )
    elif (out / "images").exists():
        raise ManifestError(f"{out} already holds images that were not made here: choose another --out")
    text = json.dumps({"identities": config.identities, **made_by}, indent=2)
    write_whole(file, (text + "\n").encode())


def _modern(key: str, value: Any) -> Any:
    """A setting as this version writes it: until 0.2.0 an illumination had one flash or none, and no tint; until 0.3.0
    people had none of the twenty beside lights of their own, and all lamps stayed by the head."""
    if key == "variety" and isinstance(value, dict):
        return {"twenty": 0, "turning": False, "stray": 0.0, **value}
    if key != "illuminations" or not isinstance(value, list):
        return value
    lights = []
    for light in value:
        if isinstance(light, dict) and "flash" in light:
            flashes = [light["flash"]] if light["flash"] else []
            light = {"room": light.get("room"), "flashes": flashes, "tint": [1.0, 1.0, 1.0]}
        lights.append({"by_camera": False, **light} if isinstance(light, dict) else light)
    return lights


def _write_backgrounds(out: Path, config: SynthConfig) -> None:
    folder = out / "backgrounds"
    folder.mkdir(exist_ok=True)
    for pose in POSES:
        Image.fromarray(background(pose, config.camera.size)).save(folder / f"{pose:+03d}.png")


def _sessions(number: int, config: SynthConfig) -> list[tuple[str, str]]:
    """Name and expression of each of a person's sessions."""
    name, variety = f"{number:04d}", config.variety
    if variety is None:
        return [(name, "")]
    return [(f"{name}_{expression}", expression) for expression in map(expression_name, range(variety.expressions))]


def _manifest_rows(number: int, config: SynthConfig) -> Iterator[tuple[object, ...]]:
    name, split = f"{number:04d}", config.split(number)
    for session, expression in _sessions(number, config):
        for view, pose in enumerate(POSES):
            mask = f"masks/{name}/{_mask_name(session, f'{pose:+03d}')}"
            own: tuple[object, ...] = (split, mask, f"backgrounds/{pose:+03d}.png")
            if expression:
                own = (expression, split, mask, _places_name(name, session), view)
            for light in config.lights_of(number):
                yield (f"images/{name}/{_image_name(session, f'{pose:+03d}', light)}", name, pose, light, *own)


def _loose_rows(number: int, config: SynthConfig) -> Iterator[tuple[object, ...]]:
    name, variety = f"{number:04d}", config.variety
    assert variety is not None
    for session, expression in _sessions(number, config):
        for n in range(variety.loose):
            mask, places = f"masks/{name}/{_mask_name(session, _loose(n))}", _places_name(name, session)
            for light in config.lights_of(number):
                path = f"images/{name}/{_image_name(session, _loose(n), light)}"
                yield (path, name, light, expression, config.split(number), mask, places, len(POSES) + n)


def _write_manifest(out: Path, config: SynthConfig) -> Path:
    if config.variety is not None:
        _write_table(out / "loose.csv", LOOSE_COLUMNS, _loose_rows, config)
    columns = COLUMNS if config.variety is None else VARIETY_COLUMNS
    return _write_table(out / "manifest.csv", columns, _manifest_rows, config)


def _write_table(
    file: Path,
    columns: Sequence[str],
    rows: Callable[[int, SynthConfig], Iterator[tuple[object, ...]]],
    config: SynthConfig,
) -> Path:
    partial = file.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for number in range(1, config.identities + 1):
            writer.writerows(rows(number, config))
    partial.replace(file)
    return file
