"""What is said of a Milvus server that answers, but not as it should."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np
import pytest

from index.errors import EngineError
from index.vectors import read_vectors

pytestmark = pytest.mark.cluster


Answer = Callable[[str], bytes]
LOADED = b"\x10\x64"  # a hundred of a hundred


@pytest.fixture
def serving() -> Iterator[Callable[..., tuple[str, Any]]]:
    """Starts a server that lets us in and then answers each question by its name: the word for a collection there, and
    the server."""
    pytest.importorskip("pymilvus", reason="pymilvus is not installed for tests: `make test-cluster` does so")
    import grpc

    class Answers(grpc.GenericRpcHandler):  # type: ignore[misc]  # whose types nobody tells
        def __init__(self, answer: Answer) -> None:
            self._answer = answer

        def service(self, asked: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda _, call: self._said(asked.method.split("/")[-1], call))

        def _said(self, question: str, call: Any) -> bytes:
            try:
                return b"" if question == "Connect" else self._answer(question)
            except TimeoutError as error:
                return bytes(call.abort(grpc.StatusCode.DEADLINE_EXCEEDED, str(error)))

    servers = []

    def start(answer: Answer, port: int = 0) -> tuple[str, Any]:
        servers.append(grpc.server(ThreadPoolExecutor(2), handlers=(Answers(answer),)))
        port = servers[-1].add_insecure_port(f"127.0.0.1:{port}")
        servers[-1].start()
        return f"milvus://127.0.0.1:{port}/faces", servers[-1]

    yield start
    for server in servers:
        server.stop(None).wait()


def too_long(question: str) -> bytes:
    raise TimeoutError("it takes too long")


def test_what_grpc_says_on_many_lines_is_told_in_a_word(serving: Callable[..., tuple[str, Any]]) -> None:
    from index.search.milvus import Milvus

    slow, _ = serving(too_long)
    with pytest.raises(EngineError) as raised:
        Milvus(read_vectors(slow)).token()
    assert str(raised.value) == (
        f"Milvus does not answer for {slow} (it takes too long): check that it runs, its address, and $MILVUS_TOKEN"
    )


def test_one_that_was_killed_and_does_not_answer_yet_is_waited_for_a_moment(
    serving: Callable[..., tuple[str, Any]],
) -> None:
    """Others hang meanwhile who could be answered without it: at first, and whenever it is looked at again; then
    however many look at the same time."""
    from index.search.milvus import Milvus

    word, server = serving(lambda question: LOADED if question == "GetLoadingProgress" else b"")
    engine = Milvus(read_vectors(word))
    with pytest.raises(EngineError, match="did not make"):
        engine.token()
    server.stop(None).wait()
    with socket.create_server(("127.0.0.1", int(word.split(":")[-1].split("/")[0]))):  # listens, and says nothing
        for threads in (1, 6):
            began = time.monotonic()
            with ThreadPoolExecutor(threads) as pool:
                looks = [pool.submit(engine.token) for _ in range(threads)]
                assert all("does not answer" in str(look.exception()) for look in looks)
            assert time.monotonic() - began < 8
    engine.close()


def test_a_collection_that_is_being_loaded_is_waited_for_a_moment(serving: Callable[..., tuple[str, Any]]) -> None:
    """As after a restart: a large one takes minutes."""
    from index.search.milvus import Milvus

    word, _ = serving(lambda question: b"")
    engine, began = Milvus(read_vectors(word)), time.monotonic()
    with pytest.raises(EngineError, match="loading collection"):
        engine.token()
    assert time.monotonic() - began < 8
    engine.close()


def test_one_that_is_back_and_cannot_search_yet_is_waited_for_a_moment(serving: Callable[..., tuple[str, Any]]) -> None:
    from pymilvus.grpc_gen import milvus_pb2, schema_pb2

    from index.search.milvus import Milvus

    fields = [schema_pb2.FieldSchema(name="facesearch_ab", data_type=schema_pb2.FloatVector)]
    described = milvus_pb2.DescribeCollectionResponse(schema=schema_pb2.CollectionSchema(fields=fields))
    recovered = Event()

    def answer(question: str) -> bytes:
        if question == "Search":
            recovered.wait(30)
        said = {"GetLoadingProgress": LOADED, "DescribeCollection": described.SerializeToString()}
        return bytes(said.get(question, b""))

    word, server = serving(answer)
    engine, port = Milvus(read_vectors(word)), int(word.split(":")[-1].split("/")[0])
    assert engine.token() == "ab"
    server.stop(None).wait()
    query = np.zeros((1, 4), np.float32)
    with ThreadPoolExecutor(6) as pool:  # one failure, however many hear of it
        searches = [pool.submit(engine.search, query, 10, 0, None, "pose") for _ in range(6)]
        assert all("does not answer" in str(search.exception()) for search in searches)
    for _ in range(3):  # and however often it is found away: that says nothing of how slow it is once it is back
        with pytest.raises(EngineError, match="does not answer"):
            engine.search(query, 10, 0, None, "pose")
    serving(answer, port)
    began = time.monotonic()
    with pytest.raises(EngineError, match="Deadline Exceeded"):
        engine.search(query, 10, 0, None, "pose")
    assert time.monotonic() - began < 8
    recovered.set()
    engine.close()
