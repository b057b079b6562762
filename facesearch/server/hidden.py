"""Routes of hidden faces: those that were removed and stay away, and having them back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from facesearch.server.asking import Served
from facesearch.server.errors import RESPONSES
from facesearch.server.service import require_quiet
from facesearch.server.settings import API
from facesearch.server.shapes import BroughtBack, HiddenPage, Names
from facesearch.server.showing import cursor_at, last_of

router = APIRouter(prefix=API, responses=RESPONSES)


class Some(BaseModel):
    """How many, and where to begin."""

    limit: int = Field(100, ge=1, le=1_000)
    cursor: str | None = Field(None, max_length=100, description="`next` of the page before.")


@router.get("/hidden", response_model=HiddenPage)
def hidden(some: Annotated[Some, Query()], served: Served) -> Any:
    """The faces that were removed and that later looks through their folder leave out."""
    found, start = served.faces.hidden()[::-1], last_of(some.cursor)
    shown = found[start : start + some.limit]
    following = cursor_at(start + len(shown)) if shown and start + len(shown) < len(found) else None
    return {"total": len(found), "next": following, "hidden": [one.as_json() for one in shown]}


@router.post("/hidden/back", response_model=BroughtBack)
def back(given: Names, served: Served) -> Any:
    """Let hidden faces come back. They are described again; labels that a hand gave them have gone."""
    require_quiet(served)
    done = served.faces.unhide(*given.names)
    return {"faces": done.faces, "waiting": done.waiting, "stay": done.stay}
