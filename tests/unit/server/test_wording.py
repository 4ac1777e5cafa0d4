"""REST messages name no commands and options of the command line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import vsearch
from vsearch.server.wording import remove_shell_advice

PACKAGE = Path(vsearch.__file__).parent
ADVICE = re.compile(r"`vsearch\b|\bpip install\b|(?:^|[\s(])--[a-z]")


def list_messages() -> list[str]:
    """Return the texts of the package that name commands or options; values become "X"."""
    messages = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in ("cli", "mcp_server") or path.name == "wording.py":
            continue
        tree = ast.parse(path.read_text("utf-8"))
        skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                skipped |= {id(value) for value in node.values}
        for node in ast.walk(tree):
            text = ""
            if isinstance(node, ast.JoinedStr):
                text = "".join(
                    str(value.value) if isinstance(value, ast.Constant) else "X"
                    for value in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value if id(node) not in skipped else ""
            if ADVICE.search(text) and " " in text:
                messages.append(text)
    return messages


def test_no_message_of_the_package_keeps_its_advice() -> None:
    messages = list_messages()
    assert len(messages) > 50
    for message in messages:
        # a part that ends in an open quotation is completed elsewhere
        cleaned = remove_shell_advice(message)
        assert not ADVICE.search(cleaned), (message, cleaned)
        assert cleaned


@pytest.mark.parametrize(
    ("message", "cleaned"),
    [
        ("a.mp4: cannot be read; try again", "a.mp4: cannot be read; try again"),
        ("my--clip.mp4: is damaged", "my--clip.mp4: is damaged"),
        ("there is no tag x: nothing is tagged yet, see `vsearch classify`",
         "there is no tag x: nothing is tagged yet"),
        ("No transcripts yet. Run `vsearch transcribe` to search speech.",
         "No transcripts yet. Transcribe the videos to search speech."),
        ("a: the file is offline; connect its drive or, if it was moved, run `vsearch index NEW`",
         "a: the file is offline; connect its drive"),
        ("Free some space, or index without --keep-frames; videos are safe.",
         "Free some space; videos are safe."),
        ("x needs the package y, which is not installed: pip install 'vsearch[ocr]'",
         "x needs the package y, which is not installed"),
        ("see `vsearch tags`", "see the log of the server"),
    ],
)  # fmt: skip
def test_only_advice_is_removed(message: str, cleaned: str) -> None:
    assert remove_shell_advice(message) == cleaned
