"""Find photographs by person and look, from Python. Importing this is quick: what a name needs is loaded with its use.

from facesearch import FaceSearch

with FaceSearch("my.gallery") as faces:
    faces.index("photos/", labels="people.csv")
    for result in faces.query("anna.png", pose=30, k=5, where="identity != 'anna'"):
        print(result.rank, result.distance, result.path, result.identity, result.pose)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from facesearch.beside import require_own_packages

if TYPE_CHECKING:
    from faceedit.editor import Editor as Editor
    from faceedit.errors import FaceEditError as FaceEditError
    from faceedit.errors import ImageError as ImageError
    from faceedit.errors import UsageError as UsageError
    from index.errors import GalleryError as GalleryError
    from index.errors import GalleryLockedError as GalleryLockedError
    from index.errors import GalleryNotFoundError as GalleryNotFoundError
    from index.errors import WhereError as WhereError
    from index.gallery import Gallery as Gallery
    from index.values import Face as Face
    from retrieval.answers import Answer as Answer
    from retrieval.answers import Result as Result
    from retrieval.errors import RetrievalError as RetrievalError
    from retrieval.search import FaceSearch as FaceSearch

_FROM = {
    "Answer": "retrieval.answers",
    "Editor": "faceedit.editor",
    "Face": "index.values",
    "FaceEditError": "faceedit.errors",
    "FaceSearch": "retrieval.search",
    "Gallery": "index.gallery",
    "GalleryError": "index.errors",
    "GalleryLockedError": "index.errors",
    "GalleryNotFoundError": "index.errors",
    "ImageError": "faceedit.errors",
    "Result": "retrieval.answers",
    "RetrievalError": "retrieval.errors",
    "UsageError": "faceedit.errors",
    "WhereError": "index.errors",
}

__all__ = [
    "Answer",
    "Editor",
    "Face",
    "FaceEditError",
    "FaceSearch",
    "Gallery",
    "GalleryError",
    "GalleryLockedError",
    "GalleryNotFoundError",
    "ImageError",
    "Result",
    "RetrievalError",
    "UsageError",
    "WhereError",
]

require_own_packages()


def __getattr__(name: str) -> object:
    if name not in _FROM:
        raise AttributeError(f"module 'facesearch' has no attribute {name!r}")
    value: object = getattr(import_module(_FROM[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
