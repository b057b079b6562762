"""Layers as they run: batch normalisation is part of the convolution before it, unpooling and a convolution are one,
and ReLU is applied where the convolution writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.identity import Residual
from faceedit.networks import UnpoolConvolution

Step = Callable[[Tensor], Tensor]
_LAST = torch.channels_last


class Convolution:
    """A convolution, and perhaps ReLU while it writes."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, stride: int, padding: int, relu: bool, precision: torch.dtype
    ) -> None:
        self._weight = weight.detach().to(precision).contiguous(memory_format=_LAST)
        self._bias = None if bias is None else bias.detach().to(precision)
        self._stride, self._padding, self._relu = stride, padding, relu

    def __call__(self, x: Tensor) -> Tensor:
        if self._relu and _can_fuse(x):
            two = [self._padding] * 2, [self._stride] * 2, [1, 1]
            made: Tensor = torch.ops.mkldnn._convolution_pointwise(x, self._weight, self._bias, *two, 1, "relu", [], "")
            return made
        made = F.conv2d(x, self._weight, self._bias, self._stride, self._padding)
        return made.relu_() if self._relu else made


class _Unpooling:
    """Unpooling, a convolution, and perhaps ReLU: a transposed convolution of stride 2."""

    def __init__(self, module: UnpoolConvolution, relu: bool, precision: torch.dtype) -> None:
        kernel = module.convolution.weight.flip(2, 3).transpose(0, 1)
        self._weight = kernel.detach().to(precision).contiguous()
        assert module.convolution.bias is not None
        self._bias, self._relu = module.convolution.bias.detach().to(precision), relu

    def __call__(self, x: Tensor) -> Tensor:
        if self._relu and _can_fuse(x):
            two = [1, 1], [1, 1], [2, 2], [1, 1]  # padding, output padding, stride, dilation
            made: Tensor = torch.ops.mkldnn._convolution_transpose_pointwise(
                x, self._weight, self._bias, *two, 1, "relu", [], ""
            )
            return made
        made = F.conv_transpose2d(x, self._weight, self._bias, stride=2, padding=1, output_padding=1)
        return made.relu_() if self._relu else made


def folded(modules: Iterable[nn.Module], precision: torch.dtype) -> list[Step]:
    """The steps of a sequence of modules, each convolution together with the batch normalisation and the ReLU that
    follow it."""
    steps: list[Step] = []
    todo = list(_flat(modules))
    while todo:
        module = todo.pop(0)
        if isinstance(module, Residual):
            steps.append(_Sum(folded(module.layers, precision)))
            continue
        norm = todo.pop(0) if todo and isinstance(todo[0], nn.BatchNorm2d) else None
        convolves = isinstance(module, nn.Conv2d | UnpoolConvolution)
        relu = bool(convolves and todo and isinstance(todo[0], nn.ReLU))
        if relu:
            todo.pop(0)
        if isinstance(module, UnpoolConvolution):
            steps.append(_Unpooling(module, relu, precision))
        elif isinstance(module, nn.Conv2d):
            weight, bias = _normalised(module, norm)
            steps.append(Convolution(weight, bias, int(module.stride[0]), int(module.padding[0]), relu, precision))
        else:
            steps.append(F.relu_ if isinstance(module, nn.ReLU) else module.to(precision))
    return steps


@dataclass(frozen=True)
class _Sum:
    """What goes in, and what the steps make of it."""

    steps: Sequence[Step]

    def __call__(self, x: Tensor) -> Tensor:
        return run(self.steps, x).add_(x)


def _flat(modules: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The modules, and those of sequences among them in their place."""
    for module in modules:
        if isinstance(module, nn.Sequential):
            yield from _flat(module)
        else:
            yield module


def _normalised(module: nn.Conv2d, norm: nn.Module | None) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a convolution with the batch normalisation behind it."""
    if norm is None:
        return module.weight, module.bias
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    before = 0 if module.bias is None else module.bias
    return module.weight * scale[:, None, None, None], norm.bias + (before - norm.running_mean) * scale


def run(steps: Sequence[Step], x: Tensor) -> Tensor:
    """One after the other, (B, C, H, W)."""
    for step in steps:
        x = step(x)
    return x


def _can_fuse(x: Tensor) -> bool:
    return x.device.type == "cpu" and _FUSED


_FUSED = hasattr(torch.ops.mkldnn, "_convolution_pointwise") and bool(
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
)
