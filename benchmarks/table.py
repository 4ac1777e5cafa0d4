"""Write the speed table of docs/benchmarks.md from the results of the benchmarks.

    python -m benchmarks.table [--check] [RESULT.json...]

Result files given as arguments are copied to `results/` first.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

REPOSITORY_ROOT = Path(__file__).resolve().parents[1]
RESULTS_FOLDER = Path(__file__).parent / "results"
BENCHMARKS_PAGE = REPOSITORY_ROOT / "docs" / "benchmarks.md"
BEGIN_MARK, END_MARK = "<!-- speed: begin -->\n", "<!-- speed: end -->\n"
TABLE_HEADER = "| Measurement | Result | Command |\n|---|---|---|\n"


def render_table(results_folder: Path = RESULTS_FOLDER) -> str:
    """Return the claims of all results as a Markdown table, sorted by file name."""
    lines = [
        f"| {claim['what']} | {claim['found']} | `{claim['how'].strip('`')}` |\n"
        for path in sorted(results_folder.glob("*.json"))
        for claim in json.loads(path.read_text("utf-8"))["claims"]
    ]
    return TABLE_HEADER + "".join(lines)


def replace_table(page: str, table: str) -> str:
    """Return the page with the table between its marks. Raises ValueError without marks."""
    before, after_begin = page.split(BEGIN_MARK)
    _, after_table = after_begin.split(END_MARK)
    return f"{before}{BEGIN_MARK}{table}{END_MARK}{after_table}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--check", action="store_true", help="only check; exit with 1 if the table is outdated"
    )
    parser.add_argument("results", type=Path, nargs="*", metavar="RESULT.json")
    options = parser.parse_args()
    for path in options.results:
        shutil.copy(path, RESULTS_FOLDER / path.name)
    file = BENCHMARKS_PAGE
    old = file.read_text("utf-8")
    new = replace_table(old, render_table())
    if options.check:
        sys.exit(old != new)
    file.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
