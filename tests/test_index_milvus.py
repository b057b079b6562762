"""What is said of a Milvus server that answers, but not as it should."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from index.errors import EngineError
from index.vectors import read_vectors

pytestmark = pytest.mark.cluster


@pytest.fixture
def slow() -> Iterator[str]:
    """The word for a collection of a server that lets us in, and then says to each question that it takes too long."""
    pytest.importorskip("pymilvus", reason="pymilvus is not installed for tests: `make test-cluster` does so")
    import grpc

    class Answers(grpc.GenericRpcHandler):  # type: ignore[misc]  # whose types nobody tells
        def service(self, asked: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda _, call: self.answer(asked.method, call))

        def answer(self, method: str, call: Any) -> bytes:
            if not method.endswith("/Connect"):
                call.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "it takes too long")
            return b""

    server = grpc.server(ThreadPoolExecutor(2), handlers=(Answers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"milvus://127.0.0.1:{port}/faces"
    server.stop(None).wait()


def test_what_grpc_says_on_many_lines_is_told_in_a_word(slow: str) -> None:
    from index.search.milvus import Milvus

    with pytest.raises(EngineError) as raised:
        Milvus(read_vectors(slow)).token()
    assert str(raised.value) == (
        f"Milvus does not answer for {slow} (it takes too long): check that it runs, its address, and $MILVUS_TOKEN"
    )
