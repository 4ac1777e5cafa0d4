"""Excerpts as CSV, a row each, as spreadsheets open it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from vsearch.export.excerpts import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.export.excerpts import Excerpt

COLUMNS = (
    "rank", "name", "start", "end", "duration", "score", "confidence", "fps", "path", "note",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@")  # what a cell begins with that a spreadsheet would compute


def spreadsheet(excerpts: Sequence[Excerpt]) -> bytes:
    """UTF-8 with a mark that tells so, for else some programs take it for something older."""
    out = io.StringIO(newline="")
    rows = csv.writer(out)
    rows.writerow(COLUMNS)
    rows.writerows(map(_row, excerpts))
    return out.getvalue().encode("utf-8-sig")


def _row(one: Excerpt) -> tuple[str, ...]:
    source, span = one.source, one.span
    return (
        str(one.rank),
        _text(source.path.name),
        *(f"{seconds:.3f}" for seconds in (span.start, span.end, span.duration)),
        "" if one.score is None else f"{one.score:.6f}",
        "" if one.confidence is None else f"{one.confidence:.4f}",
        "" if source.rate is None else f"{float(source.rate):.3f}",
        _text(str(source.path)),
        _text(one.note),
    )


def _text(text: str) -> str:
    """Text that is text to a spreadsheet, and no formula."""
    line = one_line(text)
    return f"'{line}" if line.lstrip().startswith(_FORMULA) else line
