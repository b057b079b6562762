"""Each loss against its formula in a naive loop, in every precision that training uses."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from faceedit.training.losses import contrast, feature_loss, gradient_difference, info_nce, squared_error, value_loss

PRECISIONS = [(torch.float64, 1e-9), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)]
each_precision = pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=lambda v: str(v))


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows(count: int, size: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(random(count, size, seed=seed), dim=1)


@each_precision
def test_squared_error(dtype: torch.dtype, tolerance: float) -> None:
    error = random(3, 2, 4, 5).to(dtype)
    squares = [[float(value) ** 2 for value in picture.flatten()] for picture in error]
    mean = sum(map(sum, squares)) / (3 * 2 * 4 * 5)
    assert float(squared_error(error)) == pytest.approx(mean, rel=tolerance)
    assert float(squared_error(error, summed=True)) == pytest.approx(sum(map(sum, squares)) / 3, rel=tolerance)


@each_precision
def test_gradient_difference(dtype: torch.dtype, tolerance: float) -> None:
    error = random(2, 3, 4, 5).to(dtype)
    across, down = [], []
    for picture in error.double():
        for channel in picture:
            for y in range(4):
                for x in range(5):
                    if x:
                        across.append(abs(float(channel[y, x] - channel[y, x - 1])))
                    if y:
                        down.append(abs(float(channel[y, x] - channel[y - 1, x])))
    expected = sum(across) / len(across) + sum(down) / len(down)
    assert float(gradient_difference(error)) == pytest.approx(expected, rel=tolerance)
    assert float(gradient_difference(torch.ones_like(error))) == 0  # an error that is the same everywhere has no edge


@each_precision
def test_feature_loss(dtype: torch.dtype, tolerance: float) -> None:
    here, there = ([random(2, 3, 4, seed=s).to(dtype), random(2, 5, seed=s + 1).to(dtype)] for s in (0, 2))
    ratios = []
    for a, b in zip(here, there, strict=True):
        pairs = list(zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))
        ratios.append(sum((x - y) ** 2 for x, y in pairs) / sum(y**2 for _, y in pairs))
    assert float(feature_loss(here, there)) == pytest.approx(sum(ratios) / 2, rel=max(tolerance, 1e-5))
    assert float(feature_loss(there, there)) == 0


def minus_log_share(scores: list[float], own: int) -> float:
    return -math.log(math.exp(scores[own]) / sum(map(math.exp, scores)))


@each_precision
def test_info_nce(dtype: torch.dtype, tolerance: float) -> None:
    a, b = rows(5, 8).to(dtype), rows(5, 8, seed=1).to(dtype)
    terms = [
        minus_log_share([4 * float(one[i].double() @ other[j].double()) for j in range(5)], i)
        for i in range(5)
        for one, other in ((a, b), (b, a))
    ]
    assert float(info_nce(a, b, scale=4.0)) == pytest.approx(sum(terms) / 10, rel=tolerance)


@each_precision
@pytest.mark.parametrize("people", [None, [0, 0, 1, 1, 2]])
def test_contrast(people: list[int] | None, dtype: torch.dtype, tolerance: float) -> None:
    query, stored, unturned = (rows(5, 6, seed=s).to(dtype) for s in range(3))
    q, s, u = (t.double() for t in (query, stored, unturned))
    there, back = [], []
    for i in range(5):
        alike = [j for j in range(5) if people is None or people[j] == people[i]]
        own = alike.index(i)
        there.append(minus_log_share([3 * float(q[i] @ t[j]) for t in (s, u) for j in alike], own))
        back.append(minus_log_share([3 * float(q[j] @ s[i]) for j in alike], own))
    whose = None if people is None else torch.tensor(people)
    found = contrast(query, stored, unturned, 3.0, whose)
    assert float(found) == pytest.approx(sum(there) / 5 + sum(back) / 5, rel=tolerance)


@each_precision
def test_value_loss(dtype: torch.dtype, tolerance: float) -> None:
    scores, own = random(4, 7).to(dtype), [0, 6, 3, 3]
    expected = sum(minus_log_share(row.double().tolist(), i) for row, i in zip(scores, own, strict=True)) / 4
    assert float(value_loss(scores, torch.tensor(own))) == pytest.approx(expected, rel=max(tolerance, 1e-5))


@pytest.mark.parametrize(
    "loss",
    [
        squared_error,
        gradient_difference,
        lambda x: feature_loss([x], [torch.ones_like(x)]),
        lambda x: info_nce(F.normalize(x.flatten(1), dim=1), rows(3, 32, seed=9).float(), scale=4.0),
        lambda x: contrast(F.normalize(x.flatten(1), dim=1), rows(3, 32, 8).float(), rows(3, 32, 9).float(), 3.0),
        lambda x: value_loss(x.flatten(1), torch.tensor([0, 5, 31])),
    ],
)
def test_following_a_loss_s_gradient_makes_it_smaller(loss: Callable[[torch.Tensor], torch.Tensor]) -> None:
    made = random(3, 2, 4, 4).float().requires_grad_()
    before = loss(made)
    (slope,) = torch.autograd.grad(before, made)
    assert float(slope.abs().max()) > 0
    with torch.no_grad():
        assert float(loss(made - 1e-2 * slope)) < float(before)
