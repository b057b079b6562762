"""What an encoder of people is worth beside our descriptor: which share it should have, and what distances then say.

    python benchmarks/who.py --people DATA --out OUT [--encoder sface] [--model FOLDER] [--match COLUMNS]

DATA: a manifest of crops of people at several poses, or of whole photographs, never trained on. People are put into two
halves: what is chosen (the share, a threshold) is chosen on one and judged on the other. Measured: recall@1 and @5
(person, expression or light, and pose) at every share; first results that show the person, by who alone, also where
what is asked is a poor picture; strangers and one person's pairs by who alone; and queries of people who are not in the
gallery, of which it is told that nothing is near at 1 % of false alarms. Writes OUT/figures.json.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.describes import Who
from faceedit.editor import Editor
from faceedit.manifest import read_manifest
from faceedit.people import encoder_named
from retrieval.answers import First
from retrieval.evaluation.queries import (
    LabelledSet,
    Queries,
    choose_queries,
    default_match,
    load_test_set,
    right_results,
)
from retrieval.evaluation.recall import recall
from retrieval.evaluation.who import Parts, first_right, measured

MODEL = Path(__file__).resolve().parent.parent / "sample_db" / "models" / "pose"
SHARES = (0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7)
ABSENT, ALARMS = 0.2, 0.01  # of people; of queries of those who are there
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Described:
    """Pictures (N) and queries (Q) by both: ours (N, D), asked (Q, D); who (N, E), of a query its source's."""

    test: LabelledSet
    queries: Queries
    ours: Floats
    asked: Floats
    who: Floats

    def joint(self, share: float, own: slice | None = None) -> tuple[Floats, Floats]:
        """Stored (N, .) and asked (Q, .) descriptors. own: of ours, what is left out."""
        stored, asked = (_without(one, own) for one in (self.ours, self.asked))
        sources = self.test.rows_of(self.queries)
        parts = ((self.who, stored), (self.who[sources], asked))
        both = [np.concatenate([np.sqrt(share) * w, np.sqrt(1 - share) * o], 1) for w, o in parts]
        return both[0], both[1]


