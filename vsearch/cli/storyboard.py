"""A storyboard: a summary as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

from vsearch.cli.look import LOOK
from vsearch.cli.options import PAGE_BEGINS
from vsearch.cli.render import clock, length, plural, printable, short
from vsearch.errors import MediaError
from vsearch.files import replaced

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.analysis.summarise import Excerpt, Summary

WIDTH = 480  # pixels of a picture

PAGE = """{begin}
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{look}
.query {{ color: var(--accent); font-weight: 600; }}
nav {{ position: relative; height: 2.5rem; margin: 1.6rem 0 .3rem; background: var(--line);
  border-radius: .5rem; overflow: hidden; }}
nav a {{ position: absolute; top: 0; bottom: 0; min-width: 4px; background: var(--accent);
  border-right: 1px solid var(--page); }}
nav a:hover, nav a:focus-visible {{ background: var(--ink); outline: none; }}
.ends {{ display: flex; justify-content: space-between; font-size: .8rem; color: var(--soft);
  font-variant-numeric: tabular-nums; margin-bottom: 1.8rem; }}
.text {{ display: flex; justify-content: space-between; gap: .75rem; padding: .65rem .85rem .55rem;
  font-size: .875rem; color: var(--soft); font-variant-numeric: tabular-nums; }}
.text b {{ color: var(--ink); }}
.bar {{ height: 4px; margin: 0 .85rem .8rem; border-radius: 2px; background: var(--line); }}
.bar i {{ display: block; height: 100%; min-width: 3px; border-radius: 2px;
  background: var(--accent); }}
</style>
<main>
<h1>{title}</h1>
<p>{about}</p>
{asked}<nav aria-label="Where the excerpts are in the video">{marks}</nav>
<div class="ends"><span>0:00:00</span><span>{end}</span></div>
<ol>
{cards}
</ol>
</main>
</html>
"""


def write_storyboard(path: Path, summary: Summary, query: str | None = None) -> None:
    """Write the page, with a picture of each excerpt's best frame. Raises OSError."""
    numbered = list(enumerate(summary.excerpts, 1))
    page = PAGE.format(
        begin=PAGE_BEGINS.decode(),
        look=LOOK,
        title=_safe(summary.path.name),
        about=_safe(
            f"{plural(len(numbered), 'excerpt')}, {length(summary.length)} of "
            f"{length(summary.duration)} · {short(summary.path)}"
        ),
        asked=f'<p class="query">“{_safe(query)}”</p>\n' if query else "",
        marks="".join(_mark(number, one, summary.duration) for number, one in numbered),
        end=length(summary.duration),
        cards="\n".join(_card(number, one, summary.path) for number, one in numbered),
    )
    with replaced(path) as file:
        file.write(page.encode())


def _mark(number: int, one: Excerpt, duration: float) -> str:
    """Where an excerpt is in the video, as a link to its card."""
    left, width = (100 * part / duration for part in (one.span.start, one.span.duration))
    return (
        f'<a href="#e{number}" style="left:{left:.3f}%;width:{width:.3f}%" '
        f'title="{clock(one.span.start)}" aria-label="excerpt {number}"></a>'
    )


def _card(number: int, one: Excerpt, path: Path) -> str:
    share = 100 * one.share
    fits = "" if one.relevance is None else f"<span>like query {one.relevance:.3f}</span>"
    return (
        f'<li id="e{number}"><a class="shot" href="{html.escape(_link(one, path))}" '
        f'title="play from {clock(one.span.start)}">{_picture(one, path)}'
        f'<span class="at">{clock(one.span.start)}</span></a>'
        f'<div class="text"><span><b>{one.span.duration:.1f} s</b></span>{fits}'
        f"<span>stands for <b>{share:.0f} %</b></span></div>"
        f'<div class="bar"><i style="width:{share:.2f}%"></i></div></li>'
    )


def _picture(one: Excerpt, path: Path) -> str:
    from vsearch.media.stills import still  # deferred: brings a decoder

    try:
        jpeg = still(path, one.peak, width=WIDTH)
    except MediaError:  # moved or damaged since: the rest still counts
        return '<div class="none">no picture</div>'
    data = base64.b64encode(jpeg).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" alt="frame at {clock(one.peak)}">'


def _link(one: Excerpt, path: Path) -> str:
    """The video from the excerpt on, as browsers play it (W3C Media Fragments)."""
    return f"{path.as_uri()}#t={one.span.start:.2f},{one.span.end:.2f}"


def _safe(text: str) -> str:
    return html.escape(printable(text))
