"""How fast describing, indexing and querying are, each beside what it is compared with, in one run.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/speed.py [--data DATA] [--images 2000] [--queries 300] [--device cpu]

DATA: a data set, such as `facesearch synth` writes (its test pictures are used); by default the sample gallery.

Describing, of the paper's architecture with random weights, of the model that comes along and of every --model: the
engine beside the same networks as printed (every candidate from the start, full precision), beside those in ONNX
Runtime where it is installed, and beside the bound: the multiply-adds that the engine is left with, at the rate of a
matrix product in the same precision on this machine. How often both decide for the same value, and the least likeness
of their descriptors.
Recall (with DATA): of the same queries, plainly and by the default.
Indexing: `facesearch index` in a process of its own, beside the engine's own rate. Queries: cold as a command of their
own; warm in one process, every part included.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import faceedit.folding
from benchmarks.plain import Plain, PlainEditor, as_printed, describe_plainly, multiply_adds
from faceedit.attributes import POSE
from faceedit.editor import ALL, Described, Editor
from faceedit.images import read_crops
from faceedit.manifest import read_manifest
from faceedit.memory import keep_freed_memory
from faceedit.modelfile import Model, load_model
from retrieval.evaluation.evaluate import OURS, evaluate
from retrieval.evaluation.queries import choose_queries, default_match, load_test_set
from retrieval.evaluation.recall import recall
from retrieval.face_search import FaceSearch

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample_db"
DEFAULT = SAMPLE / "models" / "pose"
Row = tuple[str, str, str, str]
_TIMED = """
import json, sys, time
from pathlib import Path

