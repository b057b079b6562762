"""Which pictures this installation reads, and what a file is by its first bytes. No decoder is loaded to say it."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import PIL

from faceedit.errors import ImageError

HEAD = 256  # first bytes of a file, which tell what it is
_HEIC = find_spec("pillow_heif") is not None  # the extra heic
_AVIF = find_spec("PIL._avif") is not None
_ALWAYS = "png apng jpg jpeg jpe jfif webp bmp dib tif tiff gif ppm pgm pbm jp2 j2k jpx"
SUFFIXES = frozenset(
    f".{name}" for name in (*_ALWAYS.split(), *(("avif",) if _AVIF else ()), *(("heic", "heif") if _HEIC else ()))
)
"""Of files that are taken for pictures whatever their first bytes say."""
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "JPEG2000", *(("AVIF",) if _AVIF else ()))
"""Decoders that may see any file; HEIF's sees only what is HEIC by its first bytes."""
MISSING = {
    **({} if _HEIC else {"HEIC": "pip install '.[heic]'"}),
    **({} if _AVIF else {"AVIF": "pip install 'pillow>=11.3'"}),
    "JPEG XL": "no decoder is at hand: convert them",
}
"""Kinds of pictures that cannot be read here, and what would mend it."""

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
)
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"  # or a remark
_SIZES = rb"%b(\d{1,9})%b(\d{1,9})" % (_GAP, _GAP)
_PPM = re.compile(rb"P[14]%b\s|P[2356]%b%b(\d{1,5})\s" % (_SIZES, _SIZES, _GAP))
_PLAIN = re.compile(rb"(?:[\d\s]|#[^\r\n]*(?:[\r\n]|$))*")  # what follows in a PPM of text
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # bytes: a text may begin with BM as well
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")


def kind_of(head: bytes, size: int | None = None) -> str | None:
    """The format of the picture that begins with these bytes, HEAD of them or the whole file; None where it is none, as
    of a text that begins as one. size: bytes of the whole file, where that is known."""
    if head[:1] == b"P":
        return "PPM" if _is_ppm(head, size) else None
    if _is_text(head):
        return None
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and head[6:10] == bytes(4) and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return _of_box(head) if head[4:8] == b"ftyp" else None


def formats_of(path: Path, head: bytes) -> tuple[str, ...]:
    """The decoders that may look at a file that begins with these bytes. Raises ImageError for a kind of picture that
    cannot be read here."""
    kind = kind_of(head)
    if kind in MISSING:
        raise ImageError(f"{path} is a picture of kind {kind}, which cannot be read here: {MISSING[kind]}")
    return (*FORMATS, _heif()) if kind == "HEIC" else FORMATS


def first_bytes(path: Path) -> bytes:
    """HEAD bytes of a file, or all where it has fewer. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        return file.read(HEAD)


@cache
def decoders() -> str:
    """What reads pictures here: another one may read more."""
    if not _HEIC:
        return f"Pillow {PIL.__version__}"
    from importlib.metadata import version  # processes that read pictures need not know it

    return f"Pillow {PIL.__version__}, pillow-heif {version('pillow-heif')}"


@cache
def _heif() -> str:
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)
    return "HEIF"


def _is_ppm(head: bytes, size: int | None) -> bool:
    """Whether width, height and, but for bitmaps, the largest value follow, and then as much as these say
    (netpbm.sourceforge.net/doc/pnm.html)."""
    found = _PPM.match(head)
    if found is None:
        return False
    width, height, most = (*(int(number) for number in found.groups() if number), 1)[:3]
    kind = head[1:2]
    if not (width and height and 0 < most < 2**16):
        return False
    if kind in b"123":
        return _PLAIN.fullmatch(head[found.end() :]) is not None
    row = (width + 7) // 8 if kind == b"4" else width * (3 if kind == b"6" else 1) * (1 if most < 2**8 else 2)
    return size is None or size >= found.end() + row * height


def _is_text(head: bytes) -> bool:
    """Whether people could read it: no picture but a PPM begins so, since sizes have bytes that are no letters."""
    return all(letter.isprintable() or letter.isspace() for letter in head.decode("utf-8", "ignore"))


def _of_box(head: bytes) -> str | None:
    """By the brands of an ISO base media file (ISO/IEC 14496-12): AVIF calls itself mif1 as well."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[start : start + 4] for start in range(16, end, 4))]
    if any(brand in _AVIF_BRANDS for brand in brands):
        return "AVIF"
    return "HEIC" if any(brand in _HEIC_BRANDS for brand in brands) else None
