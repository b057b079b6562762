"""What a worker of a cluster does: read and describe the files that it is told of. It is what Ray makes an actor of, in
a process on any machine, and knows nothing of Ray."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np

from faceedit.describes import Describes
from index.gallery import GalleryConfig
from index.store_answers import StoreError
from index.stored import place_of
from retrieval.describing import Content, Made, describe_contents
from retrieval.errors import ClusterError
from retrieval.models import Models
from retrieval.one_file import Read
from retrieval.reading import FileReader, ReadsFiles

_NO_CROP = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True)
class Recipe:
    """All that a worker needs to know. models, attribute, descriptor, config: what describes, see
    `retrieval.models.Models.to_describe`; digest: of that; reader: what reads, and reads: what it says that it is;
    folder: that the files lie in; batch: how many are well described together; device: what for; processes: so many
    read."""

    models: Models
    attribute: str | None
    descriptor: str | None
    config: GalleryConfig | None
    digest: str
    reader: ReadsFiles
    reads: str
    folder: Path
    batch: int
    device: str = "auto"
    processes: int = 1


class Worker:
    """One process: the model is loaded once, and describes one part at a time, while another is read."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._describing = recipe, Lock()

    def begin(self) -> None:
        """Load all that is needed. Raises ClusterError where this machine does not see the files, or has another model;
        what loading it raises."""
        host, folder = socket.gethostname(), self._recipe.folder
        if not _sees(folder):
            raise ClusterError(
                f"the machine {host} does not see {folder}: mount the photographs at the same place on every machine"
            )
        if self._reader.name != self._recipe.reads:
            raise ClusterError(
                f"the machine {host} reads pictures by {self._reader.name}, this one by {self._recipe.reads}: install "
                "the same facesearch with the same extras there"
            )
        found = self._describer.digest
        if found != self._recipe.digest:
            raise ClusterError(
                f"the machine {host} has model {found[:12]}, not {self._recipe.digest[:12]}: install the same "
                "facesearch there, or give a --model in a folder that every machine sees"
            )

    def describe(self, paths: list[str]) -> tuple[list[Read], dict[Content, Made]]:
        """These files, without their crops, and what is made of each face in them."""
        files = [file for some in self._reader.ahead(list(map(place_of, paths)), len(paths)) for file in some]
        with self._describing:
            made = describe_contents(self._describer, files)
        return [_without_crops(file) for file in files], made

    @cached_property
    def _describer(self) -> Describes:
        told = self._recipe
        return told.models.to_describe(told.attribute, told.descriptor, told.config)

    @cached_property
    def _reader(self) -> ReadsFiles:
        reader = self._recipe.reader
        return reader.keeping(self._recipe.processes) if isinstance(reader, FileReader) else reader


def _sees(folder: Path) -> bool:
    """Raises ClusterError where a store does not answer this machine."""
    try:
        return folder.is_dir()
    except StoreError as error:
        raise ClusterError(f"the machine {socket.gethostname()} does not reach the photographs ({error})") from error


def _without_crops(file: Read) -> Read:
    return replace(file, faces=tuple(replace(face, crop=_NO_CROP) for face in file.faces))
