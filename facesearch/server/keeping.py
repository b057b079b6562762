"""Routes that keep the gallery: what it is, what is wrong with it, and long work on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Path as Place
from fastapi.responses import StreamingResponse

from faceedit.yunet import can_be_found
from facesearch.server.asking import Served
from facesearch.server.errors import RESPONSES, RefusedError
from facesearch.server.jobs import Job as GalleryJob
from facesearch.server.jobs import Tell
from facesearch.server.service import Service
from facesearch.server.settings import API
from facesearch.server.shapes import (
    Folders,
    GalleryAbout,
    Job,
    JobAsked,
    JobList,
    Plan,
    Problems,
    Report,
    ReportList,
    attributes,
)
from index.errors import GalleryNotFoundError
from retrieval.gallery_info import plan_lines, verification_lines

router = APIRouter(prefix=API, responses=RESPONSES)
JobId = Annotated[int, Place(ge=1, le=2**31)]
ReportId = Annotated[int, Place(ge=1, le=999_999_999)]
_LOOK, _BEAT = 0.2, 15.0  # seconds between looks at a job, and between signs of life
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "A `job` event for each."}
}


@router.get("/gallery", response_model=GalleryAbout)
def about(served: Served) -> Any:
    """What the gallery holds, and what can be asked of this server."""
    try:
        info = served.faces.info().as_json()
    except GalleryNotFoundError:
        info = None
    limits = served.settings.limits
    return {
        "version": _version(),
        "info": info,
        "attributes": attributes(),
        "photographs": can_be_found(),
        "roots": served.roots.names(),
        "demo": served.demo,
        "limits": {"bytes": limits.bytes, "pixels": limits.pixels},
    }


@router.get("/gallery/problems", response_model=Problems)
def problems(served: Served) -> Any:
    """The files that could not be read, and why."""
    found = served.faces.gallery.problems()
    return {"problems": [{"path": one.path, "reason": one.told(Path()), "found": one.found} for one in found]}


@router.get("/gallery/plan", response_model=Plan)
def plan(served: Served) -> Any:
    """How the gallery is searched best, and why."""
    return {"lines": plan_lines(served.faces.gallery.plan())}


@router.get("/folders", response_model=Folders)
def folders(
    served: Served,
    root: Annotated[int, Query(ge=0, le=1_000)] = 0,
    folder: Annotated[str, Query(max_length=4_096)] = "",
) -> Any:
    """The folders in a folder below a root, to choose one to index."""
    return {"folders": served.roots.folders(root, folder)}


@router.get("/jobs", response_model=JobList)
def jobs(served: Served) -> Any:
    """The last jobs, the newest first."""
    return {"jobs": [asdict(job) for job in served.jobs.all()]}


@router.post("/jobs", response_model=Job, status_code=202)
def start(asked: JobAsked, served: Served) -> Any:
    """Begin long work. It goes on when you leave."""
    return asdict(served.jobs.add(asked.kind, asked.model_dump(exclude_defaults=True), _work(served, asked)))


@router.get("/jobs/{job}", response_model=Job)
def one_job(job: JobId, served: Served) -> Any:
    """How far a job is, or how it ended."""
    return asdict(served.jobs.get(job))


@router.post("/jobs/{job}/cancel", response_model=Job)
def cancel(job: JobId, served: Served) -> Any:
    """Stop a job: what it finished is kept."""
    return asdict(served.jobs.cancel(job))


@router.get("/jobs/{job}/events", response_class=StreamingResponse, responses=EVENTS)
async def events(job: JobId, served: Served) -> StreamingResponse:
    """How far a job is, whenever that changes, until it is over."""
    served.jobs.get(job)
    return StreamingResponse(_told(served, job), media_type="text/event-stream")


async def _told(served: Service, id_: int) -> AsyncIterator[str]:
    last: GalleryJob | None = None
    quiet = 0.0
    while True:
        job = served.jobs.get(id_)
        if job != last:
            yield f"event: job\ndata: {json.dumps(asdict(job), default=str)}\n\n"
            last, quiet = job, 0.0
        elif quiet > _BEAT:
            yield ": still there\n\n"
            quiet = 0.0
        if not job.is_open:
            return
        await asyncio.sleep(_LOOK)
        quiet += _LOOK


@router.get("/reports", response_model=ReportList)
def reports(served: Served) -> Any:
    """The evaluations that were made here, the newest first."""
    return {"reports": served.reports.all()}


@router.get("/reports/{report}", response_model=Report)
def one_report(report: ReportId, served: Served) -> Any:
    """The figures of one."""
    return {"id": report, "figures": served.reports.get(report)}


@router.delete("/reports/{report}", status_code=204)
def remove_report(report: ReportId, served: Served) -> None:
    """Delete one."""
    served.reports.remove(report)


def _work(served: Service, asked: JobAsked) -> Any:
    """What a job does. Raises RefusedError for a folder that is not there, or lies elsewhere."""
    if asked.kind == "verify":
        return partial(_verify, served)
    if asked.kind == "compact":
        return partial(_compact, served)
    if asked.kind == "export":
        return partial(_export, served, _target(served, asked), asked.pictures)
    if asked.kind == "group":
        return partial(_group, served, asked.anew)
    if asked.kind == "evaluate":
        return partial(_evaluate, served, _data_set(served, asked), asked.queries)
    return partial(_index, served, _folder(served, asked), asked)


def _folder(served: Service, asked: JobAsked) -> Path:
    if asked.root is None:
        return served.faces.gallery.config.image_root
    place = served.roots.place(asked.root, asked.folder)
    if not place.is_dir():
        raise RefusedError(404, "not_found", "there is no such folder: give one that is listed")
    return place


def _data_set(served: Service, asked: JobAsked) -> Path:
    """The table of a data set; a folder's own, which no link may stand for."""
    table = _folder(served, asked) / "manifest.csv"
    if table.is_symlink() or not table.is_file():
        raise RefusedError(
            404,
            "no_data_set",
            "there is no manifest.csv in that folder: give a labelled data set, as docs/formats.md says",
        )
    return table


