"""facesearch doctor: what this installation has, what is missing, and how to mend it."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from cli.options import JsonOption, ModelsOption
from faceedit.text import message


def doctor(models: ModelsOption = None, as_json: JsonOption = False) -> None:
    """Say what is installed, and what is missing. It looks at versions, devices, OpenMP, SQLite, models and optional
    parts; exit code 1 when something is broken."""
    from retrieval.installation import examine

    found = examine(models)
    if as_json:
        print(json.dumps([asdict(finding) for finding in found]))
    else:
        width = max(len(finding.name) for finding in found)
        for finding in found:
            print(f"{finding.state.ljust(8)}  {finding.name.ljust(width)}  {message(finding.about)}")
            if finding.mend:
                print(f"{'':8}  {'':{width}}  -> {finding.mend}")
    if any(finding.state == "broken" for finding in found):
        raise typer.Exit(1)
