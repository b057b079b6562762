"""Routes of people: whom faces were grouped into, and what a hand says of that. All of it is the gallery's."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi import Path as Place
from pydantic import BaseModel, Field

from facesearch.server.asking import Served
from facesearch.server.errors import RESPONSES
from facesearch.server.service import require_quiet
from facesearch.server.settings import API
from facesearch.server.shapes import BIGGEST, Changed, Faces, Name, PeoplePage, Person, Persons, Split
from facesearch.server.showing import cursor_at, last_of
from index.limits import LARGEST_PERSON
from index.values import Person as Known

router = APIRouter(prefix=API, responses=RESPONSES)
PersonId = Annotated[int, Place(ge=1, le=LARGEST_PERSON)]


class Whom(BaseModel):
    """Which people, in which order."""

    named: bool | None = Field(None, description="Only those with a name, or only those without.")
    order: Literal["faces", "number"] = Field("faces", description="Those with most faces first, or by number.")
    limit: int = Field(100, ge=1, le=1_000)
    cursor: str | None = Field(None, max_length=100, description="`next` of the page before.")
    offset: int = Field(0, ge=0, le=BIGGEST, description="Leave out so many from there on.")


@router.get("/people", response_model=PeoplePage)
def people(whom: Annotated[Whom, Query()], served: Served) -> Any:
    """Everybody whom faces were grouped into. The job `group` does that."""
    known = served.faces.gallery.people
    found = [one for one in served.faces.people() if whom.named is None or (one.name is not None) == whom.named]
    if whom.order == "faces":
        found.sort(key=lambda one: (-one.faces, one.number))
    start = last_of(whom.cursor) + whom.offset
    some = found[start : start + whom.limit]
    following = cursor_at(start + len(some)) if some and start + len(some) < len(found) else None
    grouped = known.grouped_by() is not None
    return {
        **{"total": len(found), "next": following, "grouped": grouped, "new": known.count_new()},
        "people": [person_json(one) for one in some],
    }


@router.get("/people/{person}", response_model=Person)
def one_person(person: PersonId, served: Served) -> Any:
    """Somebody, by number. `faces?where=person = 17` are the faces."""
    return person_json(served.faces.gallery.people.get(person))


@router.post("/people/{person}/name", response_model=Changed)
def name(person: PersonId, given: Name, served: Served) -> Any:
    """Say who a person is: a hand's word for all of the faces. Null takes the name away."""
    require_quiet(served)
    return {"faces": served.faces.label(person=person, identity=given.name)}


@router.post("/people/{person}/merge", response_model=Person)
def merge(person: PersonId, others: Persons, served: Served) -> Any:
    """Say that others are this person, and stay so."""
    require_quiet(served)
    return person_json(served.faces.merge(person, *others.people))


@router.post("/people/{person}/split", response_model=Split)
def split(person: PersonId, given: Faces, served: Served) -> Any:
    """Say that these faces of a person are somebody else, and stay so. along: how many others went too, since they
    are more like these."""
    require_quiet(served)
    made, along = served.faces.split(person, *given.faces)
    return {"person": person_json(made), "along": along}


@router.post("/people/{person}/not-same", response_model=list[Person])
def not_same(person: PersonId, others: Persons, served: Served) -> Any:
    """Say that no two of these are one, and stay so, however alike they are."""
    require_quiet(served)
    return [person_json(one) for one in served.faces.not_same(person, *others.people)]


def person_json(person: Known) -> dict[str, Any]:
    """Of somebody."""
    return {**asdict(person), "title": person.title}
