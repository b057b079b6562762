"""Make sample_db/gallery and sample_db/queries from a database that `facesearch synth` rendered.

    python sample_db/make_sample.py DATA

The gallery holds the first 40 test identities at 7 poses under 4 lights. The pictures to query with are taken out of
it, so that a query never meets itself; the one to inpaint is queried under a black block, and its complete picture
stays.
"""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

import numpy as np

from faceedit.images import read_crop, write_picture
from faceedit.occlusion import occlude

HERE = Path(__file__).resolve().parent
SEED = 24  # which pattern, and where
PEOPLE, LIGHTS = 40, ("0", "6", "9", "13")
# identity number among the 40, pose and light of the picture to query with; pose, light and completion to ask for
QUERIES = (
    (3, "0", "6", "30", "", ""),
    (8, "-30", "13", "0", "9", ""),
    (14, "45", "9", "-15", "", ""),
    (21, "-45", "0", "45", "", ""),
    (27, "15", "6", "", "13", ""),
    (35, "0", "13", "", "", "yes"),
    (12, "-15", "0", "30", "", ""),
)
COLUMNS = ("path", "identity", "pose", "illumination")
ASKED = ("ask_pose", "ask_illumination", "ask_inpaint")


def main(data: Path) -> None:
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "test"]
    people = sorted({row["identity"] for row in rows})[:PEOPLE]
    kept = [row for row in rows if row["identity"] in people and row["illumination"] in LIGHTS]
    asked = {(people[number], pose, light): wanted for number, pose, light, *wanted in QUERIES}
    for folder in (HERE / "gallery", HERE / "queries"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    gallery, queries = [], []
    for row in kept:
        name = Path(row["path"]).name
        labels = [row["identity"], row["pose"], row["illumination"]]
        wanted = asked.get((row["identity"], row["pose"], row["illumination"]))
        if wanted is None or wanted[2]:
            path = f"{row['identity']}/{name}"
            gallery.append([path, *labels])
            (HERE / "gallery" / path).parent.mkdir(exist_ok=True)
            shutil.copyfile(data / row["path"], HERE / "gallery" / path)
        if wanted is not None:
            picture = read_crop(data / row["path"])
            if wanted[2]:
                name = f"{Path(name).stem}_occluded.png"
                picture = occlude(picture, np.random.default_rng(SEED))
            queries.append([name, *labels, *wanted])
            write_picture(picture, HERE / "queries" / name)
    tables = (
        (HERE / "gallery" / "manifest.csv", COLUMNS, gallery),
        (HERE / "queries" / "queries.csv", (*COLUMNS, *ASKED), queries),
    )
    for table, columns, lines in tables:
        with table.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows([columns, *lines])
    print(f"{len(gallery)} gallery pictures, {len(queries)} queries")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python sample_db/make_sample.py DATA")
    main(Path(sys.argv[1]))
