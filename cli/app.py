"""The command's front: every command by name, and what an error becomes.

Exit codes: 0 ok, 1 failure, 2 usage, 3 partial (some files were skipped, and are listed), 4 nothing found, 5 a quality
gate was missed, 130 interrupt.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings

import typer
from typer.exceptions import TyperException

from cli import data, demo, doctor, edit, evaluate, index, query, reproduce, shrink, synth, train, upkeep
from faceedit.errors import AttributeValueError, FaceEditError, UsageError
from faceedit.memory import keep_freed_memory
from retrieval.errors import RetrievalError

app = typer.Typer(
    name="facesearch",
    help="Find a person's photograph by the look you ask for: imagine the face, then search the gallery.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("index")(index.index)
app.command("query")(query.query)
app.command("edit")(edit.edit)
app.command("evaluate")(evaluate.evaluate)
app.command("reproduce")(reproduce.reproduce)
app.command("train")(train.train)
app.command("shrink")(shrink.shrink)
app.command("synth")(synth.synth)
app.command("doctor")(doctor.doctor)
app.add_typer(data.group, name="data")
app.add_typer(upkeep.group, name="gallery")

_INTERRUPTED = "interrupted: what was finished is kept"


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Threads that spin while they wait slow down everything else on the machine; a user's own setting wins.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    keep_freed_memory()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what ails a picture stands in our own message
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name that the terminal cannot show
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # and one that is not Unicode
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of one command line; every foreseen error becomes one line on stderr."""
    try:
        code = int(app(arguments, standalone_mode=False) or 0)
        return _fail(_INTERRUPTED, code) if code == 130 else code  # Typer makes an interrupt an exit without a word
    except (typer.Abort, KeyboardInterrupt):
        return _fail(_INTERRUPTED, 130)
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the message is the help
            print(error.format_message(), file=sys.stderr)
            return 2
        return _fail(error.format_message(), 2)
    except (AttributeValueError, UsageError) as error:
        return _fail(str(error), 2)
    except (FaceEditError, RetrievalError) as error:
        return _fail(str(error), 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone
        return 1
    except UnicodeEncodeError as error:
        return _fail(f"{error.object!r} is not valid Unicode: give it in UTF-8", 2)
    except OSError as error:
        return _fail(_refused(error), 1)
    except Exception as error:
        from index.errors import GalleryError, RecallError, RequirementsError, WhereError

        if isinstance(error, GalleryError):
            return _fail(str(error), {RecallError: 5, RequirementsError: 2, WhereError: 2}.get(type(error), 1))
        raise


def _refused(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS):
        where = f" {error.filename}" if error.filename else ""
        return f"the disk refuses{where} ({error.strerror}): make room or give another place; what was finished is kept"
    return str(error)


def _fail(message: str, code: int) -> int:
    print(f"facesearch: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