def parser_of(words: str | None) -> argparse.ArgumentParser:
    """What is measured of who it is, is told of people, a model and an encoder."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--encoder", default="sface")
    parser.add_argument("--model", type=Path, default=MODEL)
    return parser


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--match", help="columns that have to agree; by default all that are known")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    editor, encoder = Editor.load(given.model), encoder_named(given.encoder)
    manifest = read_manifest(given.people)
    match = given.match.split(",") if given.match else default_match(manifest)
    test = load_test_set(manifest, editor.attribute, match)
    queries = choose_queries(test, editor.attribute, given.queries, 0)
    edits = editor.edit_many(test.pictures_of(queries), queries.targets)
    assert editor.who is not None
    own = editor.who.stop
    says = encoder.encode if encoder else lambda images: unit(editor.describe(images).descriptors[:, :own])
    who = says(test.images)
    asked = np.stack([edit.descriptor for edit in edits])
    every = Described(test, queries, editor.describe(test.images).descriptors, asked, who)
    figures = measure(every, editor.who) | {
        "who alone, of poor pictures: first at another pose right": poor(every, says)
    }
    (given.out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


def measure(every: Described, own: Who) -> dict[str, Any]:
    """Every figure."""
    halves = _halves(every)
    shares = {share: _recalls(every, share) for share in SHARES}
    within = {share: [_recalls(every, share, half)["recall@1"] for half in halves] for share in SHARES}
    chosen = [max(SHARES, key=lambda share: within[share][half]) for half in (0, 1)]
    chosen_of_the_other = [within[chosen[1 - half]][half] for half in (0, 1)]
    best = float(np.mean(chosen))
    people = np.unique(every.test.identities, return_inverse=True)[1]
    size, ours = every.who.shape[1], slice(own.start, own.stop)
    parts = Parts.of(every.who, Who(0, size), people, every.test.values)
    usual = measured(parts, "")
    return {
        "recall by share": shares,
        "without our own part of who": {share: _recalls(every, share, own=ours) for share in SHARES},
        "share chosen on each half": chosen,
        "recall@1 of each half by the other's share": chosen_of_the_other,
        "the person first, by a wish": _person_first(every, best),
        "who alone: first at another pose right": round(first_right(parts), 4),
        "who alone": None if usual is None else asdict(usual),
        "who alone, threshold of the other half": _crossed(parts),
        "absent people told": {
            "by ours": _absent(every, *every.joint(0.0)),
            "by both": _absent(every, *every.joint(best)),
            "by who alone": _absent(every, every.who, every.who[every.test.rows_of(every.queries)]),
            "first by both, told by who, by the limit that the model's card has": _told_as_shipped(every, best, True),
            "first by who alone, by that limit": _told_as_shipped(every, best, False),
        },
    }


POOR: dict[str, Callable[[Image.Image], Image.Image]] = {
    "grey": lambda image: image.convert("L").convert("RGB"),
    "a half of the 60 pixels": lambda image: image.resize((30, 30), Image.Resampling.BOX).resize(image.size),
    "a third": lambda image: image.resize((20, 20), Image.Resampling.BOX).resize(image.size),
    "x 0.3": lambda image: Image.eval(image, lambda value: round(0.3 * value)),
    "JPEG of quality 20": lambda image: _saved(image, 20),
}


def poor(every: Described, says: Callable[[NDArray[np.uint8]], Floats]) -> dict[str, float]:
    """Of pictures that are asked for as poor ones, among all as they are: the first result at another pose shows the
    person."""
    people, values = np.unique(every.test.identities, return_inverse=True)[1], every.test.values
    right = {}
    for name, change in POOR.items():
        asked = says(np.stack([np.asarray(change(Image.fromarray(one))) for one in every.test.images]))
        alike = asked @ every.who.T
        alike[values[:, None] == values] = -np.inf
        right[name] = round(float((people[alike.argmax(1)] == people).mean()), 4)
    return right


def _saved(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def unit(vectors: Floats) -> Floats:
    """Each (N, D) brought to length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _person_first(every: Described, share: float) -> dict[str, float]:
    """Of the first results of all queries, how many show the person; and the person at the asked pose."""
    stored, asked = every.joint(share)
    first = _nearest(stored, asked, every.test.own_rows(every.queries))[:, 0]
    right = every.test.identities[first] == every.test.identities[every.test.rows_of(every.queries)]
    there = right & (every.test.values[first] == every.queries.targets)
    return {"person": round(float(right.mean()), 4), "person and pose": round(float(there.mean()), 4)}


def _halves(every: Described) -> list[NDArray[np.bool_]]:
    """(N,) whose pictures, twice."""
    people = np.unique(every.test.identities, return_inverse=True)[1]
    first = np.isin(people, np.random.default_rng(0).permutation(people.max() + 1)[::2])
    return [first, ~first]


def _recalls(
    every: Described, share: float, half: NDArray[np.bool_] | None = None, own: slice | None = None
) -> dict[str, float]:
    """Among all pictures, of the queries of some people."""
    stored, asked = every.joint(share, own)
    nearest = _nearest(stored, asked, every.test.own_rows(every.queries))
    hits = right_results(every.test, every.queries, nearest)
    if half is not None:
        hits = hits[half[every.test.rows_of(every.queries)]]
    return {f"recall@{k}": round(recall(hits, k), 4) for k in (1, 5)}


def _nearest(stored: Floats, asked: Floats, own: NDArray[np.int64]) -> NDArray[np.int64]:
    alike = asked @ stored.T
    alike[np.arange(len(asked)), own] = -np.inf
    return np.argsort(-alike, axis=1)[:, :10]


