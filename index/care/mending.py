"""Damaged rows: what they said before where their digest proves it, else what can be believed of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from index.care.row_checks import damaged_rows
from index.checks import check_photo, check_place
from index.descriptors import record_hash
from index.errors import GalleryCorruptError, ImageRowError
from index.labels import LABEL_KINDS, LABELS, TEXT_LABELS, Labels, text_key
from index.limits import MOST_FACES
from index.paths import check_path
from index.stamps import FileStamp
from index.truth import descriptor_slots, state
from index.truth.ids import HIGHEST_ID, last_id, remember_last_ids
from index.truth.rows import box_of, path_columns, photo_row, place_columns
from index.truth.schema import Base, insert_rows, row_digest, stored
from index.values import Decision, Face, Photo, Place

_Row = dict[str, Any]
_MOST = 200  # damaged rows whose digest is tried, and values that are
_WITHOUT_FACE = "SELECT id FROM photo WHERE reason IS NULL AND id NOT IN (SELECT photo_id FROM face)"
_WITHOUT_PHOTO = "SELECT photo_id FROM face WHERE photo_id NOT IN (SELECT id FROM photo)"
_RECORDED = "SELECT face_id FROM record WHERE face_id NOT IN (SELECT id FROM face)"


def restore_rows(session: Connection, folder: Path) -> None:
    """Give rows what they said before, where their digests prove it. The caller defers foreign keys."""
    for name in ("photo", "face", "record", "kept", "hidden", "placement", "member"):
        _restore(session, folder, name)


def mend_rows(session: Connection) -> set[int]:
    """Let damaged rows say what can be believed of them, after `restore_rows`; the ids of the faces that may have other
    labels than before. The caller defers foreign keys."""
    # files are looked at again, and people grouped; of labels, and of what a hand said of persons, nobody knows whose
    for name in ("staged", "record", "passed", "kept", "hidden", "placement", "member"):
        for row in damaged_rows(session, name):
            _delete(session, name, row)
    descriptor_slots.give_up_lost(session)
    doubtful = {*_mend_faces(session), *_mend_photos(session)}
    session.execute(text("DELETE FROM member WHERE face_id NOT IN (SELECT id FROM face)"))
    remember_last_ids(session)
    return doubtful


def _restore(session: Connection, folder: Path, name: str) -> None:
    """Give rows of a table what they said before, where another value in one place makes their digest right."""
    damaged = damaged_rows(session, name)[:_MOST]
    if not damaged:
        return
    usual = _usual(session, name, damaged)
    if name == "record":  # no face has two
        for row in damaged:
            session.execute(text(f"UPDATE record SET face_id = NULL WHERE {_where(name)}"), row)
    proven = []
    for row in damaged:
        special = _guesses(session, folder, name, row)
        known = _proven(row, [*special.items(), *usual.items()])
        proven += [] if known is None else [(row, known)]
    parked = [{**row, **_aside(name, n)} for n, (row, _) in enumerate(proven)]
    for (row, _), aside in zip(proven, parked, strict=True):
        _change(session, name, row, tuple(aside.values()))
    for (_, known), aside in zip(proven, parked, strict=True):
        _change(session, name, aside, tuple(known.values()))


def _aside(name: str, number: int) -> _Row:
    if name in ("kept", "hidden"):
        return {"id": -1 - number, "path": f"//{number}"}
    if name == "member":
        return {"face_id": -1 - number}
    if name == "record":
        return {"slot": -1 - number, "face_id": None}
    return {"id": -1 - number, **({"path": f"//{number}"} if name == "photo" else {"number": -1 - number})}


def _proven(row: _Row, guesses: Sequence[tuple[str, Iterable[Any]]]) -> _Row | None:
    """The row with another value in one place that makes its digest right."""
    for column, values in guesses:
        for value in values:
            made = {**row, column: value}
            if row_digest(tuple(made.values())[:-1]) == row["digest"]:
                return made
    return None


def _usual(session: Connection, name: str, damaged: Sequence[_Row]) -> dict[str, list[Any]]:
    """By column, values that rows of the table have, those of damaged ones among them: cells may have been swapped."""
    found: dict[str, list[Any]] = {}
    for column in list(damaged[0])[:-1]:
        common = text(f"SELECT {column} FROM {name} GROUP BY {column} ORDER BY count(*) DESC LIMIT {_MOST}")
        values = [*(row[column] for row in damaged), *session.scalars(common)]
        found[column] = list(dict.fromkeys(values))
    return found


def _guesses(session: Connection, folder: Path, name: str, row: _Row) -> Mapping[str, Iterable[Any]]:
    """By column, what a value of the row may have been: what other rows, other columns, or bytes say."""
    if name in ("kept", "hidden", "placement"):
        return {}
    if name == "member":
        alone = "SELECT id FROM face WHERE id NOT IN (SELECT face_id FROM member)"
        return {"face_id": _column(session, f"{alone} LIMIT {_MOST}")}
    if name == "photo":
        key = [path_columns(row["path"])["path_key"]] if isinstance(row["path"], str) else []
        return {"id": _column(session, _WITHOUT_PHOTO), "path_key": key, "path": [row["path_key"]]}
    if name == "face":
        known = {f"{n}_key": [text_key(row[n])] if isinstance(row[n], str) else [] for n in TEXT_LABELS}
        known |= {name: [row[f"{name}_key"]] for name in TEXT_LABELS}
        photos = _column(session, _WITHOUT_FACE)
        return {"id": _column(session, _RECORDED), "photo_id": photos, **known, "number": range(1, _MOST)}
    content = descriptor_slots.descriptor_file(session, folder).whole()
    here = [row["slot"]] if isinstance(row["slot"], int) and 0 <= row["slot"] < len(content) else []
    return {
        "face_id": descriptor_slots.without_record(session),
        "slot": descriptor_slots.unnamed(session, state.gallery(session).file, len(content)),
        "file": list(descriptor_slots.files_in_use(session, folder)),
        "sha256": [bytes.fromhex(record_hash(content[slot])) for slot in here],
    }


def _column(session: Connection, query: str) -> list[Any]:
    return list(session.scalars(text(query)))


def _mend_faces(session: Connection) -> Iterator[int]:
    """Damaged faces keep the labels that can be, and are in the photo that they say, or in one that no other is in."""
    values = state.gallery(session).attribute_values
    for row in damaged_rows(session, "face"):
        id_ = row["id"] if 0 < row["id"] <= HIGHEST_ID else last_id(session, "face") + 1
        decided = row["decided"] if row["decided"] in values else values[0]
        photo = _photo_for(session, row, f"damaged-face-{id_}")
        said = {"id": id_, "photo_id": photo, "decided": decided, "errors": [None] * len(values)}
        said |= {"number": _number_in(session, photo, row), **place_columns(_place(row))}
        _change(session, "face", row, stored("face", said | _labels(row)))
        descriptor_slots.give_up(session, [id_])
        yield id_


def _number_in(session: Connection, photo: int, row: _Row) -> int:
    """The face's own where that is one which no other face of the photo has, else the next that is free."""
    others = text("SELECT number FROM face WHERE photo_id = :photo AND NOT (id IS :id)")
    taken = set(session.scalars(others, {"photo": photo, "id": row["id"]}))
    own = row["number"]
    if isinstance(own, int) and 1 <= own <= MOST_FACES and own not in taken:
        return own
    return next(number for number in range(1, len(taken) + 2) if number not in taken)


