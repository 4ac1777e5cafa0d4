"""`--preview`: thumbnails of results in the terminal, in the form that the terminal supports."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note
from vsearch.cli.terminal_protocol import IMAGE_PROTOCOLS, detect_protocol
from vsearch.errors import VSearchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vsearch.cli.html.contact_sheet import ThumbnailSource
    from vsearch.cli.terminal_protocol import ImageProtocol
    from vsearch.types import Moment

THUMBNAIL_WIDTH = 320  # pixels
MAX_PREVIEWS = 100  # results with a picture
PREVIEW_INDENT = 4  # columns left of a picture
NO_PICTURE = "(no picture)"

preview_option: Callable[[Any], Any] = click.option(
    "--preview",
    type=click.Choice(("auto", *IMAGE_PROTOCOLS)),
    metavar="[=KIND]",
    help="Show a thumbnail below each result in a terminal. KIND forces kitty, iterm, sixel or "
    "blocks (half blocks in color), also into a file or pipe.  [default: what the terminal shows]",
)


def choose_protocol(requested_kind: str | None) -> ImageProtocol | None:
    """Return how to show thumbnails; None: not at all.

    Args:
        requested_kind: Value of --preview; None without the option.
    """
    if requested_kind != "auto":
        return next((kind for kind in IMAGE_PROTOCOLS if kind == requested_kind), None)
    if not sys.stdout.isatty():
        print_note("No thumbnails: this is not a terminal; --preview=blocks forces them.")
        return None
    protocol = detect_protocol(os.environ)
    if protocol is None:
        print_note("No thumbnails: this terminal shows no colors; --preview=blocks forces them.")
    return protocol


def load_previews(
    library: ThumbnailSource,
    ranked_moments: Iterable[tuple[int, Moment]],
    protocol: ImageProtocol | None,
) -> dict[int, str]:
    """Return the text that shows the peak of each moment, by rank.

    Args:
        library: Where the moments are from.
        ranked_moments: Moments with their ranks; the first `MAX_PREVIEWS` get a picture.
        protocol: How to show pictures; None: not at all.
    """
    if protocol is None:
        return {}
    previews: dict[int, str] = {}
    for rank, moment in ranked_moments:
        if len(previews) == MAX_PREVIEWS:
            break
        previews[rank] = _render_preview(library, moment, protocol)
    return previews


def _render_preview(library: ThumbnailSource, moment: Moment, protocol: ImageProtocol) -> str:
    from vsearch.cli.terminal_images import render_image  # deferred: --help needs no numpy

    try:
        image_bytes = library.thumbnail(
            moment.video, moment.explanation.peak_time, width=THUMBNAIL_WIDTH
        )
        return render_image(image_bytes, protocol, indent=PREVIEW_INDENT)
    except (VSearchError, OSError):  # e.g. a missing file, which the row says
        return f"{' ' * PREVIEW_INDENT}{NO_PICTURE}"
