"""Which engine searches a gallery's descriptors, by the word that says so, and whether a new gallery may have it."""

from __future__ import annotations

from index.engines import FAISS, PGVECTOR
from index.errors import AddressError
from index.search.engine import Engine
from index.truth.address import Server
from index.truth.database import Database
from index.vectors import Vectors, read_vectors


def require_possible(word: str, server: Server | None) -> Vectors:
    """What a new gallery's descriptors are to be searched by, on this server or (None) in a folder. Raises AddressError
    for what cannot be, EngineError where something else is there already."""
    vectors = read_vectors(word)
    if vectors.kind == FAISS:
        return vectors
    if server is None:
        raise AddressError(
            f"a gallery in a folder is searched by faiss, not by {vectors}: give one on a server as --db "
            "(docs/cluster.md)"
        )
    from index.truth.postgres import Postgres  # psycopg takes a moment, and only such galleries need it

    database = Postgres(server)
    opened = open_engine(vectors, database)
    assert opened is not None
    try:
        opened.require_free()
    finally:
        opened.close()
        database.close()
    return vectors


def open_engine(vectors: Vectors, database: Database) -> Engine | None:
    """The engine of this word; None for faiss, which is none. database: of the gallery, closed by whoever opened it.
    Raises EngineError."""
    if vectors.kind == FAISS:
        return None
    if vectors.kind == PGVECTOR:
        from index.search.pgvector import PgVector

        return PgVector(database)
    from index.search.milvus import Milvus  # the client takes a second to import

    return Milvus(vectors)
