"""Try a network of somebody's own in a process of its own, which it may take down, hold up or fill.

OpenCV and onnxruntime are C: a file that says sizes of its own can end the process that runs it, or never end. What
the trial answered, whoever tried it may do as well. It runs in an empty folder, since what lies beside whoever reads a
file is no part of it: weights that an ONNX file keeps elsewhere are not there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from faceedit.text import message

PATIENCE = 60.0  # seconds for one network
_MOST_MEMORY = 8 * 2**30  # address space
_LONGEST = 200  # characters of a reason
_MAIN = "from faceedit.trial import main; main()"


def tried(work: Callable[..., Any], file: Path, *numbers: int, patience: float = PATIENCE) -> Any:
    """What `work(file, *numbers)` returns, which JSON can say; work: a function of a module.

    Raises ValueError with what it raised, or with how it ended the process.
    """
    asked = [work.__module__, work.__qualname__, str(file.absolute()), *map(str, numbers)]
    known = os.pathsep.join(str(Path(one).absolute()) for one in sys.path)
    with tempfile.TemporaryDirectory() as nothing:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-c", _MAIN, *asked],
                cwd=nothing,
                env={**os.environ, "PYTHONPATH": known},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=patience,
            )
        except subprocess.TimeoutExpired as error:
            raise ValueError(f"it does not answer within {patience:.0f} s") from error
    if done.returncode:
        raise ValueError(f"it ends the process that tries it, with {done.returncode}")
    answer = json.loads(done.stdout.splitlines()[-1])
    if "refused" in answer:
        raise ValueError(answer["refused"])
    return answer["answered"]


def main() -> None:
    """In the process that tries: the last line that is printed says what came of it."""
    module, name, file, *numbers = sys.argv[1:]
    _limit_memory()
    try:
        answer = {"answered": getattr(import_module(module), name)(Path(file), *map(int, numbers))}
    except Exception as error:  # of C libraries, whatever they raise
        answer = {"refused": reason(error)}
    print(json.dumps(answer))


def reason(error: BaseException) -> str:
    """What an error says, on a line; of OpenCV's, without where in OpenCV it was raised."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return message(first.rpartition(": error: ")[2])[:_LONGEST]


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # a system without such a limit
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard == resource.RLIM_INFINITY or hard > _MOST_MEMORY:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, hard))