def _place(row: _Row) -> Place | None:
    """Where the face lies, if that can be so."""
    try:
        box, points = (tuple(map(float, json.loads(row[name]))) for name in ("box", "landmarks"))
        place = Place(box_of(box), points, float(row["score"]))
        check_place(Face(Photo("x"), Labels(), Decision(0, ()), place=place))
    except (ValueError, TypeError, RecursionError, GalleryCorruptError, ImageRowError):
        return None
    return place


def _labels(row: _Row) -> _Row:
    """Those that are of their kind; where nobody knows whose they are, a hand's."""
    made: _Row = {name: row[name] if isinstance(row[name], kind) else None for name, kind in LABEL_KINDS.items()}
    letters = str(row["origins"]) if len(str(row["origins"])) == len(LABELS) else "h" * len(LABELS)
    given = [letter if letter in "hfds" else "h" for letter in letters]
    origins = ("-" if made[name] is None else letter for name, letter in zip(LABELS, given, strict=True))
    keys = {f"{name}_key": None if made[name] is None else text_key(made[name]) for name in TEXT_LABELS}
    return {**made, **keys, "origins": "".join(origins)}


def _photo_for(session: Connection, face: _Row, path: str) -> int:
    """The face's photo, unless there is none such or another face is all of it: then the one that has no face, or a new
    one, whose file is not known."""
    taken = text(
        "SELECT 1 FROM face JOIN photo ON photo.id = photo_id WHERE photo_id = :photo AND face.id != :id AND width = 0"
    )
    there = text("SELECT id FROM photo WHERE id = :photo")
    given = {"photo": face["photo_id"], "id": face["id"]}
    if isinstance(face["photo_id"], int) and session.scalar(there, given) and not session.scalar(taken, given):
        return face["photo_id"]
    alone = _column(session, _WITHOUT_FACE)
    if len(alone) == 1:
        return int(alone[0])
    new = last_id(session, "photo") + 1
    insert_rows(session, "photo", [photo_row(new, Photo(path), int(time.time()))])
    return new


