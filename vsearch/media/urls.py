"""URLs among paths: which ones can be downloaded, and messages for the others."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from vsearch.buckets.bucket_path import check_bucket_url, is_bucket_url, to_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

DEFAULT_MAX_DOWNLOAD_BYTES = 20 * 10**9
# at least two letters: one is a drive of Windows. `Path` joins the slashes to one
_URL_RE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,3}(?=.)", re.DOTALL)
_WEB_SCHEMES = ("http", "https")
_SECRET_RE = re.compile(  # parameters of signed and private links
    r"(?i)([?&;][^=&;#]*(?:token|sig|secret|passw|auth|key|credential|policy|session|hash)[^=&;#]*=)"
    r"[^&;#]+"
)
_REDACTED = "REDACTED"
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
    url_match = _match_url(path_text)
    if url_match is None or is_bucket_url(path_text):
        return None
    scheme = url_match[1].lower()
    if scheme == "file":
        local_path = unquote(urlsplit(path_text).path)
        url = f"file:///{path_text[url_match.end() :]}"
        return f"{url}: is a URL; write the path of the file instead: {local_path}"
    url = redact_url(f"{url_match[1]}://{path_text[url_match.end() :]}")
    if scheme in _STREAM_SCHEMES:
        return (
            f"{url}: is the URL of a stream, which vsearch does not open; record it to a file "
            "first, e.g. with ffmpeg"
        )
    if scheme in _WEB_SCHEMES:
        return f"{url}: is a URL; index it with `vsearch index URL`, or download the file first"
    return f"{url}: is a URL, which vsearch does not open; download the file first"


def parse_web_url(given_path: str | Path) -> str | None:
    """Return a path as a URL if it is one of http or https and not an existing file, else None.

    Args:
        given_path: The path or URL as the user wrote it.
    """
    path_text = str(given_path)
    url_match = _match_url(path_text)
    if url_match is None or url_match[1].lower() not in _WEB_SCHEMES:
        return None
    return f"{url_match[1].lower()}://{path_text[url_match.end() :]}"


def split_urls(given_paths: Iterable[str | Path]) -> tuple[list[Path], list[str]]:
    """Return the paths of files on disk and in buckets, and the URLs of http and https.

    Args:
        given_paths: Paths and URLs as the user wrote them.

    Raises:
        SettingsError: If the URL of a bucket is not valid.
    """
    file_paths, urls = [], []
    for given_path in given_paths:
        if (url := parse_web_url(given_path)) is not None:
            urls.append(url)
            continue
        if is_bucket_url(given_path):
            check_bucket_url(os.fspath(given_path))
        file_paths.append(to_path(given_path))
    return file_paths, urls


def redact_url(url: str) -> str:
    """Return a URL that may be stored and printed: without credentials and fragment.

    Args:
        url: The URL.
    """
    try:
        scheme, netloc, path, query, _ = urlsplit(url)
    except ValueError:  # not a valid address
        return re.sub(r"//[^/]*@", "//", url)
    clean_url = urlunsplit((scheme, netloc.rpartition("@")[2], path, query, ""))
    if clean_url.startswith(f"{scheme}:/") and not clean_url.startswith(f"{scheme}://"):
        clean_url = clean_url.replace(":/", "://", 1)  # without a host
    return _SECRET_RE.sub(rf"\g<1>{_REDACTED}", clean_url)


def _match_url(path_text: str) -> re.Match[str] | None:
    """Return a match with the scheme, unless the path exists."""
    url_match = _URL_RE.match(path_text)
    return None if url_match is None or os.path.lexists(path_text) else url_match
