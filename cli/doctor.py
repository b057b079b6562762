"""facesearch doctor: what this installation has, what is missing, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict

from typer import Exit

from cli import options
from cli.telling import show


def doctor(models: options.Models = None, as_json: options.Json = False) -> None:
    """Say what is installed, and what is missing. It looks at versions, devices, OpenMP, SQLite, models and optional
    parts; exit code 1 when something is broken."""
    from retrieval.installation import examine, lines_of

    found = examine(models)
    show(as_json, [asdict(finding) for finding in found], lines_of(found))
    if any(finding.state == "broken" for finding in found):
        raise Exit(1)
