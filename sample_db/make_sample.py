"""Make sample_db/gallery and sample_db/queries from a data base that `facesearch synth` rendered.

    python sample_db/make_sample.py DATA

The gallery holds the first 40 test identities at 7 poses under 4 lights. The pictures to query with are taken out of
it, so that a query never meets itself.
"""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEOPLE, LIGHTS = 40, ("0", "6", "9", "13")
# identity number among the 40, pose and light of the picture to query with, and the pose to ask for
QUERIES = ((3, "0", "6", "30"), (8, "-30", "13", "0"), (14, "45", "9", "-15"), (21, "-45", "0", "45"),
           (27, "15", "6", "-30"), (35, "0", "13", "-45"))  # fmt: skip


def main(data: Path) -> None:
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "test"]
    people = sorted({row["identity"] for row in rows})[:PEOPLE]
    kept = [row for row in rows if row["identity"] in people and row["illumination"] in LIGHTS]
    asked = {(people[number], pose, light): target for number, pose, light, target in QUERIES}
    for folder in (HERE / "gallery", HERE / "queries"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    gallery, queries = [], []
    for row in kept:
        name = Path(row["path"]).name
        target = asked.get((row["identity"], row["pose"], row["illumination"]))
        if target is None:
            path = f"{row['identity']}/{name}"
            gallery.append([path, row["identity"], row["pose"], row["illumination"]])
            file = HERE / "gallery" / path
        else:
            queries.append([name, row["identity"], target, row["illumination"]])
            file = HERE / "queries" / name
        file.parent.mkdir(exist_ok=True)
        shutil.copyfile(data / row["path"], file)
    columns = ["path", "identity", "pose", "illumination"]
    for table, lines in ((HERE / "gallery" / "manifest.csv", gallery), (HERE / "queries" / "queries.csv", queries)):
        with table.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([columns, *lines])
    print(f"{len(gallery)} gallery pictures, {len(queries)} queries")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python sample_db/make_sample.py DATA")
    main(Path(sys.argv[1]))
