"""Which model serves which attribute and which gallery. Every model.json is read once, every model loaded once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Protocol

from faceedit.describes import Edits
from faceedit.errors import FaceEditError, UsageError
from faceedit.text import printable
from retrieval.wishes import attribute_named

if TYPE_CHECKING:
    from faceedit.editor import Editor
    from faceedit.encoder import Encoder
    from faceedit.knowing import AnyEditor
    from faceedit.modelcard import ModelCard
    from index.gallery import GalleryConfig

SAMPLE_DB = Path(__file__).resolve().parent.parent / "sample_db"


def models_folder(given: Path | None) -> Path:
    """The given one, else $FACESEARCH_MODELS, else the trained models that come with the project."""
    folder = given or Path(os.environ.get("FACESEARCH_MODELS") or SAMPLE_DB / "models")
    if not folder.is_dir():
        raise FaceEditError(f"no folder {folder}: give one that holds a model folder for each task with --models")
    return folder


def model_folder(given: Path | None, attribute: str = "pose", models: Path | None = None) -> Path:
    """The given one, else $FACESEARCH_MODEL, else the attribute's own among the models."""
    environment = os.environ.get("FACESEARCH_MODEL")
    default = Path(environment) if environment and attribute == "pose" else None
    folder = given or default or models_folder(models) / attribute
    if not folder.is_dir():
        raise FaceEditError(
            f"no model folder {folder}: give one that `facesearch train` wrote with --model, or a --models folder "
            f"that holds {attribute}"
        )
    return folder


class Models(Protocol):
    """Where a FaceSearch has its models from. May be sent to another process."""

    @property
    def device(self) -> str:
        """What computes: auto, cpu or cuda."""

    def check(self, attribute: str | None) -> None:
        """Raise what `to_describe` would, before anything is loaded."""

    def to_describe(self, attribute: str | None, descriptor: str | None, gallery: GalleryConfig | None) -> Edits:
        """The model that describes a gallery's pictures. attribute: None for whatever the model is for; descriptor:
        the kind, None for the gallery's, or the one that the model has learned where there is no gallery yet."""

    def to_query(self, attributes: Iterable[str], gallery: GalleryConfig) -> Mapping[str, Edits]:
        """An editor of each attribute; that of the gallery's own makes the gallery's kind of descriptor."""

    def to_edit(self, attributes: Iterable[str]) -> Mapping[str, Edits]:
        """An editor of each attribute."""


class GivenModels:
    """Models that somebody has loaded already; the first describes."""

    def __init__(self, editors: Edits | Mapping[str, Edits]) -> None:
        self._editors = dict(editors) if isinstance(editors, Mapping) else {editors.attribute.name: editors}

    @property
    def device(self) -> str:
        return "auto"

    def check(self, attribute: str | None) -> None:
        if attribute is not None and attribute_named(attribute).name not in self._editors:
            raise UsageError(f"no model for {attribute} was given, but for {', '.join(self._editors)}")

    def to_describe(self, attribute: str | None, descriptor: str | None, gallery: GalleryConfig | None) -> Edits:
        self.check(attribute)
        return self._editors[attribute or next(iter(self._editors))]

    def to_query(self, attributes: Iterable[str], gallery: GalleryConfig) -> Mapping[str, Edits]:
        return self._editors

    def to_edit(self, attributes: Iterable[str]) -> Mapping[str, Edits]:
        return self._editors


def given_models(editors: Edits | Mapping[str, Edits], **instead: object) -> GivenModels:
    """Models that somebody has loaded. instead: the options that say which to load and how, None or 'auto' where they
    are not given.

    Raises UsageError where one is given: it would change nothing.
    """
    both = [name for name, value in instead.items() if value not in (None, "auto")]
    if both:
        raise UsageError(
            f"describer and {' and '.join(both)} together: a describer is loaded already; give it, or say what to load"
        )
    return GivenModels(editors)


