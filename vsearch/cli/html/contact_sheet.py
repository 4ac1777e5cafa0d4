"""Contact sheet: search results with thumbnails as one self-contained HTML page."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vsearch.cli.html.page import (
    NO_PICTURE_HTML,
    build_link,
    escape_html,
    render_frame,
    write_page,
)
from vsearch.cli.render import (
    format_confidence,
    format_path,
    format_place,
    format_quote,
    format_time,
)
from vsearch.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.types import Moment, Video

MAX_TITLE_QUERIES = 3  # headings named in the page title
SHEET_CSS = """\
:root { color-scheme: light dark; --soft: color-mix(in srgb, CanvasText 62%, Canvas);
  --card: color-mix(in srgb, CanvasText 6%, Canvas); }
body { font: 16px/1.45 system-ui, sans-serif; max-width: 76rem; margin: 0 auto;
  padding: 1.25rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .9rem; overflow-wrap: anywhere; }
section:first-of-type h2 { margin-top: 0; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr));
  gap: 1rem; list-style: none; margin: 0; padding: 0; }
li { background: var(--card); border-radius: .6rem; overflow: hidden; }
img, .none { display: block; width: 100%; aspect-ratio: 16/9; object-fit: contain;
  background: #000; }
.none { display: grid; place-items: center; color: #bbb; }
.text { padding: .6rem .8rem .75rem; }
.when { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 .5rem;
  font-variant-numeric: tabular-nums; font-weight: 600; }
a { color: inherit; }
.quote { font-size: .9rem; overflow-wrap: anywhere; }
.score, .file { color: var(--soft); font-weight: 400; font-size: .875rem;
  overflow-wrap: anywhere; }
"""


class ThumbnailSource(Protocol):
    """A library, local or remote, that renders thumbnails."""

    def thumbnail(self, video: Video, frame_time: float, *, width: int = 320) -> bytes:
        """Return a JPEG of the frame at `frame_time` seconds; raise MediaError on failure."""
        ...


@dataclass(frozen=True, slots=True)
class SheetSection:
    """One query and its results."""

    heading: str
    moments: Sequence[Moment]


def write_contact_sheet(
    page_path: Path, library: ThumbnailSource, sections: Sequence[SheetSection]
) -> None:
    """Write an HTML page with a thumbnail of each moment's peak frame.

    Args:
        page_path: File to write.
        library: Renders the thumbnails.
        sections: Queries and their results, in the order of the page.

    Raises:
        OSError: The page cannot be written.
    """
    headings = [section.heading for section in sections[:MAX_TITLE_QUERIES]]
    write_page(
        page_path,
        title_html=escape_html(", ".join(headings) or "vsearch"),
        css=SHEET_CSS,
        body_html="\n".join(_render_section(library, section) for section in sections),
    )


def _render_section(library: ThumbnailSource, section: SheetSection) -> str:
    cards_html = "\n".join(
        _render_card(library, rank, moment) for rank, moment in enumerate(section.moments, 1)
    )
    results_html = f"<ol>\n{cards_html}\n</ol>" if cards_html else "<p>Nothing found.</p>"
    return f"<section>\n<h2>{escape_html(section.heading)}</h2>\n{results_html}\n</section>"


def _render_card(library: ThumbnailSource, rank: int, moment: Moment) -> str:
    video_path, score_text = moment.video.path, f"{moment.score:.3f}"
    main_score, extra_score = score_text, ""
    if moment.confidence is not None:
        main_score, extra_score = format_confidence(moment), f"{score_text} · "
    peak_text = format_time(moment.explanation.peak_time)
    return (
        f"<li>{_render_picture(library, moment)}"
        f'<div class="text"><div class="when"><span>{rank}. {format_place(moment)}</span>'
        f'<span class="score">{main_score}</span></div>{_render_quotes(moment)}'
        f'<div class="file">{extra_score}peak {peak_text} · '
        f'<a href="{build_link(video_path, moment.span)}" '
        f'title="{escape_html(format_path(video_path))}">{escape_html(video_path.name)}</a>'
        "</div></div></li>"
    )


def _render_quotes(moment: Moment) -> str:
    return "".join(
        f'<div class="quote">{html.escape(format_quote(quote))}</div>'
        for quote in moment.explanation.quotes[:1]
    )


def _render_picture(library: ThumbnailSource, moment: Moment) -> str:
    peak_time = moment.explanation.peak_time
    try:
        return render_frame(library.thumbnail(moment.video, peak_time), format_time(peak_time))
    except MediaError:  # moved or damaged since it was indexed: still list the result
        return NO_PICTURE_HTML
