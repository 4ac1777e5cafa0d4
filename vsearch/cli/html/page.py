"""Frame, styles and helpers shared by the HTML pages."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

from vsearch.cli.options import PAGE_MARKER
from vsearch.cli.render import escape_unprintable
from vsearch.storage.atomic_files import atomic_write
from vsearch.storage.file_uris import to_file_uri

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Span

NO_PICTURE_HTML = '<div class="none">no picture</div>'
CARD_GRID_CSS = """\
:root { color-scheme: light dark; --accent: light-dark(#0a6c74, #5ed0d8);
  --page: light-dark(#f6f5f2, #14161a); --card: light-dark(#fff, #1e2126);
  --ink: light-dark(#1b1c1e, #eceae4); --soft: light-dark(#5f6166, #a3a49f);
  --line: light-dark(#dcdad3, #33373e); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 78rem; margin: 0 auto;
  padding: clamp(1.25rem, 4vw, 3rem) clamp(1rem, 3vw, 2rem); }
h1 { font-size: clamp(1.35rem, 4vw, 2.1rem); line-height: 1.2; margin: 0 0 .35rem;
  letter-spacing: -.015em; overflow-wrap: anywhere; }
p { margin: 0; color: var(--soft); }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr));
  gap: 1.1rem; list-style: none; margin: 0; padding: 0; }
li { background: var(--card); border: 1px solid var(--line); border-radius: .8rem;
  overflow: hidden; scroll-margin-top: 1rem; }
li:target { border-color: var(--accent); box-shadow: 0 0 0 2px var(--accent); }
.shot { position: relative; display: block; color: inherit; text-decoration: none;
  background: #000; }
img, .none { display: block; width: 100%; aspect-ratio: 16/9; object-fit: contain; }
.none { display: grid; place-items: center; color: #bbb; }
.shot:hover img, .shot:focus-visible img { filter: brightness(1.12); }
.at { position: absolute; left: .5rem; bottom: .5rem; padding: .1rem .5rem; border-radius: .4rem;
  background: rgb(0 0 0 / .72); color: #fff; font-size: .85rem; font-weight: 600;
  font-variant-numeric: tabular-nums; }
@media (max-width: 26rem) { ol { gap: .8rem; } }
"""


def write_page(page_path: Path, *, title_html: str, css: str, body_html: str) -> None:
    """Write an HTML page that loads nothing and runs no script.

    The first line marks the page as created by vsearch, so that a later run may replace it.

    Args:
        page_path: File to write; replaced atomically.
        title_html: Title, escaped.
        css: Styles of the page.
        body_html: Content, with all text escaped.

    Raises:
        OSError: The file cannot be written.
    """
    page_html = f"""{PAGE_MARKER.decode()}
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title_html}</title>
<style>
{css.rstrip()}
</style>
{body_html}
</html>
"""
    with atomic_write(page_path) as page_file:
        page_file.write(page_html.encode())


def escape_html(raw_text: str) -> str:
    """Escape text for HTML, including characters that cannot be printed."""
    return html.escape(escape_unprintable(raw_text))


def encode_data_url(image_format: str, image_bytes: bytes) -> str:
    """Return an image as a data: URL; `image_format` is e.g. `jpeg`."""
    return f"data:image/{image_format};base64,{base64.b64encode(image_bytes).decode('ascii')}"


def render_frame(jpeg_bytes: bytes, time_text: str) -> str:
    """Return an `<img>` of the frame shown at `time_text`."""
    return f'<img src="{encode_data_url("jpeg", jpeg_bytes)}" alt="frame at {time_text}">'


def build_link(video_path: Path, span: Span) -> str:
    """Return an escaped file URL that browsers play from the span (W3C Media Fragments)."""
    return html.escape(f"{to_file_uri(video_path)}#t={span.start:.2f},{span.end:.2f}")
