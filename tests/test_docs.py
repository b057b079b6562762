"""Documentation that cannot lie unnoticed: links, commands, files and generated pages are what they say."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from cli.app import app
from docs.make_commands import commands_page
from docs.make_house import house_page
from faceedit.modelcard import read_card
from faceedit.modelfile import model_digest
from faceedit.networks import Describer
from facesearch import FaceSearch
from tests.test_facesearch import SIX_LINES

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "sample_db" / "README.md"])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
ROOMS = ("facesearch", "cli", "retrieval", "faceedit", "index", "tests", "benchmarks", "docs", "sample_db")
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
GENERATED = ("docs/commands.md", "docs/house.md")
WRITTEN = [name for name in NAMES if name not in ("CHANGELOG.md", *GENERATED)]  # by hand, about this release


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# --- links ---


def anchors(markdown: str) -> set[str]:
    """What headings can be linked by: small letters, no punctuation, hyphens for spaces; a repeated one is numbered."""
    found: dict[str, int] = {}
    slugs = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", markdown), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        slugs.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return slugs


def broken_links(page: Path, markdown: str) -> list[str]:
    """Links that lead nowhere, to a missing file or a missing heading of one."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", markdown)):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or ROOT not in (file, *file.parents):
            broken.append(target)
        elif anchor and anchor not in anchors(markdown if file == page else file.read_text(encoding="utf-8")):
            broken.append(target)
    return broken


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    assert broken_links(ROOT / name, text_of(name)) == []


@pytest.mark.parametrize("planted", ["[a](nowhere.md)", "[a](#nothing)", "[a](CHANGELOG.md#9)", "![a](docs/no.png)"])
def test_a_planted_broken_link_is_found(planted: str) -> None:
    assert broken_links(ROOT / "README.md", f"# Title\n{planted} [b](#title) [c](docs/formats.md#a-face-crop)") == [
        re.findall(r"\((.+)\)", planted)[0]
    ]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("docs/")])
def test_every_page_is_linked_from_the_readme(name: str) -> None:
    assert f"]({name})" in text_of("README.md")


# --- commands ---


def command_lines(markdown: str) -> list[str]:
    """Every command line that a page shows: lines of its blocks, with or without a prompt, and whole pieces of code."""
    blocks = [line.removeprefix("$ ") for block in FENCE.findall(markdown) for line in block.splitlines()]
    shown = [*blocks, *re.findall(r"`([^`\n]+)`", FENCE.sub("", markdown))]
    lines = [re.sub(r"^(\S*/)?facesearch ", "facesearch ", line.partition(" && ")[0]) for line in shown]
    return [line for line in lines if re.match(r"facesearch [a-z]", line)]


WHOLE = get_command(app)


def what_is_wrong(line: str) -> str:
    """Why the command would refuse this line, by its name and options alone, or an empty string."""
    command, words = WHOLE, shlex.split(line, comments=True)[1:]
    context = command.context_class(command, info_name="facesearch", **command.context_settings)
    while isinstance(command, TyperGroup) and words:
        if words[0] not in command.commands:
            return f"{context.command_path} has no command {words[0]}"
        command = command.commands[words[0]]
        context = command.context_class(command, info_name=words.pop(0), parent=context, **command.context_settings)
    try:
        _, left, _ = command.make_parser(context).parse_args(words)
    except TyperException as error:
        return f"{context.command_path}: {error.format_message()}"
    return f"{context.command_path}: too much: {left[0]}" if left else ""


SHOWN = [(name, line) for name in WRITTEN for line in command_lines(text_of(name))]


def test_command_lines_are_found_in_the_pages() -> None:
    assert {"README.md", "docs/galleries.md", "docs/training.md", "docs/results.md"} <= {name for name, _ in SHOWN}
    assert len(SHOWN) > 40


