"""Where the network runs, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from faceedit.errors import FaceEditError, UsageError


def choose_device(name: str) -> str:
    """'cpu', 'cuda', or the better of the two for 'auto'. Raises FaceEditError for a GPU that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r} is not one of auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise FaceEditError("no GPU that this PyTorch can use: choose --device cpu, or install a CUDA build")
    return name


def has_bf16(device: str) -> bool:
    """Whether the device multiplies in bfloat16 natively (on a processor: AVX512-BF16, which AMX implies)."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # not in every build
    return bool(torch.backends.mkldnn.is_available() and supported and supported())  # type: ignore[no-untyped-call]


def autocast(device: str) -> AbstractContextManager[object]:
    """bfloat16 where it is native, full precision elsewhere."""
    return torch.autocast(device, torch.bfloat16) if has_bf16(device) else nullcontext()
