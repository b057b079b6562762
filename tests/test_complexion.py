"""The colour of a face as a part of its descriptor."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from faceedit.complexion import CODE, chroma_codes, complexion, face_window
from faceedit.editor import Editor
from faceedit.modelfile import Model, load_model
from faceedit.networks import Describer, NetworkConfig
from tests.conftest import ROOT, blob_face

MODELS = ROOT / "sample_db" / "models"


def flat(*colours: tuple[int, int, int]) -> torch.Tensor:
    return torch.tensor(colours).float()[:, :, None, None].expand(-1, 3, 60, 60).contiguous()


def test_chromas_are_those_of_the_standard() -> None:
    """Of pure red, green and blue, of a dark grey, and of skins (Lindbloom's calculator, sRGB under D65)."""
    found = complexion(flat((255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9), (180, 130, 110), (96, 60, 40)))
    expected = torch.tensor(
        [[80.09, 67.20], [-86.18, 83.18], [79.19, -107.86], [0.0, 0.0], [16.64, 18.44], [13.46, 18.83]]
    )
    assert torch.allclose(found, expected, atol=0.05)


def test_it_is_the_faces_chroma_whatever_surrounds_it_and_however_bright_it_is() -> None:
    face = flat((180, 130, 110))
    around = torch.where(torch.from_numpy(face_window() > 0.5), face, flat((0, 0, 255)))
    spotted = face.clone()
    spotted[..., 30:40, 25:35] = 255
    assert torch.allclose(complexion(around), complexion(face)) and torch.allclose(
        complexion(spotted), complexion(face)
    )
    dark, bright = complexion(flat((150, 108, 91), (220, 160, 135)))
    other = complexion(flat((180, 170, 110)))[0]
    assert (dark - bright).norm() < 8 < (complexion(face)[0] - other).norm()


def test_codes_are_as_alike_as_chromas_are_near() -> None:
    start = torch.tensor([[15.0, 18.0]], dtype=torch.float64)
    angles = torch.arange(0, 2 * math.pi, 0.1, dtype=torch.float64)
    around = torch.stack([angles.cos(), angles.sin()], 1)
    codes = {distance: chroma_codes(start + distance * around) for distance in range(31)}
    for code in codes.values():
        assert code.shape == (len(angles), CODE)
        assert torch.allclose(code.norm(dim=1), torch.ones(len(angles), dtype=torch.float64))
    alike = {distance: (code @ codes[0][0]) for distance, code in codes.items()}
    for distance in range(8):
        assert (alike[distance] - math.exp(-(distance**2) / 8)).abs().max() < 0.04
    beyond = torch.stack([alike[distance] for distance in range(8, 31)])
    assert -0.36 < float(beyond.min()) < 0 < float(beyond.max()) < 0.5 and float(beyond.square().mean().sqrt()) < 0.2


def test_galleries_hold_these_numbers() -> None:
    """No digest of a model says how the colour is told: with other numbers galleries would be searched wrongly."""
    down, across = torch.meshgrid(torch.arange(60.0), torch.arange(60.0), indexing="ij")
    slopes = torch.stack([120 + 2 * across, 60 + 1.5 * down + 0.5 * across, 200 - 2 * down]).round()[None]
    assert torch.allclose(complexion(slopes), torch.tensor([[20.2824, 7.3001]]), atol=1e-3)
    expected = [
        *(
            0.30645,
            -0.26281,
            -0.31337,
            0.18561,
            -0.31526,
            -0.01005,
            0.13992,
            -0.23967,
            0.1274,
            0.24376,
            -0.09754,
            -0.23704,
        ),
        *(
            -0.06644,
            -0.01066,
            -0.07864,
            -0.0318,
            0.07463,
            0.07752,
            -0.00749,
            0.00903,
            -0.00491,
            -0.00516,
            -0.00108,
            -0.00734,
        ),
        *(
            -0.08131,
            0.17737,
            0.04823,
            0.25705,
            -0.03375,
            -0.3169,
            -0.19998,
            0.04613,
            0.20818,
            0.01232,
            0.22373,
            -0.05817,
        ),
        *(
            -0.04547,
            0.0798,
            -0.01724,
            0.07396,
            -0.03019,
            0.02173,
            -0.00581,
            0.00289,
            0.00811,
            -0.00795,
            -0.00942,
            -0.006,
        ),
    ]
    assert torch.allclose(chroma_codes(torch.tensor([[15.0, 18.0]]))[0], torch.tensor(expected), atol=2e-5)


def test_beyond_white_is_white() -> None:
    """The networks imagine pictures that are not within 0..255; they are shown, and compared, as pixels have it."""
    assert torch.allclose(complexion(flat((300, 128, -20))), complexion(flat((255, 128, 0))))


def test_a_descriptor_has_its_share_of_colour_and_length_one() -> None:
    describer = Describer(NetworkConfig(head=16, identity=8, colour=0.25))
    assert describer.size == 16 + 8 + CODE
    described = torch.nn.functional.normalize(torch.randn(2, 24, generator=torch.Generator().manual_seed(0)), dim=1)
    made = describer.tinted(described, flat((180, 130, 110), (180, 130, 110)))
    assert torch.allclose(made.norm(dim=1), torch.ones(2))
    assert float(made[0] @ made[1]) == pytest.approx(0.75 * float(described[0] @ described[1]) + 0.25, abs=1e-5)
    plain = Describer(NetworkConfig(head=16, identity=8))
    assert plain.size == 24 and plain.tinted(described, flat((1, 2, 3))) is described


def test_the_share_is_a_share() -> None:
    for wrong in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match=rf"^colour must be 0 or more and below 1, got {wrong}$"):
            NetworkConfig(colour=wrong)


