"""Knobs by name."""

from __future__ import annotations

import pytest

from faceedit.errors import UsageError
from faceedit.knobs import knobs_of, turned
from faceedit.recipes import BEST, FAST
from faceedit.synth.variety import Variety


def test_knobs_are_set_by_name_wherever_they_are() -> None:
    made = turned(BEST, ["blur=0", "mirror=off", "mixing=2", "gradient = 0.5"])
    assert made.augmentation is not None and BEST.augmentation is not None
    assert (made.augmentation.blur, made.augmentation.mirror, made.mixing, made.gradient) == (0.0, False, 2, 0.5)
    assert made.augmentation.gamma == BEST.augmentation.gamma and made.steps_one == BEST.steps_one
    assert turned(Variety(), ["clothing=no", "expressions=1"]) == Variety(clothing=False, expressions=1)
    assert turned(BEST, []) is BEST


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("haze=1", "no knob 'haze': choose among asymmetry, beards"),
        ("detail", "give a number"),
        ("detail=much", "--knob detail=much: give a number, such as 1.0"),
        ("expressions=1.5", "give a whole number, such as 2"),
        ("clothing=2", "give on or off"),
        ("detail=-1", "0 or more"),
        ("detail=nan", "0 or more"),
        ("expressions=0", "expressions 0, .*expected at least one"),
    ],
)
def test_a_wrong_knob_is_named(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        turned(Variety(), [text])


def test_a_recipe_without_augmentation_has_no_such_knobs() -> None:
    assert "blur" in knobs_of(BEST) and "blur" not in knobs_of(FAST)
    with pytest.raises(UsageError, match="no knob 'blur'"):
        turned(FAST, ["blur=0"])