if __name__ == "__main__":  # the reading processes import this file, and need nothing of it
    from faceedit.editor import Editor
    from faceedit.memory import keep_freed_memory
    from retrieval.kinds import find_images
    from retrieval.indexing import index_folder
    from retrieval.opening import open_gallery

    keep_freed_memory()
    root, db, model, device = sys.argv[1:]
    editor = Editor.load(Path(model), device)
    describe, inside = editor.describe, 0.0

    def timed(images):
        global inside
        began = time.perf_counter()
        made = describe(images)
        inside += time.perf_counter() - began
        return made

    editor.describe = timed
    began = time.perf_counter()
    with open_gallery(Path(db), editor, Path(root)) as gallery:
        report = index_folder(gallery, editor, find_images(Path(root)))
    seconds = time.perf_counter() - began
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps([report.described, seconds, inside, int(status["VmHWM"].split()[0])]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default="", help="one part: describe, recall, index or query")
    parser.add_argument("--images", type=int, default=2000, help="pictures to index and to compare decisions on")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--people", type=int, default=15, help="of DATA, to compare recall on")
    parser.add_argument("--gallery", type=int, default=0, help="pictures in the gallery that is queried [as indexed]")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER", help="to describe with, too")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    keep_freed_memory()
    paths = _pictures(given.data)
    some = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))[: given.images]]
    images = read_crops(some)
    print(f"{len(images):,} pictures; {torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)
    further = {name: Path(folder) for name, _, folder in (text.partition("=") for text in given.model)}
    for name, model in _models(further) if "describe".startswith(given.only) else ():
        for row in describing(name, model, images, given.device):
            _print(row)
    with tempfile.TemporaryDirectory() as folder:
        rate = _per_second(Editor.load(DEFAULT, given.device).describe, images)
        if given.data and "recall".startswith(given.only):
            for row in recalls(given.data, given.people, 2000):
                _print(row)
        if "index".startswith(given.only):
            for row in indexing(some, rate, Path(folder), given.device):
                _print(row)
        if "query".startswith(given.only):
            for row in querying(paths[: given.gallery or given.images], given.queries, Path(folder), given.device):
                _print(row)


def _models(further: Mapping[str, Path]) -> Iterator[tuple[str, Model]]:
    yield "the paper's architecture", as_printed(POSE)
    for name, folder in {"the default": DEFAULT, **further}.items():
        yield name, load_model(folder)


def describing(name: str, model: Model, images: NDArray[np.uint8], device: str) -> Iterator[Row]:
    """The engine beside the plain networks and the bound."""
    plain, editor = Plain(model.networks), Editor(model, device)
    every = Editor(model, device, candidates=ALL)
    part = images[: min(len(images), 64)]
    mine, theirs, all_of_them = _alternately(
        lambda: editor.describe(images[:448]),
        lambda: describe_plainly(plain, model, part),
        lambda: every.describe(images[:224]),
    )
    rate, plain_rate = min(448, len(images)) / mine, len(part) / theirs
    yield f"describe, {name}", f"{rate:.1f}/s", f"as printed {plain_rate:.1f}/s", f"{rate / plain_rate:.1f} x"
    all_rate = min(224, len(images)) / all_of_them
    yield f"describe, {name}, all candidates", f"{all_rate:.1f}/s", "as printed", f"{all_rate / plain_rate:.1f} x"
    onnx = _onnx_rate(plain, model, part)
    beside = "not installed" if onnx is None else f"{onnx:.1f}/s"
    yield f"describe, {name}", f"{rate:.1f}/s", f"ONNX Runtime {beside}", f"{rate / onnx:.1f} x" if onnx else ""
    for editing, kind, images_per_second in ((editor, "", rate), (every, ", all candidates", all_rate)):
        work, product = _work(editing, images[:224]), _product_rate(editing.precision, device)
        bound = product / work
        yield (
            f"bound, {name}{kind}",
            f"{images_per_second:.1f}/s",
            f"{work / 1e9:.2f} G multiply-adds a picture at {2 * product / 1e9:.0f} GFLOP/s: {bound:.1f}/s",
            f"{images_per_second / bound:.0%} of it",
        )
    whole = describe_plainly(plain, model, images)
    for title, made in (("", editor.describe(images)), (", all candidates", every.describe(images))):
        same, likeness = _agreement(made, whole)
        refined = f"{np.isfinite(made.errors).sum(1).mean():.2f} refined a picture"
        yield f"same value, {name}{title}", f"{same:.4f}", refined, f"least cosine {likeness:.4f}"


def recalls(data: Path, people: int, queries: int) -> Iterator[Row]:
    """Recall@1 of the same queries among the same people's pictures, plainly and by the default."""
    model = load_model(DEFAULT)
    manifest = read_manifest(data).where("split", "test")
    names = list(dict.fromkeys(manifest.columns["identity"]))[:people]
    some = manifest.part([row for row, name in enumerate(manifest.columns["identity"]) if name in names])
    match = default_match(some)
    test = load_test_set(some, model.card.task, match)
    asked = choose_queries(test, model.card.task, queries, 0)
    plain, fast = (
        recall(evaluate(editor, test, asked, match).hits[OURS], 1) for editor in (PlainEditor(model), Editor(model))
    )
    beside = f"plainly {plain:.4f}; {len(asked):,} queries, gallery of {len(test.images):,}"
    yield "recall@1, the default", f"{fast:.4f}", beside, f"{100 * (fast - plain):+.2f} points"


def indexing(paths: list[Path], rate: float, folder: Path, device: str) -> Iterator[Row]:
    """`facesearch index` of these files, in a process of its own."""
    root = folder / "pictures"
    root.mkdir()
    for number, path in enumerate(paths):
        (root / f"{number:05d}{path.suffix}").write_bytes(path.read_bytes())
    script = folder / "timed.py"
    script.write_text(_TIMED)
    ran = subprocess.run(
        [sys.executable, str(script), str(root), str(folder / "db"), str(DEFAULT), device],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    described, seconds, inside, peak = json.loads(ran.stdout)
    made = described / seconds
    yield "index, default", f"{made:.1f}/s", f"the engine alone {rate:.1f}/s", f"{made / rate:.0%}"
    yield "index, time outside the network", f"{1 - inside / seconds:.1%}", f"{seconds:.1f} s", ""
    yield "index, peak memory", f"{peak / 1e6:.2f} GB", "", ""


def querying(paths: list[Path], queries: int, folder: Path, device: str) -> Iterator[Row]:
    """Queries of a gallery of these files: cold by the command, warm in this process."""
    db, model = folder / "queried", DEFAULT
    editor = Editor.load(model, device)
    from retrieval.indexing import index_folder
    from retrieval.opening import open_gallery

    root = Path(os.path.commonpath(paths))
    with open_gallery(db, editor, root) as gallery:
        index_folder(gallery, editor, sorted(paths))
    asked = ["query", str(paths[0]), "--pose", "30", "--db", str(db), "--device", device]
    command = [sys.executable, "-m", "cli.app", *asked]
    cold = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        cold.append(1000 * (time.perf_counter() - began))
    yield "query, cold", f"{np.median(cold):.0f} ms", f"{len(paths):,} images", f"slowest {max(cold):.0f} ms"
    with FaceSearch(db, describer=editor) as faces:
        random, times = np.random.default_rng(1), []
        for number in range(queries + 10):
            path, pose = paths[random.integers(len(paths))], int(random.choice(editor.attribute.values))
            began = time.perf_counter()
            answer = faces.query(path, pose=pose, k=10)
            if number >= 10:
                times.append(1000 * (time.perf_counter() - began))
            assert len(answer.results) == min(10, len(paths) - 1)
    middle, worst = np.percentile(times, [50, 99])
    yield "query, warm", f"p50 {middle:.1f} ms", f"{len(paths):,} images", f"p99 {worst:.1f} ms"
    yield "this process, peak memory", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB", "", ""


def _pictures(data: Path | None) -> list[Path]:
    if data is None:
        return sorted((SAMPLE / "gallery").rglob("*.png"))
    return read_manifest(data).where("split", "test").paths()


def _alternately(*runs: Callable[[], object]) -> list[float]:
    """The least seconds of each, of three turns; the first time does not count."""
    seconds = [[] for _ in runs]  # type: list[list[float]]
    for turn in range(4):
        for run, kept in zip(runs, seconds, strict=True):
            began = time.perf_counter()
            run()
            if turn:
                kept.append(time.perf_counter() - began)
    return [min(kept) for kept in seconds]


def _per_second(describe: Callable[[NDArray[np.uint8]], Described], images: NDArray[np.uint8]) -> float:
    part = images[:448]
    return len(part) / _alternately(lambda: describe(part))[0]


def _agreement(mine: Described, plain: Described) -> tuple[float, float]:
    same = mine.best == plain.best
    return float(same.mean()), float((mine.descriptors * plain.descriptors).sum(1)[same].min())


def _work(editor: Editor, images: NDArray[np.uint8]) -> float:
    """Multiply-adds that the engine does for one picture; the counter does not know fused operators."""
    fused, faceedit.folding._FUSED = faceedit.folding._FUSED, False
    try:
        return multiply_adds(editor.describe, images) / len(images)
    finally:
        faceedit.folding._FUSED = fused


def _product_rate(precision: torch.dtype, device: str) -> float:
    """Multiply-adds a second of a product of two matrices of 2,048 x 2,048."""
    a, b = (torch.randn(2048, 2048, device=device).to(precision) for _ in range(2))

    def product() -> None:
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(5):
        product()
    return 2048**3 / min(_alternately(product, product))


def _onnx_rate(plain: Plain, model: Model, images: NDArray[np.uint8]) -> float | None:
    """Pictures a second that ONNX Runtime describes under all values with the plain networks."""
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError:
        return None
    n = len(model.card.task)
    pairs = 2 * n
    attribute = torch.eye(n).repeat(2, 1)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "plain.onnx"
        torch.onnx.export(copy.deepcopy(plain), (torch.zeros(pairs, 3, 60, 60), attribute), path, dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    source: Tensor = model.card.normalisation.applied(images[:2], "cpu").repeat_interleave(n, 0)
    feed = {name: value.numpy() for name, value in zip(names, (source, attribute), strict=False)}
    return 2 / _alternately(lambda: session.run(None, feed))[0]


def _print(row: Row) -> None:
    print("  ".join((row[0].ljust(46), row[1].ljust(14), row[2].ljust(60), row[3])), flush=True)


if __name__ == "__main__":
    main()
