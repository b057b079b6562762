"""facesearch index: describe a folder of pictures into a gallery."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

from typer import Exit

from cli import options
from cli.telling import ProgressBar, say, show
from faceedit.errors import UsageError


def index(
    images: Annotated[str, "The folder of the gallery's images, or its address in a store: s3://bucket/folder."],
    db: options.Db = None,
    labels: Annotated[Path | None, "A manifest.csv that says path, identity, pose, ... of the images."] = None,
    task: options.Task = None,
    model: options.Model = None,
    descriptor: options.Descriptor = None,
    candidates: options.Candidates = "likely",
    prune: Annotated[bool, "Remove the images whose files have gone."] = False,
    yes: Annotated[bool, "Remove them also where whole folders have gone, without asking."] = False,
    dry_run: Annotated[bool, "Only say which --prune would remove."] = False,
    exclude: Annotated[
        list[str] | None, "GLOB", "Pass over files and folders of this name, or path below IMAGES or /."
    ] = None,
    follow_links: Annotated[bool, "Look into folders that links lead to, into each once."] = False,
    verbose: Annotated[bool, "List the files that are passed over."] = False,
    retry: Annotated[bool, "Try files again that could not be read before."] = False,
    identity_level: Annotated[
        str | None,
        "LEVEL",
        "Which folder below IMAGES names a person: first, last or a number. [default: as before, or last]",
    ] = None,
    faces: Annotated[
        str | None,
        "Take crops as they are, cut anew where others cut them, and every face of a photograph (auto) or the "
        "largest; cut out all, also of crops; or take every picture for a crop as it is (aligned). "
        "[default: as before, or auto]",
    ] = None,
    detector: options.Detector = None,
    identity_of: Annotated[
        str | None,
        "Let the folder's name belong to a photograph's only face, or to the largest of several, too. "
        "[default: as before, or only]",
    ] = None,
    shard: Annotated[
        str | None,
        "N/COUNT",
        "Describe only this part of the files, 0/64 to 63/64; other processes may describe others meanwhile.",
    ] = None,
    workers: Annotated[
        str | None, "RAY", "Describe on the machines of a Ray cluster, ray://HOST:10001, or by Ray on this one: ray."
    ] = None,
    max_memory: options.MaxMemory = None,
    recall: options.Recall = None,
    max_ms: options.MaxMs = None,
    identity: options.Identity = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Describe a folder of images into a gallery. Every image is described under all candidate poses (or lights, for
    another task) and can be searched from then on."""
    if dry_run and not prune:
        raise UsageError("--dry-run says what --prune would remove: give both")
    if dry_run and shard is not None:
        raise UsageError("--dry-run looks at all of a folder, not at a shard: leave one of them out")
    from retrieval.run_reports import unsearched
    from retrieval.search_requirements import requirements_of

    started, place = time.monotonic(), options.place_of(db)
    requirements = requirements_of(place, max_memory, recall, max_ms)
    looks: dict[str, Any] = {"exclude": exclude or (), "follow_links": follow_links}
    by = {"attribute": task, "descriptor": descriptor, "candidates": candidates, "identity": identity}
    with options.face_search(db, model=model, device=device, **by) as search, ProgressBar() as bar:
        if dry_run:
            gone = search.would_prune(images, **looks)
            if as_json or gone.images:
                show(as_json, gone.as_json(), gone.lines())
            print("\n".join(gone.warnings()), file=sys.stderr)
            return
        somebody = sys.stdin.isatty() and sys.stderr.isatty()
        sure = yes or (somebody and (lambda gone: bar.confirmed(f"{gone.text}. Remove them?")))
        looks |= {"identity_level": identity_level, "faces": faces, "detector": detector, "identity_of": identity_of}
        looks |= {"prune": prune, "sure": sure, "retry": retry, "shard": shard, "workers": workers}
        report = search.index(images, labels, requirements=requirements, progress=bar.tell, **looks)
    say("skipped", report.skipped_lines())
    say("passed over", report.passed_lines() if verbose else ())
    lines = report.lines(place, time.monotonic() - started)
    show(as_json, {"gallery": str(place), **report.as_json()}, lines)
    say("warning", report.warnings())
    if report.not_searched is not None and requirements is not None:
        raise report.not_searched
    say("warning", unsearched(report.not_searched, "the gallery is searched as before"))
    if report.skipped:
        raise Exit(3)
