"""HTML with stills for notebooks: search results, moments, videos and libraries.

File names, transcripts and queries are escaped. Number, width and size of the stills are bounded,
and so is the time that decoding them takes.
"""

from __future__ import annotations

import base64
import html
import math
import time
from typing import TYPE_CHECKING

from vsearch.errors import VSearchError
from vsearch.types import Moment, Video, render_html, round_confidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vsearch.types import LibraryCounts, Space

MAX_STILLS = 12  # per result
STILL_WIDTH = 240  # pixels
MAX_STILL_BYTES = 60_000  # of a JPEG file; ten times what is usual
MAX_DECODING_SECONDS = 6.0  # after this, the rest of a result has no stills
MAX_TEXT_CHARS = 300
MAX_HINTS = 5
_GRID_STYLE = "display:grid;grid-template-columns:repeat(auto-fill,minmax(180px,1fr));gap:10px"
_STILL_STYLE = "display:block;width:100%;aspect-ratio:16/9;object-fit:contain;background:#000"
_CARD_STYLE = "max-width:240px;font-size:13px;line-height:1.4;overflow-wrap:anywhere"


def search_result_html(
    query_text: str, moments: Sequence[Moment], hints: Sequence[str], *, is_weak: bool
) -> str:
    """Return the moments of a search as a grid of stills, below the query and the hints.

    Args:
        query_text: Text of the query.
        moments: Results, best first.
        hints: Hints of the search.
        is_weak: No moment probably matches.
    """
    started_at = time.monotonic()
    cards = []
    for moment in moments[:MAX_STILLS]:
        has_time = time.monotonic() - started_at < MAX_DECODING_SECONDS
        cards.append(_moment_card(moment, with_still=has_time))
    moment_count = len(moments)
    count_text = "1 moment" if moment_count == 1 else f"{moment_count} moments"
    lines = [f"<b>{_escape(query_text)}</b> · {count_text}"]
    if is_weak:
        lines.append("Probably not in this library.")
    lines += map(_escape, hints[:MAX_HINTS])
    more_count = moment_count - len(cards)
    more_html = f"<div>… and {more_count} more</div>" if more_count else ""
    return (
        f'<div>{"<br>".join(lines)}<div style="{_GRID_STYLE}">{"".join(cards)}</div>'
        f"{more_html}</div>"
    )


@render_html.register
def moment_html(moment: Moment) -> str:
    """Return a moment with the still of its peak."""
    return _moment_card(moment)


@render_html.register
def video_html(video: Video) -> str:
    """Return the facts of a video with a still from its middle."""
    facts = [f"{video.width} × {video.height}", video.codec]
    if not video.is_photo:
        facts = [_format_time(math.ceil(video.duration)), *facts]
    facts += [video.recorded_at.strftime("%Y-%m-%d")] if video.recorded_at else []
    facts += filter(None, [video.camera, video.full_warning])
    return _card(video, video.duration / 2, [" · ".join(facts)])


def library_html(location: object, counts: LibraryCounts, space: Space | None) -> str:
    """Return the contents of a library.

    Args:
        location: Folder of the library, or URL of its database.
        counts: Its size.
        space: Its embedding space.
    """
    facts = {
        "library": str(location),
        "videos": f"{counts.video_count:,}",
        "duration": _format_time(counts.duration_seconds),
        "segments": f"{counts.segment_count:,}",
        "space": "nothing is indexed yet" if space is None else space.name,
    }
    rows = "".join(
        f'<tr><th style="text-align:left">{name}</th>'
        f'<td style="text-align:left">{_escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    return f"<table>{rows}</table>"


def _moment_card(moment: Moment, *, with_still: bool = True) -> str:
    start, end = moment.span.start, moment.span.end
    facts = [] if moment.video.is_photo else [f"{_format_time(start)} – {_format_time(end)}"]
    if moment.confidence is not None:
        percent_text = f"{100 * round_confidence(moment.confidence, 2):.0f} %"
        facts.append(f"weak {percent_text}" if moment.has_low_confidence else percent_text)
    lines = [" · ".join(facts)]
    lines += [f"“{quote.text}”" for quote in moment.explanation.quotes[:1]]
    return _card(
        moment.video,
        moment.explanation.peak_time,
        lines,
        with_still=with_still,
        is_dim=moment.has_low_confidence,
    )


def _card(
    video: Video,
    still_time: float,
    lines: Iterable[str],
    *,
    with_still: bool = True,
    is_dim: bool = False,
) -> str:
    """Return a still, the name of a video, and lines of text that are escaped here."""
    jpeg_bytes = _render_still(video, still_time) if with_still else None
    name_html = _escape(video.path.name)
    if jpeg_bytes is None:
        still_html = f'<div style="{_STILL_STYLE};color:#bbb;text-align:center">no picture</div>'
    else:
        data = base64.b64encode(jpeg_bytes).decode("ascii")
        still_html = (
            f'<img style="{_STILL_STYLE}" alt="still at {_format_time(still_time)}" '
            f'src="data:image/jpeg;base64,{data}">'
        )
    if video.file_status not in (None, "available"):
        name_html += f" ({video.file_status})"
    lines_html = "".join(f"<div>{_escape(line)}</div>" for line in lines if line)
    return (
        f'<div style="{_CARD_STYLE}{";opacity:.6" if is_dim else ""}">{still_html}{lines_html}'
        f'<div title="{_escape(str(video.path), max_chars=4096)}">{name_html}</div></div>'
    )


def _render_still(video: Video, still_time: float) -> bytes | None:
    """Return a JPEG file, or None if the file is not here, is another one, or has no picture."""
    from vsearch.media.thumbnails import render_thumbnail  # deferred: imports a decoder

    try:
        if not video.path.is_file() or video.path.stat().st_size != video.size_bytes:
            return None  # e.g. the path is of a server
        jpeg_bytes = render_thumbnail(video.path, still_time, max_width=STILL_WIDTH)
    except (VSearchError, OSError, ValueError):
        return None
    return jpeg_bytes if len(jpeg_bytes) <= MAX_STILL_BYTES else None


def _format_time(seconds: float) -> str:
    whole_seconds = int(max(0.0, seconds) + 1e-6)
    return f"{whole_seconds // 3600}:{whole_seconds // 60 % 60:02}:{whole_seconds % 60:02}"


def _escape(text: str, max_chars: int = MAX_TEXT_CHARS) -> str:
    """Escape text for HTML; characters that are invisible or cannot be encoded become visible."""
    shortened = text if len(text) <= max_chars else f"{text[:max_chars]}…"
    return html.escape(
        "".join(
            char
            if char.isprintable()
            else char.encode("unicode_escape", "surrogatepass").decode("ascii")
            for char in shortened
        )
    )