def _crossed(parts: Parts) -> list[dict[str, float]]:
    """Of each half of the people: pairs within the other half's distance for 1 in 1,000 strangers."""
    names = np.random.default_rng(1).permutation(parts.people.max() + 1)
    first = np.isin(parts.people, names[::2])
    told = []
    for half in (first, ~first):
        other, mine = measured(parts.among(~half), ""), parts.among(half)
        assert other is not None
        limit = next(one.distance for one in other.accepted if one.rate == 0.001)
        far = np.sqrt(np.maximum(2 - 2 * mine.vectors @ mine.vectors.T, 0))
        same = mine.people[:, None] == mine.people
        pairs = np.triu(np.ones(far.shape, bool), 1)
        told.append(
            {
                "strangers within": round(float((far <= limit)[pairs & ~same].mean()), 5),
                "one person's within": round(float((far <= limit)[pairs & same].mean()), 4),
            }
        )
    return told


def _absent(every: Described, stored: Floats, asked: Floats) -> dict[str, float]:
    """Queries of people who are not in the gallery whose first result is farther than those of 99 % of the queries of
    people who are: the limit of one half, judged on the other, of ten draws of who is absent."""
    test, queries = every.test, every.queries
    people = np.unique(test.identities, return_inverse=True)[1]
    whose, told, alarms = people[test.rows_of(queries)], [], []
    for draw in range(10):
        shuffled = np.random.default_rng(draw).permutation(people.max() + 1)
        gone = np.isin(people, shuffled[: round(ABSENT * len(shuffled))])
        alike = asked @ stored[~gone].T
        rows = np.cumsum(~gone) - 1
        own = test.own_rows(queries)
        there = (own >= 0) & ~gone[own]
        alike[there, rows[own[there]]] = -np.inf
        far = np.sqrt(np.maximum(2 - 2 * alike.max(1), 0))
        missing = gone[test.rows_of(queries)]
        for half in (0, 1):
            mine = np.isin(whose, shuffled[half::2])
            limit = np.quantile(far[~missing & ~mine], 1 - ALARMS)
            told.append(float((far[missing & mine] > limit).mean()))
            alarms.append(float((far[~missing & mine] > limit).mean()))
    return {"told": round(float(np.mean(told)), 4), "false alarms": round(float(np.mean(alarms)), 4)}


def _told_as_shipped(every: Described, share: float, wished: bool) -> dict[str, float]:
    """As `query` tells it: how far the first result lies in who it is, and whether that is beyond the limit
    (`First.limit`) of one half, judged on the other, of the same ten draws. wished: the first result is that of a
    wish."""
    test, queries = every.test, every.queries
    people = np.unique(test.identities, return_inverse=True)[1]
    sources, own = test.rows_of(queries), test.own_rows(queries)
    stored, asked = every.joint(share) if wished else (every.who, every.who[sources])
    far = np.sqrt(np.maximum(2 - 2 * every.who[sources] @ every.who.T, 0))
    told, alarms = [], []
    for draw in range(10):
        shuffled = np.random.default_rng(draw).permutation(people.max() + 1)
        gone = np.isin(people, shuffled[: round(ABSENT * len(shuffled))])
        alike = asked @ stored.T
        alike[:, gone] = -np.inf
        alike[np.arange(len(asked)), own] = -np.inf
        first = far[np.arange(len(asked)), alike.argmax(1)]
        for half in (0, 1):
            mine = np.isin(people, shuffled[half::2])
            known = Parts(every.who, people, test.values).among(~mine & ~gone)
            usual = measured(known, "")
            limit = First(0.0, usual, by_who=True, wished=wished and share > 0).limit
            assert limit is not None
            told.append(float((first[(gone & mine)[sources]] > limit).mean()))
            alarms.append(float((first[(~gone & mine)[sources]] > limit).mean()))
    return {"told": round(float(np.mean(told)), 4), "false alarms": round(float(np.mean(alarms)), 4)}


def _without(descriptors: Floats, part: slice | None) -> Floats:
    if part is None:
        return descriptors
    kept = np.delete(descriptors, np.arange(descriptors.shape[1])[part], 1)
    return np.asarray(kept / np.linalg.norm(kept, axis=1, keepdims=True))


if __name__ == "__main__":
    main()
