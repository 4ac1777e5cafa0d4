"""The README tells the truth: its commands parse, its tree is the tree."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

import vsearch
from vsearch.cli.main import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ vsearch (.+?)(?:\s+#.*)?$", README, re.MULTILINE)
TREE = README.partition("## Where things are\n\n```\n")[2].partition("```")[0]


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_in_the_readme_parses(line: str) -> None:
    name, *words = shlex.split(line)
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None, name
    command.make_context(name, words, parent=context)


def test_every_command_is_in_the_readme() -> None:
    told = {line.split()[0] for line in COMMANDS}
    assert told == set(cli.list_commands(click.Context(cli)))


def test_every_target_in_the_readme_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_python_in_the_readme_compiles_and_uses_public_names() -> None:
    for block in blocks("python"):
        compile(block, "README.md", "exec")
        for names in re.findall(r"from vsearch import (.+)", block):
            assert set(names.split(", ")) <= set(vsearch.__all__)


def test_what_the_tree_names_exists() -> None:
    rows = re.findall(r"^( *)([\w.]+[/\w.]*)", TREE, re.MULTILINE)
    for indent, name in rows:
        folder = ROOT / "vsearch" if indent == "  " else ROOT
        if len(indent) <= 2:
            assert (folder / name).exists(), name


def test_the_tree_names_every_room_and_file_at_the_top_of_the_package() -> None:
    for entry in (ROOT / "vsearch").iterdir():
        if entry.name.startswith("_") or entry.name == "py.typed":
            continue
        name = f"{entry.name}/" if entry.is_dir() else entry.name
        assert re.search(rf"\b{re.escape(name)}(?!\w)", TREE), f"{name} is not in the README's tree"


def test_links_in_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## \[(.+?)\](.*)$", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] in ("Unreleased", vsearch.__version__)
