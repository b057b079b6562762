"""What an error becomes: a status and {code, message, hint}, with the sentences that the command prints."""

from __future__ import annotations

import re
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from faceedit.errors import (
    AttributeValueError,
    FaceEditError,
    ImageError,
    ManifestError,
    MissingPackageError,
    NoFaceError,
    UsageError,
)
from faceedit.text import message
from index.errors import (
    EngineError,
    FaissMissingError,
    GalleryBusyError,
    GalleryChangedError,
    GalleryEmptyError,
    GalleryError,
    GalleryExistsError,
    GalleryLockedError,
    GalleryNotFoundError,
    GalleryStorageError,
    ImageRowError,
    ModelMismatchError,
    RequirementsError,
    UnknownImageError,
    UnknownPersonError,
    WhereError,
)
from retrieval.errors import EvaluationError, NothingFoundError, PruneError, RetrievalError, refusal

LATER = 503
_AGAIN: dict[type[Exception], int] = {GalleryLockedError: 5}  # seconds until another try
STATUS: dict[type[Exception], int] = {
    UsageError: 422,
    AttributeValueError: 422,
    WhereError: 422,
    ImageError: 422,
    ManifestError: 422,
    EvaluationError: 422,
    NoFaceError: 422,
    ImageRowError: 422,
    RequirementsError: 422,
    PruneError: 409,
    MissingPackageError: 501,
    EngineError: 503,
    FaissMissingError: 501,
    UnknownImageError: 404,
    UnknownPersonError: 404,
    NothingFoundError: 404,
    GalleryNotFoundError: 404,
    GalleryEmptyError: 409,
    GalleryExistsError: 409,
    GalleryLockedError: 409,
    ModelMismatchError: 409,
    GalleryChangedError: 409,
    GalleryBusyError: LATER,
    GalleryStorageError: 507,
}
_OTHER = 500
_WORDS = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class Error(BaseModel):
    """What was wrong."""

    code: str = Field(description="For machines: stays the same while sentences get better.")
    message: str = Field(description="What was wrong, and what was expected.")
    hint: str = Field(description="How to mend it; empty where the message says it.")


class RefusedError(Exception):
    """A request that the server itself refuses: status, code, sentence; later: seconds until another try."""

    def __init__(self, status: int, code: str, text: str, later: int | None = None) -> None:
        super().__init__(text)
        self.status, self.code, self.later = status, code, later


def full(what: str) -> RefusedError:
    """Too much is asked at one time."""
    return RefusedError(LATER, "full", f"{what}: try again in a moment", later=1)


def as_error(error: Exception) -> Error:
    """{code, message, hint} of an error that a user can cause."""
    code = error.code if isinstance(error, RefusedError) else _code(type(error))
    said, _, mend = message(refusal(error) if isinstance(error, OSError) else str(error)).rpartition(": ")
    return Error(code=code, message=said or mend, hint=mend if said else "")


def answer_to(error: Exception) -> JSONResponse:
    """The response that tells an error."""
    status = error.status if isinstance(error, RefusedError) else status_of(error)
    later = error.later if isinstance(error, RefusedError) else _AGAIN.get(type(error))
    if status == LATER and not later:
        later = 1
    headers = {"Retry-After": str(later)} if later else {}
    return JSONResponse(as_error(error).model_dump(), status, headers)


def status_of(error: Exception) -> int:
    """Of an error that a user can cause, as HTTP has it."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), _OTHER)


async def foreseen(request: Request, error: Exception) -> JSONResponse:
    """Of an error of ours that has a sentence."""
    return answer_to(error)


async def invalid(request: Request, error: Exception) -> JSONResponse:
    """Of parameters that are not what is declared."""
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = dict(error.errors()[0]) if error.errors() else {}
    place = ".".join(str(part) for part in first.get("loc", ())[1:])
    what = " ".join(filter(None, (place, str(first.get("msg", "cannot be read")))))
    return answer_to(RefusedError(422, "invalid", f"{what}: see the documentation of this API"))


async def http(request: Request, error: Exception) -> JSONResponse:
    """Of what the framework refuses."""
    assert isinstance(error, HTTPException)
    code = _WORDS.get(error.status_code, "refused")
    text = f"{error.detail}: see the documentation of this API"
    response = answer_to(RefusedError(error.status_code, code, text))
    response.headers.update(error.headers or {})
    return response


async def unforeseen(request: Request, error: Exception) -> JSONResponse:
    """Of a mistake of ours: the log has it, by the number of the request."""
    number = request.scope.get("state", {}).get("request_id", "")
    return answer_to(RefusedError(500, "failed", f"the server made a mistake in request {number}: its log says more"))


FORESEEN = (FaceEditError, GalleryError, RetrievalError, OSError, RefusedError)


def _code(kind: type[Exception]) -> str:
    """GalleryEmptyError -> gallery_empty"""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__.removesuffix("Error")).lower() or "failed"


_MEANINGS = {
    400: "The request cannot be read.",
    401: "The key is missing or wrong.",
    403: "The request comes from another site.",
    404: "There is none, or no gallery yet.",
    408: "The request took too long to arrive.",
    409: "The gallery cannot do that now; Retry-After says when to try again, where others write.",
    413: "The upload is too large.",
    421: "The server has another name.",
    422: "Something in the request is not as expected.",
    429: "Too many wrong keys.",
    500: "The gallery or a model is damaged.",
    501: "An optional package is not installed.",
    503: "Too much is asked at one time, or the database hangs; Retry-After says when to try again.",
    507: "The disk is full, or may not be written to.",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": text} for status, text in _MEANINGS.items()
}
"""What every route may answer besides."""
