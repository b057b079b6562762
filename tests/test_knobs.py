"""Knobs by name."""

from __future__ import annotations

from dataclasses import fields

import pytest

from faceedit.errors import UsageError
from faceedit.synth.variety import Variety
from faceedit.training.knobs import knobs_of, turned
from faceedit.training.recipes import BEST, PAPER, RECIPES
from tests.recipes import SMALL


def test_knobs_are_set_by_name_wherever_they_are() -> None:
    made = turned(BEST, ["blur=0", "mirror=off", "mixing=2", "gradient = 0.5"])
    assert made.augmentation is not None and BEST.augmentation is not None
    assert (made.augmentation.blur, made.augmentation.mirror, made.network.mixing, made.gradient) == (
        0.0,
        False,
        2,
        0.5,
    )
    assert made.augmentation.gamma == BEST.augmentation.gamma and made.steps_one == BEST.steps_one
    assert turned(BEST, ["augmentation.blur=0", "augmentation.mirror=off", "network.mixing=2", "gradient=0.5"]) == made
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
    assert "blur" in knobs_of(BEST) and "blur" not in knobs_of(SMALL)
    with pytest.raises(UsageError, match="no knob 'blur'"):
        turned(SMALL, ["blur=0"])


def test_knobs_are_turned_all_at_once() -> None:
    """What goes together is judged at the end, so that their order says nothing."""
    without = ["skip=off", "flow=off"]
    for order in (without, without[::-1]):
        assert not turned(BEST, order).network.skip
    bare = BEST.turned(["contrast=0", "identity=0", "head=0"])  # nothing to estimate or to whiten with
    assert bare.network.identity == 0 and bare.updates_of_descriptors == 0
    with pytest.raises(UsageError, match="--knob skip=off: flow needs mixing and skip"):
        turned(BEST, ["skip=off"])
    assert turned(BEST, ["blur=0", "blur=0.1"]).augmentation == turned(BEST, ["blur=0.1"]).augmentation


def test_knobs_that_do_nothing_are_told() -> None:
    fast = SMALL.turned(["share=0.3", "whitening=0.1", "steps_one=3", "steps_head=5"])
    told = ["share has no effect without identity", "whitening has no effect without head"]
    told.append("steps_head has no effect without head or estimate")
    assert fast.idle(["share", "whitening", "steps_one", "steps_head"]) == told
    assert BEST.idle(["share", "whitening", "head_hidden"]) == []
    assert BEST.turned(["head=0"]).idle(["steps_head", "steps_whitening"]) == [
        "steps_whitening has no effect without head"
    ]


def test_places_are_needed_by_all_that_learns_but_what_learns_last() -> None:
    none = ("steps_identity", "steps_one", "steps_two", "steps_head")
    last = BEST.turned([f"{name}=0" for name in none])
    assert BEST.sees_places and not last.sees_places and min(last.steps_last, last.steps_estimator) > 0
    assert all(last.turned([f"{name}=1"]).sees_places for name in none)
    assert not BEST.turned(["flow=off"]).sees_places and not PAPER.sees_places


def test_no_two_knobs_have_one_name_and_none_is_the_task_s() -> None:
    assert BEST.augmentation is not None
    names = [f.name for part in (BEST, BEST.augmentation, BEST.network) for f in fields(part)]
    assert len(set(names)) == len(names)
    assert set(names) - knobs_of(BEST).keys() == {
        "name",
        "optimiser",
        "augmentation",
        "network",
        "attributes",
        "compact",
    }
    with pytest.raises(UsageError, match=r"no knob 'network\.attributes': choose among"):
        BEST.turned(["network.attributes=9"])
    with pytest.raises(UsageError, match=r"no knob 'network\.blur': choose among absolute_two, attribute_relu, a"):
        BEST.turned(["network.blur=0"])


@pytest.mark.parametrize(
    "knobs",
    [
        ("identity=0",),
        ("head=0",),
        ("head=0", "identity=0"),
        ("network.mixing=0",),
        ("skip=off",),
        ("estimate=0",),
        ("candidate=0",),
        ("estimate=0.0",),
        ("candidate=0.0",),
    ],
)
def test_every_part_of_the_network_can_be_left_out(knobs: tuple[str, ...]) -> None:
    """What needs it goes with it."""
    network = BEST.turned(knobs).network_for(7)
    names = [knob.partition("=")[0].rpartition(".")[2] for knob in knobs]
    assert all(getattr(network, name) == 0 for name in names)
    assert (network.head_hidden > 0) == ("head" not in names)
    assert network.look_back == (names in (["mixing"], ["skip"], ["estimate"], ["candidate"]))
    assert (network.estimate > 0) == (names not in (["identity"], ["head", "identity"], ["estimate"]))
    assert network.soft == (network.estimate > 0 and network.candidate > 0)
    assert network.flow == (names not in (["mixing"], ["skip"]))


def test_what_was_asked_for_does_not_go_silently() -> None:
    with pytest.raises(UsageError, match=r"--knob identity=0 --knob estimate=1: estimate .*needs an identity network"):
        BEST.turned(["identity=0", "estimate=1"])
    with pytest.raises(UsageError, match="look_back needs a head and an identity network"):
        SMALL.turned(["look_back=on"])


def test_every_recipe_can_be_without_what_a_knob_takes_along() -> None:
    """Also one without augmentation, which has none of its knobs."""
    for recipe in RECIPES.values():
        for name in ("flow", "mixing", "skip", "still"):
            assert not knobs_of(recipe.turned([f"{name}={'0' if name == 'mixing' else 'off'}"]))[name]
