"""Our descriptor with one part more: what an encoder of people says of who it is."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from faceedit.attributes import AttributeSpace
from faceedit.describes import Described, Edit, Floats, Usual, Who
from faceedit.editor import WHO, Editor
from faceedit.encoder import Encodes
from faceedit.images import Picture
from faceedit.modelcard import ModelCard
from faceedit.people import SHARE


class KnowingEditor:
    """An editor and an encoder: a descriptor is [who by the encoder | ours], the first `share` of its squared length.
    Editing is the editor's own, and who somebody is is said by the picture that is given, not by what is made of it.
    """

    def __init__(self, editor: Editor, encoder: Encodes, share: float = SHARE) -> None:
        """share: above 0 and below 1."""
        if not 0 < share < 1:
            raise ValueError(f"share is {share}; expected above 0 and below 1")
        self._editor, self.encoder, self._share = editor, encoder, share
        self.digest = joint_digest(editor.digest, encoder, share)

    @property
    def attribute(self) -> AttributeSpace:
        return self._editor.attribute

    @property
    def neutral(self) -> bool:
        return self._editor.neutral

    @property
    def card(self) -> ModelCard:
        """Of the editor's model."""
        return self._editor.card

    @property
    def device(self) -> str:
        return self._editor.device

    @property
    def batch(self) -> int:
        return self._editor.batch

    @property
    def descriptor_size(self) -> int:
        return self.encoder.size + self._editor.descriptor_size

    @property
    def who(self) -> Who:
        return Who(0, self.encoder.size, tells_strangers=True, encoder=self.encoder.kind)

    @property
    def kind(self) -> str:
        """Of its descriptors: that of ours and the encoder's."""
        return f"{self._editor.kind}+{self.encoder.kind}"

    @property
    def kind_who(self) -> str:
        """Of what says who it is, where distances are told by kind."""
        return f"{WHO}+{self.encoder.kind}"

    @property
    def usual(self) -> Usual | None:
        return self.card.distances.get(self.kind)

    @property
    def usual_who(self) -> Usual | None:
        return self.card.distances.get(self.kind_who)

    def describe(self, images: NDArray[np.uint8]) -> Described:
        """See `faceedit.describes.Describes`."""
        ours = self._editor.describe(images)
        return Described(self._joined(self.encoder.encode(images), ours.descriptors), ours.best, ours.errors)

    def edit(self, image: Picture, attribute: int) -> Edit:
        """See `faceedit.describes.Edits`."""
        return self.edit_many(image[None], np.array([self.attribute.index(attribute)]))[0]

    def edit_many(self, images: NDArray[np.uint8], values: NDArray[np.int64]) -> list[Edit]:
        """As `Editor.edit_many`."""
        edits = self._editor.edit_many(images, values)
        if not edits:
            return edits
        joined = self._joined(self._encoded(images), np.stack([edit.descriptor for edit in edits]))
        return [
            Edit(edit.generated, edit.refined, descriptor, edit.moves)
            for edit, descriptor in zip(edits, joined, strict=True)
        ]

    @property
    def portrays(self) -> bool:
        return self._editor.portrays

    def portraits(self, images: NDArray[np.uint8], values: NDArray[np.int64]) -> list[Edit]:
        """See `faceedit.describes.Edits`."""
        return self._editor.portraits(images, values)

    def backdrop(self, image: Picture) -> Floats | None:
        """See `faceedit.describes.Edits`."""
        return self._editor.backdrop(image)

    def of_person(self, descriptor: Floats, picture: Picture) -> Floats:
        """See `faceedit.describes.Edits`."""
        made = descriptor.copy()
        made[: self.encoder.size] = math.sqrt(self._share) * self.encoder.encode(picture[None])[0]
        return made

    def _encoded(self, images: NDArray[np.uint8]) -> Floats:
        """What the encoder says of each; equal ones, as a sweep has them, are looked at once."""
        places: dict[bytes, int] = {}
        at = [places.setdefault(image.tobytes(), len(places)) for image in images]
        different = [at.index(place) for place in range(len(places))]
        found: Floats = self.encoder.encode(images[different])[at]
        return found

    def _joined(self, who: Floats, ours: Floats) -> Floats:
        return np.concatenate([math.sqrt(self._share) * who, math.sqrt(1 - self._share) * ours], 1)


AnyEditor = Editor | KnowingEditor


def joint_digest(model: str, encoder: Encodes, share: float = SHARE) -> str:
    """Names what describes: a model, an encoder and its share."""
    return hashlib.sha256(f"{model} {encoder.digest} {share}".encode()).hexdigest()
