"""The whole server as one ASGI application: routes, errors, page, and the guard before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from facesearch.server import asking, hidden, keeping, people, showing
from facesearch.server.errors import FORESEEN, RESPONSES, foreseen, http, invalid, unforeseen
from facesearch.server.guard import COOKIE, Guard, address_of
from facesearch.server.metrics import CONTENT_TYPE
from facesearch.server.pages import page_file
from facesearch.server.service import Service, service
from facesearch.server.settings import API
from facesearch.server.shapes import Key, Ready, Session
from index.errors import GalleryNotFoundError
from retrieval.face_search import FaceSearch

ABOUT = """Find a person's photograph by the look you ask for. A picture is uploaded as the body of a request, or as the
field `picture` of a form; what is wished for stands in the query. Nothing that is uploaded is kept."""
state = APIRouter(responses=RESPONSES)
session = APIRouter(prefix=API, responses=RESPONSES)


def make_app(served: Service) -> ASGIApp:
    """The server of one FaceSearch."""
    settings = served.settings
    app = FastAPI(
        title="facesearch",
        version="1",
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    app.state.service = served
    for router in (session, asking.router, showing.router, hidden.router, people.router, keeping.router, state):
        app.include_router(router)
    for kind in FORESEEN:
        app.add_exception_handler(kind, foreseen)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, unforeseen)
    app.add_api_route("/{name:path}", page_file, include_in_schema=False)
    return Guard(app, settings, served.keys, served.metrics.seen)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    served: Service = app.state.service
    yield
    await run_sync(served.close)


async def _left(request: Request, error: Exception) -> Response:
    """Nobody reads it."""
    return Response(status_code=499)


Served = Annotated[Service, Depends(service)]


@state.get("/healthz", response_model=Ready, response_model_exclude_none=True)
async def healthz() -> Any:
    """Whether the server answers at all."""
    return {"ready": True, "gallery": True}


@state.get("/readyz", response_model=Ready, response_model_exclude_none=True)
async def readyz(served: Served) -> Any:
    """Whether the gallery can be opened; without one, pictures can be indexed."""
    return await served.look(partial(_readiness, served.faces))


@state.get("/metrics", response_class=Response, responses={200: {"content": {CONTENT_TYPE.split(";")[0]: {}}}})
async def metrics(served: Served) -> Response:
    """Counters, as Prometheus reads them."""
    return Response(await served.look(served.metrics.text), media_type=CONTENT_TYPE)


@session.get("/session", response_model=Session)
def needs(served: Served) -> Any:
    """Whether this server asks for a key."""
    return {"needed": served.settings.key is not None}


@session.post("/session", status_code=204)
def open_session(given: Key, request: Request, response: Response, served: Served) -> None:
    """Give the key once, for a cookie that the page keeps."""
    if served.settings.key is None:
        return
    served.keys.check(given.key, address_of(request.scope))
    options: dict[str, Any] = {"httponly": True, "samesite": "strict", "secure": served.settings.secure}
    response.set_cookie(COOKIE, served.keys.open(), path=served.settings.root_path or "/", **options)


@session.delete("/session", status_code=204)
def close_session(request: Request, response: Response, served: Served) -> None:
    """Forget this session."""
    served.keys.close(request.headers)
    response.delete_cookie(COOKIE, path=served.settings.root_path or "/")


def _readiness(faces: FaceSearch) -> dict[str, Any]:
    try:
        gallery = faces.gallery
        return {"ready": True, "gallery": len(gallery) >= 0, "lag": gallery.lag}
    except GalleryNotFoundError:
        return {"ready": True, "gallery": False}
