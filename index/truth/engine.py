"""The one row that says which engine searches a gallery's descriptors, on PostgreSQL alone: a folder's are searched by
this process. The caller commits."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from index.engines import FAISS

_WORD = text("SELECT vectors FROM engine")
_CREATE = text("INSERT INTO engine (id, vectors, changes) VALUES (1, :vectors, 0)")


def create(session: Session, vectors: str) -> None:
    """Note what searches a new gallery."""
    if vectors != FAISS:
        session.execute(_CREATE, {"vectors": vectors})


def vectors(session: Session) -> str:
    """What searches the gallery, as `index.vectors` reads it."""
    if session.connection().dialect.name != "postgresql":
        return FAISS
    word: str | None = session.scalar(_WORD)
    return word or FAISS
