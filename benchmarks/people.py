"""How well faces without a name are grouped into people: pairwise precision and recall, through a gallery.

    python benchmarks/people.py --people DATA --out OUT [--encoder sface] [--model FOLDER] [--draws 5]

DATA: a manifest of crops of people, never trained on; the gallery is told no name. Grouped all at once; by the distance
that one half of the people has for 1 in 100, 1,000 or 10,000 strangers on the other half (which of these rates is best
is chosen on the one, and judged on the other); and in two steps: two thirds of the pictures, or of the people, and then
the rest, by the draw. Writes OUT/people.json.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.who import parser_of
from faceedit.describes import Described, Usual, Who
from faceedit.editor import Editor
from faceedit.knowing import AnyEditor, KnowingEditor
from faceedit.manifest import read_manifest
from faceedit.people import encoder_named
from index.gallery import Decision, Face, Gallery, GalleryConfig, Labels, Photo
from retrieval.evaluation.queries import default_match, load_test_set
from retrieval.evaluation.who import RATES, Parts, measured
from retrieval.people import group

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Tells:
    """What says who it is, and how near strangers come."""

    who: Who | None
    usual_who: Usual | None

    def at(self, rate: float) -> Tells:
        """By the distance of that share of strangers alone."""
        assert self.usual_who is not None
        accepted = tuple(one for one in self.usual_who.accepted if one.rate == rate)
        return replace(self, usual_who=replace(self.usual_who, accepted=accepted))


@dataclass(frozen=True)
class People:
    """Pictures (N), described, and whom each shows (N,)."""

    editor: AnyEditor
    described: Described
    whom: Rows
    looks: Rows

    def grouped(self, steps: Sequence[Rows], tells: Tells) -> dict[str, float]:
        """Precision and recall of pairs after these pictures came, a step after another, and were grouped."""
        with tempfile.TemporaryDirectory(prefix="facesearch-") as folder:
            editor = self.editor
            config = GalleryConfig(
                *(editor.digest, editor.attribute.name, editor.attribute.values, editor.descriptor_size),
                Path(folder).resolve(),
            )
            with Gallery.create(Path(folder) / "gallery", config) as gallery:
                for rows in steps:
                    gallery.add([self._face(row) for row in rows.tolist()], self.described.descriptors[rows])
                    group(gallery, tells, False, lambda done, of: None)
                persons = {int(face.path): face.person or -face.id for face in gallery.faces()}
        rows = np.array(sorted(persons))
        return pairs(np.array([persons[row] for row in rows.tolist()]), self.whom[rows])

    def _face(self, row: int) -> Face:
        values, nothing = self.editor.attribute.values, (None,) * len(self.editor.attribute)
        return Face(Photo(str(row)), Labels(), Decision(values[int(self.described.best[row])], nothing))

    def measured_on(self, among: NDArray[np.bool_]) -> Tells:
        """By the strangers among these pictures."""
        who = self.editor.who
        assert who is not None
        vectors = self.described.descriptors[among, who.start : who.stop]
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return Tells(who, measured(Parts(vectors, self.whom[among], self.looks[among]), ""))


def pairs(persons: Rows, whom: Rows) -> dict[str, float]:
    """precision: of pairs of pictures that are grouped together, how many show one person; recall: the reverse."""
    upper = np.triu(np.ones((len(whom), len(whom)), np.bool_), 1)
    together, same = ((one[:, None] == one) & upper for one in (persons, whom))
    right = int((together & same).sum())
    return {
        "precision": round(right / max(1, int(together.sum())), 4),
        "recall": round(right / max(1, int(same.sum())), 4),
        "groups": len(np.unique(persons)),
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--draws", type=int, default=5)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    editor, encoder = Editor.load(given.model), encoder_named(given.encoder)
    joint: AnyEditor = editor if encoder is None else KnowingEditor(editor, encoder)
    manifest = read_manifest(given.people)
    test = load_test_set(manifest, editor.attribute, default_match(manifest))
    whom = np.unique(test.identities, return_inverse=True)[1]
    people = People(joint, joint.describe(test.images), whom, test.values)
    figures = measure(people, Tells(joint.who, joint.usual_who), given.draws)
    (given.out / "people.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


def measure(people: People, shipped: Tells, draws: int) -> dict[str, Any]:
    """Every figure."""
    every = np.arange(len(people.whom))
    start = time.process_time()
    at_once = people.grouped([every], shipped)
    seconds = time.process_time() - start
    return {
        "pictures": len(every),
        "by the model's card, at once": {**at_once, "seconds": round(seconds, 2)},
        "by the other half's distance": crossed(people),
        "a third of the pictures later": [people.grouped(_later(every, every, draw), shipped) for draw in range(draws)],
        "a third of the people later": [
            people.grouped(_later(every, people.whom, draw), shipped) for draw in range(draws)
        ],
    }


def crossed(people: People) -> dict[str, Any]:
    """Of each half of the people, by the distances of the other; and by the rate that was best on the other."""
    shuffled = np.random.default_rng(1).permutation(people.whom.max() + 1)
    first = np.isin(people.whom, shuffled[::2])
    told: dict[str, Any] = {f"{rate:g}": [] for rate in RATES}
    chosen = []
    for half in (first, ~first):
        tells = people.measured_on(~half)
        for rate in RATES:
            told[f"{rate:g}"].append(people.grouped([np.flatnonzero(half)], tells.at(rate)))
        own = {rate: people.grouped([np.flatnonzero(~half)], tells.at(rate)) for rate in RATES}
        best = max(RATES, key=lambda rate: (_both(own[rate]), -rate))
        chosen.append({"rate": best, **told[f"{best:g}"][-1]})
    return {**told, "rate chosen on the other half": chosen}


def _both(found: dict[str, float]) -> float:
    """The harmonic mean of precision and recall."""
    return 2 * found["precision"] * found["recall"] / max(1e-9, found["precision"] + found["recall"])


def _later(rows: Rows, unit: Rows, draw: int) -> list[Rows]:
    """Two thirds, and the rest; unit (N,): what stays together."""
    units = np.random.default_rng(draw).permutation(np.unique(unit))
    early = np.isin(unit, units[: round(2 * len(units) / 3)])
    return [rows[early], rows[~early]]


if __name__ == "__main__":
    main()
