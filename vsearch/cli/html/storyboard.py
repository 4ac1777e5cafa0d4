"""Storyboard: the summary of a video as one self-contained HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.cli.html.page import (
    CARD_GRID_CSS,
    NO_PICTURE_HTML,
    build_link,
    escape_html,
    render_frame,
    write_page,
)
from vsearch.cli.render import format_count, format_duration, format_path, format_time
from vsearch.errors import MediaError

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.analysis.summaries import Excerpt, SummaryResult

IMAGE_WIDTH_PX = 480
STORYBOARD_CSS = """\
.query { color: var(--accent); font-weight: 600; }
nav { position: relative; height: 2.5rem; margin: 1.6rem 0 .3rem; background: var(--line);
  border-radius: .5rem; overflow: hidden; }
nav a { position: absolute; top: 0; bottom: 0; min-width: 4px; background: var(--accent);
  border-right: 1px solid var(--page); }
nav a:hover, nav a:focus-visible { background: var(--ink); outline: none; }
.ends { display: flex; justify-content: space-between; font-size: .8rem; color: var(--soft);
  font-variant-numeric: tabular-nums; margin-bottom: 1.8rem; }
.text { display: flex; justify-content: space-between; gap: .75rem; padding: .65rem .85rem .55rem;
  font-size: .875rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.text b { color: var(--ink); }
.bar { height: 4px; margin: 0 .85rem .8rem; border-radius: 2px; background: var(--line); }
.bar i { display: block; height: 100%; min-width: 3px; border-radius: 2px;
  background: var(--accent); }
"""


def write_storyboard(
    page_path: Path, summary: SummaryResult, query_text: str | None = None
) -> None:
    """Write an HTML page with a timeline and a picture of each excerpt's peak frame.

    Args:
        page_path: File to write.
        summary: The summary.
        query_text: Query that chose the excerpts, if any.

    Raises:
        OSError: The page cannot be written.
    """
    numbered_excerpts = list(enumerate(summary.excerpts, 1))
    excerpts_text = format_count(len(numbered_excerpts), "excerpt")
    duration_text = format_duration(summary.duration)
    summary_text = (
        f"{excerpts_text}, {format_duration(summary.total_seconds)} of {duration_text} · "
        f"{format_path(summary.video_path)}"
    )
    title_html = escape_html(summary.video_path.name)
    query_html = f'<p class="query">“{escape_html(query_text)}”</p>\n' if query_text else ""
    marks_html = "".join(
        _render_timeline_mark(number, excerpt, summary.duration)
        for number, excerpt in numbered_excerpts
    )
    cards_html = "\n".join(
        _render_card(number, excerpt, summary.video_path) for number, excerpt in numbered_excerpts
    )
    write_page(
        page_path,
        title_html=title_html,
        css=CARD_GRID_CSS + STORYBOARD_CSS,
        body_html=f"""<main>
<h1>{title_html}</h1>
<p>{escape_html(summary_text)}</p>
{query_html}<nav aria-label="Positions of the excerpts in the video">{marks_html}</nav>
<div class="ends"><span>0:00:00</span><span>{duration_text}</span></div>
<ol>
{cards_html}
</ol>
</main>""",
    )


def _render_timeline_mark(excerpt_number: int, excerpt: Excerpt, video_duration: float) -> str:
    """Render the position of an excerpt on the timeline as a link to its card."""
    left_percent = 100 * excerpt.span.start / video_duration
    width_percent = 100 * excerpt.span.duration / video_duration
    return (
        f'<a href="#e{excerpt_number}" style="left:{left_percent:.3f}%;width:{width_percent:.3f}%" '
        f'title="{format_time(excerpt.span.start)}" aria-label="excerpt {excerpt_number}"></a>'
    )


def _render_card(excerpt_number: int, excerpt: Excerpt, video_path: Path) -> str:
    coverage_percent = 100 * excerpt.video_share
    start_text, relevance_html = format_time(excerpt.span.start), ""
    if excerpt.query_similarity is not None:
        relevance_html = f"<span>relevance <b>{excerpt.query_similarity:.3f}</b></span>"
    return (
        f'<li id="e{excerpt_number}">'
        f'<a class="shot" href="{build_link(video_path, excerpt.span)}" '
        f'title="play from {start_text}">{_render_picture(excerpt, video_path)}'
        f'<span class="at">{start_text}</span></a>'
        f'<div class="text"><span><b>{excerpt.span.duration:.1f} s</b></span>{relevance_html}'
        f"<span>coverage <b>{coverage_percent:.0f} %</b></span></div>"
        f'<div class="bar"><i style="width:{coverage_percent:.2f}%"></i></div></li>'
    )


def _render_picture(excerpt: Excerpt, video_path: Path) -> str:
    from vsearch.media.thumbnails import render_thumbnail  # deferred: brings a decoder

    try:
        jpeg_bytes = render_thumbnail(video_path, excerpt.peak_time, max_width=IMAGE_WIDTH_PX)
    except MediaError:  # moved or damaged since it was indexed: still list the excerpt
        return NO_PICTURE_HTML
    return render_frame(jpeg_bytes, format_time(excerpt.peak_time))
