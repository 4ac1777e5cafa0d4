"""Benchmark reports: printed as tables, and written as JSON for docs/benchmarks.md."""

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
    """A row of the speed table."""

    what: str
    found: str
    how: str  # a command


@dataclass(slots=True)
class Report:
    """The rows of a benchmark and its claims."""

    name: str  # stem of its file in `results/`
    rows: list[dict[str, Any]] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)

    def print_table(self) -> None:
        """Print the rows as a table, then the claims."""
        columns = list(self.rows[0]) if self.rows else []
        cells = [columns, *([_format_cell(row[name]) for name in columns] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
        for claim in self.claims:
            print(f"\n{claim.what}: {claim.found}")

    def print_and_write(self, json_path: Path | None) -> None:
        """Print the report, and write it if a file is given."""
        self.print_table()
        self.write(json_path)

    def write(self, json_path: Path | None) -> None:
        """Write the report, if a file is given."""
        if json_path is not None:
            json_path.write_text(
                json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8"
            )


def add_json_option(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the option `--json FILE`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    return parser


def format_command(bench_name: str, segment_count: int, default_segments: int) -> str:
    """Format the command of a benchmark with a `--segments` option."""
    option = "" if segment_count == default_segments else f" --segments {segment_count}"
    return f"python -m benchmarks.bench_{bench_name}{option}"


def run_benchmark(
    docstring: str, default_segments: int, measure: Callable[[int, Path], Report]
) -> None:
    """Run a benchmark on `--segments` segments in a temporary folder and report the results.

    `docstring` is the module docstring of the benchmark.
    """
    parser = add_json_option(argparse.ArgumentParser(description=docstring.partition("\n")[0]))
    parser.add_argument("--segments", type=int, default=default_segments)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options.segments, Path(folder)).print_and_write(options.json)


def _format_cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
