"""How whoever asks for something long is told how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""progress(what, done, total)"""
Steps = Callable[[int, int], None]
"""progress(done, total), where there is one thing to do"""

Alive = Callable[[], None]
"""Called now and then while something is waited for; what it raises ends the waiting."""
