"""What every describer keeps to, the network and the stand-in of the tests alike."""

from __future__ import annotations

import numpy as np
import pytest

from faceedit.describes import Edits
from faceedit.errors import AttributeValueError, ImageError
from tests.conftest import blob_face
from tests.stand_ins import HashEditor

FACES = np.stack([blob_face(person, 15 * person, person) for person in range(3)])


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("network", "learned network")]


@pytest.fixture(params=["stand-in", *SLOW])
def describer(request: pytest.FixtureRequest) -> Edits:
    if request.param == "stand-in":
        return HashEditor()
    from faceedit.editor import Editor

    fixture = "model_folder" if request.param == "network" else "learned_model_folder"
    return Editor.load(request.getfixturevalue(fixture), "cpu")


def test_it_is_named_by_a_digest(describer: Edits) -> None:
    assert len(describer.digest) == 64 and set(describer.digest) <= set("0123456789abcdef")
    assert describer.batch >= 1 and describer.descriptor_size >= 1


def test_every_picture_has_a_descriptor_of_length_one_and_a_value(describer: Edits) -> None:
    found = describer.describe(FACES)
    values = len(describer.attribute)
    assert found.descriptors.shape == (3, describer.descriptor_size) and found.descriptors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found.descriptors, axis=1), 1, atol=1e-3)
    assert (found.best.shape, found.errors.shape) == ((3,), (3, values))
    assert ((found.best >= 0) & (found.best < values)).all()
    assert (found.errors[~np.isnan(found.errors)] >= 0).all()
    assert (np.isnan(found.errors).sum(1) != values - 1).all()  # a value that alone could win needs no error


def test_the_content_of_a_picture_decides(describer: Edits) -> None:
    first, again = describer.describe(FACES), describer.describe(FACES[::-1].copy())
    np.testing.assert_allclose(first.descriptors, again.descriptors[::-1], atol=2e-2)  # half precision, other batches
    assert np.linalg.norm(first.descriptors[0] - first.descriptors[1]) > 0.02
    np.testing.assert_array_equal(describer.describe(FACES).descriptors, first.descriptors)


def test_no_pictures_are_described_as_none(describer: Edits) -> None:
    found = describer.describe(FACES[:0])
    assert found.descriptors.shape == (0, describer.descriptor_size)
    assert (found.best.shape, found.errors.shape) == ((0,), (0, len(describer.attribute)))


@pytest.mark.parametrize("wrong", [np.zeros((2, 30, 60, 3), np.uint8), np.zeros((2, 60, 60, 3), np.float32)])
def test_pictures_of_another_form_are_refused(describer: Edits, wrong: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"give \(60, 60, 3\) uint8"):
        describer.describe(wrong)


def test_an_edit_is_two_pictures_and_a_descriptor(describer: Edits) -> None:
    made = describer.edit(FACES[0], 30)
    for picture in (made.generated, made.refined):
        assert picture.shape == (60, 60, 3) and picture.dtype == np.uint8
    assert made.descriptor.shape == (describer.descriptor_size,)
    assert np.linalg.norm(made.descriptor) == pytest.approx(1, abs=1e-3)
    assert not np.array_equal(made.refined, describer.edit(FACES[0], -45).refined)


def test_several_edits_at_once_are_what_each_is_alone(describer: Edits) -> None:
    places = np.array([0, 5, 3])
    together = describer.edit_many(FACES, places)
    assert len(together) == 3 and describer.edit_many(FACES[:0], places[:0]) == []
    for face, place, made in zip(FACES, places, together, strict=True):
        alone = describer.edit(face, describer.attribute.values[place])
        np.testing.assert_allclose(made.descriptor, alone.descriptor, atol=2e-2)  # half precision, other batches
        assert np.abs(made.refined.astype(int) - alone.refined).max() <= 4


def test_portraits_are_edits_to_look_at(describer: Edits) -> None:
    places = np.array([0, 5, 3])
    edits, shown = describer.edit_many(FACES, places), describer.portraits(FACES, places)
    assert len(shown) == 3 and describer.portraits(FACES[:0], places[:0]) == []
    for plain, portrait in zip(edits, shown, strict=True):
        assert portrait.refined.shape == (60, 60, 3) and portrait.refined.dtype == np.uint8
        assert describer.portrays or np.array_equal(portrait.refined, plain.refined)


def test_an_unknown_value_is_refused(describer: Edits) -> None:
    with pytest.raises(AttributeValueError, match="pose 31 is not one of -45"):
        describer.edit(FACES[0], 31)
