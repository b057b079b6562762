"""What a writer does to the images of a gallery, each in one transaction. Functions of an open session; the caller
holds the writer's lock, commits, and erases afterwards what is not needed any more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from sqlalchemy import Connection

from index.descriptors import record_hashes
from index.truth import descriptor_slots, hidden, kept, people, places, state, store
from index.truth.rows import redecided, require_known
from index.values import Face, FloatArray


def add(
    session: Connection,
    folder: Path,
    faces: Sequence[Face],
    descriptors: FloatArray,
    replace: bool,
    returned: Sequence[int],
) -> list[int]:
    """Add faces with their descriptors (n, size); their ids. replace: those of the same paths go; returned: ids of kept
    labels that the faces have again. Raises DuplicatePathError."""
    paths = list(dict.fromkeys(face.path for face in faces))
    old = store.all_ids_by_path(session, paths) if replace else {}
    removed = store.remove(session, [id_ for ids in old.values() for id_ in ids])
    store.require_new(session, faces)
    first = _append(session, folder, descriptors)
    ids = store.insert_faces(session, faces)
    descriptor_slots.insert_records(session, state.gallery(session).file, first, ids, record_hashes(descriptors))
    kept.forget(session, returned)
    state.advance(session, removed=removed > 0)
    return ids


def add_beside(session: Connection, folder: Path, faces: Sequence[Face], descriptors: FloatArray) -> list[int]:
    """Add faces with their descriptors (n, size) to photos that are there; their ids. Raises UnknownImageError,
    DuplicatePathError."""
    ids = store.insert_beside(session, faces)
    first = _append(session, folder, descriptors)
    descriptor_slots.insert_records(session, state.gallery(session).file, first, ids, record_hashes(descriptors))
    state.advance(session, removed=False)
    return ids


def describe(session: Connection, folder: Path, faces: Sequence[Face], descriptors: FloatArray) -> None:
    """Give faces that wait for it decisions, places, contents, stamps and descriptors (n, size). Raises
    UnknownImageError."""
    ids = [face.id for face in faces]
    require_known(ids, dict.fromkeys(descriptor_slots.without_record(session)))
    first = _append(session, folder, descriptors)
    descriptor_slots.insert_records(session, state.gallery(session).file, first, ids, record_hashes(descriptors))
    store.redecide(session, redecided(faces))
    state.advance(session, removed=True)  # it is new, but its id is not: no index goes on to hold


def move(session: Connection, faces: Sequence[Face], remove: Sequence[int]) -> None:
    """Give faces the places, stamps and labels that they say; those to remove go first, and what a hand said of them is
    kept. Raises UnknownImageError, DuplicatePathError."""
    kept.keep(session, store.present(session, remove))
    before = {face.id: face.path for face in store.present(session, [face.id for face in faces])}
    renamed = [(face, before[face.id]) for face in faces if before.get(face.id, face.path) != face.path]
    hidden.move(session, {(face.photo.sha256, path): face.path for face, path in renamed})
    if store.remove(session, remove):
        state.advance(session, removed=True)
    store.move(session, faces)


def remove(session: Connection, ids: Sequence[int], keep_labels: bool = False, hide: Collection[int] = ()) -> int:
    """Remove faces; how many. What a hand said of them is kept, or else forgotten. hide: those of them that do not come
    back with their photos."""
    if keep_labels:
        kept.keep(session, store.present(session, ids))
    else:
        kept.forget_of_faces(session, ids)
        people.forget_of_faces(session, ids)
    hidden.hide(session, store.present(session, sorted(hide)))
    removed = store.remove(session, ids)
    if removed:
        state.advance(session, removed=True)
    return removed


def remove_person(session: Connection, identity: str, hide: bool = False) -> tuple[int, int]:
    """Remove every face of this identity: how many, and of how many pruned ones the labels. hide: they do not come back
    with their photos."""
    going = store.ids_of_person(session, identity)
    people.forget_contents(session, kept.contents_of_person(session, identity))
    forgotten = kept.forget_person(session, identity)
    return remove(session, going, hide=going if hide else ()), forgotten


def set_image_root(session: Connection, image_root: Path, below: str, out_of: str) -> None:
    """See `Gallery.set_image_root`."""
    state.change(session, image_root=image_root.as_posix())
    if below:
        places.put_below(session, below)
        state.move_identity_level(session, below.count("/") + 1)
    if out_of:
        places.take_out(session, out_of)
        state.move_identity_level(session, -(out_of.count("/") + 1))


def _append(session: Connection, folder: Path, descriptors: FloatArray) -> int:
    """Write descriptors behind those of the gallery; the first one's slot."""
    number, file = state.gallery(session).file, descriptor_slots.descriptor_file(session, folder)
    return file.append(descriptors, committed=descriptor_slots.slots_in_use(session, number))
