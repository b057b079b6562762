"""facesearch shrink: a model made for use, a fraction of the size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from retrieval.checks import require_output_folder


def shrink(
    model: Annotated[Path, Argument(help="The model folder that `facesearch train` wrote.")],
    out: Annotated[Path, Option(help="Write the smaller model into this folder.")],
    full_precision: Annotated[bool, Option("--full-precision", help="Keep the weights' precision.")] = False,
) -> None:
    """Make a model smaller, for use. The attribute encoder's weights are replaced by its few possible outputs, and
    weights are kept in half precision."""
    from faceedit.errors import ModelFileError

    if (out / "model.json").exists():
        raise ModelFileError(f"{out} holds a model already: give another --out")
    require_output_folder(out)
    from faceedit.modelfile import load_model, shrink_model

    loaded = load_model(model)
    digest = shrink_model(loaded, out, half=not full_precision)
    before, after = ((folder / "model.safetensors").stat().st_size / 1e6 for folder in (model, out))
    print(f"{out}: model {digest[:12]}, {after:.1f} MB instead of {before:.1f} MB")
