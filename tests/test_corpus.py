"""A thousand damaged, disguised and oversized files in one run: every one is accounted for, in bounded memory."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import blob_face
from tests.metadata_faults import faulty
from tests.processes import descendants, memory

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 2_400_000_000
pytestmark = pytest.mark.slow
COUNT = 1_000  # mutated files, besides the ones that are made by hand
FAULTY = 300  # files of which all but the metadata is sound


def encoded(number: int) -> list[tuple[str, bytes]]:
    """The same face in every format, and in the forms that cameras and scanners give it."""
    face = Image.fromarray(blob_face(number, 15 * (number % 7 - 3), number)).resize((90, 80))
    exif = Image.Exif()
    exif[0x0112] = 1 + number % 8
    grey16 = Image.fromarray(np.asarray(face.convert("L"), np.uint16) * 257)
    forms: list[tuple[str, Image.Image, dict[str, object]]] = [
        ("png", face, {}),
        ("png", face.convert("P"), {}),
        ("png", face.convert("RGBA"), {"exif": exif}),
        ("png", grey16, {}),
        ("jpg", face, {"exif": exif}),
        ("jpg", face, {"progressive": True}),
        ("jpg", face.convert("CMYK"), {}),
        ("jpg", face.convert("L"), {}),
        ("webp", face, {}),
        ("webp", face, {"lossless": True}),
        ("bmp", face, {}),
        ("gif", face.convert("P"), {}),
        ("gif", face.convert("P"), {"save_all": True, "append_images": [face.convert("P")] * 3}),
        ("tif", face, {"compression": "tiff_lzw"}),
        ("tif", grey16, {}),
        ("tif", face.convert("CMYK"), {}),
        ("ppm", face, {}),
        ("pgm", face.convert("L"), {}),
    ]
    made = []
    for suffix, image, options in forms:
        stream = io.BytesIO()
        name = {"jpg": "JPEG", "tif": "TIFF", "pgm": "PPM"}.get(suffix, suffix.upper())
        image.save(stream, name, **options)
        made.append((suffix, stream.getvalue()))
    return made


def flip_bits(content: bytearray, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 64))):
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))


def truncate(content: bytearray, rng: np.random.Generator) -> None:
    del content[int(rng.integers(len(content))) :]


def damage_header(content: bytearray, rng: np.random.Generator) -> None:
    for place in rng.integers(0, min(64, len(content)), 4):
        content[place] = int(rng.integers(256))


def blank(content: bytearray, rng: np.random.Generator) -> None:
    start, length = int(rng.integers(len(content))), int(rng.integers(1, 400))
    content[start : start + length] = bytes(len(content[start : start + length]))


def swap_halves(content: bytearray, rng: np.random.Generator) -> None:
    middle = int(rng.integers(len(content)))
    content[:] = content[middle:] + content[:middle]


def append_zip(content: bytearray, rng: np.random.Generator) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("face.txt", rng.bytes(50))
    content += stream.getvalue()


def prepend_zip(content: bytearray, rng: np.random.Generator) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("face.png", bytes(content))
    content[:] = stream.getvalue()


def wrong_signature(content: bytearray, rng: np.random.Generator) -> None:
    signatures = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"II*\0", b"RIFF", b"%PDF-1.7", b"%!PS")
    signature = signatures[int(rng.integers(len(signatures)))]
    content[: len(signature)] = signature


def repeat(content: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(content)))
    content[start:start] = content[start : start + 200] * int(rng.integers(1, 20))


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    flip_bits,
    truncate,
    damage_header,
    blank,
    swap_halves,
    append_zip,
    prepend_zip,
    wrong_signature,
    repeat,
)


def png(width: int, height: int, rows: int | None = None, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG that claims this size; rows of zeros that there are of it."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes(1 + -(-width * channels * depth // 8))
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row) for _ in range(height if rows is None else rows)) + packer.flush()
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))]
    chunks += [(b"PLTE", bytes(768))] if colour == 3 else []
    chunks += [(b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def oversized() -> Iterator[tuple[str, bytes]]:
    """Bombs: small files that claim, or truly have, very many pixels."""
    yield "bomb-claims.png", png(65_000, 65_000, 4)
    yield "bomb-over.png", png(10_010, 10_000)
    yield "bomb-just-below.png", png(9_990, 10_000)
    yield "bomb-clear-just-below.png", png(9_990, 10_000, colour=6)
    yield "bomb-deep-just-below.png", png(9_990, 10_000, depth=16, colour=0)
    yield "bomb-wide.png", png(50_000_000, 1)
    yield "bomb-high.png", png(1, 50_000_000, 1000)
    yield "bomb.gif", b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b"," + bytes(30)
    yield (
        "bomb.bmp",
        b"BM"
        + struct.pack("<IHHI", 2**31, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
    )
    yield "bomb.ppm", b"P6 60000 60000 255\n" + bytes(100)
    stream = io.BytesIO()
    Image.new("RGB", (60, 60)).save(stream, "JPEG")
    jpeg = bytearray(stream.getvalue())
    place = jpeg.index(b"\xff\xc0")
    jpeg[place + 5 : place + 9] = struct.pack(">HH", 65_500, 65_500)
    yield "bomb.jpg", bytes(jpeg)
    stream = io.BytesIO()
    Image.new("L", (60, 60)).save(stream, "TIFF", tiffinfo={322: 60_000, 323: 60_000})
    yield "bomb-tiles.tif", stream.getvalue()
    yield "empty.png", b""
    yield "text.jpg", b"not a picture at all\n" * 50
    yield "page.png", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"
    yield "figure.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 60\n%%EndComments\nshowpage\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(20261123)
    sound = [form for number in range(6) for form in encoded(number)]
    for number in range(COUNT):
        suffix, content = sound[number % len(sound)]
        changed = bytearray(content)
        for _ in range(1 + number % 2):
            MUTATIONS[int(rng.integers(len(MUTATIONS)))](changed, rng)
            if not changed:
                break
        shown = suffix if number % 5 else ("png", "jpg", "gif", "tif")[number // 5 % 4]  # content decides, not this
        (folder / f"mutated-{number:04d}.{shown}").write_bytes(changed)
    for number, (suffix, content) in enumerate(sound[:18]):
        (folder / f"sound-{number}.{suffix}").write_bytes(content)
    for name, content in oversized():
        (folder / name).write_bytes(content)
    for seed in range(FAULTY):
        made = faulty(Image.fromarray(blob_face(seed % 7, 15 * (seed % 5), seed)).resize((90, 80)), seed)
        (folder / made.name).write_bytes(made.content)
    return folder


class Watched:
    """The most memory that a process and its children occupied at a time, bytes (pages they share counted once)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.most, self._process = 0, process
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while self._process.poll() is None:
            pids = [self._process.pid, *descendants(self._process.pid)]
            self.most = max(self.most, sum(map(memory, pids)))
            time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is measured through /proc")
