"""facesearch index: describe a folder of pictures into a gallery."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Context, Exit, Option

from cli.options import (
    CandidatesOption,
    DbOption,
    DescriptorOption,
    DetectorOption,
    DeviceOption,
    IdentityOption,
    JsonOption,
    MaxMemoryOption,
    MaxMsOption,
    ModelOption,
    RecallOption,
    TaskOption,
    db_folder,
    db_place,
    face_search,
)
from cli.telling import say, show, warn_not_searched
from faceedit.errors import UsageError
from faceedit.text import printable

if TYPE_CHECKING:
    from cli.progress import ProgressBar
    from retrieval.pruning import Ask, Gone


def index(
    context: Context,
    images: Annotated[
        str, Argument(help="The folder of the gallery's images, or its address in a store: s3://bucket/folder.")
    ],
    db: DbOption = None,
    labels: Annotated[
        Path | None, Option(help="A manifest.csv that says path, identity, pose, ... of the images.")
    ] = None,
    task: TaskOption = None,
    model: ModelOption = None,
    descriptor: DescriptorOption = None,
    candidates: CandidatesOption = "likely",
    prune: Annotated[bool, Option("--prune", help="Remove the images whose files have gone.")] = False,
    yes: Annotated[
        bool, Option("--yes", help="Remove them also where whole folders have gone, without asking.")
    ] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Only say which --prune would remove.")] = False,
    exclude: Annotated[
        list[str] | None,
        Option(metavar="GLOB", help="Pass over files and folders of this name, or path below IMAGES or /."),
    ] = None,
    follow_links: Annotated[
        bool, Option("--follow-links", help="Look into folders that links lead to, into each once.")
    ] = False,
    verbose: Annotated[bool, Option("--verbose", help="List the files that are passed over.")] = False,
    retry: Annotated[bool, Option("--retry", help="Try files again that could not be read before.")] = False,
    identity_level: Annotated[
        str | None,
        Option(
            metavar="LEVEL",
            help="Which folder below IMAGES names a person: first, last or a number. [default: as before, or last]",
        ),
    ] = None,
    faces: Annotated[
        str | None,
        Option(
            help="Take crops as they are and every face of a photograph (auto) or the largest; cut out all, also of "
            "crops; or take every picture for a crop (aligned). [default: as before, or auto]"
        ),
    ] = None,
    detector: DetectorOption = None,
    identity_of: Annotated[
        str | None,
        Option(
            help="Let the folder's name belong to a photograph's only face, or to the largest of several, too. "
            "[default: as before, or only]"
        ),
    ] = None,
    shard: Annotated[
        str | None,
        Option(
            metavar="N/COUNT",
            help="Describe only this part of the files, 0/64 to 63/64; other processes may describe others meanwhile.",
        ),
    ] = None,
    workers: Annotated[
        str | None,
        Option(
            metavar="RAY",
            help="Describe on the machines of a Ray cluster, ray://HOST:10001, or by Ray on this one: ray.",
        ),
    ] = None,
    max_memory: MaxMemoryOption = None,
    recall: RecallOption = None,
    max_ms: MaxMsOption = None,
    identity: IdentityOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Describe a folder of images into a gallery. Every image is described under all candidate poses (or lights, for
    another task) and can be searched from then on."""
    if dry_run and not prune:
        raise UsageError("--dry-run says what --prune would remove: give both")
    if dry_run and shard is not None:
        raise UsageError("--dry-run looks at all of a folder, not at a shard: leave one of them out")
    from cli.progress import ProgressBar
    from retrieval.search_requirements import requirements_of

    looks: dict[str, Any] = {"exclude": exclude or (), "follow_links": follow_links}
    started, place = time.monotonic(), db_place(db)
    requirements = requirements_of(db_folder(db), max_memory, recall, max_ms)
    options = {"attribute": task, "descriptor": descriptor, "candidates": candidates, "identity": identity}
    with face_search(context, db, model=model, device=device, **options) as search, ProgressBar() as bar:
        if dry_run:
            _tell_gone(search.would_prune(images, **looks), as_json)
            return
        looks |= {"identity_level": identity_level, "faces": faces, "detector": detector, "identity_of": identity_of}
        looks |= {"prune": prune, "sure": yes or _asked(bar), "retry": retry, "shard": shard, "workers": workers}
        report = search.index(images, labels, requirements=requirements, progress=bar.tell, **looks)
    say("skipped", report.skipped_lines())
    say("passed over", report.passed_lines() if verbose else ())
    lines = report.lines(place, time.monotonic() - started)
    show(as_json, {"gallery": str(place), **report.as_json()}, lines)
    say("warning", report.warnings())
    if report.not_searched is not None and requirements is not None:
        raise report.not_searched
    warn_not_searched(report.not_searched, "the gallery is searched as before")
    if report.skipped:
        raise Exit(3)


def _asked(bar: ProgressBar) -> Ask | bool:
    """What asks on a terminal whether so much is to be removed; without one nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False

    def ask(gone: Gone) -> bool:
        with bar.paused():
            print(f"{gone.text}. Remove them? [y/N] ", end="", file=sys.stderr, flush=True)
            return sys.stdin.readline().strip().lower() in ("y", "yes")

    return ask


def _tell_gone(gone: Gone, as_json: bool) -> None:
    """What would be removed, as text or JSON; what speaks against it goes to stderr."""
    if as_json or gone.images:
        show(as_json, gone.as_json(), (printable(face.path) for face in gone.images))
    print("\n".join(gone.warnings()), file=sys.stderr)
