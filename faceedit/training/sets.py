"""The data sets that a model is trained from, and what is known of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceedit.attributes import AttributeSpace
from faceedit.errors import TrainingError, UsageError
from faceedit.files import read_small
from faceedit.manifest import Manifest, join, read_manifest

_LONGEST = 2**20  # bytes of synth.json


@dataclass(frozen=True)
class TrainingSet:
    """manifest: the training rows of all data sets; roots: their folders."""

    manifest: Manifest
    roots: tuple[Path, ...]

    @property
    def provenance(self) -> dict[str, object]:
        """For the model's card: which data sets, and how they were rendered where they were."""
        each = [_provenance(root) for root in self.roots]
        return each[0] if len(each) == 1 else {"data": each}

    @property
    def licence(self) -> str:
        """For the model's card: the terms of every data set."""
        return "; ".join(dict.fromkeys(str(_rendered(root).get("licence", "unspecified")) for root in self.roots))


def read_training_set(paths: Sequence[Path], space: AttributeSpace, loose: bool = False) -> TrainingSet:
    """The training rows of data sets: folders with a manifest.csv, or the files. loose: with those of pictures of no
    value in particular, where there are any.

    Raises ManifestError, TrainingError for one without training rows, UsageError for rendered data sets that show the
    same people, or lights that mean another thing for each.
    """
    manifests = []
    for path in paths:
        manifest = read_manifest(path, required=("path", "identity", *space.columns))
        manifest = _with_loose(manifest) if loose else manifest
        if "split" in manifest.columns:
            manifest = manifest.where("split", "train")
        if not len(manifest):
            raise TrainingError(f"the manifest at {path} has no row whose split is 'train'")
        manifests.append(manifest)
    roots = tuple(manifest.root for manifest in manifests)
    _require_fitting(space, roots)
    return TrainingSet(join(manifests), roots)


def _with_loose(manifest: Manifest) -> Manifest:
    """With the rows of loose.csv beside it, which have no pose."""
    file = manifest.root / "loose.csv"
    if not file.is_file():
        return manifest
    loose = read_manifest(file)
    nothing = ("",) * len(loose)
    return Manifest(manifest.root, {n: (*own, *loose.columns.get(n, nothing)) for n, own in manifest.columns.items()})


def _require_fitting(space: AttributeSpace, roots: Sequence[Path]) -> None:
    seeds: dict[object, Path] = {}
    for root in roots:
        made = _rendered(root)
        if space.name == "illumination" and "variety" in made and not _twenty(made["variety"]):
            raise UsageError(
                f"{root} has lights of each person's own alone: for illumination, render --variety with --knob twenty=9"
            )
        other = seeds.setdefault(made["seed"], root) if "seed" in made else root
        if other != root:
            raise UsageError(
                f"{other} and {root} show the same people, rendered with seed {made['seed']}: leave one out, or "
                "render it with another --seed"
            )


def _twenty(variety: object) -> bool:
    """Whether people are shown under lights that everybody shares."""
    return isinstance(variety, dict) and bool(variety.get("twenty"))


def _provenance(root: Path) -> dict[str, object]:
    made = _rendered(root)
    kept = ("identities", "seed", "variety", "face_model_sha256")
    return {"data": root.resolve().name, **{name: made[name] for name in kept if name in made}}


def _rendered(root: Path) -> dict[str, Any]:
    """What `facesearch synth` says of a data set that it rendered; empty for any other."""
    try:
        content = json.loads(read_small(root / "synth.json", _LONGEST, TrainingError, "a rendered data set's record"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) and type(content.get("seed", 0)) is int else {}
