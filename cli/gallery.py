"""facesearch gallery: look at a gallery."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from cli.options import (
    DbOption,
    JsonOption,
    MaxMemoryOption,
    MaxMsOption,
    RecallOption,
    db_folder,
    requirements_of,
)

group = typer.Typer(help="Look at a gallery: how it is searched, and why.", no_args_is_help=True, rich_markup_mode=None)


@group.callback()
def _several() -> None:
    """Keep `plan` a command of its own, although there is no other yet."""


@group.command("plan")
def plan(
    db: DbOption = None,
    max_memory: MaxMemoryOption = None,
    recall: RecallOption = None,
    max_ms: MaxMsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how the gallery is searched best within so much memory and time, and why; nothing is changed."""
    requirements = requirements_of(db_folder(db), max_memory, recall, max_ms)
    from cli.answers import aligned
    from index.gallery import Gallery
    from index.plan import KINDS, size_text

    with Gallery.open(db_folder(db)) as gallery:
        made = gallery.plan(requirements)
    chosen = made.chosen
    if as_json:
        print(json.dumps({**asdict(made), "chosen": chosen.kind if chosen else None}))
    else:
        print(
            f"{made.count:,} images, descriptors of {made.size:,} numbers, {made.dimensions} for a first look; "
            f"within {made.requirements.text}:"
        )
        table = [["", "search", "memory", "time", "to build", ""]]
        for option in made.options:
            mark = "*" if option is chosen else ""
            about = [size_text(option.memory), f"{option.milliseconds:.1f} ms", f"{option.build_seconds:.0f} s"]
            table.append([mark, option.kind, *about, option.against or KINDS[option.kind]])
        print("\n".join(aligned(table)))
        print("times are estimates; an index is measured when it is built")
    made.require()
