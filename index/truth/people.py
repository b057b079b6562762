"""Which face is which person, and what a hand said of that. Functions of an open session; the caller commits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, case, delete, exists, func, or_, select

from index.errors import UnknownPersonError
from index.labels import FILE, FOLDER, HAND, SUGGESTION
from index.truth.pages import PAGE, chunks
from index.truth.rows import LETTER_OF, box_of, member_row, origin_of, placement_row
from index.truth.schema import Base, FaceRow, GalleryRow, MemberRow, PhotoRow, PlacementRow, RecordRow, insert_rows
from index.truth.state import change, gallery
from index.truth.store import get, update_labels
from index.values import Person, Placement

_PLACEMENT = Base.metadata.tables["placement"]
_CURRENT = select(GalleryRow.file).scalar_subquery()
_ORIGIN: ColumnElement[str] = func.substr(FaceRow.origins, 1, 1)  # of the identity, the first of the labels
_SAID = (LETTER_OF[HAND], LETTER_OF[FILE])  # by somebody who meant that face
_SURE = (HAND, FILE, FOLDER)  # whose word names a person, the surest first


class Known(NamedTuple):
    """What is known of who a face is. looked: whether it was there when people were grouped last; key: what a hand or a
    table calls it, as conditions compare it."""

    face: int
    person: int | None
    looked: bool
    key: str | None


def known(session: Connection) -> Iterator[Known]:
    """Of every face that has a descriptor, by ascending id."""
    called = case((_ORIGIN.in_(_SAID), FaceRow.identity_key), else_=None)
    query = select(FaceRow.id, MemberRow.person, MemberRow.face_id.is_not(None), called)
    query = query.outerjoin(MemberRow, MemberRow.face_id == FaceRow.id)
    described = exists().where(RecordRow.face_id == FaceRow.id, RecordRow.file == _CURRENT)
    for face, person, looked, key in session.execute(query.where(described).order_by(FaceRow.id)).yield_per(PAGE):
        yield Known(face, person, bool(looked), key)


def count_new(session: Connection) -> int:
    """How many faces came since people were grouped."""
    looked = exists().where(MemberRow.face_id == FaceRow.id)
    return session.scalar(select(func.count()).select_from(FaceRow).where(~looked)) or 0


def count(session: Connection) -> int:
    """How many persons there are."""
    return session.scalar(select(func.count(MemberRow.person.distinct()))) or 0


def write(session: Connection, persons: Mapping[int, int | None]) -> None:
    """Say of these faces which person they are, or that they are like nobody else."""
    faces = sorted(persons)
    for some in chunks(faces):
        session.execute(delete(MemberRow).where(MemberRow.face_id.in_(some)))
    insert_rows(session, "member", [member_row(face, persons[face]) for face in faces])


def new_numbers(session: Connection, many: int) -> range:
    """So many numbers that no person ever had."""
    row = gallery(session)
    first = row.persons + 1
    change(session, persons=row.persons + many)
    return range(first, first + many)


def faces_of(session: Connection, persons: Sequence[int]) -> dict[int, list[int]]:
    """The ids of the faces of these persons, ascending. Raises UnknownPersonError."""
    found: dict[int, list[int]] = {}
    for some in chunks([int(person) for person in persons]):
        rows = session.execute(select(MemberRow.person, MemberRow.face_id).where(MemberRow.person.in_(some)))
        for person, face in rows:
            found.setdefault(int(person or 0), []).append(face)
    for person in persons:
        if person not in found:
            raise UnknownPersonError(
                f"the gallery knows no person {person}: `facesearch gallery people` lists those that it knows"
            )
    return {person: sorted(faces) for person, faces in found.items()}


# --- what a hand said ---


def placements(session: Connection) -> list[Placement]:
    """Everything that a hand said of who is which person, oldest first."""
    query = select(PlacementRow.sha256, PlacementRow.number, PlacementRow.box, PlacementRow.person)
    rows = session.execute(query.order_by(PlacementRow.id))
    return [
        Placement(content, number, None if box is None else box_of(box), person)
        for content, number, box, person in rows
    ]


def place(session: Connection, persons: Mapping[int, int]) -> None:
    """A hand says of these faces which person they are, in place of what it said before. Raises UnknownImageError."""
    said = [(face, persons[face.id]) for face in get(session, list(persons)) if face.photo.sha256]
    insert_placements(session, [Placement(one.photo.sha256, one.number, one.box, person) for one, person in said])
    write(session, persons)


def insert_placements(session: Connection, given: Sequence[Placement]) -> None:
    """Keep these, in place of what was said of the same faces of the same contents."""
    wanted = {(one.sha256, one.number): one for one in given}
    _forget(session, wanted)
    first = (session.scalar(select(func.max(PlacementRow.id))) or 0) + 1
    rows = [placement_row(id_, one) for id_, one in enumerate(wanted.values(), first)]
    insert_rows(session, "placement", rows)


def forget_of_faces(session: Connection, ids: Collection[int]) -> None:
    """Forget what a hand said of faces that are about to be removed, and of persons who go with them."""
    persons: set[int] = set()
    for some in chunks(sorted(map(int, ids))):
        query = select(PhotoRow.sha256, FaceRow.number, MemberRow.person).join(FaceRow, FaceRow.photo_id == PhotoRow.id)
        rows = session.execute(query.outerjoin(MemberRow, MemberRow.face_id == FaceRow.id).where(FaceRow.id.in_(some)))
        found = rows.all()
        _forget(session, {(content, number) for content, number, _ in found if content})
        persons |= {person for *_, person in found if person is not None}
    left = set[int]()
    for person_chunk in chunks(sorted(persons)):
        others = select(MemberRow.person, MemberRow.face_id).where(MemberRow.person.in_(person_chunk))
        left |= {int(person or 0) for person, face in session.execute(others) if face not in set(ids)}
    for gone in chunks(sorted(persons - left)):
        session.execute(delete(PlacementRow).where(PlacementRow.person.in_(gone)))


def forget_contents(session: Connection, contents: Collection[str]) -> None:
    """Forget what a hand said of faces in photos of these contents (sha256)."""
    for some in chunks(sorted(contents)):
        session.execute(delete(PlacementRow).where(PlacementRow.sha256.in_(some)))


def forget_absent(session: Connection) -> None:
    """Forget what a hand said of contents that the gallery does not hold now."""
    there = exists().where(PhotoRow.sha256 == PlacementRow.sha256)
    session.execute(delete(PlacementRow).where(~there))


def _forget(session: Connection, faces: Iterable[tuple[str, int]]) -> None:
    """Contents, and the numbers of faces there."""
    wanted = set(faces)
    for some in chunks(sorted({content for content, _ in wanted})):
        rows = session.execute(
            select(_PLACEMENT.c.id, _PLACEMENT.c.sha256, _PLACEMENT.c.number).where(_PLACEMENT.c.sha256.in_(some))
        )
        ids = [id_ for id_, content, number in rows if (content, number) in wanted]
        for going in chunks(ids):
            session.execute(delete(PlacementRow).where(PlacementRow.id.in_(going)))


# --- what persons are called ---


class _Called(NamedTuple):
    """How many faces of a person have one name from one place."""

    person: int
    key: str
    name: str
    origin: str
    faces: int


def persons(session: Connection) -> list[Person]:
    """Everybody, by number."""
    called = _called(session)
    names, many = _names(called), Counter[int]()
    for person, faces in session.execute(
        select(MemberRow.person, func.count()).where(MemberRow.person.is_not(None)).group_by(MemberRow.person)
    ):
        many[int(person or 0)] = faces
    suggested = Counter[int]()
    for one in called:
        suggested[one.person] += one.faces if one.origin == SUGGESTION else 0
    covers = _covers(session)
    return [
        Person(number, names.get(number), many[number], suggested[number], covers[number]) for number in sorted(many)
    ]


def suggest(session: Connection) -> int:
    """Let every face that nobody named have the name of its person as a suggestion, and none a suggestion that does not
    hold any more; of how many faces that says something new."""
    names = _names(_called(session))
    query = select(FaceRow.id, FaceRow.identity, MemberRow.person).outerjoin(MemberRow, MemberRow.face_id == FaceRow.id)
    unnamed = or_(FaceRow.identity.is_(None), _ORIGIN == LETTER_OF[SUGGESTION])
    wanted = {
        face: names.get(person or 0)
        for face, identity, person in session.execute(query.where(unnamed)).yield_per(PAGE)
        if names.get(person or 0) != identity
    }
    for some in chunks(sorted(wanted)):
        labels = {face.id: face.labels.changed(SUGGESTION, identity=wanted[face.id]) for face in get(session, some)}
        update_labels(session, labels)
    return sum(name is not None for name in wanted.values())


def _called(session: Connection) -> list[_Called]:
    columns = (MemberRow.person, FaceRow.identity_key, FaceRow.identity)
    query = select(*columns, _ORIGIN.label("said_by"), func.count()).join(FaceRow, FaceRow.id == MemberRow.face_id)
    named = query.where(MemberRow.person.is_not(None), FaceRow.identity_key.is_not(None))
    rows = session.execute(named.group_by(*columns, "said_by"))
    return [
        _Called(int(person or 0), str(key), str(name), origin_of(letter), faces)
        for person, key, name, letter, faces in rows
    ]


def _names(called: Sequence[_Called]) -> dict[int, str]:
    """What persons are called: most often by hand; else in tables; else by the one folder of all their named faces,
    where no other person has it."""
    by: dict[tuple[int, str], list[_Called]] = {}
    owners: dict[str, set[int]] = {}  # of folders' names
    for one in called:
        by.setdefault((one.person, one.origin), []).append(one)
        if one.origin == FOLDER:
            owners.setdefault(one.key, set()).add(one.person)
    found: dict[int, str] = {}
    for person in sorted({one.person for one in called}):
        said = next((by[person, origin] for origin in _SURE if (person, origin) in by), [])
        by_folder = bool(said) and said[0].origin == FOLDER
        if said and not (by_folder and (len({one.key for one in said}) > 1 or owners[said[0].key] != {person})):
            found[person] = _most(said)
    return found


def _most(called: Sequence[_Called]) -> str:
    """The name that most have, as most write it."""
    keys = Counter[str]()
    for one in called:
        keys[one.key] += one.faces
    key = min(keys, key=lambda name: (-keys[name], name))
    return min((one for one in called if one.key == key), key=lambda one: (-one.faces, one.name)).name


def _covers(session: Connection) -> dict[int, int]:
    """Of each person the first face that looks ahead (0, where the gallery decides poses), else the first."""
    ahead = func.min(case((FaceRow.decided == 0, FaceRow.id), else_=None))
    query = select(MemberRow.person, func.coalesce(ahead, func.min(FaceRow.id)))
    rows = session.execute(
        query.join(FaceRow, FaceRow.id == MemberRow.face_id)
        .where(MemberRow.person.is_not(None))
        .group_by(MemberRow.person)
    )
    return {int(person or 0): face for person, face in rows}