def with_colour(share: float) -> Editor:
    model = load_model(MODELS / "pose")
    model.networks.describer.colour = share
    return Editor(
        Model(replace(model.card, network=replace(model.card.network, colour=share)), model.networks, "0" * 64), "cpu"
    )


def test_gallery_and_query_say_colour_alike() -> None:
    """A gallery picture says its own, an imagined face that of the picture that was imagined."""
    editor, plain = with_colour(0.5), with_colour(0.0)
    picture = blob_face(1, 0, 0)
    stored, asked = editor.describe(picture[None]).descriptors[0], editor.edit(picture, 0)
    assert len(stored) == editor.descriptor_size == plain.descriptor_size + CODE == len(asked.descriptor)
    for descriptor, shown in ((stored, picture), (asked.descriptor, asked.refined)):
        code = chroma_codes(complexion(torch.from_numpy(shown.copy()).permute(2, 0, 1)[None].float()))[0].numpy()
        np.testing.assert_allclose(descriptor[-CODE:], math.sqrt(0.5) * code, atol=0.05)
    np.testing.assert_allclose(stored[:-CODE], math.sqrt(0.5) * plain.describe(picture[None]).descriptors[0], atol=1e-3)
    assert editor.who is not None and plain.who is not None and editor.who.start == plain.who.start


def test_an_imagined_face_says_its_own_colour() -> None:
    """Not that of the picture that it was imagined from, of which another side is seen."""
    editor, picture = with_colour(0.5), blob_face(1, 0, 0)
    code, *others = (
        chroma_codes(complexion(torch.from_numpy(shown.copy()).permute(2, 0, 1)[None].float()))[0].numpy()
        for shown in (picture, *editor.candidates(picture).refined)
    )
    assert np.abs(others[0] - code).max() > 0.5
    for value, (descriptor, other) in enumerate(zip(editor.candidates(picture).descriptors, others, strict=True)):
        asked = editor.edit(picture, editor.attribute.values[value]).descriptor
        for found in (descriptor, asked):
            np.testing.assert_allclose(found[-CODE:], math.sqrt(0.5) * other, atol=0.05)
