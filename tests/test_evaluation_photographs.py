"""Labelled data sets of whole photographs: whom each row means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.align import Landmarks, align
from faceedit.cropping import Cropper
from faceedit.errors import ManifestError
from faceedit.face_detector import Face, Faces
from faceedit.images import read_crop
from faceedit.manifest import Manifest, read_manifest
from retrieval.evaluation.pictures import labelled_crops
from tests.stand_ins import Sees


def face(left: float, top: float, side: float) -> Face:
    points = ((0.3, 0.35), (0.7, 0.35), (0.35, 0.7), (0.65, 0.7))
    landmarks = Landmarks(*((left + x * side, top + y * side) for x, y in points))
    return Face((left, top, side, side), landmarks, 0.9)


LARGE, SMALL = face(100, 100, 200), face(500, 120, 100)


class Finds(Sees):
    """Stands in for the detector."""

    def __init__(self, *found: Face) -> None:
        self.found = found

    def faces(self, photograph: Image.Image, side: int = 640, /) -> Faces:
        return Faces(photograph, 0, self.found)


def manifest_of(folder: Path, *rows: str, columns: str = "path,identity,box") -> Manifest:
    (folder / "manifest.csv").write_text("\n".join([columns, *rows]) + "\n")
    return read_manifest(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    noise = np.random.default_rng(1).integers(0, 256, (400, 700, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "party.png")
    Image.fromarray(noise[:60, :60]).save(tmp_path / "crop.png")
    return tmp_path


def test_a_row_means_the_largest_or_the_face_in_its_box(folder: Path) -> None:
    rows = ("party.png,anna,", 'party.png,ben,"510 115 95 105"', "crop.png,zoe,", 'crop.png,zoe,"1 1 5 5"')
    crops = labelled_crops(manifest_of(folder, *rows), Cropper(load=lambda: Finds(LARGE, SMALL)))
    image = Image.open(folder / "party.png")
    assert np.array_equal(crops[0], align(image, LARGE.landmarks))
    assert np.array_equal(crops[1], align(image, SMALL.landmarks))
    assert np.array_equal(crops[2], read_crop(folder / "crop.png")) and np.array_equal(crops[3], crops[2])


def test_without_a_column_of_boxes_the_largest_is_meant(folder: Path) -> None:
    crops = labelled_crops(
        manifest_of(folder, "party.png,anna", columns="path,identity"), Cropper(load=lambda: Finds(LARGE, SMALL))
    )
    assert np.array_equal(crops[0], align(Image.open(folder / "party.png"), LARGE.landmarks))


@pytest.mark.parametrize(
    ("box", "found", "told"),
    [
        ("", (), r"no face is found in .*party\.png.*; leave it out of the manifest"),
        ("1 2 3 4", (LARGE, SMALL), r"no face of .*party\.png lies in the box 1\.0 2\.0 3\.0 4\.0: 2 are found"),
        ("1 2 3", (LARGE,), "the box of .* is '1 2 3': give left, top, width and height in pixels"),
        ("1 2 0 4", (LARGE,), "the box of"),
        ("a b c d", (LARGE,), "the box of"),
    ],
)
def test_a_row_that_means_nobody_is_named(folder: Path, box: str, found: tuple[Face, ...], told: str) -> None:
    with pytest.raises(ManifestError, match=told):
        labelled_crops(manifest_of(folder, f'party.png,anna,"{box}"'), Cropper(load=lambda: Finds(*found)))
