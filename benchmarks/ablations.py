"""What each choice of recipe best is worth: the same short training with one knob turned at a time.

    python benchmarks/ablations.py --data VARIETY [--data PROTOCOL] --real REAL --out OUT [--start MODEL]
        [--held-out OTHERS] [--steps-identity 400] [--steps-one 1000] [--steps-two 200] [--steps-head 200] [--only TEXT]

VARIETY: what `facesearch synth --variety` wrote; its test people are the validation set, each picture with a background
and colours of its own. PROTOCOL: what `facesearch synth` wrote, for the identity network alone, since it does not say
what each pixel shows. OTHERS: the same with another --seed and at least 110
people, of whom the second stage's validation set is made. REAL: a manifest of real people at several poses. OUT:
results.json keeps what is done, so that a run can be interrupted; results.md is the table. Trainings are short: compare
rows, not with the shipped model.

Choose by the validation column; the real one is there to see whether it carries over.
In brackets: 95 % intervals, people resampled.

Identity network: share of queries whose first result is the same person making the same face, among the pictures of
the target pose (its value known), on validation renders and on real people.
Generation network: per-pixel error, SSIM and sharpness of its pictures of the validation people, within the face; and
how often the candidate pose is right within one step, on both. Stage two learns beside it, as in the recipe.
Second stage: from MODEL's identity network and first stage, which moves pixels as the recipe's does, everything else
anew, stage two and then the head: recall@1 of the right picture on ten test people of OTHERS (1,400 pictures) and on
real people, and the former's second-stage pictures within the face.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from faceedit.attributes import ILLUMINATION, POSE
from faceedit.devices import autocast, choose_device
from faceedit.editor import Editor, reconstruction_errors
from faceedit.files import write_whole
from faceedit.manifest import Manifest, join, read_manifest
from faceedit.modelfile import Model, load_model, model_digest, new_networks
from faceedit.networks import GenerationNetwork, NetworkConfig, initialise
from faceedit.training.augmentation import Augmentation
from faceedit.training.batches import EVEN, Photographer
from faceedit.training.pairs import PairSampler, PairSet, load_pairs
from faceedit.training.recipes import BEST, Recipe
from faceedit.training.run import TrainingRun
from faceedit.training.trainer import train
from retrieval.evaluation.evaluate import OURS, evaluate
from retrieval.evaluation.quality import quality
from retrieval.evaluation.queries import choose_queries, default_match, load_test_set
from retrieval.evaluation.recall import bootstrap, recall

Manifests = list[Manifest]
MATCH = ("identity", "expression", "pose")
CHUNK = 64


@dataclass(frozen=True)
class Variant:
    """One row: knobs to turn, and which of the training pictures to use."""

    name: str
    knobs: tuple[str, ...] = ()
    data: Callable[[Manifests], Manifests] = lambda manifests: manifests


def calm(manifests: Manifests) -> Manifests:
    return [m.where("expression", "calm") if "expression" in m.columns else m for m in manifests]


def every_fourth_person(manifests: Manifests) -> Manifests:
    names = [set(list(dict.fromkeys(m.columns["identity"]))[::4]) for m in manifests]
    return [
        m.part([i for i, name in enumerate(m.columns["identity"]) if name in kept])
        for m, kept in zip(manifests, names, strict=True)
    ]


AUGMENTATION = (
    Variant("no random backgrounds", ("backgrounds=off",)),
    Variant("no exposure, white balance, gamma", ("gamma=0", "exposure=0", "white_balance=0")),
    Variant("no misalignment", ("shift=0", "scale=0", "roll=0")),
    Variant("no mirroring", ("mirror=off",)),
    Variant("no blur, sharpening, grey", ("blur=0", "sharpen=0", "grey=0")),
)
IDENTITY = (
    Variant("as recipe best"),
    *AUGMENTATION,
    Variant("calm faces only", data=calm),
    Variant("the variety alone", data=lambda manifests: manifests[:1]),
    Variant("the protocol alone", data=lambda manifests: manifests[1:]),
    Variant("a quarter of the people", data=every_fourth_person),
)
GENERATION = (
    Variant("as recipe best"),
    Variant("no global mixing", ("mixing=0",)),
    Variant("two blocks of mixing", ("mixing=2",)),
    Variant("no random backgrounds", ("backgrounds=off",)),
    Variant("no exposure, white balance, gamma", ("gamma=0", "exposure=0", "white_balance=0")),
    Variant("targets before the source's background", ("neutral=off",)),
    Variant("no gradient difference loss", ("gradient=0",)),
    Variant("no perceptual loss", ("perceptual=0",)),
    Variant("squared error alone", ("gradient=0", "perceptual=0")),
    Variant("painted instead of moved", ("flow=off",)),
    Variant("moved by pictures alone", ("flows=0", "blend=0", "smooth=0")),
    Variant("weights not averaged", ("average=0",)),
)
SECOND = (
    Variant("as recipe best"),
    Variant("colours not kept", ("keep=0",)),
    Variant("no critic", ("critic=0",)),
    Variant("the head does not look back", ("look_back=off",)),
    Variant("no hidden units beside the head's last layer", ("head_hidden=0",)),
    Variant("no whitening", ("whitening=0",)),
    Variant("no estimate of the value", ("estimate=0",)),
    Variant("no contrast of the paper's descriptor", ("contrast=0",)),
    Variant("the head learns from 80 people under 2 lights", ("head_people=80", "head_conditions=2")),
)
PARTS = {"identity": IDENTITY, "generation": GENERATION, "second": SECOND}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="model whose identity network and first stage the other parts use")
    parser.add_argument("--held-out", type=Path, help="protocol renders of people that --data has not")
    parser.add_argument("--steps-identity", type=int, default=400)
    parser.add_argument("--steps-one", type=int, default=1000)
    parser.add_argument("--steps-two", type=int, default=200)
    parser.add_argument("--steps-head", type=int, default=200)
    parser.add_argument("--only", default="", help="variants whose title holds this text")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()

    given.out.mkdir(parents=True, exist_ok=True)
    bench = _Bench(given)
    for part, variants in PARTS.items():
        if part != "identity" and given.start is None:
            print(f"{part} left out: it needs --start")
            continue
        if part == "second" and given.held_out is None:
            print(f"{part} left out: it needs --held-out")
            continue
        for variant in variants:
            title = f"{part}: {variant.name}"
            if not variant.data(bench.manifests):
                print(f"{title} left out: it needs a second --data")
            elif given.only in title and not bench.done(title, part, variant):
                print(title, bench.measure(title, part, variant), flush=True)
    rows = {title: kept["row"] for title, kept in bench.results.items()}
    write_whole(given.out / "results.md", _table(rows).encode())


class _Bench:
    def __init__(self, given: argparse.Namespace) -> None:
        self._given, self._device = given, choose_device(given.device)
        self._file = given.out / "results.json"
        self.results: dict[str, dict[str, Any]] = (
            json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else {}
        )
        manifests = [read_manifest(path) for path in given.data]
        self.manifests = [m.where("split", "train") for m in manifests]
        self._validation = load_pairs(manifests[0].where("split", "test"), POSE, cut_out=True)
        self._real = load_test_set(read_manifest(given.real), POSE, MATCH)
        held_out = [_ten_people(read_manifest(path)) for path in (given.held_out,) if path]
        self._lights = [load_test_set(manifest, POSE, default_match(manifest)) for manifest in held_out]
        self._kept: tuple[object, PairSet] | None = None

    def done(self, title: str, part: str, variant: Variant) -> bool:
        """Whether there is a row by the same recipe, data and start."""
        return title in self.results and self.results[title]["by"] == self._by(part, variant)

    def measure(self, title: str, part: str, variant: Variant) -> dict[str, Any]:
        recipe = self._recipe(part, variant)
        if part == "identity":
            row = self._who(self._trained(recipe, variant, None))
        elif part == "generation":
            start = load_model(self._given.start)  # its identity network alone: stage one learns from nothing
            nothing = start.networks._replace(generation=GenerationNetwork(NetworkConfig()))
            start = replace(start, card=replace(start.card, task=ILLUMINATION), networks=nothing)
            row = self._seen(self._trained(recipe, variant, start))
        else:
            start = _second_stage_anew(load_model(self._given.start), recipe)
            row = self._found(self._trained(recipe, variant, start))
        self.results[title] = {"by": self._by(part, variant), "row": row}
        write_whole(self._file, json.dumps(self.results, indent=2).encode())
        return row

    def _recipe(self, part: str, variant: Variant) -> Recipe:
        given = self._given
        stages = ("identity", "one", "two", "head", "last", "estimator")
        none = dict.fromkeys((f"steps_{stage}" for stage in stages), 0)
        recipe = replace(BEST.turned(variant.knobs), **none)  # type: ignore[arg-type]
        if part == "identity":
            return replace(recipe, steps_identity=given.steps_identity, whitening=0.0)
        if part == "generation":
            return replace(recipe, steps_one=given.steps_one, whitening=0.0)
        # not beside stage one, which is finished
        return replace(recipe, steps_two=given.steps_two, steps_head=given.steps_head, beside=False)

    def _by(self, part: str, variant: Variant) -> str:
        """What a row depends on, in short."""
        given, recipe = self._given, asdict(self._recipe(part, variant))
        data = [str(path.resolve()) for path in (*given.data, given.real)]
        if part == "second":
            data.append(str(given.held_out.resolve()))
        start = None if part == "identity" else model_digest(given.start)
        return hashlib.sha256(json.dumps([recipe, data, start], sort_keys=True).encode()).hexdigest()

    def _trained(self, recipe: Recipe, variant: Variant, start: Model | None) -> Model:
        out = self._given.out / "work"
        shutil.rmtree(out, ignore_errors=True)
        run = TrainingRun(POSE, recipe, out, device=self._device, checkpoint_every=10**6, start=start)
        placed = recipe.network.flow and not recipe.steps_identity
        if self._kept is None or self._kept[0] != (variant.data, placed):  # reading takes longer than keeping
            self._kept = ((variant.data, placed), self._pairs(variant, placed))
        return train(run, self._kept[1])

    def _pairs(self, variant: Variant, placed: bool) -> PairSet:
        """The pictures of a row; where pixels move, only those that say what they show."""
        manifests = [m for m in self.manifests if not placed or "places" in m.columns]
        return load_pairs(join(variant.data(manifests)), POSE, cut_out=True, placed=placed)

    def _who(self, model: Model) -> dict[str, Any]:
        rows, values, keys, people = self._validation_rows()
        photographer = Photographer(self._validation, EVEN, replace(_knobs(), mirror=False, grey=0.0), self._device)
        parts = [photographer.portraits(rows[i : i + CHUNK], (0, i)) for i in range(0, len(rows), CHUNK)]
        validation = _recall_within_pose(self._embedded(model, parts), values, keys, people)
        real = [EVEN.applied(self._real.images[i : i + CHUNK]) for i in range(0, len(self._real.images), CHUNK)]
        return {
            "validation": validation,
            "real": _recall_within_pose(
                self._embedded(model, real), self._real.values, self._real.keys, self._real.identities
            ),
        }

    def _validation_rows(self) -> tuple[NDArray[np.int64], ...]:
        """Rows, poses, faces and people of one picture (the first light's) for each validation face and pose."""
        groups, faces = self._validation.groups, self._validation.faces
        first = np.sort(np.unique(faces, return_index=True)[1])
        n = groups.shape[1]
        return (
            groups[first].ravel(),
            np.tile(np.arange(n), len(first)),
            np.repeat(faces[first], n),
            np.repeat(self._validation.people[first], n),
        )

    @torch.inference_mode()
    def _embedded(self, model: Model, parts: list[torch.Tensor]) -> NDArray[np.float32]:
        network = model.describer.identity
        assert network is not None
        network.to(self._device)
        out = []
        for part in parts:
            with autocast(self._device):
                out.append(network.both(part.to(self._device)).float().cpu().numpy())
        return np.concatenate(out)

    def _seen(self, model: Model) -> dict[str, float]:
        generation = model.generation.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        photographer = Photographer(self._validation, EVEN, _knobs(), self._device)
        sampler = PairSampler(self._validation, seed=0, include_same=False)
        made, truths, right = [], [], []
        for number in range(40):
            batch = sampler.batch(number, 16, 2)
            own = np.argwhere(self._validation.groups[:, None] == batch.sources[:, None])
            positions = np.array([own[own[:, 1] == i][0, 2] for i in range(len(batch.sources))])
            shot = photographer.sitting(batch.sources, batch.targets, batch.values, np.arange(16), (1, number))
            with torch.inference_mode(), autocast(self._device):
                made.append(_pixels(generation.many(shot.sources, shot.values).float()))
            truths.append(_pixels(shot.targets))
            mirrored = not np.array_equal(shot.values.cpu().numpy(), batch.values)
            wanted = len(POSE) - 1 - positions if mirrored else positions
            right.append(np.abs(self._decided(model, shot.sources) - wanted) <= 1)
        real = [
            np.abs(
                self._decided(model, EVEN.applied(self._real.images[i : i + CHUNK], self._device))
                - self._real.values[i : i + CHUNK]
            )
            <= 1
            for i in range(0, len(self._real.images), CHUNK)
        ]
        return {
            **quality(np.concatenate(made), np.concatenate(truths)).summary(),
            "pose, validation": round(float(np.concatenate(right).mean()), 4),
            "pose, real": round(float(np.concatenate(real).mean()), 4),
        }

    def _found(self, model: Model) -> dict[str, Any]:
        editor = Editor(model, self._device)
        row: dict[str, Any] = {}
        for name, test in (("renders", self._lights[0]), ("real", self._real)):
            match = default_match(test.manifest) if name == "renders" else MATCH
            result = evaluate(editor, test, choose_queries(test, POSE, 1000, 0), match)
            who = test.identities[test.rows_of(result.queries)]
            interval = bootstrap(result.hits[OURS], 1, who)
            row[f"recall@1, {name}"] = [round(v, 4) for v in (recall(result.hits[OURS], 1), *interval)]
            if name == "renders":
                row |= quality(result.refined, result.true_pictures()).summary()
        return row

    @torch.inference_mode()
    def _decided(self, model: Model, sources: torch.Tensor) -> NDArray[np.int64]:
        """(B,) positions of the poses whose pictures reconstruct the sources best."""
        values = torch.arange(len(POSE), device=sources.device).expand(len(sources), -1)
        with autocast(self._device):
            made = model.generation.many(sources, values).float()
        shown = _in_0_255(sources).repeat_interleave(len(POSE), 0)
        errors = reconstruction_errors(_in_0_255(made), shown, model.card.neutral)
        return POSE.decide(errors.view(-1, len(POSE)).cpu().numpy())


def _second_stage_anew(model: Model, recipe: Recipe) -> Model:
    """The model with a refinement network and a head that have learnt nothing, of the recipe's sizes."""
    config = recipe.network_for(len(POSE))
    networks = new_networks(config)
    for network in networks:
        initialise(network, torch.Generator().manual_seed(0))
    if config.skip:
        networks.refinement.begin_without_correction()
    networks.generation.load_state_dict(model.generation.state_dict())
    mine, other = networks.describer.identity, model.describer.identity
    assert mine is not None and other is not None
    mine.load_state_dict(other.state_dict())
    return replace(model, card=replace(model.card, network=config), networks=networks)


def _ten_people(manifest: Manifest) -> Manifest:
    test = manifest.where("split", "test")
    people = list(dict.fromkeys(test.columns["identity"]))[:10]
    return test.part([row for row, name in enumerate(test.columns["identity"]) if name in people])


def _knobs() -> Augmentation:
    assert BEST.augmentation is not None
    return BEST.augmentation


def _recall_within_pose(
    descriptors: NDArray[np.float32], values: NDArray[np.int64], keys: NDArray[np.int64], people: NDArray[np.int64]
) -> list[float]:
    """Recall@1 among the pictures of each other pose, and its interval."""
    likeness = descriptors @ descriptors.T
    hits: list[NDArray[np.bool_]] = []
    who: list[NDArray[np.int64]] = []
    for source in np.unique(values):
        for target in np.unique(values):
            if source != target:
                queries, gallery = np.flatnonzero(values == source), np.flatnonzero(values == target)
                nearest = gallery[likeness[np.ix_(queries, gallery)].argmax(1)]
                hits.append(keys[nearest] == keys[queries])
                who.append(people[queries])
    found = np.concatenate(hits)[:, None]
    return [round(v, 4) for v in (recall(found, 1), *bootstrap(found, 1, np.concatenate(who)))]


def _in_0_255(values: torch.Tensor) -> torch.Tensor:
    mean, std = EVEN.tensors(str(values.device))
    return values * std + mean


def _pixels(values: torch.Tensor) -> NDArray[np.uint8]:
    made = _in_0_255(values).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
    return np.ascontiguousarray(made.cpu().numpy())


_HEADINGS = {"identity": "identity network", "generation": "generation network", "second": "second stage"}


def _table(results: dict[str, dict[str, Any]]) -> str:
    lines: list[str] = []
    for part in PARTS:
        rows = {title.partition(": ")[2]: v for title, v in results.items() if title.startswith(part)}
        if rows:
            names = list(next(iter(rows.values())))
            lines += ["", f"| {_HEADINGS[part]} | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
            lines += [f"| {name} | " + " | ".join(_cell(v[n]) for n in names) + " |" for name, v in rows.items()]
    return "\n".join(lines[1:]) + "\n"


def _cell(value: Any) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*value) if isinstance(value, list) else f"{value:.3f}"


if __name__ == "__main__":
    main()
