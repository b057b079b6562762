"""facesearch serve: a page and an API on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from typer import Context, Option

from cli.demo import demo_of
from cli.options import DbOption, DeviceOption, IdentityOption, ModelOption, ModelsOption, face_search
from cli.progress import ProgressBar
from faceedit.errors import MissingPackageError, UsageError

_NEEDS = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "starlette", "pydantic", "anyio")


def serve(
    context: Context,
    db: DbOption = None,
    demo: Annotated[bool, Option("--demo", help="Serve the sample gallery that comes along.")] = False,
    open_page: Annotated[bool, Option("--open", help="Open the page in a browser.")] = False,
    host: Annotated[str, Option(help="Listen at this address; beyond this machine it takes --api-key.")] = "127.0.0.1",
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
        list[Path] | None, Option(help="Let the page index folders below this one. [default: the gallery's own only]")
    ] = None,
    name: Annotated[list[str] | None, Option(help="Answer to this host name, too, as a proxy's.")] = None,
    root_path: Annotated[str, Option(help="What a proxy takes off the path: /faces for example.com/faces/.")] = "",
    certfile: Annotated[Path | None, Option(help="Serve HTTPS with this certificate.")] = None,
    keyfile: Annotated[Path | None, Option(help="The certificate's key.")] = None,
    log_files: Annotated[bool, Option("--log-paths", help="Let the log name what was asked for.")] = False,
    identity: IdentityOption = None,
    model: ModelOption = None,
    models: ModelsOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Open a page on this machine. See, turn the head, find; the same over an API for programs. Ctrl-C ends it."""
    if (certfile is None) != (keyfile is None):
        raise UsageError("--certfile and --keyfile belong together: give both")
    if demo and (db or model or models or identity):
        raise UsageError("--demo serves the sample by its own models: leave out --db, --identity, --model and --models")
    try:
        from facesearch.server.settings import Settings
        from facesearch.server.start import serve as listen
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDS:
            raise
        raise MissingPackageError(
            f"the page needs {error.name}, which is not installed: pip install -c constraints.txt '.[cpu,serve]'"
        ) from error
    settings = Settings(
        host=host,
        port=port,
        key=api_key,
        roots=tuple(root or ()),
        names=tuple(name or ()),
        root_path=root_path.rstrip("/"),
        secure=certfile is not None,
        files_in_log=log_files,
    )
    certificate = (certfile, keyfile) if certfile and keyfile else None
    if demo:
        with ProgressBar() as bar:
            faces = demo_of(context, device).search(bar.tell)
    else:
        faces = face_search(context, db, identity=identity, model=model, models=models, device=device)
    try:
        listen(faces, settings, _told(open_page), demo=demo, certificate=certificate)
    except KeyboardInterrupt:
        print("ended")


def _told(open_page: bool) -> Callable[[str], None]:
    def told(address: str) -> None:
        print(f"{address}  (Ctrl-C ends it)", flush=True)
        if open_page:
            import webbrowser

            webbrowser.open(address)

    return told
