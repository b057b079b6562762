"""How the process keeps its memory. This module must stay free of torch: a command asks before it loads anything."""

from __future__ import annotations

import ctypes
import sys

_MMAP_MAX, _TRIM_THRESHOLD = -4, -1  # of mallopt (glibc, malloc.h)


def keep_freed_memory() -> None:
    """Tell glibc to keep large blocks that were freed instead of giving them back to the system.

    Each layer's activations are such a block; fetching it anew, page by page and zeroed, took 40 % of a training step.
    Elsewhere than on Linux with glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)  # no block of its own for a large request
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)  # bytes that may lie idle at the heap's end
