"""The README's table of speed, from what the benchmarks found (`results/*.json`).

    python -m tests.benchmarks.table [--check] [RESULT.json...]

Results that are named are taken over first: copied to `results/`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- speed: begin -->\n", "<!-- speed: end -->\n"
HEAD = "| what | found | how |\n|---|---|---|\n"


def rendered(folder: Path = RESULTS) -> str:
    """The claims of all results, by the name of the file, as a table in Markdown."""
    lines = [
        f"| {claim['what']} | {claim['found']} | `{claim['how'].strip('`')}` |\n"
        for path in sorted(folder.glob("*.json"))
        for claim in json.loads(path.read_text("utf-8"))["claims"]
    ]
    return HEAD + "".join(lines)


def replaced(readme: str, table: str) -> str:
    """The README with the table between its marks. ValueError where they are not there."""
    before, rest = readme.split(BEGIN)
    _, behind = rest.split(END)
    return f"{before}{BEGIN}{table}{END}{behind}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if it is old")
    parser.add_argument("results", type=Path, nargs="*", metavar="RESULT.json")
    given = parser.parse_args()
    for path in given.results:
        shutil.copy(path, RESULTS / path.name)
    file = ROOT / "README.md"
    old = file.read_text("utf-8")
    new = replaced(old, rendered())
    if given.check:
        sys.exit(old != new)
    file.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
