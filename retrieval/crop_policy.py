"""What is done with the pictures of a gallery: what somebody says now, else what it was made with."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from faceedit.cropping import ALIGNED, AUTO
from faceedit.errors import UsageError
from faceedit.yunet import detector_digest
from index.config import FACES, WHOSE
from index.gallery import CropPolicy, Gallery
from retrieval.one_file import Crops


def read_crops(
    known: CropPolicy, faces: str | None, detector: str | os.PathLike[str] | None, identity_of: str | None
) -> tuple[CropPolicy, Crops]:
    """What is to be remembered, and how pictures are read. known: what the gallery says; None: as that. Raises
    UsageError for what there is none of, or where the detector is missing that the gallery was made with,
    MissingPackageError where an extra is needed."""
    for name, given, all_ in (("faces", faces, FACES), ("identity-of", identity_of, WHOSE)):
        if given not in (None, *all_):
            raise UsageError(f"no --{name} {given!r}: choose one of {', '.join(all_)}")
    crops = Crops(faces or known.faces or AUTO, None if detector is None else Path(detector))
    crops.require()
    own = None if detector is None else detector_digest(crops.detector)
    own = None if own == detector_digest() else own
    if crops.faces != ALIGNED and known.detector is not None and detector is None:
        raise UsageError(
            f"the faces of the gallery were found by another detector ({known.detector[:12]}) than the one that comes "
            "along: give its file as --detector"
        )
    policy = replace(known, faces=faces or known.faces, identity_of=known.identity_of)
    return (policy if crops.faces == ALIGNED else replace(policy, detector=own)), crops


def keep_crops(gallery: Gallery, policy: CropPolicy, turn: Callable[[], AbstractContextManager[None]]) -> bool:
    """Remember it, in a turn, where it is another; whether pictures are read in another way than before."""
    before = gallery.crops
    if policy != before:
        with turn():
            gallery.set_crops(policy)
    return (before.faces or AUTO, before.detector) != (policy.faces or AUTO, policy.detector)
