"""What the API says of itself is all that it does: any request, valid or not, gets a declared answer, and no 500."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from facesearch.server.app import make_app
from facesearch.server.service import service_of
from facesearch.server.settings import Limits, Settings
from tests.served import stand_in, write_faces

pytestmark = pytest.mark.slow
EXAMPLES = 40
CHECKS = {  # no schema says what is a condition, or a picture: these may be refused as it is declared
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ["2xx", "3xx", "400", "404", "409", "410", "413", "422"]}
    }
}


@pytest.fixture
def described(tmp_path: Path) -> Iterator[Any]:
    with stand_in(tmp_path / "db") as faces:
        faces.index(write_faces(tmp_path / "photos"))
        (tmp_path / "root").mkdir()
        served = service_of(
            faces, Settings(roots=(tmp_path / "root",), names=("testserver",), limits=Limits(jobs=10_000))
        )
        import schemathesis  # takes half a second, which whoever collects this file for nothing need not wait
        from schemathesis.config import SchemathesisConfig as Config

        yield schemathesis.openapi.from_asgi("/openapi.json", make_app(served), config=Config.from_dict(CHECKS))
        served.close()


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_request_gets_an_answer_that_was_declared(described: Any, mode: str) -> None:
    asked = 0
    for result in described.get_all_operations():
        operation = result.ok()
        asked += ask(operation, mode)
    assert asked > 100


def ask(operation: Any, mode: str) -> int:
    """Ask this of the API in many ways, valid or not; how many."""
    from schemathesis import GenerationMode

    count = 0

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=GenerationMode(mode)))
    def each(case: Any) -> None:
        nonlocal count
        if operation.path.endswith("/events"):
            case.path_parameters["job"] = 2**31  # a stream ends with its job, which is another test's
        case.call_and_validate()
        count += 1

    with suppress(Unsatisfiable):  # what has no parameters cannot be wrong
        each()
    return count
