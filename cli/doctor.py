"""facesearch doctor: what this installation has, what is missing, and how to mend it."""

from __future__ import annotations

import json
from dataclasses import asdict

from typer import Exit

from cli.options import JsonOption, ModelsOption


def doctor(models: ModelsOption = None, as_json: JsonOption = False) -> None:
    """Say what is installed, and what is missing. It looks at versions, devices, OpenMP, SQLite, models and optional
    parts; exit code 1 when something is broken."""
    from retrieval.installation import examine

    found = examine(models)
    if as_json:
        print(json.dumps([asdict(finding) for finding in found]))
    else:
        width = max(len(finding.name) for finding in found)
        print("\n".join(line for finding in found for line in finding.lines(width)))
    if any(finding.state == "broken" for finding in found):
        raise Exit(1)
