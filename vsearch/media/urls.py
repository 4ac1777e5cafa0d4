"""Messages for paths that do not exist, in particular URLs, which vsearch does not open."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

# at least two letters: one is a drive of Windows. `Path` joins the slashes to one
_URL_RE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,3}(?=.)", re.DOTALL)
_STREAM_SCHEMES = frozenset(("rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "mms", "tcp"))


def describe_missing(given_path: str | Path) -> str:
    """Return the message for a file that does not exist; of a URL, the way to use it.

    Args:
        given_path: The path as the user wrote it.
    """
    return describe_url(given_path) or f"{given_path}: there is no such file; check the path"


def describe_url(given_path: str | Path) -> str | None:
    """Return a message if a path is a URL, else None.

    Args:
        given_path: The path as the user wrote it.
    """
    path_text = str(given_path)
    url_match = _URL_RE.match(path_text)
    if url_match is None or os.path.lexists(path_text):
        return None
    scheme = url_match[1].lower()
    if scheme == "file":
        local_path = unquote(urlsplit(path_text).path)
        return f"{path_text}: is a URL; write the path of the file instead: {local_path}"
    url = f"{url_match[1]}://{path_text[url_match.end() :]}"
    if scheme in _STREAM_SCHEMES:
        return (
            f"{url}: is the URL of a stream, which vsearch does not open; record it to a file "
            "first, e.g. with ffmpeg"
        )
    return f"{url}: is a URL, which vsearch does not open; download the file first"