@pytest.mark.parametrize(("name", "line"), SHOWN)
def test_every_command_line_would_be_understood(name: str, line: str) -> None:
    assert what_is_wrong(line) == ""


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("facesearch quarry a.png", "facesearch has no command quarry"),
        ("facesearch gallery shew 1", "facesearch gallery has no command shew"),
        ("facesearch query a.png --posse 30", "facesearch query: No such option: --posse"),
        ("facesearch query a.png --pose", "facesearch query: Option '--pose' requires an argument"),
        ("facesearch edit a.png b.png -o c.png", "facesearch edit: too much: b.png"),
    ],
)
def test_a_planted_wrong_command_line_is_found(line: str, wrong: str) -> None:
    assert what_is_wrong(line).startswith(wrong)


def test_every_command_is_shown_with_an_example() -> None:
    shown = {line for _, line in SHOWN}
    titles = re.findall(r"^## (facesearch .+)$", text_of("docs/commands.md"), re.MULTILINE)
    assert len(titles) > 20
    assert [title for title in titles if not any(f"{line} ".startswith(f"{title} ") for line in shown)] == []


# --- Python ---


def python_blocks(markdown: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)


def test_the_lines_of_python_in_the_readme_are_those_that_are_explained() -> None:
    [lines] = python_blocks(text_of("README.md"))
    assert lines in python_blocks(text_of("docs/python.md"))


def test_the_lines_of_python_in_the_readme_are_those_that_are_run() -> None:
    [lines] = python_blocks(text_of("README.md"))
    assert ast.dump(ast.parse(lines)) == ast.dump(ast.parse(SIX_LINES))


@pytest.mark.parametrize("name", [name for name in dir(FaceSearch) if not name.startswith("_")])
def test_every_method_of_facesearch_is_explained(name: str) -> None:
    assert re.search(rf"[`.]{name}[(`]", text_of("docs/python.md"))


# --- files, make, and generated pages ---


def missing_files(markdown: str) -> list[str]:
    """Pieces of code that look like a file or a folder of this repository and are none."""
    pieces = re.findall(r"`([\w.\-/]+)`", FENCE.sub("", markdown))
    return [piece for piece in pieces if piece.split("/")[0] in ROOMS and "/" in piece and not (ROOT / piece).exists()]


@pytest.mark.parametrize("name", WRITTEN)
def test_every_file_that_is_named_exists(name: str) -> None:
    assert missing_files(text_of(name)) == []


def test_a_planted_missing_file_is_found() -> None:
    assert missing_files("`index/nowhere.py` `index/where.py` `images/a.png` `index`") == ["index/nowhere.py"]


@pytest.mark.parametrize("name", NAMES)
def test_every_make_target_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    named = re.findall(r"(?:^|`)make ([a-z-]+)", text_of(name), re.MULTILINE)
    assert {"demo", "test", "docs"} <= targets
    assert set(named) <= targets


@pytest.mark.parametrize(("name", "page"), [("docs/commands.md", commands_page), ("docs/house.md", house_page)])
def test_generated_pages_are_what_they_are_generated_from(name: str, page: Callable[[], str]) -> None:
    assert text_of(name) == page(), f"{name} is out of date: run `make docs`"


def test_descriptors_of_the_pages_are_those_of_the_model_that_comes_along() -> None:
    """Its digest, how many numbers, alone and with sface, and what those of the sample gallery take."""
    pose = ROOT / "sample_db" / "models" / "pose"
    size, galleries = Describer(read_card(pose)[0].network).size, text_of("docs/galleries.md")
    assert f"described by  model {model_digest(pose)[:12]} for pose, {size} numbers an image" in galleries
    assert f"the learned one of {size}\nnumbers" in galleries and f"images, descriptors of {size} numbers" in galleries
    assert f"*  exact   {1_114 * size * 2 / 1e6:.2f} MB" in galleries
    assert f"the descriptor, {size} numbers ({size + 128} with sface)" in text_of("docs/privacy.md")


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").encode()) <= 8_000
