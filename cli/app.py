"""The command's front: every command by name, and what an error becomes.

Exit codes: 0 ok, 1 failure, 2 usage, 3 partial (some files were skipped, and are listed), 4 nothing found, 5 a quality
gate was missed, 130 interrupt. Those of errors stand on their classes.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

import typer
from typer import Exit, Option
from typer.exceptions import TyperException
from typer.main import get_command

from cli import ask, data, doctor, index, measure, serve, train
from cli.gallery import correct, keep, look, move, people
from cli.options import Factory, group, made_by, stated
from cli.start import flush_output, open_streams
from faceedit.memory import keep_freed_memory
from faceedit.text import message
from retrieval.checks import require_working_folder
from retrieval.errors import refusal

_COMMANDS = (
    *(serve.demo, index.index, ask.query, ask.compare, ask.edit, serve.serve, measure.evaluate, measure.reproduce),
    *(train.train, train.shrink, data.synth, doctor.doctor),
)
_PEOPLE = group(people.merge, people.split, people.not_same, no_args_is_help=False)
_PEOPLE.callback(invoke_without_command=True)(stated(people.people))
_GALLERY = group(
    *(keep.create, look.info, look.list_, look.show, correct.label, correct.remove, look.hidden, correct.unhide),
    *(look.problems, keep.verify, keep.repair, keep.compact, keep.redescribe),
    *(move.copy, move.export, move.import_, move.relocate, keep.plan),
    help="Look at a gallery, correct it, and check it.",
)
_GALLERY.add_typer(_PEOPLE, name="people")
_ABOUT_DATA = "Make a data set of photographs. They come from Multi-PIE, from folders or from a CSV."
_GROUPS = {"data": group(data.import_, help=_ABOUT_DATA), "gallery": _GALLERY}

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
    require_working_folder()


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
    made_by.set(factory)
    try:
        known = {*_GROUPS, *(command.__name__ for command in _COMMANDS)}
        only = arguments[0] if known & set(arguments[:1]) else None
        code = int(_command(only)(arguments, standalone_mode=False) or 0)
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
        return _fail(refusal(error), 1)
    except Exception as error:
        if not hasattr(error, "exit_code"):  # a mistake of ours
            raise
        return _fail(str(error), error.exit_code)


def _front(only: str | None = None) -> typer.Typer:
    """Every command by name; only: that one."""
    made = group(
        *(command for command in _COMMANDS if only in (None, command.__name__)),
        name="facesearch",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(facesearch)
    for name, below in _GROUPS.items():
        if only in (None, name):
            made.add_typer(below, name=name)
    return made


app = _front()


@cache
def _command(only: str | None) -> Callable[..., Any]:
    """What Typer makes of signatures, once; to do so of all commands takes longer than most of them do."""
    return get_command(_front(only))


def _fail(text: str, code: int) -> int:
    print(f"facesearch: {message(text)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
