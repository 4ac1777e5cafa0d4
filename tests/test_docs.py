"""The README and the manual: commands parse, snippets compile, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

import vsearch
from vsearch.cli.main import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").glob("*.md")),
    )
}
COMMANDS = [
    (page_name, command_line)
    for page_name, page in PAGES.items()
    for command_line in re.findall(r"^ *\$ vsearch (.+?)(?:\s+#.*)?$", page, re.MULTILINE)
]
MAX_README_BYTES = 10_000


def code_blocks(language: str) -> list[tuple[str, str]]:
    """Return (page name, code) of every fenced block in one language."""
    return [
        (page_name, block)
        for page_name, page in PAGES.items()
        for block in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    ]


@pytest.mark.parametrize(("page_name", "command_line"), COMMANDS)
def test_a_documented_command_parses(page_name: str, command_line: str) -> None:
    context = click.Context(cli)
    command_name, *arguments = shlex.split(command_line)
    if command_name.startswith("--"):  # options of the group come first
        return
    command = cli.get_command(context, command_name)
    assert command is not None, f"{page_name}: {command_name}"
    command.make_context(command_name, arguments, parent=context)


def test_every_command_is_documented() -> None:
    documented = {command_line.split()[0] for _, command_line in COMMANDS}
    missing = set(cli.list_commands(click.Context(cli))) - documented
    assert missing <= {"demo"}, missing  # `make demo` runs it


def test_every_documented_target_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for page_name, page in PAGES.items():
        for target in set(re.findall(r"(?:^ *\$ |`)make ([a-z-]+)", page, re.MULTILINE)):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page_name}: {target}"


def test_documented_python_compiles_and_uses_public_names() -> None:
    blocks = code_blocks("python")
    assert blocks
    for page_name, block in blocks:
        compile(block, page_name, "exec")
        for names in re.findall(r"from vsearch import (.+)", block):
            assert set(names.split(", ")) <= set(vsearch.__all__), page_name


def test_relative_links_lead_somewhere() -> None:
    for page_name, page in PAGES.items():
        for target in re.findall(r"\]\((?!http|#)([^)#]+)[^)]*\)", page):
            assert ((ROOT / page_name).parent / target).exists(), f"{page_name}: {target}"


def test_modules_named_in_the_manual_exist() -> None:
    for page_name, page in PAGES.items():
        for module_path in re.findall(r"`(vsearch/[\w/]+\.(?:py|md))`", page):
            assert (ROOT / module_path).exists(), f"{page_name}: {module_path}"
    for page_name in ("docs/architecture.md", "docs/glossary.md"):
        for module_path in re.findall(r"`([a-z_]+/[\w/]+\.py)`", PAGES[page_name]):
            prefix = "" if module_path.startswith("tests/") else "vsearch"
            assert (ROOT / prefix / module_path).exists(), f"{page_name}: {module_path}"


def test_the_manual_lists_every_page() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    for path in (ROOT / "docs").glob("*.md"):
        assert path.name in navigation, path.name


def test_the_readme_stays_short() -> None:
    assert len(PAGES["README.md"].encode()) <= MAX_README_BYTES


def test_the_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## \[(.+?)\](.*)$", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] in ("Unreleased", vsearch.__version__)