class ModelFolders:
    """Models in folders: `model`, which describes the gallery, and `models`, one folder for each attribute. May be
    shared by threads."""

    def __init__(
        self,
        models: str | os.PathLike[str] | None = None,
        model: str | os.PathLike[str] | None = None,
        device: str = "auto",
        candidates: str = "likely",
        identity: str | None = None,
    ) -> None:
        """identity: what says who somebody is, see `faceedit.people.encoder_named`; by default $FACESEARCH_IDENTITY,
        else auto."""
        self._models, self._model = (None if folder is None else Path(folder) for folder in (models, model))
        self._device, self.candidates = device, candidates
        self._identity = identity or os.environ.get("FACESEARCH_IDENTITY") or "auto"
        self._cards: dict[Path, tuple[ModelCard, str]] = {}
        self._loaded: dict[tuple[Path, str | None], Editor] = {}
        self._lock = RLock()

    @property
    def device(self) -> str:
        return self._device

    def __reduce__(self) -> tuple[type[ModelFolders], tuple[object, ...]]:
        """Another process, perhaps on another machine, loads them itself: where none is given, its own."""
        folders = [None if one is None else one.resolve() for one in (self._models, self._model)]
        identity = str(Path(self._identity).resolve()) if self._identity.endswith(".onnx") else self._identity
        return ModelFolders, (*folders, self._device, self.candidates, identity)

    def check(self, attribute: str | None) -> None:
        """Raises UsageError for a model of another attribute, FaceEditError for a folder that is not there."""
        self.own_folder(attribute)

    def to_describe(self, attribute: str | None, descriptor: str | None, gallery: GalleryConfig | None) -> AnyEditor:
        from faceedit.editor import descriptor_kind

        kind = descriptor_kind(gallery.descriptor_size) if gallery else None
        return self._knowing(self._load(self.own_folder(attribute), descriptor or kind), gallery)

    def to_query(self, attributes: Iterable[str], gallery: GalleryConfig) -> Mapping[str, Edits]:
        from faceedit.editor import descriptor_kind

        own = gallery.attribute
        folders = {name: self._folder(name, name == own) for name in dict.fromkeys([own, *attributes])}
        self._require_attributes(folders)
        kind = descriptor_kind(gallery.descriptor_size)
        loaded = {name: self._load(folder, kind if name == own else None) for name, folder in folders.items()}
        return {**loaded, own: self._knowing(loaded[own], gallery)}

    def to_edit(self, attributes: Iterable[str]) -> Mapping[str, Edits]:
        names = list(dict.fromkeys(attributes))
        if self._model is not None and len(names) > 1:
            raise UsageError(f"one --model, but {' and '.join(names)} to edit: give a --models folder with both")
        folders = {name: self._folder(name, self._model is not None) for name in names}
        self._require_attributes(folders)
        return {name: self._load(folder) for name, folder in folders.items()}

    def own_folder(self, attribute: str | None) -> Path:
        """Of the model that describes. Raises UsageError for one of another attribute, FaceEditError for a folder that
        is not there."""
        if attribute is not None:
            attribute_named(attribute)
        folder = model_folder(self._model, attribute or "pose", self._models)
        found = self._card(folder).task.name
        if attribute is not None and found != attribute:
            raise UsageError(
                f"{folder} is a model for {found}, not for {attribute}: leave out --task, or give another --model"
            )
        return folder

    def _knowing(self, editor: Editor, gallery: GalleryConfig | None) -> AnyEditor:
        """With the encoder that is asked for; where any will do, the one of the gallery, and none beside the paper's
        descriptor. Raises as `encoder_named`."""
        from faceedit.editor import PAPER, descriptor_kind
        from faceedit.knowing import KnowingEditor

        free = self._identity == "auto"
        mine = gallery is not None and gallery.model_digest == editor.digest
        if free and (mine or descriptor_kind(editor.descriptor_size) == PAPER):
            return editor
        made = editor if self._encoder is None else KnowingEditor(editor, self._encoder)
        more = 0 if gallery is None else gallery.descriptor_size - editor.descriptor_size
        if free and gallery is not None and more > 0 and gallery.model_digest != made.digest:
            raise UsageError(
                f"the gallery holds {gallery.descriptor_size} numbers of a face, {more} more than the model makes: it "
                f"was described with {_called(gallery.encoder)}; give that by --identity FILE.onnx, or, if it was "
                "sface, in the folder of facesearch, pip install '.[identity]'"
            )
        return made

    @cached_property
    def _encoder(self) -> Encoder | None:
        from faceedit.people import encoder_named

        return encoder_named(self._identity, self._device)

    def _folder(self, attribute: str, own: bool) -> Path:
        return model_folder(self._model if own else None, attribute, self._models)

    def _require_attributes(self, folders: Mapping[str, Path]) -> None:
        for name, folder in folders.items():
            found = self._card(folder).task.name
            if found != name:
                raise UsageError(
                    f"{folder} is a model for {found}, not for {name}: give one that was trained for {name}"
                )

    def _card(self, folder: Path) -> ModelCard:
        return self._read(folder)[0]

    def _read(self, folder: Path) -> tuple[ModelCard, str]:
        from faceedit.modelcard import read_card

        with self._lock:
            if folder not in self._cards:
                self._cards[folder] = read_card(folder)
            return self._cards[folder]

    def _load(self, folder: Path, descriptor: str | None = None) -> Editor:
        from faceedit.editor import LEARNED, Editor
        from faceedit.modelfile import load_model

        kind = descriptor or LEARNED
        with self._lock:
            if (folder, kind) not in self._loaded:
                model = load_model(folder, self._read(folder))
                self._loaded[folder, kind] = Editor(model, self._device, descriptor=kind, candidates=self.candidates)
            return self._loaded[folder, kind]


def _called(encoder: str | None) -> str:
    return "an encoder of people" if encoder is None else f"the encoder {printable(encoder)}"
