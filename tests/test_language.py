"""Names and prose stay plain: see docs/glossary.md and CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path
    for folder in ("vsearch", "tools", "benchmarks", "docs")
    for path in (ROOT / folder).rglob("*.py")
)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "vsearch" / "server" / "static").glob("*.html"))
BANNED_WORDS = re.compile(
    r"\b(anew|heeded|whence|lest|mended|of late|told|in hand)\b", re.IGNORECASE
)
BANNED_CONSTANTS = re.compile(
    r"_?(MOST|LEAST|LONGEST|SHORTEST|WIDEST|FEW|MANY|ENOUGH|SURE|USUAL|KEPT|ASKED|TOLD|SHOWN|SEEN)"
)
BANNED_FUNCTIONS = {"told", "meant", "named", "found", "asked", "seen", "given", "wanted", "made"}
NOUN_CLAUSE = re.compile(r"(What|Whether|How|That|Where|Who|Which|Those)\b")


@pytest.mark.parametrize("path", [*SOURCES, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_is_plain(path: Path) -> None:
    assert BANNED_WORDS.findall(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_docstrings_are_plain(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                name = target.id if isinstance(target, ast.Name) else ""
                assert not BANNED_CONSTANTS.fullmatch(name), name
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.name.strip("_") not in BANNED_FUNCTIONS, node.name
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node) or ""
            assert not NOUN_CLAUSE.match(docstring), docstring.splitlines()[0]
