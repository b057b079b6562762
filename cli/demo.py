"""facesearch demo: index the sample gallery and query it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Context, Option

from cli.options import DeviceOption, face_search

if TYPE_CHECKING:
    from retrieval.demo import Demo


def demo(
    context: Context,
    out: Annotated[Path, Option(help="The folder for the demo's gallery and picture.")] = Path("demo"),
    sample: Annotated[Path | None, Option(help="The folder of the sample. [default: the one that comes along]")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Index and query the sample gallery. It answers queries of each task, and draws the results."""
    from cli.progress import ProgressBar

    shown, started = demo_of(context, device, out, sample), time.monotonic()
    with ProgressBar() as bar:
        faces = shown.search(bar.tell)
    with faces:
        for text in shown.shown(faces, started):
            print(text)


def demo_of(context: Context, device: str, out: Path = Path("demo"), sample: Path | None = None) -> Demo:
    """The demo, whose models compute on this device."""
    from retrieval.demo import Demo

    return Demo(lambda place, models: face_search(context, place, models=models, device=device), out, sample)
