"""A contact sheet: search results as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vsearch.cli.options import PAGE_BEGINS
from vsearch.cli.render import clock, period, printable, short, sure, told
from vsearch.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.types import Moment, Video

PAGE = """{begin}
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --soft: color-mix(in srgb, CanvasText 62%, Canvas);
  --card: color-mix(in srgb, CanvasText 6%, Canvas); }}
body {{ font: 16px/1.45 system-ui, sans-serif; max-width: 76rem; margin: 0 auto;
  padding: 1.25rem; }}
h2 {{ font-size: 1.3rem; margin: 2.5rem 0 .9rem; overflow-wrap: anywhere; }}
section:first-of-type h2 {{ margin-top: 0; }}
ol {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr));
  gap: 1rem; list-style: none; margin: 0; padding: 0; }}
li {{ background: var(--card); border-radius: .6rem; overflow: hidden; }}
img, .none {{ display: block; width: 100%; aspect-ratio: 16/9; object-fit: contain;
  background: #000; }}
.none {{ display: grid; place-items: center; color: #bbb; }}
.text {{ padding: .6rem .8rem .75rem; }}
.when {{ display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 .5rem;
  font-variant-numeric: tabular-nums; font-weight: 600; }}
a {{ color: inherit; }}
.quote {{ font-size: .9rem; overflow-wrap: anywhere; }}
.score, .file {{ color: var(--soft); font-weight: 400; font-size: .875rem;
  overflow-wrap: anywhere; }}
</style>
{sections}
</html>
"""


class Library(Protocol):
    """A library, here or elsewhere."""

    def still(self, video: Video, time: float, *, width: int = 320) -> bytes:
        """A JPEG of the frame shown at `time` seconds. Raises MediaError."""
        ...


@dataclass(frozen=True, slots=True)
class Section:
    """One query and what it found."""

    query: str
    moments: Sequence[Moment]


def write_sheet(path: Path, library: Library, sections: Sequence[Section]) -> None:
    """Write the page, with a thumbnail of each moment's best frame. Raises OSError."""
    body = "\n".join(_section(library, section) for section in sections)
    title = _safe(", ".join(section.query for section in sections[:3]) or "vsearch")
    page = PAGE.format(begin=PAGE_BEGINS.decode(), title=title, sections=body)
    path.write_text(page, encoding="utf-8")


def _section(library: Library, section: Section) -> str:
    cards = "\n".join(_card(library, rank, m) for rank, m in enumerate(section.moments, 1))
    found = f"<ol>\n{cards}\n</ol>" if cards else "<p>Nothing found.</p>"
    return f"<section>\n<h2>{_safe(section.query)}</h2>\n{found}\n</section>"


def _card(library: Library, rank: int, moment: Moment) -> str:
    path, score = moment.video.path, f"{moment.score:.3f}"
    known = moment.confidence is not None
    fits, more = (sure(moment), f"{score} · ") if known else (score, "")
    return (
        f"<li>{_picture(library, moment)}"
        f'<div class="text"><div class="when"><span>{rank}. {period(moment.span)}</span>'
        f'<span class="score">{fits}</span></div>{_quotes(moment)}'
        f'<div class="file">{more}best at {clock(moment.why.peak)} · '
        f'<a href="{html.escape(_link(moment))}" title="{_safe(short(path))}">'
        f"{_safe(path.name)}</a></div></div></li>"
    )


def _quotes(moment: Moment) -> str:
    words = moment.why.quotes[:1]
    return "".join(f'<div class="quote">{html.escape(told(one))}</div>' for one in words)


def _picture(library: Library, moment: Moment) -> str:
    try:
        jpeg = library.still(moment.video, moment.why.peak)
    except MediaError:  # moved or damaged since: the result still counts
        return '<div class="none">no picture</div>'
    data = base64.b64encode(jpeg).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" alt="frame at {clock(moment.why.peak)}">'


def _link(moment: Moment) -> str:
    """The video from the moment on, as browsers play it (W3C Media Fragments)."""
    return f"{moment.video.path.as_uri()}#t={moment.span.start:.2f},{moment.span.end:.2f}"


def _safe(text: str) -> str:
    return html.escape(printable(text))
