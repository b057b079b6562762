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

from facesearch.own_packages import require_own_packages

if TYPE_CHECKING:
    from faceedit.editor import Editor as Editor
    from faceedit.errors import AttributeValueError as AttributeValueError
    from faceedit.errors import FaceEditError as FaceEditError
    from faceedit.errors import ImageError as ImageError
    from faceedit.errors import ManifestError as ManifestError
    from faceedit.errors import MissingPackageError as MissingPackageError
    from faceedit.errors import ModelFileError as ModelFileError
    from faceedit.errors import NoFaceError as NoFaceError
    from faceedit.errors import UsageError as UsageError
    from index.errors import AddressError as AddressError
    from index.errors import DescriptorShapeError as DescriptorShapeError
    from index.errors import DescriptorValueError as DescriptorValueError
    from index.errors import DuplicatePathError as DuplicatePathError
    from index.errors import EngineError as EngineError
    from index.errors import FaissMissingError as FaissMissingError
    from index.errors import GalleryBusyError as GalleryBusyError
    from index.errors import GalleryChangedError as GalleryChangedError
    from index.errors import GalleryCorruptError as GalleryCorruptError
    from index.errors import GalleryEmptyError as GalleryEmptyError
    from index.errors import GalleryError as GalleryError
    from index.errors import GalleryExistsError as GalleryExistsError
    from index.errors import GalleryLockedError as GalleryLockedError
    from index.errors import GalleryNotFoundError as GalleryNotFoundError
    from index.errors import GalleryStorageError as GalleryStorageError
    from index.errors import GalleryUnfinishedError as GalleryUnfinishedError
    from index.errors import GalleryVersionError as GalleryVersionError
    from index.errors import ImageRowError as ImageRowError
    from index.errors import ModelMismatchError as ModelMismatchError
    from index.errors import RecallError as RecallError
    from index.errors import RequirementsError as RequirementsError
    from index.errors import UnknownImageError as UnknownImageError
    from index.errors import UnknownPersonError as UnknownPersonError
    from index.errors import WhereError as WhereError
    from index.gallery import Gallery as Gallery
    from index.values import Face as Face
    from index.writing import Patience as Patience
    from retrieval.answers import Answer as Answer
    from retrieval.answers import Result as Result
    from retrieval.errors import ClusterError as ClusterError
    from retrieval.errors import EvaluationError as EvaluationError
    from retrieval.errors import NoImagesError as NoImagesError
    from retrieval.errors import NothingFoundError as NothingFoundError
    from retrieval.errors import PruneError as PruneError
    from retrieval.errors import RetrievalError as RetrievalError
    from retrieval.face_search import FaceSearch as FaceSearch

_FROM = {
    "Answer": "retrieval.answers",
    "AttributeValueError": "faceedit.errors",
    "AddressError": "index.errors",
    "ClusterError": "retrieval.errors",
    "DescriptorShapeError": "index.errors",
    "DescriptorValueError": "index.errors",
    "DuplicatePathError": "index.errors",
    "Editor": "faceedit.editor",
    "EngineError": "index.errors",
    "Face": "index.values",
    "EvaluationError": "retrieval.errors",
    "FaceEditError": "faceedit.errors",
    "FaceSearch": "retrieval.face_search",
    "FaissMissingError": "index.errors",
    "Gallery": "index.gallery",
    "GalleryBusyError": "index.errors",
    "GalleryChangedError": "index.errors",
    "GalleryCorruptError": "index.errors",
    "GalleryEmptyError": "index.errors",
    "GalleryError": "index.errors",
    "GalleryExistsError": "index.errors",
    "GalleryLockedError": "index.errors",
    "GalleryNotFoundError": "index.errors",
    "GalleryStorageError": "index.errors",
    "GalleryUnfinishedError": "index.errors",
    "GalleryVersionError": "index.errors",
    "ImageError": "faceedit.errors",
    "NoFaceError": "faceedit.errors",
    "ImageRowError": "index.errors",
    "ManifestError": "faceedit.errors",
    "MissingPackageError": "faceedit.errors",
    "ModelFileError": "faceedit.errors",
    "ModelMismatchError": "index.errors",
    "NoImagesError": "retrieval.errors",
    "NothingFoundError": "retrieval.errors",
    "Patience": "index.writing",
    "PruneError": "retrieval.errors",
    "RecallError": "index.errors",
    "RequirementsError": "index.errors",
    "Result": "retrieval.answers",
    "RetrievalError": "retrieval.errors",
    "UnknownImageError": "index.errors",
    "UnknownPersonError": "index.errors",
    "UsageError": "faceedit.errors",
    "WhereError": "index.errors",
}

__all__ = [
    "AddressError",
    "Answer",
    "AttributeValueError",
    "ClusterError",
    "DescriptorShapeError",
    "DescriptorValueError",
    "DuplicatePathError",
    "Editor",
    "EngineError",
    "EvaluationError",
    "Face",
    "FaceEditError",
    "FaceSearch",
    "FaissMissingError",
    "Gallery",
    "GalleryBusyError",
    "GalleryChangedError",
    "GalleryCorruptError",
    "GalleryEmptyError",
    "GalleryError",
    "GalleryExistsError",
    "GalleryLockedError",
    "GalleryNotFoundError",
    "GalleryStorageError",
    "GalleryUnfinishedError",
    "GalleryVersionError",
    "ImageError",
    "ImageRowError",
    "ManifestError",
    "MissingPackageError",
    "ModelFileError",
    "ModelMismatchError",
    "NoFaceError",
    "NoImagesError",
    "NothingFoundError",
    "Patience",
    "PruneError",
    "RecallError",
    "RequirementsError",
    "Result",
    "RetrievalError",
    "UnknownImageError",
    "UnknownPersonError",
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
