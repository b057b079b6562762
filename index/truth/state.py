"""The gallery's own row: what it was made for, and how far it has come. The caller commits."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection, RowMapping, select, update

from index.config import IDENTITY_LEVEL, CropPolicy, GalleryConfig, State
from index.errors import AddressError, GalleryChangedError, GalleryCorruptError, GalleryVersionError
from index.stored import place_of
from index.truth import engine
from index.truth.schema import FIRST_FILE, SCHEMA_VERSION, GalleryRow, insert_rows, is_sealed, stored, utc_now
from index.truth.upgrade import to_newest

_DEEPEST = 999  # an identity level
_GALLERY = GalleryRow.__table__
_WHOLE, _VERSION = select(_GALLERY), select(_GALLERY.c.schema_version)
_STATE = select(*(_GALLERY.c[name] for name in ("generation", "stamp", "removals", "model_digest", "descriptor_size")))
_MADE_FOR = select(_GALLERY.c.model_digest, _GALLERY.c.descriptor_size, _GALLERY.c.image_root)


def create(session: Connection, config: GalleryConfig) -> None:
    """Make the tables and the one row of an empty gallery."""
    to_newest(session)
    row = {
        "id": 1,
        "schema_version": SCHEMA_VERSION,
        "model_digest": config.model_digest,
        "attribute": config.attribute,
        "attribute_values": list(config.values),
        "descriptor_size": config.descriptor_size,
        "encoder": config.encoder,
        "image_root": config.image_root.as_posix(),
        **dict.fromkeys(("identity_level", "faces", "detector", "identity_of", "grouped_by")),
        "persons": 0,
        "file": FIRST_FILE,
        "generation": 0,
        "stamp": _stamp(),
        "removals": 0,
        "created": utc_now(),
    }
    insert_rows(session, _GALLERY.name, [stored(_GALLERY.name, row)])
    engine.create(session, config.vectors)


def gallery(session: Connection) -> GalleryRow:
    """The one row of the gallery; `change` writes other values.

    Raises GalleryVersionError for a schema of another release, GalleryCorruptError for no row.
    """
    return GalleryRow(**_sound(session))


def change(session: Connection, **columns: Any) -> None:
    """Write other values into the gallery's row. Raises as `gallery`."""
    _write(session, _sound(session), columns)


def _write(session: Connection, row: RowMapping, columns: dict[str, Any]) -> None:
    """Other values into the gallery's row, which was read and is sound."""
    digest = stored(_GALLERY.name, {**row, **columns})[-1]
    session.execute(update(_GALLERY).values({**columns, "digest": digest}))


def _sound(session: Connection) -> RowMapping:
    """The gallery's row. Raises as `gallery`."""
    _require_version(version(session))
    row = whole(session)
    looked_at(row)
    return row


def _require_version(found: int) -> None:
    if found < SCHEMA_VERSION:
        raise GalleryVersionError(
            f"the gallery was made by release 0.3 or earlier (schema version {found}), which this one does not read: "
            "index the images again into another --db, or export it with that release and import it with this one"
        )
    if found > SCHEMA_VERSION:
        raise GalleryVersionError(
            f"the gallery has schema version {found}; this release reads version {SCHEMA_VERSION}; install a release "
            "that reads it, or index the images again"
        )


def version(session: Connection) -> int:
    """The schema version. Raises GalleryCorruptError when there is none."""
    found: int | None = session.scalar(_VERSION)  # alone: it must be readable
    if found is None:
        raise GalleryCorruptError(
            "the database holds tables but no gallery: creating it was interrupted; delete the "
            "gallery folder and index the images again"
        )
    if not isinstance(found, int):
        raise _damaged(f"its schema version is {found!r:.40}")
    return found


def config(session: Connection) -> GalleryConfig:
    """What the gallery was made for. Raises as `gallery`."""
    row = _sound(session)
    try:
        return GalleryConfig(
            model_digest=row["model_digest"],
            attribute=row["attribute"],
            values=tuple(row["attribute_values"]),
            descriptor_size=row["descriptor_size"],
            image_root=place_of(row["image_root"]),
            vectors=engine.vectors(session),
            encoder=row["encoder"],
        )
    except (AddressError, ValueError, TypeError) as error:
        raise _damaged(str(error)) from error


