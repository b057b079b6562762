"""What the models for light and for hidden parts are worth, on renders with masks and on photographs.

    python benchmarks/light_and_blocks.py --out OUT [--lights DATA ...] [--faces DATA ...] [--people DATA]
        [--illumination FOLDER ...] [--inpainting FOLDER ...] [--pose FOLDER]

--lights: data sets that show people under several of the twenty lights: squared error of the source, of stage one and
of stage two, of whole pictures and within the face. --faces: data sets whose pictures are hidden in part, by the
paper's black patterns and by what people have before their faces (faceedit/training/occluders.py): squared error of the
hidden pixels, and the share of the others that changed. --people: recall@1 of each picture at its person's other poses
in the gallery of all, as it is, under a black square of 30 % of its side, with that completed, and as it would be under
another of the lights; the pose model describes and turns. Only the test split counts, where there is one. Writes
OUT/table.md, OUT/figures.json and sheets to look at.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceedit.attributes import ILLUMINATION, INPAINTING
from faceedit.editor import Editor
from faceedit.images import read_crops, write_picture
from faceedit.manifest import Manifest, read_manifest
from faceedit.training.occluders import Occluder, occluder
from retrieval.evaluation.quality import per_pixel_mse, quality
from retrieval.evaluation.queries import choose_queries, default_match, load_test_set, truth_rows

MODELS = Path(__file__).resolve().parent.parent / "sample_db" / "models"
KINDS = {"black patterns": 1.0, "as people have them": 0.0}
SQUARE, SHOWN = 18, 12  # pixels: 30 % of a crop's side; pictures of a sheet
Pictures = NDArray[np.uint8]
Row = tuple[str, dict[str, float]]
Prepares = Callable[[Pictures], Pictures]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    for name in ("lights", "faces", "illumination", "inpainting"):
        parser.add_argument(f"--{name}", type=Path, action="append", default=[])
    parser.add_argument("--people", type=Path)
    parser.add_argument("--pose", type=Path, default=MODELS / "pose")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for title, figures in _measured(given):
        print(title, figures, flush=True)
        rows.append((title, figures))
        text = "".join(f"| {row} | {', '.join(f'{k} {v:g}' for k, v in own.items())} |\n" for row, own in rows)
        (given.out / "table.md").write_text(text, encoding="utf-8")
        (given.out / "figures.json").write_text(json.dumps(dict(rows), indent=2) + "\n", encoding="utf-8")


def _measured(given: argparse.Namespace) -> Iterator[Row]:
    for folder in given.illumination or [MODELS / "illumination"]:
        editor = Editor.load(folder)
        for data in given.lights:
            yield f"{folder.name}, {data.name}", relit(editor, read_manifest(data), given.pairs, given.seed, given.out)
    for folder in given.inpainting or [MODELS / "inpainting"]:
        editor = Editor.load(folder)
        for data in given.faces:
            faces = some(read_manifest(data), given.pairs, given.seed)
            for kind, black in KINDS.items():
                sheet = given.out / f"{folder.name}_{data.name}_{kind.replace(' ', '_')}.png"
                yield f"{folder.name}, {data.name}, {kind}", completed(editor, faces, black, given.seed, sheet)
    if given.people:
        pose, people = Editor.load(given.pose), read_manifest(given.people)
        for title, prepare in _prepared(given):
            yield title, {"recall@1": found(pose, prepare, people, given.seed)}


def _prepared(given: argparse.Namespace) -> Iterator[tuple[str, Prepares]]:
    """What happens to the pictures before they are asked about."""
    yield "as they are", lambda pictures: pictures
    yield "under the square", lambda pictures: under_a_square(pictures, given.seed)
    for folder in given.inpainting or [MODELS / "inpainting"]:
        editor = Editor.load(folder)
        yield f"completed by {folder.name}", lambda pictures: complete(editor, under_a_square(pictures, given.seed))  # noqa: B023
    for folder in given.illumination or [MODELS / "illumination"]:
        editor = Editor.load(folder)
        sheet = given.out / f"light_{editor.digest[:6]}_{given.people.name}.png"
        yield f"under another light by {folder.name}", lambda pictures: lit(editor, pictures, given.seed, sheet)  # noqa: B023


def some(manifest: Manifest, count: int, seed: int) -> Pictures:
    """(N, 60, 60, 3): random pictures, of the test split where there is one."""
    manifest = manifest.where("split", "test") if "split" in manifest.columns else manifest
    chosen = np.sort(np.random.default_rng(seed).permutation(len(manifest))[:count])
    return read_crops(manifest.part(chosen.tolist()).paths())


def relit(editor: Editor, manifest: Manifest, count: int, seed: int, out: Path) -> dict[str, float]:
    """Squared errors of pictures that were asked for another light."""
    test = load_test_set(manifest, ILLUMINATION, default_match(manifest))
    pairs = choose_queries(test, ILLUMINATION, count, seed)
    sources, truths = test.pictures_of(pairs), test.images[truth_rows(test, pairs)]
    edits = editor.edit_many(sources, pairs.targets)
    made = {
        "unedited": sources,
        "stage one": np.stack([edit.generated for edit in edits]),
        "stage two": np.stack([edit.refined for edit in edits]),
    }
    _write_sheet(out / f"light_{editor.digest[:6]}_{manifest.root.name}.png", [*made.values(), truths])
    figures = {name: float(per_pixel_mse(pictures, truths).mean()) for name, pictures in made.items()}
    within = {f"{name}, face": quality(pictures, truths).summary()["mse"] for name, pictures in made.items()}
    return {name: round(value, 1) for name, value in (figures | within).items()}


def hidden(faces: Pictures, black: float, seed: int) -> tuple[Pictures, NDArray[np.bool_]]:
    """The faces (N, 60, 60, 3) with something before each, and where that is (N, 60, 60)."""
    before: list[Occluder] = [occluder(np.random.default_rng([seed, i]), black) for i in range(len(faces))]
    cover = np.stack([each.cover for each in before])[..., None]
    shown = (1 - cover) * faces + cover * np.stack([each.colours for each in before])
    return shown.round().astype(np.uint8), np.stack([each.hidden for each in before])


def completed(editor: Editor, faces: Pictures, black: float, seed: int, sheet: Path) -> dict[str, float]:
    """Squared errors of what was hidden, and how much else changed."""
    shown, mask = hidden(faces, black, seed)
    edits = editor.edit_many(shown, np.zeros(len(shown), np.int64))
    one, two = (np.stack([getattr(edit, stage) for edit in edits]) for stage in ("generated", "refined"))
    _write_sheet(sheet, [shown, one, two, faces])
    errors = {
        name: round(float(((made.astype(np.float64) - faces) ** 2).mean(-1)[mask].mean()), 1)
        for name, made in (("unedited", shown), ("stage one", one), ("stage two", two))
    }
    elsewhere = float((two != shown).any(-1)[~mask].mean())
    return {**errors, "share of the other pixels that changed": round(elsewhere, 4)}


def under_a_square(pictures: Pictures, seed: int) -> Pictures:
    """A black square of 30 % of the side on each, its middle anywhere on the face."""
    out = pictures.copy()
    for i, (y, x) in enumerate(np.random.default_rng(seed).integers(12, 49, (len(out), 2))):
        out[i, max(0, y - SQUARE // 2) : y + SQUARE // 2, max(0, x - SQUARE // 2) : x + SQUARE // 2] = 0
    return out


def complete(inpainting: Editor, pictures: Pictures) -> Pictures:
    targets = np.full(len(pictures), INPAINTING.index(0))
    return np.stack([edit.refined for edit in inpainting.edit_many(pictures, targets)])


def lit(illumination: Editor, pictures: Pictures, seed: int, sheet: Path) -> Pictures:
    """Each under any of the lights."""
    targets = np.random.default_rng(seed).integers(0, len(ILLUMINATION.values), len(pictures))
    made = np.stack([edit.refined for edit in illumination.edit_many(pictures, targets)])
    _write_sheet(sheet, [pictures, made])
    return made


def found(pose: Editor, prepare: Prepares, manifest: Manifest, seed: int) -> float:
    """Recall@1 of every picture, prepared, at its person's other poses. Right are person, pose, and expression or
    light."""
    match = default_match(manifest)
    test = load_test_set(manifest, pose.attribute, match)
    queries = choose_queries(test, pose.attribute, 2000, seed)
    shown = prepare(test.pictures_of(queries))
    gallery = pose.describe(test.images).descriptors
    asked = np.stack([edit.descriptor for edit in pose.edit_many(shown, queries.targets)])
    likeness = asked @ gallery.T
    likeness[np.arange(len(queries)), test.own_rows(queries)] = -np.inf
    first, own = likeness.argmax(1), test.rows_of(queries)
    right = (test.keys[first] == test.keys[own]) & (test.values[first] == queries.targets)
    return round(float(right.mean()), 4)


def _write_sheet(file: Path, columns: list[Pictures]) -> None:
    """Every so many pictures of each kind, one kind below the other."""
    chosen = np.linspace(0, len(columns[0]) - 1, SHOWN).astype(int)
    rows = [np.concatenate(list(pictures[chosen]), 1) for pictures in columns]
    write_picture(np.concatenate(rows).repeat(2, 0).repeat(2, 1), file)


if __name__ == "__main__":
    main()
