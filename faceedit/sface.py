"""SFace by PyTorch: several faces at once, on a GPU where there is one, and in bfloat16 where the machine has it.

OpenCV takes a network in whole numbers one face at a time, on one core, and needs about three times as long for it. The
file of the extra `identity` is one chain: convolutions with batch normalisation and PReLU, and a matrix at the end. Its
weights are whole numbers with a scale for each block (DequantizeLinear, ONNX opset 21), which are unpacked once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from faceedit.describes import Floats
from faceedit.devices import choose_device, has_bf16

_AT_ONCE = 32  # pictures: 50 MB of what the first convolutions make


def by_torch(content: bytes, device: str = "auto") -> Callable[[Floats], Floats]:
    """What makes (N, 128) of pictures (N, 3, 112, 112), RGB of 0 to 255. content: of SFace's ONNX file. May be shared
    by threads. Raises FaceEditError for a GPU that is not there, ValueError for another chain of layers."""
    chosen = choose_device(device)
    precision = torch.bfloat16 if has_bf16(chosen) else torch.float32
    scaling, network = _chain(content)
    network = network.to(chosen, precision).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def say(seen: Floats) -> Floats:
        parts = (torch.from_numpy(seen[at : at + _AT_ONCE]).to(chosen) for at in range(0, len(seen), _AT_ONCE))
        said = [network(scaling(part).to(precision, memory_format=torch.channels_last)) for part in parts]
        return np.asarray(torch.cat(said).float().cpu().numpy())

    return say


def _chain(content: bytes) -> tuple[Callable[[Tensor], Tensor], nn.Sequential]:
    """What takes colours to those that the network knows, in full precision, and the network."""
    import onnx
    from onnx import helper, numpy_helper

    graph = onnx.load_model_from_string(content).graph
    known = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    less, times, layers = np.zeros(1, np.float32), np.ones(1, np.float32), list[nn.Module]()
    for node in graph.node:
        said = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        given = [known[name] for name in node.input if name in known]
        if node.op_type == "DequantizeLinear":
            known[node.output[0]] = _unpacked(said["block_size"], said["axis"], *given)
        elif node.op_type == "Reshape":
            known[node.output[0]] = given[0].reshape(given[1])
        elif node.op_type == "Sub":
            less = given[0]
        elif node.op_type == "Mul":
            times = given[0]
        elif node.op_type in _LAYERS:
            layers.append(_LAYERS[node.op_type](said, [torch.from_numpy(np.array(one)) for one in given]))
        elif node.op_type not in ("Constant", "Dropout"):
            raise ValueError(f"SFace has no {node.op_type}")
    mean, scale = float(less.item()), float(times.item())
    return lambda seen: (seen - mean) * scale, nn.Sequential(*_fused(layers)).eval()


def _unpacked(block: int, axis: int, packed: NDArray[Any], scales: Floats, zeros: NDArray[Any]) -> Floats:
    """(packed - zero) x scale, one of each for every block along an axis."""
    at = np.arange(packed.shape[axis]) // block
    lifted = packed - np.take(zeros.astype(np.float32), at, axis)
    return np.asarray(lifted * np.take(scales, at, axis), np.float32)


def _fused(layers: Sequence[nn.Module]) -> list[nn.Module]:
    """Batch normalisation is part of the convolution or the matrix before it."""
    made: list[nn.Module] = []
    for layer in layers:
        before = made[-1] if made else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            made[-1] = fuse_conv_bn_eval(before.eval(), layer.eval())
        elif isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Linear):
            made[-1] = fuse_linear_bn_eval(before.eval(), layer.eval())
        else:
            made.append(layer)
    return made


def _convolution(said: Mapping[str, Any], weights: Sequence[Tensor]) -> nn.Module:
    out, each, high, wide = weights[0].shape
    groups, strides, pads = said.get("group", 1), said.get("strides", [1, 1]), said.get("pads", [0] * 4)
    (down, across), (above, left) = strides, pads[:2]
    layer = nn.Conv2d(
        each * groups, out, (high, wide), (down, across), (above, left), groups=groups, bias=len(weights) > 1
    )
    return _with(layer, ("weight", "bias"), weights)


def _normalisation(said: Mapping[str, Any], weights: Sequence[Tensor]) -> nn.Module:
    layer = nn.BatchNorm2d(len(weights[0]), said.get("epsilon", 1e-5))
    return _with(layer, ("weight", "bias", "running_mean", "running_var"), weights)


def _rectified(said: Mapping[str, Any], weights: Sequence[Tensor]) -> nn.Module:
    return _with(nn.PReLU(weights[0].numel()), ("weight",), weights)


def _product(said: Mapping[str, Any], weights: Sequence[Tensor]) -> nn.Module:
    return _with(nn.Linear(weights[0].shape[1], len(weights[0])), ("weight", "bias"), weights)


def _with(layer: nn.Module, names: Sequence[str], weights: Sequence[Tensor]) -> nn.Module:
    state = layer.state_dict()
    layer.load_state_dict({**state, **{n: w.reshape(state[n].shape) for n, w in zip(names, weights, strict=False)}})
    return layer.requires_grad_(False)


_LAYERS: Mapping[str, Callable[[Mapping[str, Any], Sequence[Tensor]], nn.Module]] = {
    "Conv": _convolution,
    "BatchNormalization": _normalisation,
    "PRelu": _rectified,
    "Flatten": lambda said, weights: nn.Flatten(),
    "Gemm": _product,
}
