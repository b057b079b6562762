"""Faces in photographs: how many are found, how many that are none, and the right one of several.

    python benchmarks/photographs_faces.py found --real REAL [--every 1]
    python benchmarks/photographs_faces.py false [--pictures FOLDER ...] [--count 500] [--tiles 300]
    python benchmarks/photographs_faces.py several --real REAL [--pictures-of-several 100]

REAL: a folder with photographs.csv (path, eye_left_x, ...), photographs/ and aligned/ with manifest.csv, which nothing
was trained or chosen on. Prints a table. Recall from raw photographs: `facesearch evaluate --data REAL/photographs.csv
--match identity,expression,pose`, beside the same of REAL/manifest.csv.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from faceedit.align import align, landmarks_of
from faceedit.cropping import ALL, Cropper, CropSettings, Cuts
from faceedit.decoding import read_photograph
from faceedit.editor import Editor
from faceedit.errors import NoFaceError
from faceedit.training.augmentation import random_backgrounds

MODEL = Path(__file__).resolve().parent.parent / "sample_db" / "models" / "pose"
NEAR = 0.35  # of the way from eyes to mouth, that these may be elsewhere: at three-quarter views rules differ by 0.2
BATCH = 64
QUALITY = 92


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("found", "false", "several"))
    parser.add_argument("--real", type=Path)
    parser.add_argument("--pictures", type=Path, action="append", default=[])
    for name, value in (("every", 1), ("count", 500), ("tiles", 300), ("pictures-of-several", 100)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    torch.set_num_threads(2)
    for line in {"found": found, "false": false, "several": several}[given.what](given):
        print(line, flush=True)


def cutter() -> Cropper:
    """What looks for faces whatever the picture."""
    return Cropper(CropSettings(faces=ALL))


def cut(cropper: Cropper, content: bytes) -> Cuts:
    """No face where none is found."""
    try:
        return cropper.cut(Path("photograph.jpg"), content)
    except NoFaceError:
        return Cuts(())


def jpeg(image: Image.Image, quality: int = QUALITY) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


# --- found ---

Change = Callable[[Image.Image], Image.Image]


def of_width(image: Image.Image, width: int) -> Image.Image:
    return image.resize((width, round(width * image.height / image.width)), Image.Resampling.LANCZOS)


CHANGES: dict[str, Change] = {
    "as they are": lambda image: image,
    "120 pixels wide": lambda image: of_width(image, 120),
    "turned 90": lambda image: image.rotate(90, expand=True),
    "turned 180": lambda image: image.rotate(180, expand=True),
    "turned 270": lambda image: image.rotate(270, expand=True),
    "12 megapixels": lambda image: of_width(image, 3464),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "x 0.15": lambda image: Image.eval(image, lambda value: round(0.15 * value)),
}


def found(given: argparse.Namespace) -> Iterator[str]:
    """Of photographs of one person each: found, that is eyes where they are, and others besides."""
    rows, cropper = rows_of(given.real)[:: given.every], cutter()
    yield f"{len(rows)} photographs | found | nothing else found"
    for name, change in CHANGES.items():
        right, alone = [], []
        for row in rows:
            image = read_photograph(given.real / row["path"])
            cuts = cut(cropper, jpeg(change(image)))
            right.append(_is_there(cuts, row, image))
            alone.append(len(cuts.faces) == 1)
        yield f"{name} | {np.mean(right):.4f} | {np.mean(alone):.4f}"


def rows_of(real: Path) -> list[dict[str, str]]:
    with (real / "photographs.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _is_there(cuts: Cuts, row: dict[str, str], image: Image.Image) -> bool:
    """Whether one of the faces has its eyes and mouth where they are, in the photograph set upright, but for what two
    rules may differ by at three-quarter views."""
    if cuts.size is None or not cuts.faces:
        return False
    share = cuts.size[0] / image.width
    known = landmarks_of(row)
    between = share * abs(known.mouth[1] - known.eyes[1])
    wanted = np.array([*known.eyes, *known.mouth]) * share
    faces = [np.array([*one.face.landmarks.eyes, *one.face.landmarks.mouth]) for one in cuts.faces if one.face]
    return any(float(np.abs(face - wanted).max()) <= max(NEAR * between, 1.0) for face in faces)


# --- false ---


def false(given: argparse.Namespace) -> Iterator[str]:
    """Of pictures without anybody: in how many a face is found."""
    cropper = cutter()
    yield "pictures without a face | how many | with a face"
    for name, pictures in (("procedural", _drawn(given.count)), ("tiles", _tiles(given.pictures, given.tiles))):
        seen = [len(cut(cropper, jpeg(Image.fromarray(picture))).faces) for picture in pictures]
        if seen:
            yield f"{name} | {len(seen)} | {np.mean(np.array(seen) > 0):.4f}"


def _drawn(count: int) -> Iterator[np.ndarray]:
    """Walls, gradients, rooms, stripes and leaves; a fifth of them pure noise of several sizes."""
    random = torch.Generator().manual_seed(18)
    for number in range(count):
        size = int(torch.randint(200, 1200, (1,), generator=random))
        if number % 5 == 4:
            yield _noise(number, size)
        else:
            made = random_backgrounds(1, size, random, "cpu", textures=0.7)[0].permute(1, 2, 0)
            yield np.asarray((255 * made).round().byte().numpy()[: 3 * size // 4])


def _noise(seed: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grain = int(rng.choice([1, 2, 4, 8, 16, 32]))
    small = rng.integers(0, 256, (max(size // grain, 2), max(size // grain, 2), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC))


def _tiles(folders: Sequence[Path], count: int) -> Iterator[np.ndarray]:
    """Parts of pictures in which somebody saw to it that nobody is."""
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
    rng, images = np.random.default_rng(18), [read_photograph(path) for path in paths]
    images = [image for image in images if min(image.size) >= 200]
    for _ in range(count if images else 0):
        image = images[int(rng.integers(len(images)))]
        side = int(rng.integers(150, min(image.size) + 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
        yield np.asarray(image.crop((left, top, left + side, top + side)))


# --- several ---


def several(given: argparse.Namespace) -> Iterator[str]:
    """Composites of 2 to 12 people: faces found, and the right person and picture by the face in each place, among the
    photographs as `index` cuts them, and as they are cut by the points that came with them, which follow another rule.
    """
    rows, editor, cropper = rows_of(given.real), Editor.load(MODEL), cutter()
    ways = {
        "as index cuts them": [cut(cropper, (given.real / row["path"]).read_bytes()).faces[0].crop for row in rows],
        "by other points": [_crop_of(given.real, row) for row in rows],
    }
    galleries = {name: _described(editor, crops) for name, crops in ways.items()}
    rng, asked, sources = np.random.default_rng(18), list[np.ndarray](), list[int]()
    placed = extra = 0
    for number in range(given.pictures_of_several):
        chosen = rng.choice(len(rows), 2 + number % 11, replace=False)
        image, places = _composite([portrait_of(given.real, rows[i]) for i in chosen], rng)
        cuts = cut(cropper, jpeg(image))
        in_place = [_in(cuts, place) for place in places]
        placed, extra = placed + len(places), extra + len(cuts.faces) - sum(one is not None for one in in_place)
        asked += [one for one in in_place if one is not None]
        sources += [int(i) for i, one in zip(chosen, in_place, strict=True) if one is not None]
    described, people = _described(editor, asked), np.array([row["identity"] for row in rows])
    yield "composites | people | found | found where nobody is"
    yield f"{given.pictures_of_several} | {placed} | {len(asked) / placed:.4f} | {extra}"
    yield "photographs | the very picture first | the person first"
    for name, gallery in galleries.items():
        nearest = (described @ gallery.T).argmax(1)
        right, person = nearest == sources, people[nearest] == people[sources]
        yield f"{name} | {right.mean():.4f} | {person.mean():.4f}"


def _crop_of(real: Path, row: dict[str, str]) -> np.ndarray:
    return align(read_photograph(real / row["path"]), landmarks_of(row))


def _described(editor: Editor, crops: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(editor.describe(np.stack(crops)).descriptors)


def portrait_of(real: Path, row: dict[str, str]) -> Image.Image:
    """Head and shoulders."""
    points = landmarks_of(row)
    length = points.mouth[1] - points.eyes[1]
    left, top = points.eyes[0] - 2.6 * length, points.eyes[1] - 2.2 * length
    return read_photograph(real / row["path"]).crop(
        (round(left), round(top), round(left + 5.2 * length), round(top + 5.2 * length))
    )


def _composite(portraits: Sequence[Image.Image], rng: Any) -> tuple[Image.Image, list[tuple[int, int, int]]]:
    """A picture of 1600 x 1200 with people in a grid, each of another size; the places: left, top, side."""
    across = {1: 2, 2: 2, 3: 3, 4: 2}.get(len(portraits), 3 if len(portraits) < 10 else 4)
    down = -(-len(portraits) // across)
    cell = min(1600 // across, 1200 // down)
    wall = tuple(int(value) for value in rng.integers(60, 220, 3))
    image, places = Image.new("RGB", (1600, 1200), wall), []
    for number, portrait in enumerate(portraits):
        side = int(rng.integers(cell * 6 // 10, cell + 1))
        left = (number % across) * (1600 // across) + int(rng.integers(0, 1600 // across - side + 1))
        top = (number // across) * (1200 // down) + int(rng.integers(0, 1200 // down - side + 1))
        image.paste(portrait.resize((side, side), Image.Resampling.LANCZOS), (left, top))
        places.append((left, top, side))
    return image, places


def _in(cuts: Cuts, place: tuple[int, int, int]) -> np.ndarray | None:
    """The crop of the face whose middle lies in a place."""
    left, top, side = place
    for one in cuts.faces:
        if one.face is not None:
            x, y = one.face.box[0] + one.face.box[2] / 2, one.face.box[1] + one.face.box[3] / 2
            if left <= x < left + side and top <= y < top + side:
                return one.crop
    return None


if __name__ == "__main__":
    main()
