"""How the process keeps its memory. This module must stay free of torch: a command asks before it loads anything."""

from __future__ import annotations

import ctypes
import sys

_MMAP_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -4, -3, -1  # of mallopt (glibc, malloc.h)
_LARGE = 32 * 2**20  # bytes, the most that glibc takes for a threshold: 11 million pixels


def keep_freed_memory() -> None:
    """Tell glibc to keep large blocks that were freed instead of giving them back to the system.

    Each layer's activations are such a block; fetching it anew, page by page and zeroed, took 40 % of a training step.
    Elsewhere than on Linux with glibc nothing happens.
    """
    _told({_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1})  # no block of its own for a large request; idle at the heap's end


def give_back_large_blocks() -> None:
    """Tell glibc to give blocks above 32 MB back as soon as they are freed, and to keep smaller ones: for a process
    that stays, and now and then reads a vast picture."""
    _told({_MMAP_MAX: 65_536, _MMAP_THRESHOLD: _LARGE, _TRIM_THRESHOLD: 8 * _LARGE})


def _told(settings: dict[int, int]) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for name, value in settings.items():
            mallopt(name, value)