def require_model(found: State, model: tuple[str, int], name: str) -> None:
    """Raise GalleryChangedError where another model (digest, and size of its descriptors) describes the gallery of this
    name by now."""
    if found.model != model:
        raise GalleryChangedError(
            f"the gallery {name} was described by another model meanwhile ({found.model[0][:12]}); open it again, with "
            "that model"
        )


def is_for(session: Connection, made_for: GalleryConfig) -> bool:
    """Whether that is what the gallery is for, as far as another process may change it: the model and the images'
    folder."""
    expected = (made_for.model_digest, made_for.descriptor_size, made_for.image_root.as_posix())
    return tuple(session.execute(_MADE_FOR).one()) == expected


def attribute(session: Connection) -> str:
    """What its models edit. Raises as `gallery`."""
    row = whole(session)
    looked_at(row)
    found: str = row["attribute"]
    return found


def identity_level(session: Connection) -> str | None:
    """Which folder below the image root names a person; None: nobody said so. Raises as `gallery`."""
    level: str | None = _sound(session)["identity_level"]
    if level is not None and not IDENTITY_LEVEL.fullmatch(level):
        raise _damaged(f"its identity level is {level!r:.40}")
    return level


def set_identity_level(session: Connection, level: str) -> None:
    """Remember it. Raises ValueError for what is no level."""
    if not IDENTITY_LEVEL.fullmatch(level):
        raise ValueError(f"identity level is {level!r:.40}; expected first, last or a number from 1 to 999")
    change(session, identity_level=level)


def move_identity_level(session: Connection, folders: int) -> None:
    """Count as many folders more from the top, since the image root is that much higher: people are named as before.
    Fewer where it is deeper; raises ValueError where no folder would be left."""
    level = identity_level(session)
    if level not in (None, "last"):
        number = 1 if level == "first" else int(level or 1)
        set_identity_level(session, str(min(number + folders, _DEEPEST)))


def crops(session: Connection) -> CropPolicy:
    """What is done with pictures. Raises as `gallery`."""
    row = _sound(session)
    try:
        return CropPolicy(row["faces"], row["detector"], row["identity_of"])
    except (AddressError, ValueError, TypeError) as error:
        raise _damaged(str(error)) from error


def set_crops(session: Connection, policy: CropPolicy) -> None:
    """Remember it."""
    change(session, faces=policy.faces, detector=policy.detector, identity_of=policy.identity_of)


def state(session: Connection) -> State:
    """How far the gallery has come."""
    generation, stamp, removals, digest, size = session.execute(_STATE).one()
    return State(generation, stamp, removals, (digest, size))


def whole(session: Connection) -> RowMapping:
    """The gallery's row as it stands, every column of it; see `looked_at`. Raises GalleryCorruptError for no row."""
    row = session.execute(_WHOLE).mappings().first()
    if row is None or row["id"] != 1:
        raise _damaged("its id is not 1")
    return row


def looked_at(row: RowMapping) -> State:
    """How far a gallery has come whose row this is. Raises as `gallery`."""
    _require_version(row["schema_version"])
    if not is_sealed(_GALLERY.name, row):
        raise _damaged("it is not what was written")
    model = (row["model_digest"], row["descriptor_size"])
    return State(row["generation"], row["stamp"], row["removals"], model)


def advance(session: Connection, *, removed: bool) -> None:
    """Begin the next generation."""
    row = _sound(session)
    come = {"generation": row["generation"] + 1, "removals": row["removals"] + int(removed)}
    _write(session, row, {"stamp": _stamp(), **come})


def _damaged(reason: str) -> GalleryCorruptError:
    return GalleryCorruptError(
        f"the gallery's own row is damaged ({reason}); restore gallery.db from a copy, or delete the gallery folder "
        "and index the images again"
    )


def _stamp() -> str:
    return secrets.token_hex(4)
