"""The same for models that are not what they should be, and for what measures and trains them."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from cli.app import run
from tests.mistakes import KNOWN, assert_a_process_refuses, assert_one_line, assert_refused, write_mistakes


@pytest.fixture(scope="module")
def place(
    data_set: Path, model_folder: Path, other_model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder in which everything that can be wrong is."""
    folder = tmp_path_factory.mktemp("place")
    write_mistakes(folder, data_set)
    (folder / "model").symlink_to(model_folder)
    (folder / "other-model").symlink_to(other_model_folder)
    write_broken_models(folder, model_folder)
    return folder


def write_broken_models(folder: Path, model_folder: Path) -> None:
    for name in ("altered-model", "half-model", "garbled-model", "future-model"):
        (folder / name).mkdir()
        shutil.copy(model_folder / "model.json", folder / name)
    weights = bytearray((model_folder / "model.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (folder / "altered-model" / "model.safetensors").write_bytes(weights)
    (folder / "garbled-model" / "model.json").write_text("{not JSON")
    card = json.loads((model_folder / "model.json").read_text(encoding="utf-8"))
    (folder / "future-model" / "model.json").write_text(json.dumps({**card, "format": 99}))


FAILURES = [
    # models and devices
    ("query good.png --pose 30 --db db --model nowhere", "no model folder nowhere"),
    ("query good.png --pose 30 --db db --model altered-model", "is not the file that model.json describes"),
    ("query good.png --pose 30 --db db --model half-model", "no readable model.safetensors"),
    ("query good.png --pose 30 --db db --model garbled-model", "is not a model card"),
    ("query good.png --pose 30 --db db --model future-model", "has format 99"),
    ("query good.png --pose 30 --db db --model nothing", "no readable model.json"),
    ("edit good.png -o out.png --model altered-model", "is not the file that model.json describes"),
    ("index photos --db new --model altered-model", "is not the file that model.json describes"),
    # evaluate
    ("evaluate --data missing --out report --model model", "no manifest at missing"),
    ("evaluate --data no-identity.csv --out report --model model", "no column 'identity'"),
    ("evaluate --data no-pose.csv --out report --model model", "no column 'pose'"),
    ("evaluate --data all-test.csv --match identity,expression,pose --out report --model model", "'expression'"),
    ("evaluate --data all-test.csv --match identity --out report --model model", "leaves out pose"),
    ("evaluate --data pose-31.csv --out report --model model", "pose 31, which is not one of"),
    ("evaluate --data all-train.csv --out report --model model", "none whose split is 'test'"),
    ("evaluate --data head-only.csv --out report --model model", "none whose split is 'test'"),
    ("evaluate --data no-files.csv --out report --model model", "does not exist"),
    ("evaluate --data all-test.csv --out good.png --model model", "good.png is a file"),
    ("evaluate --data all-test.csv --out report --model nowhere", "no model folder nowhere"),
    # reproduce and shrink
    ("reproduce --data all-test.csv --out report --models nothing", "has no model pose, illumination, inpainting"),
    ("reproduce --data all-test.csv --out report --models nowhere", "no folder nowhere"),
    ("reproduce --data no-pose.csv --out report", "no column 'pose'"),
    ("reproduce --data missing --out report", "no manifest at missing"),
    ("shrink nothing --out small", "no readable model.json"),
    ("shrink altered-model --out small", "is not the file that model.json describes"),
    ("query good.png --pose 30 --illumination 3 --db db --model model --models nothing", "or a --models folder that"),
    # train and synth
    ("train pose --data no-pose.csv --out new-model", "no column 'pose'"),
    ("train pose --data all-test.csv --out new-model", "no row whose split is 'train'"),
    ("train pose --data missing --out new-model", "no manifest at missing"),
    ("train pose --data all-train.csv --out new-model --resume", "no checkpoint"),
    ("train pose --data all-train.csv --out new-model --steps-one 0", "give one with --start"),
    ("train pose --data all-train.csv --out new-model --start nothing", "no readable model.json"),
    ("train pose --recipe paper --data no-files.csv --out new-model", "does not exist"),
]

USAGE = [
    (f"query good.png --pose 30 --device toaster {KNOWN}", "device 'toaster' is not one of auto, cpu, cuda"),
    ("train smile --data all-train.csv --out new-model", "no task 'smile'"),
    ("train pose --data all-train.csv --out new-model --recipe slow", "no recipe 'slow'"),
    ("edit good.png --pose 30 --illumination 2 -o out.png --model model", "one --model, but"),
    ("edit good.png --illumination 2 -o out.png --model model", "is a model for pose, not for illumination"),
    ("index photos --db new --task illumination --model model", "is a model for pose, not for illumination"),
    ("evaluate --data all-test.csv --out report --task inpainting --model model", "is a model for pose, not for inp"),
    ("evaluate --data all-test.csv --out report --task smile", "no task 'smile'"),
    ("reproduce --data all-test.csv --out report --pairs 0", "--pairs"),
    ("train pose --data all-train.csv --out new-model --middle 0", "--middle"),
    ("index photos --db new --model model --candidates some", "no candidates 'some': choose one of likely, all"),
    ("evaluate --data all-test.csv", "--out"),
    ("evaluate --data all-test.csv --out report --queries 0 --model model", "--queries"),
    ("evaluate --data all-test.csv --out report --gate 2 --model model", "--gate"),
    ("train pose --data all-train.csv --out new-model --steps-one -1", "--steps-one"),
    ("synth --face-model x --out y --identities 1", "--identities"),
]


@pytest.mark.parametrize(
    ("code", "line", "words"), [*((1, *mistake) for mistake in FAILURES), *((2, *mistake) for mistake in USAGE)]
)
def test_a_mistake_gives_one_line_and_changes_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, code: int, words: str
) -> None:
    monkeypatch.chdir(place)
    assert_refused(place, capsys, line, code, words)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("query good.png --pose 30 --db db --model other-model", 1, "was described by model"),
        ("edit vast.png --pose 30 -o out.png --model model", 1, "11000 x 10000 pixels"),
    ],
)
def test_a_real_process_says_the_same_one_line(place: Path, line: str, code: int, words: str) -> None:
    assert_a_process_refuses(place, line, code, words)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        f"query good.png --pose 30 --device cuda {KNOWN}",
        "edit good.png -o out.png --device cuda --model model",
        "index photos --db new --device cuda --model model",
        "evaluate --data all-test.csv --out report --device cuda --model model",
        "train pose --data all-train.csv --out new-model --device cuda",
    ],
)
def test_a_gpu_that_is_not_there_gives_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.chdir(place)
    assert_one_line(run(shlex.split(line)), *capsys.readouterr(), 1, "no GPU that this PyTorch can use")
