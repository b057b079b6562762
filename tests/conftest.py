"""Fixtures that several test files share: an untrained model, a tiny data set, and data that may not be there."""

from __future__ import annotations

import csv
import gc
import os
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from faceedit.attributes import POSE, TASKS, AttributeSpace
from tests.milvuses import collection as collection
from tests.milvuses import lite as lite
from tests.milvuses import milvus_server as milvus_server
from tests.servers import postgres as postgres  # from here on one server serves every module
from tests.servers import server as server

if TYPE_CHECKING:  # what needs torch, or an extra, is imported by the tests that need it
    from starlette.testclient import TestClient

    from faceedit.networks import NetworkConfig
    from faceedit.synth.head import MorphableHead
    from faceedit.synth.places import Places
    from faceedit.training.pairs import PairSet
    from retrieval.face_search import FaceSearch

os.environ.setdefault("FACESEARCH_IDENTITY", "own")  # tests are of the model, unless they say otherwise
ROOT = Path(__file__).resolve().parent.parent
FACE_MODEL = ROOT.parent / "shared" / "face-model"
REAL_FACES = ROOT.parent / "shared" / "real-faces"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The collector rests until all is loaded: it would look at everything again and again, a fifth of that time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """What is loaded stays: the collector need not look at it."""
    gc.collect()
    gc.freeze()


def write_model(
    folder: Path,
    seed: int = 0,
    space: AttributeSpace = POSE,
    config: NetworkConfig | None = None,
    neutral: bool = False,
) -> Path:
    """An untrained model of this seed, saved; by default one whose attribute encoder, most of the paper's weights, is
    an eighth as wide."""
    import torch

    from faceedit.modelcard import ModelCard, Normalisation
    from faceedit.modelfile import new_networks, save_model
    from faceedit.networks import NetworkConfig, initialise

    torch.set_num_threads(2)
    config = config or NetworkConfig(attributes=len(space), hidden=64)
    networks = new_networks(config)
    random = torch.Generator().manual_seed(seed)
    for network in networks:
        initialise(network, random)
    card = ModelCard(space, config, Normalisation((120.0, 110.0, 100.0), (60.0, 58.0, 56.0)), neutral=neutral)
    save_model(folder, card, networks)
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """An untrained model for each task; the one for pose is `model_folder`."""
    folder = tmp_path_factory.mktemp("models")
    for name, space in TASKS.items():
        if name == "pose":
            (folder / name).symlink_to(model_folder)
        else:
            write_model(folder / name, 2, space)
    return folder


@pytest.fixture(scope="session")
def other_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("other-model"), seed=1)


def blob_face(person: int, pose: int, light: int) -> np.ndarray:
    """A (60, 60, 3) uint8 picture that depends on all three: no face, but enough to pass for one and be told apart, not
    to be cut anew as what others cut (`faceedit.crop_rule`)."""
    return _blob_face(person, pose, light).copy()


@cache
def _blob_face(person: int, pose: int, light: int) -> np.ndarray:
    y, x = np.mgrid[0:60, 0:60] / 60
    rng = np.random.default_rng(person)
    colour, centre = rng.uniform(60, 230, 3), 0.5 + pose / 150
    shape = np.exp(-(((x - centre) / 0.3) ** 2 + ((y - 0.5) / 0.32) ** 2))
    lit = 0.6 + 0.4 * np.sin(light + 3 * x)
    picture = 40 + shape[..., None] * colour * lit[..., None]
    spots = rng.uniform(0, 60, (4, 2))
    for row, column in spots:
        picture[int(row) : int(row) + 5, int(column) : int(column) + 5] *= 0.5
    for across, down, wide, high in ((-0.13, 0.38, 0.06, 0.035), (0.13, 0.38, 0.06, 0.035), (0, 0.55, 0.025, 0.05)):
        mark = np.exp(-(((x - centre - across) / wide) ** 2 + ((y - down) / high) ** 2))
        picture *= (1 - 0.9 * mark)[..., None]
    return np.asarray(picture.clip(0, 255), dtype=np.uint8)


