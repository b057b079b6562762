"""Write docs/commands.md, every command as its own --help tells it: `make docs`, which a test compares with the file.

What stands there is written once, in the commands themselves (cli/); this only walks through them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from typer.main import get_command

from cli.app import app

if TYPE_CHECKING:
    from typer._click import Command, Context

TARGET = Path(__file__).with_name("commands.md")
WIDTH = 10_000  # one line for each help text: Markdown breaks it where the reader's window ends
HEAD = """# Commands

<!-- Written by `make docs` from the commands themselves: change the help texts in cli/, not this file. -->

Every command shows the same with `--help`. Results go to stdout, progress and warnings to stderr. How the commands
work together is told in [galleries.md](galleries.md) and [training.md](training.md), with examples.
"""


def commands_page() -> str:
    """The whole of docs/commands.md."""
    root = get_command(app)
    wide = {**root.context_settings, "max_content_width": WIDTH, "terminal_width": WIDTH}
    context = root.context_class(root, info_name="facesearch", **wide)
    sections = list(_sections(root, context))
    return "\n".join([HEAD, *(f"- {_link(title)}" for title, _ in sections), "", *(text for _, text in sections)])


def _sections(command: Command, context: Context) -> Iterator[tuple[str, str]]:
    """(title, Markdown) of a command and of all that are below it."""
    yield context.command_path, _section(command, context)
    for name, below in getattr(command, "commands", {}).items():
        inner = below.context_class(below, info_name=name, parent=context, **below.context_settings)
        yield from _sections(below, inner)


def _section(command: Command, context: Context) -> str:
    usage = f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    lines = [f"## {context.command_path}", "", command.help or "", "", "```text", usage, "```", ""]
    records = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    lines += ["| | |", "| --- | --- |", *(f"| `{left}` | {_cell(right)} |" for left, right in records), ""]
    return "\n".join(lines)


def _link(title: str) -> str:
    return f"[{title}](#{title.replace(' ', '-')})"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    TARGET.write_text(commands_page(), encoding="utf-8")
