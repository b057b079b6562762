"""What a worker of a cluster does and refuses, and which clusters there are, without one."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import UsageError
from retrieval.cluster_connection import read_workers
from retrieval.cluster_worker import Recipe, Worker
from retrieval.errors import ClusterError
from retrieval.models import GivenModels, ModelFolders
from tests.conftest import blob_face
from tests.rays import Slow, Twofold
from tests.stand_ins import HashEditor, ReadsHere


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for n in range(3):
        path = tmp_path / "photos" / f"{n}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(blob_face(n, 0, 0)).save(path)
    (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
    return tmp_path / "photos"


def recipe(photos: Path, **otherwise: Any) -> Recipe:
    editor, reader = HashEditor(), ReadsHere(crops=Slow(0))
    told = Recipe(GivenModels(editor), None, None, None, editor.digest, reader, reader.name, photos, 64)
    return replace(told, **otherwise)


def test_a_worker_tells_what_it_made_of_each_file_without_pictures(photos: Path) -> None:
    worker = Worker(pickle.loads(pickle.dumps(recipe(photos))))  # as it is sent
    worker.begin()
    files, made = worker.describe([str(photos / name) for name in ("0.png", "1.png", "2.png", "bad.png", "none.png")])
    assert [bool(file.faces) for file in files] == [True, True, True, False, False]
    assert all(face.crop.size == 0 for file in files for face in file.faces)
    assert "is not an image" in files[3].reason and "does not exist any more" in files[4].reason
    assert made.keys() == {(file.sha256, 1) for file in files[:3]}
    crops = np.stack([np.asarray(Image.open(photos / f"{n}.png")) for n in range(3)])
    expected = HashEditor().describe(crops).descriptors
    assert [made[file.sha256, 1].descriptor.tolist() for file in files[:3]] == expected.tolist()


def test_several_faces_of_a_photograph_keep_their_numbers(photos: Path) -> None:
    worker = Worker(pickle.loads(pickle.dumps(recipe(photos, reader=ReadsHere(crops=Twofold())))))
    files, made = worker.describe([str(photos / "0.png"), str(photos / "1.png")])
    assert [[face.number for face in file.faces] for file in files] == [[1, 2], [1, 2]]
    assert made.keys() == {(file.sha256, number) for file in files for number in (1, 2)}


@pytest.mark.parametrize(
    ("otherwise", "why"),
    [
        ({"folder": Path("/nowhere/photos")}, r"does not see /nowhere/photos: mount the photographs"),
        ({"digest": "f" * 64}, r"has model \w{12}, not f{12}: install the same facesearch there"),
        ({"reads": "another reader"}, r"reads pictures by .*, this one by another reader: install"),
    ],
)
def test_a_worker_that_would_make_something_else_is_refused(photos: Path, otherwise: Any, why: str) -> None:
    with pytest.raises(ClusterError, match=why):
        Worker(recipe(photos, **otherwise)).begin()


@pytest.mark.parametrize("address", ["ray", "ray://head:10001", "ray://10.1.2.3:10001", "ray://[::1]:10001"])
def test_where_ray_may_be(address: str) -> None:
    assert read_workers(address) == address


@pytest.mark.parametrize(
    "address", ["", "local", "auto", "ray://", "ray://head", "http://head:1", "ray://head:10001; rm", "ray://a b:1"]
)
def test_what_is_no_cluster_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="say ray"):
        read_workers(address)


def test_models_go_to_another_process_by_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    there = pickle.loads(pickle.dumps(ModelFolders(model="mine", device="cpu", identity="own")))
    assert there.device == "cpu"
    monkeypatch.chdir("/")
    with pytest.raises(Exception, match=f"no model folder {tmp_path / 'mine'}"):
        there.check("pose")
