"""Download of files by HTTP: resumed after an interruption, not repeated if unchanged.

Next to a file `NAME` a record `DIGEST.json` keeps its validators (ETag, Last-Modified; RFC 9110,
sections 8.8 and 13), and `DIGEST.part` is what was received of an incomplete one.
"""

from __future__ import annotations

import errno
import json
import mimetypes
import os
import re
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from vsearch import __version__
from vsearch.errors import TooLargeError, UnreadableError
from vsearch.media.discovery import PHOTO_SUFFIXES, VIDEO_SUFFIXES
from vsearch.media.urls import DEFAULT_MAX_DOWNLOAD_BYTES, redact_url
from vsearch.storage.atomic_files import PARTIAL_SUFFIX, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path

    import httpx2

RECORD_SUFFIX = ".json"
_DIGEST_CHARS = 12
_MAX_STEM_CHARS = 60
_MAX_RECORD_BYTES = 64 * 1024
_PROGRESS_BYTES = 2**20  # received bytes that count as progress between two attempts
_MIN_RATE = 1024  # bytes per second
_MAX_RETRY_SECONDS = 60.0
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
_REDIRECTS = (301, 302, 303, 307, 308)
_TEMPORARY_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_PLAYLIST_TYPES = ("mpegurl", "dash+xml")
_PAGE_STARTS = (b"<!doctype html", b"<html", b"#extm3u")
_REASONS = {
    401: "requires a password; write it as https://USER:PASSWORD@HOST/…",
    403: "may not be read; check the link, which may have expired",
    404: "does not exist; check the URL",
    410: "does not exist any more",
}


class WebPageError(UnreadableError):
    """Raised if a URL is a web page or a playlist of a stream, not a media file."""


