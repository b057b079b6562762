"""facesearch doctor: what this installation has, what is missing, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict

from typer import Exit

from cli.options import JsonOption, ModelsOption
from cli.telling import show


def doctor(models: ModelsOption = None, as_json: JsonOption = False) -> None:
    """Say what is installed, and what is missing. It looks at versions, devices, OpenMP, SQLite, models and optional
    parts; exit code 1 when something is broken."""
    from retrieval.installation import examine

    found = examine(models)
    width = max(len(finding.name) for finding in found)
    lines = (line for finding in found for line in finding.lines(width))
    show(as_json, [asdict(finding) for finding in found], lines)
    if any(finding.state == "broken" for finding in found):
        raise Exit(1)
