"""Multi-PIE as its owners deliver it (Gross, Matthews, Cohn, Kanade, Baker: Multi-PIE, IVC 2010).

ROOT/session01/multiview/SUBJECT/RECORDING/CAMERA/SUBJECT_SESSION_RECORDING_CAMERA_LIGHT.png, e.g.
session01/multiview/001/01/05_1/001_01_01_051_07.png. ROOT may also be any folder below or above, since everything
stands in the file's own name.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from faceedit.errors import ImportSourceError
from faceedit.files import files_below
from faceedit.sources.listing import Listing, Photograph

CAMERAS = {"08_0": -45, "13_0": -30, "14_0": -15, "05_1": 0, "05_0": 15, "04_1": 30, "19_0": 45}
"""Camera to yaw in degrees; negative: the face points to the left edge of the image."""
OTHER_CAMERAS = frozenset({"01_0", "08_1", "09_0", "11_0", "12_0", "19_1", "20_0", "24_0"})
LIGHTS = 20
TRAIN = 100  # the first subjects of the paper's protocol; the others are for testing
COLUMNS = ("identity", "pose", "illumination", "session", "expression", "split")
_NAME = re.compile(r"([0-9]{3})_([0-9]{2})_([0-9]{2})_([0-9]{2})_?([0-9])_([0-9]{2})")
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".ppm"})


def list_multipie(root: Path, sessions: Collection[int] = (1,), recordings: Collection[int] = (1,)) -> Listing:
    """Every photograph of the seven cameras of the paper, in these sessions and recordings.

    The paper takes session 1 and one recording; what a face does in a recording differs from session to session, so
    that the recording's number stands in the column `expression`. What has another name, another camera or another
    light, and every recording that lacks a camera or a light, is listed as skipped. Raises ImportSourceError when
    nothing is left.
    """
    if not root.is_dir():
        raise ImportSourceError(f"{root} is no folder: give the one that holds session01, or one below it")
    listing = Listing(f"multipie {root.resolve()}", COLUMNS)
    found: dict[tuple[str, ...], set[int]] = {}
    seen: dict[str, Path] = {}
    files, refused = files_below(root)
    for path, reason in refused:
        listing.skip(path.relative_to(root).as_posix(), f"it cannot be read ({reason})")
    for path in (p for p in files if not p.name.startswith(".")):
        shown = path.relative_to(root).as_posix()
        match = _NAME.fullmatch(path.stem) if path.suffix.lower() in _SUFFIXES else None
        if match is None:
            listing.skip(shown, "its name is not SUBJECT_SESSION_RECORDING_CAMERA_LIGHT with a picture's suffix")
            continue
        subject, session, recording, light = match[1], int(match[2]), int(match[3]), int(match[6])
        camera = f"{match[4]}_{match[5]}"
        if camera in OTHER_CAMERAS:
            listing.skip(shown, f"camera {camera} is none of the seven of the paper", expected=True)
        elif camera not in CAMERAS:
            listing.skip(shown, f"Multi-PIE has no camera {camera}")
        elif light >= LIGHTS:
            listing.skip(shown, f"light {light} is none of 0 to {LIGHTS - 1}")
        elif session not in sessions or recording not in recordings:
            listing.skip(shown, f"session {session}, recording {recording} was not asked for", expected=True)
        elif (name := f"{subject}_{match[2]}_{match[3]}_{match[4]}{match[5]}_{match[6]}") in seen:
            listing.skip(shown, f"the same photograph as {seen[name].relative_to(root).as_posix()}")
        else:
            seen[name] = path
            shot = name.rsplit("_", 1)[0]  # twenty lights, fired within a second, share a shot's landmarks
            labels = {
                "identity": subject,
                "pose": str(CAMERAS[camera]),
                "illumination": str(light),
                "session": match[2],
                "expression": f"recording {match[3]}",
            }
            keys = (shown, path.name, path.stem, name, shot)
            listing.photographs.append(Photograph(path, f"{subject}/{name}", labels, keys))
            found.setdefault((subject, match[2], match[3], camera), set()).add(light)
    if not listing.photographs:
        raise ImportSourceError(
            f"{root} holds no Multi-PIE photograph of the sessions {_text(sessions)} and recordings "
            f"{_text(recordings)}: give the folder that holds session01"
        )
    for session in sorted(set(sessions) - {int(key[1]) for key in found}):
        listing.skip(f"session {session}", "it was asked for, and there is no photograph of it")
    _list_gaps(listing, found)
    _split(listing)
    return listing


def _list_gaps(listing: Listing, found: dict[tuple[str, ...], set[int]]) -> None:
    recordings = dict.fromkeys(key[:3] for key in found)
    for subject, session, recording in recordings:
        name = f"{subject}_{session}_{recording}"
        missing = [camera for camera in CAMERAS if (subject, session, recording, camera) not in found]
        if missing:
            listing.skip(name, f"no photograph of camera {', '.join(missing)}")
    for (subject, session, recording, camera), lights in found.items():
        gone = sorted(set(range(LIGHTS)) - lights)
        if gone:
            listing.skip(f"{subject}_{session}_{recording} camera {camera}", f"no light {_text(gone)}")


def _split(listing: Listing) -> None:
    """The first 100 subjects train, the others test; a smaller database keeps the paper's share of 249."""
    subjects = sorted({photograph.labels["identity"] for photograph in listing.photographs})
    train = set(subjects[: TRAIN if len(subjects) >= 249 else max(1, round(len(subjects) * TRAIN / 249))])
    listing.photographs = [
        Photograph(p.path, p.name, {**p.labels, "split": "train" if p.labels["identity"] in train else "test"}, p.keys)
        for p in listing.photographs
    ]


def _text(numbers: Collection[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
