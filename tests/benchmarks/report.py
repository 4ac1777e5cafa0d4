"""What a benchmark found: shown as a table, and written as JSON for the README's."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Claim:
    """A line of the README's table."""

    what: str
    found: str
    how: str  # a command


@dataclass(slots=True)
class Report:
    """The rows of one benchmark, which have the same columns, and what follows from them."""

    name: str  # of its file in `results/`
    rows: list[dict[str, Any]] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)

    def show(self) -> None:
        """Print the rows below each other, then the claims."""
        columns = list(self.rows[0]) if self.rows else []
        cells = [columns, *([_cell(row[name]) for name in columns] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
        for claim in self.claims:
            print(f"\n{claim.what}: {claim.found}")

    def write(self, path: Path | None) -> None:
        """Show all of it, and write it to a file where one is named."""
        self.show()
        if path is not None:
            path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")


def with_json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Give a benchmark `--json FILE`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write what was found")
    return parser


def command(name: str, segments: int, usual: int) -> str:
    """How a benchmark that goes by segments, so many of them where nobody says, was run."""
    asked = "" if segments == usual else f" --segments {segments}"
    return f"python -m tests.benchmarks.bench_{name}{asked}"


def run(about: str, segments: int, measured: Callable[[int, Path], Report]) -> None:
    """Measure a library of `--segments` in a folder that is gone afterwards, and tell.

    `about` is the benchmark's docstring.
    """
    parser = with_json(argparse.ArgumentParser(description=about.partition("\n")[0]))
    parser.add_argument("--segments", type=int, default=segments)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured(options.segments, Path(folder)).write(options.json)


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
