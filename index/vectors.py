"""What searches the descriptors of a gallery, as people say it: one word, which the gallery keeps.

    faiss                                  an index on each machine that searches (unless another is said)
    pgvector                               PostgreSQL itself
    milvus://host:19530/collection         a Milvus server; milvus+tls:// where it is to be reached by TLS
    FILE                                   Milvus Lite: Milvus in this process, in an absolute path that ends in .db

A user and a password never stand in it, since it is shown: they are read from $MILVUS_TOKEN, or from the file that
$MILVUS_TOKEN_FILE names. Only a gallery on a server may say another word than faiss: a folder may come from a stranger,
and no word in it makes us ask a host that its user did not name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from index.engines import FAISS, LITE, MILVUS, PGVECTOR
from index.errors import AddressError

_PORT = 19530  # where Milvus listens usually
_COLLECTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_EXAMPLE = "faiss, pgvector, milvus://host:19530/collection, or the absolute path of a file that ends in .db"


@dataclass(frozen=True)
class Vectors:
    """kind: one of FAISS, PGVECTOR, MILVUS and LITE; where: the URI of a Milvus server, or a file of Milvus Lite;
    collection: what it is called there."""

    kind: str
    where: str = ""
    collection: str = ""

    def __str__(self) -> str:
        """The word, as it is kept and shown."""
        if self.kind == MILVUS:
            scheme, rest = self.where.split("://", 1)
            return f"milvus{'+tls' if scheme == 'https' else ''}://{rest}/{self.collection}"
        return self.where if self.kind == LITE else self.kind


def read_vectors(word: str) -> Vectors:
    """What a word says. Raises AddressError, which shows no password."""
    if word in (FAISS, PGVECTOR):
        return Vectors(word)
    if word.startswith(("milvus://", "milvus+tls://")):
        return _milvus(word)
    if "://" not in word and "\0" not in word and word.endswith(".db"):
        path = Path(word).expanduser()
        if not path.is_absolute():
            raise AddressError(f"the file of Milvus Lite is {word!r:.200}: give its absolute path, since it is kept")
        return Vectors(LITE, str(path), "faces")
    raise AddressError(f"--vectors is {_plain(word)!r:.60}: expected {_EXAMPLE}")


def _milvus(word: str) -> Vectors:
    try:
        parts = urlsplit(word)
        port = parts.port or _PORT
    except ValueError as error:
        raise AddressError(f"the address of Milvus cannot be read: expected {_EXAMPLE}") from error
    if "@" in word:
        raise AddressError(
            "the address of Milvus names a user or a password, which others could see: leave them out, and give them "
            "as user:password by $MILVUS_TOKEN, or in the file that $MILVUS_TOKEN_FILE names"
        )
    collection = parts.path.removeprefix("/")
    host = parts.netloc.rsplit(":", 1)[0] if parts.port else parts.netloc
    if not _HOST.fullmatch(host) or parts.query or parts.fragment:
        raise AddressError(f"the address of Milvus cannot be read: expected {_EXAMPLE}")
    if not _COLLECTION.fullmatch(collection):
        raise AddressError(
            f"the collection is called {collection!r:.60}; expected up to 100 letters, digits and _, and no digit first"
        )
    scheme = "https" if parts.scheme == "milvus+tls" else "http"
    return Vectors(MILVUS, f"{scheme}://{host}:{port}", collection)


def _plain(word: str) -> str:
    """Without what may be a secret in it."""
    return word.split("@")[-1] if "@" in word else word