def test_every_file_of_a_hostile_folder_is_accounted_for(corpus: Path, tmp_path: Path, model_folder: Path) -> None:
    files = sorted(path.name for path in corpus.iterdir())
    assert len(files) > COUNT
    command = [sys.executable, "-m", "cli.app", "index", str(corpus), "--db", str(tmp_path / "db"), "--json"]
    process = subprocess.Popen(
        [*command, "--model", str(model_folder), "--device", "cpu"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    watched = Watched(process)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 3, err[-2000:]  # some were skipped
    report = json.loads(out)
    skipped = {Path(one["path"]).name: one["reason"] for one in report["skipped"]}
    faceless = {Path(one["path"]).name: one["reason"] for one in report["without_face"]}  # a detector looked at them
    assert report["described"] + report["duplicates"] + len(skipped) + len(faceless) == len(files)
    assert report["images"] == report["described"] + report["duplicates"]
    assert not [name for name in skipped if name.startswith("sound")]
    assert not {name: reason for name, reason in skipped.items() if name.startswith("faulty")}
    warned = {Path(one["path"]).name: one["warning"] for one in report["warnings"]}
    assert sum(name.startswith("faulty") for name in warned) > FAULTY // 2
    assert not {name: warned[name] for name in warned if name.startswith("sound")}
    assert sum(name.startswith("mutated") for name in skipped) > COUNT // 4
    assert report["images"] > COUNT // 10  # many a damaged picture still shows something
    for name in ("claims.png", "over.png", "wide.png", "high.png"):
        assert "pixels" in skipped.get(f"bomb-{name}", "pixels")
    for name in ("bomb-claims.png", "bomb-over.png", "bomb.gif", "bomb.bmp", "bomb.ppm", "bomb.jpg"):
        assert name in skipped
    for name in ("bomb-just-below.png", "bomb-clear-just-below.png", "bomb-deep-just-below.png"):
        assert name not in skipped  # large, but pictures
    assert not [reason for reason in skipped.values() if "Traceback" in reason or "\n" in reason]
    problems = subprocess.run(
        [sys.executable, "-m", "cli.app", "gallery", "problems", "--db", str(tmp_path / "db"), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {Path(one["path"]).name for one in json.loads(problems.stdout)} == {*skipped, *faceless}
    assert 0 < watched.most < MOST_BYTES, f"{watched.most / 1e9:.2f} GB"
    print(f"{len(files)} files, {len(skipped)} skipped, {watched.most / 1e9:.2f} GB at most")
