"""Reading pictures: every common form becomes a (60, 60, 3) uint8 RGB crop, everything else a clear error."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.decoding import read_photograph
from faceedit.errors import ImageError, ManifestError
from faceedit.images import SIZE, as_crop, read_crop, write_picture
from faceedit.manifest import read_manifest
from tests.conftest import blob_face

FACE = blob_face(1, 15, 0)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def test_an_aligned_crop_passes_straight_through(tmp_path: Path) -> None:
    path = saved(tmp_path / "face.png", Image.fromarray(FACE))
    assert np.array_equal(read_crop(path), FACE)


def test_any_size_is_resized_and_the_central_square_taken(tmp_path: Path) -> None:
    big = Image.fromarray(FACE).resize((240, 240), Image.Resampling.BICUBIC)
    found = read_crop(saved(tmp_path / "big.png", big)).astype(float)
    assert np.abs(found - FACE).mean() < 4
    wide = Image.new("RGB", (180, 60), (255, 0, 0))
    wide.paste(Image.fromarray(FACE), (60, 0))
    assert np.array_equal(read_crop(saved(tmp_path / "wide.png", wide)), FACE)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "LA", "I;16", "1"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(FACE)
    if mode == "I;16":
        grey = np.asarray(image.convert("L"), np.uint16) * 257
        converted = Image.fromarray(grey)
    else:
        converted = image.convert(mode)
    suffix = "tif" if mode == "CMYK" else "png"
    found = read_crop(saved(tmp_path / f"face.{suffix}", converted))
    assert found.shape == (60, 60, 3) and found.dtype == np.uint8
    if mode in ("RGBA", "L", "I;16"):
        expected = FACE if mode == "RGBA" else np.asarray(image.convert("L").convert("RGB"))
        assert np.abs(found.astype(int) - expected).max() <= 1


def test_transparent_parts_become_grey(tmp_path: Path) -> None:
    image = Image.fromarray(FACE).convert("RGBA")
    image.putalpha(0)
    assert (read_crop(saved(tmp_path / "clear.png", image)) == 128).all()


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(FACE).rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 270 degrees to see it upright
    path = saved(tmp_path / "turned.png", image, exif=exif)
    assert np.array_equal(read_crop(path), FACE)
    assert not np.array_equal(np.asarray(Image.open(path).convert("RGB")), FACE)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "LA", "I;16", "F", "1"])
def test_a_large_picture_is_made_smaller_first_and_looks_the_same(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(FACE).resize((2200, 2000), Image.Resampling.BICUBIC)
    if mode in ("I;16", "F"):
        grey = np.asarray(image.convert("L"), np.float32)
        converted = Image.fromarray(grey / 255 if mode == "F" else grey.astype(np.uint16) * 257)
    else:
        converted = image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    suffix = "tif" if mode in ("CMYK", "F") else "png"
    path = saved(tmp_path / f"face.{suffix}", converted, exif=exif, compress_level=1)
    whole, small = read_photograph(path), read_photograph(path, least=2 * SIZE)
    assert sorted(whole.size) == [2000, 2200]
    assert small.size == (250, 250) and small.mode == "RGB"  # an eighth of the central square, made in three bands
    difference = np.abs(read_crop(path) - as_crop(whole).astype(float)).mean()
    assert difference < (20 if mode == "1" else 3)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "LA", "I;16", "1"])
def test_a_large_picture_that_is_looked_at_coarsely_is_the_whole_one_made_smaller(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(FACE).resize((5400, 800), Image.Resampling.BICUBIC)
    wide = np.asarray(image.convert("L")).astype(np.uint16) * 257
    converted = Image.fromarray(wide) if mode == "I;16" else image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / f"face.{'tif' if mode == 'CMYK' else 'png'}", converted, exif=exif, compress_level=1)
    whole, small = read_photograph(path), read_photograph(path, longest=640)
    assert (whole.size, small.size, small.mode) == ((800, 5400), (400, 2700), "RGB")
    np.testing.assert_array_equal(np.asarray(small), np.asarray(whole.reduce(2)))


def test_what_is_asked_for_finely_is_never_made_smaller(tmp_path: Path) -> None:
    path = saved(tmp_path / "face.png", Image.fromarray(FACE).resize((5400, 800)), compress_level=1)
    assert read_photograph(path, longest=2701).size == (5400, 800)


def test_an_opened_picture_is_left_as_it_is() -> None:
    opened = Image.fromarray(FACE)
    read_photograph(Path("x.png"), content=opened).paste((0, 0, 0), (0, 0, 60, 60))
    np.testing.assert_array_equal(np.asarray(opened), FACE)


@pytest.mark.slow
def test_a_decoder_that_takes_much_memory_gets_no_large_picture(tmp_path: Path) -> None:
    path = saved(tmp_path / "wide.webp", Image.new("RGB", (8000, 5001)))
    with pytest.raises(ImageError, match=r"has 8000 x 5001 pixels, over 40,000,000: make it smaller"):
        read_crop(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_damage(tmp_path: Path, value: float) -> None:
    grey = np.asarray(Image.fromarray(FACE).convert("L"), np.float32) / 255
    grey[3, 3] = value
    path = saved(tmp_path / "face.tif", Image.fromarray(grey))
    with pytest.raises(ImageError, match="it has values that are no numbers"):
        read_crop(path)


def test_formats_that_nobody_photographs_in_are_never_decoded(tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 60\n%%EndComments\nshowpage\n")
    with pytest.raises(ImageError, match="is not an image"):
        read_crop(path)


def png_bytes() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"just text", "is not an image"), (png_bytes()[:3000], "damaged or truncated")],
)
def test_what_is_not_a_picture_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message) as error:
        read_crop(path)
    assert str(path) in str(error.value)


def test_a_float_picture_of_0_to_1_is_not_black(tmp_path: Path) -> None:
    grey = np.linspace(0, 1, 3600, dtype=np.float32).reshape(60, 60)
    found = read_crop(saved(tmp_path / "float.tif", Image.fromarray(grey)))
    assert np.abs(found[..., 0] - 255 * grey).max() <= 1


def test_missing_files_folders_and_bombs_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        read_crop(tmp_path / "none.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_crop(tmp_path)
    bomb = saved(tmp_path / "bomb.png", Image.new("1", (12_000, 12_000)))
    with pytest.raises(ImageError, match=r"pixels|bomb"):
        read_crop(bomb)


def test_a_picture_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot write"):
        write_picture(FACE, tmp_path / "face.nothing")


def manifest(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "manifest.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("path,pose\na.png,0\n", "no column 'identity'"),
        ("path,identity,pose\na.png,x\n", "line 2 has 2 values for 3 columns"),
        ("path,identity,pose\na.png,x,left\n", "line 2: pose 'left' is not a whole number"),
        ("path,identity,pose\n\n\na.png,x,+-5\n", "line 4: pose '\\+-5' is not a whole number"),
        ("path,identity,pose\na.png,x,99999999999999999999\n", "is not a whole number"),
    ],
)
def test_a_manifest_with_a_fault_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_manifest(manifest(tmp_path, text))


def test_a_manifest_is_read_with_its_paths_and_numbers(tmp_path: Path) -> None:
    text = "\ufeffpath,identity,pose\nä b.png,Zoë,-45\n\nc.png,Bo,+15\n"
    found = read_manifest(manifest(tmp_path, text))
    assert found.paths() == [tmp_path / "ä b.png", tmp_path / "c.png"]
    assert found.integers("pose").tolist() == [-45, 15]
    assert found.where("identity", "Bo").columns["path"] == ("c.png",)
    unknown = read_manifest(manifest(tmp_path, "path,identity,pose\nc.png,Bo,\n"))
    with pytest.raises(ManifestError, match=r"c.png has no pose"):
        unknown.integers("pose")
    with pytest.raises(ManifestError, match="no manifest at"):
        read_manifest(tmp_path / "nowhere")
