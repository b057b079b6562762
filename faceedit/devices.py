"""Where the network runs, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from faceedit.errors import FaceEditError


def choose_device(name: str) -> str:
    """'cpu', 'cuda', or the better of the two for 'auto'. Raises FaceEditError for a GPU that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise FaceEditError(f"device {name!r} is not one of auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise FaceEditError("no GPU that this PyTorch can use: choose --device cpu, or install a CUDA build")
    return name


def has_bf16(device: str) -> bool:
    """Whether half-precision (bfloat16) arithmetic is native on the device."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(device: str) -> AbstractContextManager[object]:
    """bfloat16 where it is native, full precision elsewhere."""
    return torch.autocast(device, torch.bfloat16) if has_bf16(device) else nullcontext()
