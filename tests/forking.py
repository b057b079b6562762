"""Work that is done in a child of this process, which has started no thread."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable


def fork(work: Callable[[], object], loud: bool = False) -> int:
    """The process id of a child that does this."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        if loud:
            traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
