"""Values as rows of the tables, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from index.errors import GalleryCorruptError, ImageRowError, UnknownImageError
from index.labels import HAND, LABEL_KINDS, LABELS, ORIGINS, TEXT_LABELS, Labels, text_key
from index.paths import check_path
from index.stamps import FileStamp
from index.truth.pages import chunks
from index.truth.schema import Base, numbers_text, require_sealed, sealed, stored, update_rows
from index.values import Box, Decision, Face, Hidden, Kept, Passed, Photo, Place, Placement, Problem

STAMP = ("size", "mtime_ns", "inode", "ctime_ns")
SIZE = ("width", "height", "turn")
READ: Mapping[str, Any] = {  # of a file that can be read
    **dict.fromkeys(("reason", "reader", "unread", "found")),
    "faceless": 0,
}
Row = tuple[Any, ...]
_LABEL_COLUMNS = (*LABELS, *(f"{name}_key" for name in TEXT_LABELS), "origins")  # in the table's order
_labels_of = attrgetter(*LABELS)
_texts_of = itemgetter(*(LABELS.index(name) for name in TEXT_LABELS))
_KINDS = tuple(LABEL_KINDS.values())
_LETTERS = "-hfds"  # of ORIGINS, in that order
LETTER_OF = dict(zip(ORIGINS, _LETTERS, strict=True))
_ORIGIN_OF = dict(zip(_LETTERS, ORIGINS, strict=True))
_PLACE = ("box", "landmarks", "score")
FACES, PHOTOS, _MEMBERS = (Base.metadata.tables[name].c for name in ("face", "photo", "member"))
_FACE = (
    *(FACES[name] for name in ("id", *LABELS, "origins", "decided", "errors", "number", *_PLACE)),
    *(PHOTOS[name] for name in ("path", "sha256", *STAMP, *SIZE)),
    _MEMBERS.person,
)


_SELECTED = select(*_FACE).join(PHOTOS.id.table, PHOTOS.id == FACES.photo_id)
_SELECTED = _SELECTED.outerjoin(_MEMBERS.person.table, _MEMBERS.face_id == FACES.id)


def select_faces() -> Select[*tuple[Any, ...]]:
    """Faces with their photos, for `face_of`: of the tables themselves, since classes cost as much again."""
    return _SELECTED


def face_of(row: Any) -> Face:
    """A row of `select_faces` as a value. Raises GalleryCorruptError for letters that say no origins, and a path that
    leads out of the images' folder."""
    id_, *labels = row[: 1 + len(LABELS)]
    letters, decided, errors, number, box, points, score, path, sha256, *stamp, width, height, turn, person = row[
        1 + len(LABELS) :
    ]
    origins = tuple(_ORIGIN_OF[letter] for letter in letters if letter in _ORIGIN_OF)
    if not len(origins) == len(letters) == len(LABELS):
        raise GalleryCorruptError(
            f"the database holds {letters!r:.40} as where the labels of image {id_} come from: `facesearch gallery "
            "verify` says what else is damaged; restore gallery.db from a copy, or remove the image and index it again"
        )
    try:
        check_path(path)  # it becomes the name of a file that is read
    except ImageRowError as error:
        raise GalleryCorruptError(
            f"the database holds {path!r} as the path of image {id_}, which leads out of the images' folder: "
            "run `facesearch gallery repair`, or restore gallery.db from a copy"
        ) from error
    photo = Photo(path, sha256 or "", FileStamp(*stamp), width, height, turn)
    said = (*labels, origins)
    place = None if box is None else Place(box_of(box), tuple(points or ()), score)
    return Face(photo, Labels(*said), Decision(decided, tuple(errors)), id_, number, place, person)


def box_of(numbers: Sequence[float]) -> Box:
    """Raises GalleryCorruptError for what is none."""
    if len(numbers) != 4:
        raise GalleryCorruptError(
            f"the database holds {list(numbers)!r:.40} as a box: `facesearch gallery verify` says in which rows"
        )
    left, top, width, height = numbers
    return left, top, width, height


def place_columns(place: Place | None) -> dict[str, Any]:
    """Of the tables face and staged by name: to a tenth of a pixel."""
    if place is None:
        return dict.fromkeys(_PLACE)
    box, points = ([_rounded(one, 1) for one in some] for some in (place.box, place.landmarks))
    return {"box": box, "landmarks": points, "score": _rounded(place.score, 3)}


def _rounded(number: float, digits: int) -> float:
    """Without a sign of 0, which no engine keeps."""
    return round(float(number), digits) + 0.0


def size_columns(photo: Photo) -> dict[str, int]:
    """Of the table photo by name."""
    return {"width": int(photo.width), "height": int(photo.height), "turn": int(photo.turn)}


def origin_of(letter: str) -> str:
    """What a letter of a face's origins means; empty for none."""
    return _ORIGIN_OF.get(letter, "")


def stamp_columns(stamp: FileStamp) -> dict[str, int]:
    """Of tables by name; plain integers, also of NumPy's."""
    return dict(zip(STAMP, _stamp_values(stamp), strict=True))


def _stamp_values(stamp: FileStamp) -> tuple[int, int, int, int]:
    return int(stamp.size), int(stamp.mtime_ns), int(stamp.inode), int(stamp.ctime_ns)


def problem_columns(problem: Problem, found: int) -> dict[str, Any]:
    """What a photo's row says of a file that could not be read; found: when, in seconds since 1970."""
    unread = list(stamp_columns(problem.stamp).values())
    reason = problem.reason.replace("\0", "\ufffd")  # of a library about a damaged file: PostgreSQL keeps none
    said = {"reason": reason, "reader": problem.reader or None, "unread": unread, "found": found}
    return {**said, "faceless": int(problem.faceless)}