class _InterruptedError(Exception):
    """Raised if a download failed for a reason that may be temporary."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after  # seconds


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """Limits of a download.

    Attributes:
        max_bytes: Largest file.
        max_redirects: Redirects that are followed.
        max_attempts: Attempts in a row without progress.
        retry_seconds: Pause after the first failed attempt; doubled for each further one.
        timeout_seconds: Longest time without an answer.
        stall_seconds: Time in which at least 1 KB per second must arrive.
    """

    max_bytes: int = DEFAULT_MAX_DOWNLOAD_BYTES
    max_redirects: int = 10
    max_attempts: int = 4
    retry_seconds: float = 1.0
    timeout_seconds: float = 30.0
    stall_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """Progress of one download."""

    url: str  # without credentials
    received_bytes: int
    total_bytes: int | None  # None if the server does not say


@dataclass(frozen=True, slots=True)
class DownloadRecord:
    """Stored facts about a download; empty texts are unknown."""

    url: str = ""  # without credentials
    name: str = ""  # of the complete file
    etag: str = ""
    last_modified: str = ""
    part_etag: str = ""  # of the incomplete file
    part_last_modified: str = ""


def download_file(
    url: str,
    folder: Path,
    options: DownloadOptions = DownloadOptions(),
    on_progress: Callable[[DownloadProgress], None] = lambda _: None,
) -> Path:
    """Download a file, unless it is there and unchanged.

    Args:
        url: URL of http or https, with credentials if the server requires them.
        folder: Folder of downloads, created if necessary.
        options: Limits.
        on_progress: Called while data arrives.

    Returns:
        Path of the complete file.

    Raises:
        WebPageError: It is a web page.
        TooLargeError: It exceeds the limit.
        UnreadableError: It cannot be downloaded; the message names the URL without credentials.
    """
    shown_url = redact_url(url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _Download(url, folder, options, on_progress).run()
    except OSError as error:
        raise UnreadableError(
            f"{shown_url}: cannot be stored in {folder} ({error.strerror or error}); check the "
            "permissions and the free space"
        ) from error


def make_digest(url: str) -> str:
    """Return the digest that names the files of a URL; credentials and fragment do not count."""
    with suppress(ValueError):
        scheme, netloc, path, query, _ = urlsplit(url)
        url = urlunsplit((scheme, netloc.rpartition("@")[2].lower(), path, query, ""))
    return sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]


def make_file_name(title: str, url: str, suffix: str) -> str:
    """Return a file name that is valid everywhere, and unique to the URL.

    Args:
        title: Name from the URL or a page, with any characters.
        url: The URL.
        suffix: Suffix of the file; left out unless it is one of a video or photo.
    """
    stem = re.sub(r"[^\w-]+", "_", title).strip("_-")[:_MAX_STEM_CHARS]
    is_known = suffix.lower() in VIDEO_SUFFIXES | PHOTO_SUFFIXES
    return f"{stem or 'download'}-{make_digest(url)}{suffix.lower() if is_known else ''}"


def guess_file_name(url: str, final_url: str | None = None, media_type: str = "") -> str:
    """Return the name under which a URL is stored.

    Args:
        url: The URL.
        final_url: URL to which it redirects, for URLs without a suffix.
        media_type: MIME type of the file, for URLs without a suffix.
    """
    for named_url in (url, final_url or url):
        stem, dot, suffix = unquote(urlsplit(named_url).path.rpartition("/")[2]).rpartition(".")
        if f".{suffix.lower()}" in VIDEO_SUFFIXES | PHOTO_SUFFIXES:
            return make_file_name(stem, url, f".{suffix}")
    return make_file_name(stem + dot + suffix, url, mimetypes.guess_extension(media_type) or "")


def read_record(folder: Path, url: str) -> DownloadRecord:
    """Return the record of a URL; an empty one if there is none, or it is damaged."""
    digest = make_digest(url)
    try:
        with (folder / f"{digest}{RECORD_SUFFIX}").open("rb") as record_file:
            values = json.loads(record_file.read(_MAX_RECORD_BYTES))
        record = DownloadRecord(**values)
    except (OSError, ValueError, TypeError, RecursionError):
        return DownloadRecord()
    is_valid = all(isinstance(value, str) and value.isprintable() for value in values.values())
    is_own_name = is_valid and re.fullmatch(rf"[\w-]*-{digest}(\.\w+)?", record.name)
    return record if is_valid and (is_own_name or not record.name) else DownloadRecord()


def write_record(folder: Path, url: str, record: DownloadRecord) -> None:
    """Write the record of a URL; raises OSError."""
    content = json.dumps(asdict(record), indent=1).encode("ascii")
    replace_file(folder / f"{make_digest(url)}{RECORD_SUFFIX}", content)


class _Download:
    """The download of one URL."""

    def __init__(
        self,
        url: str,
        folder: Path,
        options: DownloadOptions,
        on_progress: Callable[[DownloadProgress], None],
    ) -> None:
        self._url, self._folder, self._options = url, folder, options
        self._shown_url, self._on_progress = redact_url(url), on_progress
        self._part_path = folder / f"{make_digest(url)}{PARTIAL_SUFFIX}"
        self._record = read_record(folder, url)

    def run(self) -> Path:
        """Download until the file is complete, or attempts fail without progress."""
        failed_attempts, best_size = 0, self._part_size()
        while True:
            try:
                return self._attempt()
            except _InterruptedError as error:
                failed_attempts += 1
                if self._part_size() >= best_size + _PROGRESS_BYTES:
                    failed_attempts, best_size = 1, self._part_size()
                if failed_attempts >= self._options.max_attempts:
                    raise UnreadableError(
                        f"{self._shown_url}: {error}; run the command again to continue"
                    ) from error
                pause = self._options.retry_seconds * 2 ** (failed_attempts - 1)
                time.sleep(min(max(pause, error.retry_after), _MAX_RETRY_SECONDS))

    def _attempt(self) -> Path:
        """Send a request and receive its body; raise _InterruptedError if another may succeed."""
        import httpx2  # deferred: most runs download nothing

        part_size = self._part_size()
        try:
            with self._open_response(self._request_headers(part_size)) as response:
                return self._receive(response, part_size)
        except httpx2.TransportError as error:
            if "CERTIFICATE" in str(error):
                raise UnreadableError(
                    f"{self._shown_url}: the certificate of the server is not valid; check the URL"
                ) from error
            reason = "no answer in time" if isinstance(error, httpx2.TimeoutException) else error
            raise _InterruptedError(f"the connection failed ({reason})") from error
        except (httpx2.InvalidURL, httpx2.HTTPError, ValueError) as error:
            raise UnreadableError(f"{self._shown_url}: is not a valid URL; check it") from error

    def _request_headers(self, part_size: int) -> dict[str, str]:
        """Return the headers that ask for the rest, or for the file if it has changed."""
        headers = {"Accept-Encoding": "identity", "User-Agent": f"vsearch/{__version__}"}
        validator = self._record.part_etag or self._record.part_last_modified
        if part_size and validator:
            return {**headers, "Range": f"bytes={part_size}-", "If-Range": validator}
        if self._complete_path() is not None:
            if self._record.etag:
                headers["If-None-Match"] = self._record.etag
            elif self._record.last_modified:
                headers["If-Modified-Since"] = self._record.last_modified
        return headers

    @contextmanager
    def _open_response(self, headers: dict[str, str]) -> Iterator[httpx2.Response]:
        """Send a request, following redirects to http and https."""
        import httpx2

        url, auth = httpx2.URL(self._url), None
        if url.userinfo:
            auth = (url.username, url.password)
        url, origin = url.copy_with(username=None, password=None, fragment=None), _origin(url)
        with httpx2.Client(
            timeout=self._options.timeout_seconds,
            trust_env=url.host not in _LOOPBACK_HOSTS,  # no proxy for loopback
            follow_redirects=False,
        ) as client:
            for _ in range(self._options.max_redirects + 1):
                request = client.build_request("GET", url, headers=headers)
                response = client.send(
                    request, stream=True, auth=auth if _origin(url) == origin else None
                )
                try:
                    location = response.headers.get("location")
                    if response.status_code not in _REDIRECTS or not location:
                        yield response
                        return
                    next_url = httpx2.URL(urljoin(str(url), location))
                finally:
                    response.close()
                if next_url.scheme not in ("http", "https") or not next_url.host:
                    raise UnreadableError(
                        f"{self._shown_url}: redirects to {redact_url(str(next_url))}, which is "
                        "not a URL of http or https; nothing was downloaded"
                    )
                url = next_url.copy_with(username=None, password=None, fragment=None)
        raise UnreadableError(
            f"{self._shown_url}: redirects more than {self._options.max_redirects} times; "
            "check the URL"
        )

    def _receive(self, response: httpx2.Response, part_size: int) -> Path:
        """Store the body of a response and return the path of the complete file."""
        status, headers = response.status_code, response.headers
        complete_path = self._complete_path()
        if complete_path is not None and self._is_unchanged(response, complete_path):
            return complete_path
        if status == 416 or (status == 206 and not self._continues_part(response, part_size)):
            self._part_path.unlink(missing_ok=True)
            raise _InterruptedError("the file changed while it was downloaded")
        if status in _TEMPORARY_STATUSES:
            retry_after = headers.get("retry-after", "")
            raise _InterruptedError(
                f"the server has a problem (status {status})",
                float(retry_after) if retry_after.isdecimal() and len(retry_after) < 6 else 0.0,
            )
        if status not in (200, 206):
            reason = _REASONS.get(status, f"cannot be read (status {status}); check the URL")
            raise UnreadableError(f"{self._shown_url}: {reason}")
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._check_type(media_type, headers)
        received = part_size if status == 206 else 0
        total_bytes = _parse_total(headers, received)
        self._check_size(total_bytes)
        free_bytes = shutil.disk_usage(self._folder).free
        if total_bytes is not None and total_bytes - received > free_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        etag = headers.get("etag", "")
        self._record = replace(
            self._record,
            url=self._shown_url,
            part_etag="" if etag.startswith("W/") else etag,  # weak ones do not prove equal bytes
            part_last_modified=headers.get("last-modified", ""),
        )
        write_record(self._folder, self._url, self._record)
        # unbuffered: a kill loses nothing that was received
        with self._part_path.open("ab" if received else "wb", buffering=0) as part_file:
            self._store_body(response, part_file, received, total_bytes)
            os.fsync(part_file.fileno())
        file_name = guess_file_name(self._url, str(response.url), media_type)
        return self._finish(file_name, headers)

    def _store_body(
        self,
        response: httpx2.Response,
        part_file: FileIO,
        received: int,
        total_bytes: int | None,
    ) -> None:
        """Append the body to the incomplete file, within the limits of size and time."""
        window_start, window_bytes, is_first = time.monotonic(), 0, not received
        self._on_progress(DownloadProgress(self._shown_url, received, total_bytes))
        for chunk in response.iter_raw():
            if is_first and chunk.lstrip()[:20].lower().startswith(_PAGE_STARTS):
                raise WebPageError(f"{self._shown_url}: is a web page or a playlist, not a video")
            is_first = False
            received += len(chunk)
            window_bytes += len(chunk)
            self._check_size(received)
            part_file.write(chunk)
            self._on_progress(DownloadProgress(self._shown_url, received, total_bytes))
            window_seconds = time.monotonic() - window_start
            if window_seconds > self._options.stall_seconds:
                if window_bytes < _MIN_RATE * window_seconds:
                    raise _InterruptedError("the server sends less than 1 KB per second")
                window_start, window_bytes = time.monotonic(), 0
        if total_bytes is not None and received < total_bytes:
            raise _InterruptedError("the connection was closed too early")

    def _finish(self, file_name: str, headers: httpx2.Headers) -> Path:
        """Give the complete file its name and time, and record its validators."""
        last_modified = headers.get("last-modified", "")
        if self._record.name and (self._folder / self._record.name).exists():
            file_name = self._record.name  # a changed file keeps its path
        file_path = self._folder / file_name
        with suppress(ValueError, OverflowError, OSError):
            modified_seconds = parsedate_to_datetime(last_modified).timestamp()
            os.utime(self._part_path, (modified_seconds, modified_seconds))
        self._part_path.replace(file_path)
        self._record = DownloadRecord(
            self._shown_url, file_name, headers.get("etag", ""), last_modified
        )
        write_record(self._folder, self._url, self._record)
        return file_path

    def _is_unchanged(self, response: httpx2.Response, complete_path: Path) -> bool:
        """Return whether the file is there already, also of a server that ignores conditions."""
        if response.status_code != 200:
            return response.status_code == 304
        etag, last_modified = (response.headers.get(name) for name in ("etag", "last-modified"))
        if etag or self._record.etag:
            return bool(etag == self._record.etag)
        if last_modified or self._record.last_modified:
            return bool(last_modified == self._record.last_modified)
        return _parse_total(response.headers, 0) == complete_path.stat().st_size

    def _continues_part(self, response: httpx2.Response, part_size: int) -> bool:
        """Return whether a partial response is the rest of the incomplete file."""
        range_match = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
        etag = response.headers.get("etag", "")
        is_same_file = etag in ("", self._record.part_etag) or not self._record.part_etag
        return bool(range_match and int(range_match[1]) == part_size and is_same_file)

    def _check_type(self, media_type: str, headers: httpx2.Headers) -> None:
        """Raise UnreadableError if a response is not a media file."""
        encoding = headers.get("content-encoding", "identity").lower()
        if media_type in _PAGE_TYPES or media_type.endswith(_PLAYLIST_TYPES):
            raise WebPageError(f"{self._shown_url}: is a web page or a playlist, not a video")
        has_media_suffix = "." in guess_file_name(self._url)
        is_text = media_type.startswith("text/") or media_type.endswith(("json", "xml"))
        if is_text and not has_media_suffix:
            raise UnreadableError(f"{self._shown_url}: is {media_type}, not a video; check the URL")
        if encoding != "identity":
            raise UnreadableError(
                f"{self._shown_url}: is sent compressed ({encoding[:20]}), which is not supported; "
                "download the file with a browser"
            )

    def _check_size(self, size_bytes: int | None) -> None:
        if size_bytes is not None and size_bytes > self._options.max_bytes:
            self._part_path.unlink(missing_ok=True)
            raise TooLargeError(
                f"{self._shown_url}: is larger than {self._options.max_bytes / 1e9:g} GB; allow "
                "more with --max-download"
            )

    def _complete_path(self) -> Path | None:
        file_path = self._folder / self._record.name
        return file_path if self._record.name and file_path.is_file() else None

    def _part_size(self) -> int:
        try:
            return self._part_path.stat().st_size
        except OSError:
            return 0


def _origin(url: httpx2.URL) -> tuple[Any, ...]:
    return url.scheme, url.host, url.port


def _parse_total(headers: httpx2.Headers, received: int) -> int | None:
    """Return the size of the whole file; None if it is not announced."""
    if range_match := re.fullmatch(r"bytes .*/([0-9]{1,18})", headers.get("content-range", "")):
        return int(range_match[1])
    length_text = headers.get("content-length", "")
    return received + int(length_text) if re.fullmatch(r"[0-9]{1,18}", length_text) else None
