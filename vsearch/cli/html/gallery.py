"""Gallery: animated excerpts as one self-contained HTML page without scripts."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from vsearch.cli.html.page import (
    CARD_GRID_CSS,
    NO_PICTURE_HTML,
    build_link,
    encode_data_url,
    escape_html,
    write_page,
)
from vsearch.cli.render import (
    format_count,
    format_duration,
    format_path,
    format_quote,
    format_time,
    truncate_end,
)
from vsearch.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.export.excerpts import ExportExcerpt
    from vsearch.types import Span

IMAGE_WIDTH_PX = 320
MAX_ANIMATION_BYTES = 24_000_000  # of animations on a page; later excerpts get a still image
NAME_TAIL_CHARS = 10  # end of a file name that stays visible on narrow cards
MAX_QUOTE_COLUMNS = 400
GALLERY_CSS = """\
header { margin-bottom: clamp(1.2rem, 3vw, 2rem); }
.rank, .at, .confidence { box-shadow: 0 0 0 1px rgb(255 255 255 / .28); }
.rank { position: absolute; left: .5rem; top: .5rem; min-width: 1.7rem; padding: .1rem .45rem;
  border-radius: 1rem; background: rgb(0 0 0 / .72); color: #fff; font-size: .8rem;
  font-weight: 600; text-align: center; }
.confidence { position: absolute; right: .5rem; bottom: .5rem; padding: .1rem .5rem;
  border-radius: .4rem; background: rgb(0 0 0 / .72); color: #fff; font-size: .8rem;
  font-variant-numeric: tabular-nums; }
.text { padding: .6rem .85rem .7rem; font-size: .9rem; }
.name { font-weight: 600; white-space: pre; display: flex; }
.head { overflow: hidden; text-overflow: ellipsis; }
.quote { margin: .15rem 0 .25rem; display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 3; overflow: hidden; overflow-wrap: anywhere; }
.more { color: var(--soft); font-size: .825rem; font-variant-numeric: tabular-nums;
  display: flex; justify-content: space-between; gap: .75rem; }
"""


def write_gallery(page_path: Path, excerpts: Sequence[ExportExcerpt], page_title: str) -> None:
    """Write an HTML page with an animated preview of each excerpt.

    Args:
        page_path: File to write.
        excerpts: Excerpts in the order of the page.
        page_title: Title and heading; empty for `vsearch`.

    Raises:
        OSError: The page cannot be written.
    """
    bytes_left, cards = MAX_ANIMATION_BYTES, []
    for excerpt in excerpts:
        picture_html = _render_picture(excerpt, is_animated=bytes_left > 0)
        bytes_left -= len(picture_html)
        cards.append(_render_card(excerpt, picture_html))
    moments_text = format_count(len(excerpts), "moment")
    video_count = len({excerpt.source.video_path for excerpt in excerpts})
    duration_text = format_duration(sum(_count_tenths(excerpt.span) for excerpt in excerpts) / 10)
    title_html, cards_html = escape_html(page_title or "vsearch"), "\n".join(cards)
    write_page(
        page_path,
        title_html=title_html,
        css=CARD_GRID_CSS + GALLERY_CSS,
        body_html=f"""<main>
<header><h1>{title_html}</h1>
<p>{moments_text} of {format_count(video_count, "video")}, {duration_text} in total</p></header>
<ol>
{cards_html}
</ol>
</main>""",
    )


def _render_card(excerpt: ExportExcerpt, picture_html: str) -> str:
    video_path, span = excerpt.source.video_path, excerpt.span
    name_head, name_tail = video_path.name[:-NAME_TAIL_CHARS], video_path.name[-NAME_TAIL_CHARS:]
    return (
        f'<li><a class="shot" href="{build_link(video_path, span)}" '
        f'title="play from {format_time(span.start)}">{picture_html}'
        f'<span class="rank">{excerpt.rank}</span>'
        f'<span class="at">{_format_precise_span(span)}</span>{_render_confidence(excerpt)}</a>'
        f'<div class="text"><div class="name" title="{escape_html(format_path(video_path))}">'
        f'<span class="head">{escape_html(name_head)}</span>{escape_html(name_tail)}</div>'
        f"{_render_quote(excerpt)}"
        f'<div class="more"><span>{_count_tenths(span) / 10:.1f} s</span>'
        f"<span>{escape_html(_describe_source(excerpt))}</span></div></div></li>"
    )


def _render_quote(excerpt: ExportExcerpt) -> str:
    if excerpt.quote is None:
        return ""
    quote_text = truncate_end(format_quote(excerpt.quote), MAX_QUOTE_COLUMNS)
    return f'<div class="quote">{html.escape(quote_text)}</div>'


def _format_precise_span(span: Span) -> str:
    """Return the start and end of a span with tenths of a second."""
    return " – ".join(
        f"{format_time(tenths // 10)}.{tenths % 10}"
        for tenths in map(_to_tenths, (span.start, span.end))
    )


def _count_tenths(span: Span) -> int:
    """Return the tenths of a second between the two displayed times."""
    return _to_tenths(span.end) - _to_tenths(span.start)


def _to_tenths(seconds: float) -> int:
    return round(10 * seconds)


def _render_confidence(excerpt: ExportExcerpt) -> str:
    if excerpt.confidence is not None:
        percent_text = f"{100 * excerpt.confidence:.0f} %"
        return f'<span class="confidence" title="confidence">{percent_text}</span>'
    if excerpt.score is not None:
        return f'<span class="confidence" title="score">{excerpt.score:.3f}</span>'
    return ""


def _describe_source(excerpt: ExportExcerpt) -> str:
    source = excerpt.source
    frame_size = f"{source.width} × {source.height}" if source.width else ""
    frame_rate = f"{float(source.frame_rate):.4g} fps" if source.frame_rate else ""
    return ", ".join(filter(None, (frame_size, frame_rate)))


def _render_picture(excerpt: ExportExcerpt, *, is_animated: bool) -> str:
    """Render an animation, with a still image for readers who prefer reduced motion."""
    from vsearch.media.thumbnails import (  # deferred: brings a decoder
        render_preview,
        render_thumbnail,
    )

    video_path, span = excerpt.source.video_path, excerpt.span
    middle_time = (span.start + span.end) / 2
    webp_url = ""
    try:
        jpeg_bytes = render_thumbnail(video_path, middle_time, max_width=IMAGE_WIDTH_PX)
        if is_animated:
            webp_bytes = render_preview(video_path, span, max_width=IMAGE_WIDTH_PX)
            webp_url = encode_data_url("webp", webp_bytes)
    except MediaError:  # moved or damaged since it was indexed: still list the excerpt
        return NO_PICTURE_HTML
    jpeg_url = encode_data_url("jpeg", jpeg_bytes)
    alt_text = f"{_format_precise_span(span)} of {escape_html(video_path.name)}"
    image_attributes = f'alt="{alt_text}" decoding="async"'
    if not is_animated:
        return f'<img src="{jpeg_url}" {image_attributes}>'
    still_source = f'<source media="(prefers-reduced-motion: reduce)" srcset="{jpeg_url}">'
    return f'<picture>{still_source}<img src="{webp_url}" {image_attributes}></picture>'
