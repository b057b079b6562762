"""What benchmarks/cluster_writers.py compares at the end: the gallery with its files, by one that is made anew of them,
with what its writers were told was done; and the engine with the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from index.gallery import Gallery
from index.search.scan import scan
from index.where import parse
from retrieval.face_search import FaceSearch

QUERIES = 50
CONDITIONS = (None, "decided != 45", "identity = 'still' and decided < 45", "path like '%7%'")


class Compared(Protocol):
    @property
    def address(self) -> str: ...

    @property
    def photos(self) -> Path: ...

    @property
    def notes(self) -> Path: ...


Notes = Mapping[str, Sequence[Mapping[str, Any]]]


def check_end(place: Compared, writers: Notes, opened: Callable[[str], FaceSearch]) -> list[str]:
    """What is wrong, a line each."""
    with opened(place.address) as faces:
        faces.index(place.photos, prune=True, sure=True)
        again = faces.index(place.photos, prune=True)
    done = (again.described, again.pruned, again.renamed)
    found = [f"the second run at the end did {done}"] if any(done) else []
    fresh = str(place.notes / "fresh")
    with opened(fresh) as faces:
        faces.index(place.photos)
    with Gallery.open(fresh) as expected, Gallery.open(place.address) as gallery:
        found += gallery.verify().findings
        found += [f"{gallery.lag} changes wait"] if gallery.lag else []
        found += _by_hand(gallery, writers)
        hidden = {one.path for one in gallery.hidden.all()}
        found += _differences(_content(gallery), _content(expected), hidden)
        found += _answers(gallery)
        print(f"at the end: {len(gallery):,} faces, {len(hidden)} hidden, generation {gallery.generation:,}")
    return found


def _content(gallery: Gallery) -> dict[str, Any]:
    faces = list(gallery.faces())
    looks = gallery.descriptors([face.id for face in faces])
    return {
        face.name: (face.photo.sha256, face.decision, look.tobytes()) for face, look in zip(faces, looks, strict=True)
    }


def _differences(found: dict[str, Any], expected: dict[str, Any], hidden: set[str]) -> list[str]:
    lost = sorted(expected.keys() - found.keys() - hidden)
    extra = sorted(found.keys() - expected.keys())
    other = sorted(name for name in found.keys() & expected.keys() if found[name] != expected[name])
    kinds = {"lost": lost, "not there any more": extra, "another than its file": other}
    return [f"{len(names)} faces {kind}: {names[:3]}" for kind, names in kinds.items() if names]


def _by_hand(gallery: Gallery, writers: Notes) -> list[str]:
    """Each label that was given last, unless one more was begun; nothing hidden came back."""
    found = []
    for name, notes in writers.items():
        allowed: dict[str, set[str]] = {}
        for note in notes:
            if note["kind"] == "labels":
                allowed.setdefault(note["picture"], set()).add(note["label"])
            elif note["kind"] == "labelled":
                allowed[note["picture"]] = {note["label"]}
        now = {face.path: face for face in gallery.faces(parse(f"path like '{name}/named/%'"))}
        labels = {Path(path).stem.split("-")[0]: face.labels.identity for path, face in now.items()}
        done = {note["picture"] for note in notes if note["kind"] == "labelled"}
        found += [f"{name}/{one} is called {labels.get(one)}" for one in done if labels.get(one) not in allowed[one]]
        hidden = {note["picture"] for note in notes if note["kind"] == "hidden"}
        back = gallery.faces_at(sorted(hidden))
        found += [f"{path} was hidden and is there" for path in back]
        print(f"writer {name}: {len(done)} pictures labelled, {len(hidden)} hidden")
    return found


def _answers(gallery: Gallery) -> list[str]:
    """Whether a face that is asked for by its descriptor comes first, wherever it passes, as every descriptor says."""
    ids = gallery.ids()
    looks = gallery.descriptors(ids.tolist())
    chosen = np.random.default_rng(0).choice(len(ids), QUERIES, replace=False)
    found = []
    for asked in CONDITIONS:
        where = None if asked is None else parse(asked)
        rows = np.flatnonzero(np.isin(ids, gallery.ids(where)))
        true = scan(looks, rows, ids[rows], looks[chosen], 1)
        own = [(ids[row], nearest[0]) for row, (_, nearest) in zip(chosen, true, strict=True) if row in rows]
        got = {row: gallery.search(looks[row], 1, where=where)[0].face.id for row in chosen if row in rows}
        wrong = [id_ for row, (id_, first) in zip(got, own, strict=True) if got[row] != first]
        print(f"at the end, {asked or 'no condition'}: {len(own) - len(wrong)} of {len(own)} as every descriptor says")
        found += [f"under {asked}: {len(wrong)} others come first"] if wrong else []
    return found
