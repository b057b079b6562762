"""facesearch serve, demo: a page and an API on this machine; the sample gallery, indexed and queried."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from cli import options
from cli.telling import ProgressBar
from faceedit.errors import UsageError

if TYPE_CHECKING:
    from retrieval.demo import Demo


def serve(
    db: options.Db = None,
    demo: Annotated[bool, "Serve the sample gallery that comes along."] = False,
    open_page: Annotated[bool, "--open", "Open the page in a browser."] = False,
    host: Annotated[str, "Listen at this address; beyond this machine it takes --api-key."] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65_535, help="Listen at this port; 0 for a free one.")] = 8000,
    api_key: Annotated[
        str | None,
        Option(
            "--api-key",
            envvar="FACESEARCH_API_KEY",
            show_envvar=False,
            help="Ask everybody for this key. [default: $FACESEARCH_API_KEY]",
        ),
    ] = None,
    root: Annotated[
        list[Path] | None, "Let the page index below this folder. [default: the gallery's own only]"
    ] = None,
    name: Annotated[list[str] | None, "Answer to this host name, too, as a proxy's."] = None,
    root_path: Annotated[str, "What a proxy takes off the path: /faces for example.com/faces/."] = "",
    certfile: Annotated[Path | None, "Serve HTTPS with this certificate."] = None,
    keyfile: Annotated[Path | None, "The certificate's key."] = None,
    log_files: Annotated[bool, "--log-paths", "Let the log name what was asked for."] = False,
    identity: options.Identity = None,
    model: options.Model = None,
    models: options.Models = None,
    device: options.Device = "auto",
) -> None:
    """Open a page on this machine. See, turn the head, find; the same over an API for programs. Ctrl-C ends it."""
    if demo and (db or model or models or identity):
        raise UsageError("--demo serves the sample by its own models: leave out --db, --identity, --model and --models")
    from facesearch.server.installed import serving
    from facesearch.server.settings import BRIEF, Settings

    names, roots = tuple(name or ()), tuple(root or ())
    settings = Settings(host, port, api_key, roots, names, root_path.rstrip("/"), certfile, keyfile, log_files)
    listen = serving()
    if demo:
        with ProgressBar() as bar:
            faces = demo_of(device).search(bar.tell)
    else:
        faces = options.face_search(db, identity=identity, model=model, models=models, device=device, patience=BRIEF)

    def told(address: str) -> None:
        print(f"{address}  (Ctrl-C ends it)", flush=True)
        if open_page:
            import webbrowser

            webbrowser.open(address)

    try:
        listen(faces, settings, told, demo=demo)
    except KeyboardInterrupt:
        print("ended")


def demo(
    out: Annotated[Path, "The folder for the demo's gallery and picture."] = Path("demo"),
    sample: Annotated[Path | None, "The folder of the sample. [default: the one that comes along]"] = None,
    device: options.Device = "auto",
) -> None:
    """Index and query the sample gallery. It answers queries of each task, and draws the results."""
    shown, started = demo_of(device, out, sample), time.monotonic()
    with ProgressBar() as bar:
        faces = shown.search(bar.tell)
    with faces:
        for text in shown.shown(faces, started):
            print(text)


def demo_of(device: str, out: Path = Path("demo"), sample: Path | None = None) -> Demo:
    """The demo, whose models compute on this device."""
    from retrieval.demo import Demo

    return Demo(lambda place, models: options.face_search(place, models=models, device=device), out, sample)
