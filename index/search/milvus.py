"""Milvus, or Milvus Lite in a file: a collection with a row for each face.

A label that is missing is no value of any column: beside each stands whether there is one. What a writer has applied is
read back once with strong consistency (200 ms on a server) before its notes are forgotten; after that every search sees
it without waiting, whatever its process.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Connection

from index.engines import LITE
from index.errors import EngineError
from index.search.engine import FLAT, LONGEST
from index.search.milvus_conditions import FLAGGED, TEXTS, expression
from index.truth.engine import COLUMNS, Entry
from index.values import FloatArray, IdArray
from index.vectors import Vectors
from index.where import Condition

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it says, our errors say in one line

try:
    from grpc import RpcError
    from pymilvus import DataType, MilvusClient
    from pymilvus.exceptions import MilvusException
except ImportError as error:
    raise EngineError(
        "a gallery that Milvus searches needs pymilvus, which is not installed: pip install 'facesearch[milvus]'"
    ) from error

_OURS = re.compile(r"facesearch_([0-9a-f]{1,64})")  # the vectors' field, which carries the token
_DETAILS = re.compile(r'\bdetails = "([^"]+)"')
_PATIENCE = 10.0  # seconds until a server is said not to answer
_SOON = 3.0  # the same of one that hung up, or that loads the collection: it was started again, and that may take long
_BUILDING = 3_600.0  # seconds that an index may take
_MOST_TEXT = 65_535  # bytes of a text in Milvus; a label has fewer
_TOGETHER = 1_000  # rows in a request
_QUERIES = 10  # in a request
_NEVER = 2**31 - 1  # milliseconds
_LINKS = {"M": 32, "efConstruction": 200}
_FAILURES = (MilvusException, RpcError, OSError, ImportError)
_T = TypeVar("_T")


class Milvus:
    """An Engine. Nothing is connected before it is needed."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors, self._name = vectors, vectors.collection
        # Milvus Lite answers nothing while it merges what it holds, in this process: that is no server that has gone
        self._answering = _BUILDING if vectors.kind == LITE else 6 * _PATIENCE
        self._loading = _BUILDING if vectors.kind == LITE else _SOON
        self._client: Any = None
        self._former: Any = None
        self._failed = 0  # clients since it answered last; one that cannot connect says only that it is away
        self._refused: tuple[float, EngineError] | None = None  # when it could not be connected to last, and why
        self._lock = RLock()
        self._field: str | None = None
        for name in ("pymilvus", "milvus_lite", "grpc"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    def token(self) -> str | None:
        def ask(client: Any) -> str | None:
            if not client.has_collection(self._name, timeout=_PATIENCE):
                return None
            fields = client.describe_collection(self._name, timeout=_PATIENCE)["fields"]
            found = [match for one in fields if (match := _OURS.fullmatch(one["name"]))]
            if len(found) != 1:
                raise EngineError(
                    f"{self._vectors} is a collection that facesearch did not make: give another collection"
                )
            self._field = found[0][0]
            return found[0][1]

        return self._told(ask)

    def require_free(self) -> None:
        if self.token() is not None:
            raise EngineError(
                f"{self._vectors} belongs to another gallery: give another collection, or drop it if that gallery is "
                "no more"
            )

    def begin(self, token: str, dimensions: int, kind: str) -> None:
        def make(client: Any) -> None:
            field = f"facesearch_{token}"
            client.drop_collection(self._name, timeout=_PATIENCE)
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("stamp", DataType.INT64)
            for name in COLUMNS:
                text = {"max_length": _MOST_TEXT} if name in TEXTS else {}
                schema.add_field(name, DataType.VARCHAR if name in TEXTS else DataType.INT64, **text)
            for name in FLAGGED:
                schema.add_field(f"has_{name}", DataType.BOOL)
            schema.add_field(field, DataType.FLOAT_VECTOR, dim=dimensions)
            client.create_collection(
                self._name, schema=schema, index_params=_index(client, field, kind), consistency_level="Bounded"
            )
            client.load_collection(self._name)
            self._field = field

        self._told(make)

    def use(self, kind: str) -> None:
        def change(client: Any) -> None:
            field = self._own_field()
            client.release_collection(self._name)
            for name in client.list_indexes(self._name, field_name=field):
                client.drop_index(self._name, name)
            client.create_index(self._name, _index(client, field, kind))
            client.load_collection(self._name)

        self._told(change)
        self.settle()

    def apply(self, entries: Sequence[Entry], gone: Sequence[int]) -> None:
        def write(client: Any) -> None:
            field = self._own_field()
            for start in range(0, len(gone), _TOGETHER):
                client.delete(self._name, ids=list(gone[start : start + _TOGETHER]), timeout=_PATIENCE)
            for start in range(0, len(entries), _TOGETHER):
                rows = [_row(entry, field) for entry in entries[start : start + _TOGETHER]]
                client.upsert(self._name, rows, timeout=self._answering)
            some = f"id == {entries[-1].id if entries else gone[-1]}"
            client.query(
                self._name, filter=some, output_fields=["id"], consistency_level="Strong", timeout=self._answering
            )

        if entries or gone:
            self._told(write)
            self._failed = 0

    def settle(self) -> None:
        def wait(client: Any) -> None:
            field = self._own_field()
            client.flush(self._name)
            deadline = time.monotonic() + _BUILDING
            while time.monotonic() < deadline:
                state = client.describe_index(self._name, field) or {}
                if state.get("state") not in ("InProgress", "Unissued"):
                    return
                time.sleep(0.5)
            raise EngineError(f"{self._vectors} did not build its index within an hour: its log may say more")

        self._told(wait)

    def expresses(self, where: Condition, attribute: str) -> bool:
        return expression(where, attribute) is not None

    def in_truth(self) -> bool:
        return False

    def search(
        self,
        queries: FloatArray,
        length: int,
        effort: int,
        where: Condition | None,
        attribute: str,
        session: Connection | None = None,
    ) -> list[IdArray]:
        def ask(some: FloatArray, client: Any) -> list[IdArray]:
            most = min(length, LONGEST)
            answer = client.search(
                self._name,
                data=list(some),
                anns_field=self._own_field(),
                limit=most,
                filter="" if where is None else expression(where, attribute) or "",
                output_fields=["id"],
                search_params={"metric_type": "L2", "params": {"ef": max(effort, most)}},
                timeout=self._allowed,
            )
            self._failed = 0
            return [_ids(one) for one in answer]

        starts = range(0, len(queries), _QUERIES)
        found = [self._told(partial(ask, queries[start : start + _QUERIES])) for start in starts]
        return [ids for some in found for ids in some]

    def stamps(self, first: int, last: int) -> dict[int, int]:
        def read(client: Any) -> dict[int, int]:
            rows = client.query(
                self._name,
                filter=f"id >= {first} and id <= {last}",
                output_fields=["id", "stamp"],
                limit=LONGEST,
                consistency_level="Strong",
                timeout=self._answering,
            )
            return {row["id"]: row["stamp"] for row in rows}

        return self._told(read)

    def drop(self) -> None:
        self._told(lambda client: client.drop_collection(self._name, timeout=_PATIENCE))

    def close(self) -> None:
        for _ in range(2):
            self._drop()

    def _opened(self) -> Any:
        """The client, which is connected by one of those that ask at the same time; where it cannot be, all hear it."""
        began = time.monotonic()
        with self._lock:
            if self._client is None:
                if self._refused is not None and self._refused[0] >= began:
                    raise EngineError(str(self._refused[1]))
                try:
                    self._client = self._connected()
                    if self._client.has_collection(self._name, timeout=_PATIENCE):
                        self._client.load_collection(self._name, timeout=self._loading)
                except _FAILURES as error:
                    self._drop()
                    self._failed = max(self._failed, 1)
                    self._refused = time.monotonic(), self._silent(error)
                    raise self._refused[1] from error
            return self._client

    @property
    def _allowed(self) -> float:
        """Seconds for a search: one that is back says that it has loaded the collection, and may search a while later;
        twice as long each time, since it may be slow for good."""
        few = self._loading * 2 ** min(self._failed - 1, 10)
        return min(few, self._answering) if self._failed else self._answering

    def _drop(self) -> None:
        """Ask no more by this client; what others still ask by it is answered, until the next one is dropped, too."""
        with self._lock:
            former, self._former = self._former, self._client
            self._client = self._field = None
            if former is not None:
                with suppress(MilvusException, RpcError):
                    former.close()

    def _connected(self) -> Any:
        """A client of our own, not the one that all share: pymilvus looks for seconds whether that is still well.
        It connects again as patiently as it did now: so it is told to be quick, and where somebody listens who has not
        hung up before, it is tried again."""
        deadline = time.monotonic() + (0 if self._failed else _PATIENCE)
        while True:
            began = time.monotonic()
            try:
                secret, options = _secret(), self._options()
                return MilvusClient(self._vectors.where, token=secret, timeout=_SOON, dedicated=True, **options)
            except MilvusException:
                nobody = time.monotonic() - began < _SOON
                if nobody or time.monotonic() > deadline:
                    raise

    def _options(self) -> dict[str, Any]:
        """Milvus Lite hangs up on who asks every ten seconds whether it is still there, which is in this process."""
        quiet = {"grpc.keepalive_time_ms": _NEVER} if self._vectors.kind == LITE else {}
        # another client's failures say nothing of now: gRPC would keep from connecting for up to two minutes after them
        own = {"grpc.use_local_subchannel_pool": 1, "grpc.min_reconnect_backoff_ms": round(1000 * _SOON)}
        return {"grpc_options": {**own, **quiet}}

    def _own_field(self) -> str:
        if self._field is None and self.token() is None:
            raise EngineError(f"{self._vectors} is not there any more: `facesearch gallery repair` builds it anew")
        return str(self._field)

    def _told(self, ask: Callable[[Any], _T]) -> _T:
        """What `ask` says of a client. Where that fails, the next who asks connects anew and loads the collection, as
        after a restart; of many that fail by one client, one counts."""
        client = self._opened()
        try:
            return ask(client)
        except _FAILURES as error:
            with self._lock:
                if client is self._client:
                    self._failed += 1
                    self._drop()
            raise self._silent(error) from error

    def _silent(self, error: Exception) -> EngineError:
        said = " ".join(str(getattr(error, "message", "") or error).split())
        inner = _DETAILS.search(said)  # of what gRPC writes on several lines
        said = (inner[1] if inner else said)[:200]
        return EngineError(f"Milvus does not answer for {self._vectors} ({said}): {_mend(self._vectors)}")


def _index(client: Any, field: str, kind: str) -> Any:
    made, flat = client.prepare_index_params(), kind == FLAT
    made.add_index(field, index_type="FLAT" if flat else "HNSW", metric_type="L2", params={} if flat else dict(_LINKS))
    return made


def _mend(vectors: Vectors) -> str:
    if vectors.kind == LITE:
        return "pip install milvus-lite, if it is not installed; only one process can use its file at a time"
    return "check that it runs, its address, and $MILVUS_TOKEN"


def _secret() -> str:
    """user:password, from the environment or a file. Raises EngineError for a file that cannot be read."""
    path = os.environ.get("MILVUS_TOKEN_FILE")
    if not path:
        return os.environ.get("MILVUS_TOKEN", "")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise EngineError(
            f"the file that $MILVUS_TOKEN_FILE names cannot be read ({getattr(error, 'strerror', None) or 'no text'})"
        ) from error


def _row(entry: Entry, field: str) -> dict[str, Any]:
    """Of a face as the collection keeps it."""
    columns = {name: ("" if name in TEXTS else 0) if value is None else value for name, value in entry.columns.items()}
    flags = {f"has_{name}": entry.columns[name] is not None for name in FLAGGED}
    return {"id": entry.id, "stamp": entry.stamp, **columns, **flags, field: entry.vector}


def _ids(hits: Any) -> IdArray:
    return np.fromiter((hit["id"] for hit in hits), np.int64)
