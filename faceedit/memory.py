"""How this process deals with the memory that networks take. This module must stay free of torch."""

from __future__ import annotations

import sys


def keep_freed_memory() -> None:
    """Tell glibc to keep large blocks that were freed instead of giving them back to the system.

    Each layer's activations are such a block; fetching it anew, page by page and zeroed, took 40 % of a training step.
    Elsewhere than on Linux with glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-4, 0)  # M_MMAP_MAX: no block of its own for a large request
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: bytes that may lie idle at the heap's end