def _mend_photos(session: Connection) -> Iterator[int]:
    """Damaged photos keep a path that leads nowhere else, and a hash, by which a renamed file is found again. One that
    shows no face was but noted as unreadable, and is noted again by the next run over its folder."""
    for row in damaged_rows(session, "photo"):
        faces = _column(session, f"SELECT id FROM face WHERE photo_id = {int(row['id'])}")
        if not faces:
            _delete(session, "photo", row)
            continue
        others = session.scalar(text("SELECT 1 FROM photo WHERE path = :path AND id != :id"), row)
        path = row["path"] if _is_path(row["path"]) and not others else f"damaged-{row['id']}"
        known = isinstance(row["sha256"], bytes) and len(row["sha256"]) == 32
        photo = replace(_sized(row), path=path, sha256=row["sha256"].hex() if known else "")
        _change(session, "photo", row, photo_row(row["id"], photo, int(time.time())))
        descriptor_slots.give_up(session, faces)
        yield from faces


def _sized(row: _Row) -> Photo:
    """A photo with the size that the row says, if that can be so."""
    size = [row[name] for name in ("width", "height", "turn")]
    try:
        photo = Photo("x", "", FileStamp(), *size)
        check_photo(photo)
    except (TypeError, ImageRowError):
        return Photo("x")
    return photo if all(isinstance(one, int) for one in size) else Photo("x")


def _is_path(path: object) -> bool:
    try:
        check_path(path if isinstance(path, str) else "")
    except ImageRowError:
        return False
    return True


def _change(session: Connection, name: str, row: _Row, values: tuple[Any, ...]) -> None:
    """Replace a row; what points to it stays."""
    columns = [column.name for column in Base.metadata.tables[name].columns]
    given = {f"new_{column}": value for column, value in zip(columns, values, strict=True)}
    changes = ", ".join(f"{column} = :new_{column}" for column in columns)
    session.execute(text(f"UPDATE {name} SET {changes} WHERE {_where(name)}"), given | row)


def _delete(session: Connection, name: str, row: _Row) -> None:
    session.execute(text(f"DELETE FROM {name} WHERE {_where(name)}"), row)


def _where(name: str) -> str:
    return " AND ".join(f"{key.name} IS :{key.name}" for key in Base.metadata.tables[name].primary_key)
