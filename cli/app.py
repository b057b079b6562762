"""The command's front: every command by name, and what an error becomes.

Exit codes: 0 ok, 1 failure, 2 usage, 3 partial (some files were skipped, and are listed), 4 nothing found, 5 a quality
gate was missed, 130 interrupt. Those of errors stand on their classes.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Exit, Option
from typer.exceptions import TyperException
from typer.main import get_command

from cli import compare, data, demo, doctor, edit, evaluate, index, query, reproduce, serve, shrink, synth, train
from cli.gallery import group as gallery
from cli.options import Factory
from cli.streams import flush_output, open_streams
from faceedit.errors import FaceEditError
from faceedit.memory import keep_freed_memory
from faceedit.text import message

_COMMANDS: dict[str, Callable[..., None]] = {
    command.__name__: command
    for command in (
        *(demo.demo, index.index, query.query, compare.compare, edit.edit, serve.serve, evaluate.evaluate),
        *(reproduce.reproduce, train.train, shrink.shrink, synth.synth, doctor.doctor),
    )
}
_GROUPS = {"data": data.group, "gallery": gallery.group}

_INTERRUPTED = "interrupted: what was finished is kept"


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"facesearch {version('facesearch')}")
        raise Exit


def facesearch(
    version: Annotated[
        bool, Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Find a person's photograph by the look you ask for: imagine the face, then search the gallery."""
    _require_working_folder()


def _require_working_folder() -> None:
    """Raise FaceEditError where it has been deleted: relative paths lead nowhere, and torch ends the process."""
    try:
        Path.cwd()
    except OSError as error:
        raise FaceEditError(
            f"the working folder is not there any more ({error.strerror}): change to one that is, and run this again"
        ) from error


def main() -> None:
    """Run the command line and leave with its exit code."""
    open_streams()
    # Threads that spin while they wait slow down everything else on the machine; a user's own setting wins.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    keep_freed_memory()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what ails a picture stands in our own message
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name that the terminal cannot show
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # and one that is not Unicode
    sys.exit(_printed(run(sys.argv[1:])))


def _printed(code: int) -> int:
    """The exit code once everything is printed that was to be."""
    error = flush_output()
    if error is None or code or isinstance(error, BrokenPipeError):  # it was told, or nobody reads any more
        return code or int(error is not None)
    return _fail(f"what is printed cannot be written ({error.strerror}): give it another place", 1)


def run(arguments: list[str], factory: Factory | None = None) -> int:
    """The exit code of one command line; every foreseen error becomes one line on stderr.

    factory: what makes the FaceSearch of a command; by default `retrieval.face_search.FaceSearch` itself.
    """
    try:
        only = arguments[0] if arguments and arguments[0] in {*_COMMANDS, *_GROUPS} else None
        code = int(_command(only)(arguments, standalone_mode=False, obj=factory) or 0)
        return _fail(_INTERRUPTED, code) if code == 130 else code  # Typer makes an interrupt an exit without a word
    except (typer.Abort, KeyboardInterrupt):
        return _fail(_INTERRUPTED, 130)
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the message is the help
            print(error.format_message(), file=sys.stderr)
            return 2
        return _fail(error.format_message(), 2)
    except BrokenPipeError:  # the reader of our output has gone
        return 1
    except OSError as error:
        return _fail(_refused(error), 1)
    except Exception as error:
        if not hasattr(error, "exit_code"):  # a mistake of ours
            raise
        return _fail(str(error), error.exit_code)


def _front(only: str | None = None) -> typer.Typer:
    """Every command by name; only: that one."""
    made = typer.Typer(
        name="facesearch",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(facesearch)
    for name, command in _COMMANDS.items():
        if only in (None, name):
            made.command()(command)
    for name, group in _GROUPS.items():
        if only in (None, name):
            made.add_typer(group, name=name)
    return made


app = _front()


@cache
def _command(only: str | None) -> Callable[..., Any]:
    """What Typer makes of signatures, once; to do so of all commands takes longer than most of them do."""
    return get_command(_front(only))


def _refused(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS):
        where = f" {error.filename}" if error.filename else ""
        return f"the disk refuses{where} ({error.strerror}): make room or give another place; what was finished is kept"
    if error.errno in (errno.EACCES, errno.EPERM) and error.filename:
        return f"{error.filename} may not be opened ({error.strerror}): check its permissions, and of the folders above"
    return str(error)


def _fail(text: str, code: int) -> int:
    print(f"facesearch: {message(text)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
