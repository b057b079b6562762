"""The paper's claims, each checked on what was measured: whether it holds, with the two numbers that were compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrieval.evaluation.reproduce import paper

Table = Mapping[str, Mapping[str, float]]
VERDICTS = {True: "holds", False: "does not hold", None: "not measured"}
Turns = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Claim:
    """One sentence, the two numbers compared (the first should be the smaller), and the paper's own two. An unknown
    number is None: then the claim cannot be checked."""

    text: str
    smaller: float | None
    larger: float | None
    paper_smaller: float | None = None
    paper_larger: float | None = None

    @property
    def holds(self) -> bool | None:
        if self.smaller is None or self.larger is None:
            return None
        return self.smaller < self.larger


def check_claims(tasks: Mapping[str, Mapping[str, Any]]) -> list[Claim]:
    """Every claim of section 4, from the measurements of each task (`measure_errors`)."""
    claims = [_stage_two(name, tasks) for name in ("pose", "illumination", "inpainting")]
    pose = tasks.get("pose", {})
    claims += _rotations(pose.get("mse_by_pair", {}), pose.get("mse_by_pair_face", {}))
    claims += [_easier("illumination", "pose", tasks), _easier("inpainting", "illumination", tasks)]
    regions = pose.get("regions", {})
    text = "The largest errors lie on silhouette, hair and neck: the inner face has smaller ones than what surrounds it"
    return [*claims, Claim(text, regions.get("face"), regions.get("around"))]


def _stage_two(name: str, tasks: Mapping[str, Mapping[str, Any]]) -> Claim:
    (one, two), (paper_one, paper_two) = (_mse(tasks, name, stage) for stage in ("stage1", "stage2")), paper.MSE[name]
    return Claim(f"Stage two beats stage one ({name})", two, one, paper_two, paper_one)


def _easier(easy: str, hard: str, tasks: Mapping[str, Mapping[str, Any]]) -> Claim:
    return Claim(
        f"{easy.capitalize()} is easier than {hard}",
        _mse(tasks, easy, "stage2"),
        _mse(tasks, hard, "stage2"),
        paper.MSE[easy][1],
        paper.MSE[hard][1],
    )


def _rotations(table: Table, face: Table) -> list[Claim]:
    turns = [(s, t) for s in paper.POSES for t in paper.POSES if s != t]
    near = [turn for turn in turns if abs(turn[0] - turn[1]) == 15]
    far = [turn for turn in turns if abs(turn[0] - turn[1]) >= 75]
    # from 15 degrees, a turn of 30 leads to the mirrored pose or to 45
    mirrored, profile = [(-15, 15), (15, -15)], [(-15, -45), (15, 45)]
    toward, away = [(-30, 0), (30, 0)], [(0, 30), (0, -30)]
    symmetric = "At an equal angle a symmetric pair is easier"
    frontal = "Turning toward frontal is easier than away"
    compared = (
        ("Small rotations are easier than large ones: 15 degrees against 75 and 90", table, near, far),
        (f"{symmetric}: -15 to 15 against -15 to -45", table, mirrored[:1], profile[:1]),
        (f"{symmetric}, averaged with its mirror image", table, mirrored, profile),
        (f"{symmetric}, averaged, within the inner face alone", face, mirrored, profile),
        (f"{frontal}: -30 to 0 against 0 to 30", table, toward[:1], away[:1]),
        (f"{frontal}, averaged with its mirror image", table, toward, away),
        (f"{frontal}, averaged, within the inner face alone", face, toward, away),
    )
    return [_turns_compared(text, own, a, b, own is table) for text, own, a, b in compared]


def _turns_compared(text: str, table: Table, a: Turns, b: Turns, reported: bool) -> Claim:
    """reported: the paper has this table, too."""
    printed = (_mean(paper.MSE_BY_PAIR, a), _mean(paper.MSE_BY_PAIR, b)) if reported else (None, None)
    return Claim(text, _mean(table, a), _mean(table, b), *printed)


def _mse(tasks: Mapping[str, Mapping[str, Any]], name: str, stage: str) -> float | None:
    value = tasks.get(name, {}).get("mse", {}).get(stage)
    return None if value is None else float(value)


def _mean(table: Table, turns: Turns) -> float | None:
    values = [table.get(str(s), {}).get(str(t)) for s, t in turns]
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 1) if known and len(known) == len(values) else None
