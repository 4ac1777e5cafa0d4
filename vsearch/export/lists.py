"""Export excerpts as an M3U playlist for VLC, or as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from vsearch.export.excerpts import to_one_line
from vsearch.storage.file_uris import to_file_uri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.export.excerpts import ExportExcerpt

CSV_COLUMNS = (
    "rank", "name", "start", "end", "duration", "score", "confidence", "fps", "path", "note",
)  # fmt: skip
# A spreadsheet would evaluate a cell that starts like this. In locales where another character
# separates cells, a cell starts after it, whatever quotes enclose it.
_FORMULA_START_RE = re.compile(r"""(^|[;,\t|])(?=[\s"']*[=+\-@＝＋－＠])""")


def to_m3u(excerpts: Sequence[ExportExcerpt], title: str) -> bytes:
    """Serialize excerpts as an extended M3U playlist in UTF-8.

    VLC plays each excerpt from start to end; other players play the whole files. Paths are written
    as URLs, in which no file name can break a line.

    Args:
        excerpts: The excerpts.
        title: Title of the playlist.

    Returns:
        The content of the file.
    """
    playlist_lines = ["#EXTM3U", f"#PLAYLIST:{to_one_line(title)}"]
    for excerpt in excerpts:
        playlist_lines += [
            f"#EXTINF:{round(excerpt.span.duration)},{excerpt.rank}. {excerpt.source.display_name}",
            f"#EXTVLCOPT:start-time={excerpt.span.start:.3f}",
            f"#EXTVLCOPT:stop-time={excerpt.span.end:.3f}",
            to_file_uri(excerpt.source.video_path),
        ]
    return "".join(f"{line}\n" for line in playlist_lines).encode()


def to_csv(excerpts: Sequence[ExportExcerpt]) -> bytes:
    """Serialize excerpts as CSV in UTF-8 with a BOM, which some spreadsheets require."""
    csv_buffer = io.StringIO(newline="")
    csv_writer = csv.writer(csv_buffer)
    csv_writer.writerow(CSV_COLUMNS)
    csv_writer.writerows(map(_excerpt_row, excerpts))
    return csv_buffer.getvalue().encode("utf-8-sig")


def _excerpt_row(excerpt: ExportExcerpt) -> tuple[str, ...]:
    source, span = excerpt.source, excerpt.span
    return (
        str(excerpt.rank),
        _escape_formula(source.video_path.name),
        *(f"{seconds:.3f}" for seconds in (span.start, span.end, span.duration)),
        "" if excerpt.score is None else f"{excerpt.score:.6f}",
        "" if excerpt.confidence is None else f"{excerpt.confidence:.4f}",
        "" if source.frame_rate is None else f"{float(source.frame_rate):.3f}",
        _escape_formula(str(source.video_path)),
        _escape_formula(excerpt.query_note),
    )


def _escape_formula(cell_text: str) -> str:
    """Return text that a spreadsheet does not evaluate as a formula."""
    return _FORMULA_START_RE.sub(r"\1'", to_one_line(cell_text))