def write_data_set(root: Path, people: int = 4, lights: int = 2, test_people: int = 2) -> Path:
    """A data set of blob faces: images/ and manifest.csv with 7 poses; the last people are the test split."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "identity", "pose", "illumination", "split"])
        for person in range(people):
            split = "test" if person >= people - test_people else "train"
            for pose in POSE.values:
                for light in range(lights):
                    name = f"images/p{person}_{pose:+03d}_{light:02d}.png"
                    Image.fromarray(blob_face(person, pose, light)).save(root / name)
                    writer.writerow([name, f"p{person}", pose, light, split])
    return root


@pytest.fixture(scope="session")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data"))


def write_cut_out(root: Path, background: tuple[int, int, int] | None = None, placed: bool = False) -> Path:
    """Blob faces with masks, as `facesearch synth` makes them: on black, four people making two faces each; or before
    one background. placed: it is known what each pixel shows, as with `--variety`."""
    (root / "images").mkdir(parents=True)
    y, x = np.mgrid[0:60, 0:60] / 60
    alpha = np.clip(1.5 - np.hypot((x - 0.5) / 0.35, (y - 0.5) / 0.45), 0, 1).clip(0, 0.5) * 2
    mask = (alpha * 255).round().astype(np.uint8)
    Image.fromarray(mask).save(root / "mask.png")
    behind = np.broadcast_to(np.array(background or (0, 0, 0), np.uint8), (60, 60, 3))
    Image.fromarray(np.ascontiguousarray(behind)).save(root / "background.png")
    names = ["path", "identity", "pose", "illumination", "expression", "split", "mask", "background"]
    if placed:
        from faceedit.synth.places import save_places

        save_places(root / "places.npz", still_places(mask[None]))
        names += ["places", "view"]
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        for person in range(4):
            for face in range(2):
                for pose in POSE.values:
                    a = mask[..., None] / 255
                    picture = blob_face(10 * person + face, pose, 0) * a + behind * (1 - a)
                    name = f"images/p{person}_{face}_{pose:+03d}.png"
                    Image.fromarray(picture.round().astype(np.uint8)).save(root / name)
                    split = "test" if person == 3 else "train"
                    row = [name, f"p{person}", pose, 0, ("calm", "smiling")[face], split, "mask.png"]
                    writer.writerow([*row, "background.png" if background else "", *["places.npz", 0] * placed])
    return root


def still_places(masks: np.ndarray) -> Places:
    """Of masks (M, 60, 60): each pixel shows the place of its own row and column, on a plane, from one viewpoint, so
    that nothing moves."""
    from faceedit.synth.places import Places, Viewpoint

    viewpoint = Viewpoint(np.eye(3, dtype=np.float32), x=0.0, eyes=0.0, height=20.0, distance=110.0)
    axis = (np.arange(60) + 0.5) / 60
    across, down = np.meshgrid(20 * (axis - 0.5), -20 * (axis - 0.35))
    points = np.stack([across, down, np.zeros((60, 60))], -1)[None].repeat(len(masks), 0)
    points[masks == 0] = np.nan
    return Places(points.astype(np.float16), (viewpoint,) * len(masks))


def placed_pairs(pairs: PairSet) -> PairSet:
    """People on black with `still_places`."""
    assert pairs.masks is not None
    places = still_places(pairs.masks)
    return replace(pairs, places=places.points, viewpoints=places.rows)


@pytest.fixture(scope="session")
def cut_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cut_out(tmp_path_factory.mktemp("cut-out"))


@pytest.fixture(scope="session")
def placed_cut_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with what each pixel shows."""
    return write_cut_out(tmp_path_factory.mktemp("placed-cut-out"), placed=True)


@pytest.fixture(scope="session")
def learned_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model with all that recipe best adds: mixing, a correction, a learned descriptor, neutral
    backgrounds."""
    from faceedit.networks import NetworkConfig

    config = NetworkConfig(
        mixing=1, width=64, head=16, identity=8, candidate=0.2, skip=True, look_back=True, estimate=0.5, soft=True
    )
    return write_model(tmp_path_factory.mktemp("learned"), 3, config=config, neutral=True)


@pytest.fixture(scope="session")
def face_model() -> Path:
    if not FACE_MODEL.is_dir():
        pytest.skip(f"the face model is not at {FACE_MODEL}")
    return FACE_MODEL


@pytest.fixture(scope="session")
def head(face_model: Path) -> MorphableHead:
    from faceedit.synth.head import load_head

    return load_head(face_model)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaceSearch]:
    """For tests of a server that change nothing."""
    from tests.served import over, write_faces

    place = tmp_path_factory.mktemp("still")
    with over(write_faces(place / "photos"), place / "db") as opened:
        yield opened


@pytest.fixture(scope="module")
def still_client(still: FaceSearch) -> Iterator[TestClient]:
    """A client of that server."""
    from tests.served import serving

    with serving(still) as (opened, _):
        yield opened
