"""What commands tell: results on stdout, as text or JSON; on stderr what is amiss, each line after what it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.source import Source


def show(as_json: bool, content: object, lines: Iterable[str]) -> None:
    """A result: its content as one JSON value, or its lines."""
    print(json.dumps(content) if as_json else "\n".join(lines))


def say(what: str, lines: Iterable[str]) -> None:
    """Beside the result, on stderr: each line after what it is, such as skipped, or a warning."""
    for line in lines:
        print(f"{what}: {line}", file=sys.stderr)


def warn_of(*sources: Source) -> None:
    """Say what is amiss with pictures' files, and costs no pixel."""
    from faceedit.text import printable

    for source in sources:
        say("warning", (printable(f"{source.name}: {warning}") for warning in source.warnings))


def warn_not_searched(reason: Exception | None, what: str = "the index is not built anew") -> None:
    """Say why there is no new index; the gallery is searched all the same."""
    if reason is not None:
        from faceedit.text import message

        say("warning", [f"{what}: {message(str(reason))}"])