def _target(served: Service, asked: JobAsked) -> Path:
    if asked.root is None or not asked.folder:
        raise RefusedError(422, "no_target", "an export needs a new folder: give a root, and its name below that")
    return served.roots.place(asked.root, asked.folder)


def _index(served: Service, folder: Path, asked: JobAsked, tell: Tell) -> dict[str, Any]:
    report = served.faces.index(folder, prune=asked.prune, retry=asked.retry, progress=tell)
    return {**report.as_json(), "warnings_told": report.warnings()}


def _verify(served: Service, tell: Tell) -> dict[str, Any]:
    found = served.faces.gallery.verify(partial(tell, "checking descriptors"))
    return {"sound": found.sound, "lines": verification_lines(found)}


def _compact(served: Service, tell: Tell) -> dict[str, Any]:
    done = served.faces.compact(tell)
    return {"before": done.sizes.before, "after": done.sizes.after}


def _export(served: Service, target: Path, pictures: bool, tell: Tell) -> dict[str, Any]:
    done = served.faces.gallery.export(target, pictures, partial(tell, "exporting"))
    return {"images": done.images, "missing": list(done.missing)}


def _group(served: Service, anew: bool, tell: Tell) -> dict[str, Any]:
    return served.faces.group(anew=anew, progress=tell).as_json()


def _evaluate(served: Service, table: Path, queries: int, tell: Tell) -> dict[str, Any]:
    figures = served.faces.evaluate(table, queries=queries, progress=tell)
    recalls = {rank: found["value"] for rank, found in figures["recall"].items()}
    return {"report": served.reports.keep(figures), "recall": recalls, "queries": figures["queries"]}


def _version() -> str:
    try:
        return metadata.version("facesearch")
    except metadata.PackageNotFoundError:
        return "not installed"
