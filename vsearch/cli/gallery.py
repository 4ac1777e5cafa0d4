"""A gallery: excerpts that move, as one HTML page that needs nothing else and runs no script."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

from vsearch.cli.look import LOOK
from vsearch.cli.options import PAGE_BEGINS
from vsearch.cli.render import clipped, clock, length, plural, printable, short, told
from vsearch.errors import MediaError
from vsearch.files import replaced

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.export.excerpts import Excerpt
    from vsearch.types import Span

WIDTH = 320  # pixels of a picture
MOST = 24_000_000  # bytes of moving pictures on a page: what comes after stands still
TAIL = 10  # characters of a name that are seen however narrow a card is
LONGEST = 400  # characters of words on a card

PAGE = """{begin}
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{look}
header {{ margin-bottom: clamp(1.2rem, 3vw, 2rem); }}
.rank, .at, .fits {{ box-shadow: 0 0 0 1px rgb(255 255 255 / .28); }}
.rank {{ position: absolute; left: .5rem; top: .5rem; min-width: 1.7rem; padding: .1rem .45rem;
  border-radius: 1rem; background: rgb(0 0 0 / .72); color: #fff; font-size: .8rem;
  font-weight: 600; text-align: center; }}
.fits {{ position: absolute; right: .5rem; bottom: .5rem; padding: .1rem .5rem;
  border-radius: .4rem; background: rgb(0 0 0 / .72); color: #fff; font-size: .8rem;
  font-variant-numeric: tabular-nums; }}
.text {{ padding: .6rem .85rem .7rem; font-size: .9rem; }}
.name {{ font-weight: 600; white-space: pre; display: flex; }}
.head {{ overflow: hidden; text-overflow: ellipsis; }}
.quote {{ margin: .15rem 0 .25rem; display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 3; overflow: hidden; overflow-wrap: anywhere; }}
.more {{ color: var(--soft); font-size: .825rem; font-variant-numeric: tabular-nums;
  display: flex; justify-content: space-between; gap: .75rem; }}
</style>
<main>
<header><h1>{title}</h1>
<p>{about}</p></header>
<ol>
{cards}
</ol>
</main>
</html>
"""


def write_gallery(path: Path, found: Sequence[Excerpt], title: str) -> None:
    """Write the page, with a moving picture of each excerpt. Raises OSError."""
    room, cards = MOST, []
    for one in found:
        picture = _picture(one, moving=room > 0)
        room -= len(picture)
        cards.append(_card(one, picture))
    videos = len({one.source.path for one in found})
    lasts = length(sum(_tenths(one.span) for one in found) / 10)
    page = PAGE.format(
        begin=PAGE_BEGINS.decode(),
        look=LOOK,
        title=_safe(title or "vsearch"),
        about=f"{plural(len(found), 'moment')} of {plural(videos, 'video')}, {lasts} in all",
        cards="\n".join(cards),
    )
    with replaced(path) as file:
        file.write(page.encode())


def _card(one: Excerpt, picture: str) -> str:
    source, name = one.source, one.source.path.name
    return (
        f'<li><a class="shot" href="{html.escape(_link(one))}" '
        f'title="play from {clock(one.span.start)}">{picture}'
        f'<span class="rank">{one.rank}</span>'
        f'<span class="at">{_period(one.span)}</span>{_fits(one)}</a>'
        f'<div class="text"><div class="name" title="{_safe(short(source.path))}">'
        f'<span class="head">{_safe(name[:-TAIL])}</span>{_safe(name[-TAIL:])}</div>'
        f'{_quote(one)}<div class="more"><span>{_tenths(one.span) / 10:.1f} s</span>'
        f"<span>{_safe(_shape(one))}</span></div></div></li>"
    )


def _quote(one: Excerpt) -> str:
    if one.quote is None:
        return ""
    return f'<div class="quote">{html.escape(clipped(told(one.quote), LONGEST))}</div>'


def _period(span: Span) -> str:
    """From when to when, to a tenth of a second, as long as it is told to be."""
    return " – ".join(f"{clock(t // 10)}.{t % 10}" for t in map(_tenth, (span.start, span.end)))


def _tenths(span: Span) -> int:
    """How many tenths of a second lie between the two times that are shown."""
    return _tenth(span.end) - _tenth(span.start)


def _tenth(seconds: float) -> int:
    return round(10 * seconds)


def _fits(one: Excerpt) -> str:
    if one.confidence is not None:
        return f'<span class="fits" title="how sure it is">{100 * one.confidence:.0f} %</span>'
    if one.score is not None:
        return f'<span class="fits" title="score">{one.score:.3f}</span>'
    return ""


def _shape(one: Excerpt) -> str:
    source = one.source
    size = f"{source.width} × {source.height}" if source.width else ""
    rate = f"{float(source.rate):.4g} fps" if source.rate else ""
    return ", ".join(filter(None, (size, rate)))


def _picture(one: Excerpt, *, moving: bool) -> str:
    """The excerpt as it moves; as it stands for who wants no motion, or where a page is full."""
    from vsearch.media.preview import preview  # deferred: brings a decoder
    from vsearch.media.stills import still

    path, span = one.source.path, one.span
    try:
        jpeg = _data("jpeg", still(path, (span.start + span.end) / 2, width=WIDTH))
        webp = _data("webp", preview(path, span, width=WIDTH)) if moving else ""
    except MediaError:  # moved or damaged since: the rest still counts
        return '<div class="none">no picture</div>'
    alt = f'alt="{_period(span)} of {_safe(one.source.path.name)}" decoding="async"'
    if not moving:
        return f'<img src="{jpeg}" {alt}>'
    calm = f'<source media="(prefers-reduced-motion: reduce)" srcset="{jpeg}">'
    return f'<picture>{calm}<img src="{webp}" {alt}></picture>'


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _link(one: Excerpt) -> str:
    """The video from the excerpt on, as browsers play it (W3C Media Fragments)."""
    return f"{one.source.path.as_uri()}#t={one.span.start:.2f},{one.span.end:.2f}"


def _safe(text: str) -> str:
    return html.escape(printable(text))