def label_columns(labels: Labels) -> dict[str, str | int | None]:
    """Of the table face by name."""
    return dict(zip(_LABEL_COLUMNS, _label_values(labels), strict=True))


def _label_values(labels: Labels) -> tuple[str | int | None, ...]:
    """Plain values, also of NumPy's: SQLite would store its integers as bytes, and its text has another digest."""
    said = _labels_of(labels)
    values = [None if one is None else kind(one) for one, kind in zip(said, _KINDS, strict=True)]
    keys = [None if text is None else text_key(text) for text in _texts_of(values)]
    letters = [
        "-" if label is None else LETTER_OF[origin or HAND]  # what nobody said anything of comes from a hand
        for label, origin in zip(values, labels.origins, strict=True)
    ]
    return (*values, *keys, "".join(letters))


def path_columns(path: str) -> dict[str, str | None]:
    """Of the table photo by name."""
    return {"path": path, "path_key": _path_key(path)}


def _path_key(path: str) -> str | None:
    key = text_key(path)
    return None if key == path else key


def decision_columns(decision: Decision) -> dict[str, Any]:
    """Errors to a thousandth of a squared grey level: what more they say is noise, and costs space."""
    errors = [None if error is None else round(float(error), 3) for error in decision.errors]
    return {"decided": int(decision.decided), "errors": errors}


def redecided(faces: Sequence[Face]) -> dict[int, dict[str, Any]]:
    """By id, the columns of the table staged: what a model makes of faces, and how their files are now."""
    return {
        one.id: {"face_id": one.id, "sha256": one.photo.sha256 or None}
        | stamp_columns(one.photo.stamp)
        | size_columns(one.photo)
        | place_columns(one.place)
        | decision_columns(one.decision)
        for one in faces
    }


# What follows is made for every face or file that is added: as tuples, which takes half of what columns by name do.


def photo_row(id_: int, photo: Photo, added: int, problem: Mapping[str, Any] = READ) -> Row:
    """A row of the table photo as it is stored; problem: what `problem_columns` says."""
    content = bytes.fromhex(photo.sha256) if photo.sha256 else None
    unread = None if problem["unread"] is None else numbers_text(problem["unread"])
    path = str(photo.path)
    size = (int(photo.width), int(photo.height), int(photo.turn))
    known = (id_, path, _path_key(path), content, *_stamp_values(photo.stamp), *size, added)
    return sealed((*known, problem["reason"], problem["reader"], unread, problem["found"], problem["faceless"]))


def face_row(id_: int, photo_id: int, face: Face) -> Row:
    """A row of the table face as it is stored."""
    decided = decision_columns(face.decision)
    place = (int(face.number), *_place_values(face.place))
    labels = _label_values(face.labels)
    return sealed((id_, photo_id, *place, *labels, decided["decided"], numbers_text(decided["errors"])))


def _place_values(place: Place | None) -> Row:
    if place is None:
        return None, None, None
    said = place_columns(place)
    return numbers_text(said["box"]), numbers_text(said["landmarks"]), said["score"]


def passed_row(id_: int, passed: Passed) -> Row:
    """A row of the table passed as it is stored."""
    return sealed((id_, passed.path, passed.kind, passed.reader, *_stamp_values(passed.stamp)))


def kept_row(id_: int, kept: Kept, pruned: int) -> Row:
    """A row of the table kept as it is stored; pruned: when, in seconds since 1970."""
    said = _label_values(kept.labels)[: len(LABELS)]
    box = None if kept.box is None else numbers_text([round(float(one), 1) for one in kept.box])
    return sealed((id_, bytes.fromhex(kept.sha256), kept.path, kept.number, box, *said, pruned))


def hidden_row(id_: int, hidden: Hidden) -> Row:
    """A row of the table hidden as it is stored: to a thousandth of the photo's sides."""
    share = None if hidden.share is None else numbers_text([_rounded(one, 3) for one in hidden.share])
    return sealed((id_, bytes.fromhex(hidden.sha256), hidden.path, int(hidden.number), share, int(hidden.since)))


def member_row(face: int, person: int | None) -> Row:
    """A row of the table member as it is stored."""
    return sealed((face, person))


def placement_row(id_: int, placement: Placement) -> Row:
    """A row of the table placement as it is stored."""
    box = None if placement.box is None else numbers_text([round(float(one), 1) for one in placement.box])
    return sealed((id_, bytes.fromhex(placement.sha256), placement.number, box, placement.person))


def record_row(file: int, slot: int, face_id: int | None, sha256: str) -> Row:
    """A row of the table record as it is stored."""
    return sealed((file, slot, face_id, bytes.fromhex(sha256)))


def require_known(ids: Sequence[int], found: Mapping[int, object]) -> None:
    """Raise UnknownImageError for the first of the ids that is not among those found."""
    missing = [int(id_) for id_ in ids if int(id_) not in found]
    if missing:
        raise UnknownImageError(
            f"the gallery holds no image {missing[0]} ({len(missing)} of {len(ids)} ids are "
            "unknown); expected ids that it gave and has not removed: list its images"
        )


def rewrite(session: Connection, table: Table, changes: Mapping[int, Mapping[str, Any]]) -> dict[int, None]:
    """Change these columns of these rows, whose digest changes with them; the ids of those that are there. Raises
    GalleryCorruptError for a row that is not what was written: its new digest would hide that."""
    done: dict[int, None] = {}
    for some in chunks(list(changes)):
        rows = session.execute(select(table).where(table.c.id.in_(some))).mappings().all()
        for row in rows:
            require_sealed(table.name, row)
        new = [stored(table.name, {**row, **changes[row["id"]]}) for row in rows]
        update_rows(session, table.name, new)
        done.update(dict.fromkeys(row[0] for row in new))
    return done
