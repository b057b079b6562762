"""Whether what the server needs is installed, said before anything else is done for it."""

from __future__ import annotations

from collections.abc import Callable

from faceedit.errors import MissingPackageError

_NEEDS = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "starlette", "pydantic", "anyio")


def serving() -> Callable[..., None]:
    """`facesearch.server.start.serve`. Raises MissingPackageError without the extra `serve`."""
    try:
        from facesearch.server.start import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDS:
            raise
        raise MissingPackageError(
            f"the page needs {error.name}, which is not installed: pip install -c constraints.txt '.[cpu,serve]'"
        ) from error
    return serve
