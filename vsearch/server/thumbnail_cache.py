"""On-disk cache of thumbnails and animated previews, bounded in size."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.errors import TransferError
from vsearch.media.file_status import find_file_statuses
from vsearch.media.thumbnails import render_preview, render_thumbnail
from vsearch.server.limits import ConcurrencyLimit
from vsearch.server.problems import Problem
from vsearch.server.uploads import clean_file_name
from vsearch.storage import atomic_files
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.library import Library
    from vsearch.storage.shared_thumbnails import SharedThumbnails
    from vsearch.types import Video

log = logging.getLogger(__name__)
THUMBNAIL_WIDTHS = (160, 320, 640, 1280)  # pixels
MAX_CACHE_BYTES = 2**29
_CHECKSUM_BYTES = 4
_PRUNE_TO_SHARE = 0.9  # of `max_cache_bytes`, left after pruning
_JPEG_MIME, _WEBP_MIME = "image/jpeg", "image/webp"
_SUFFIX_BY_MIME = {_JPEG_MIME: ".jpg", _WEBP_MIME: ".webp"}


@dataclass(frozen=True, slots=True)
class ThumbnailRequest:
    """A thumbnail or preview of a video, and its cache key."""

    video: Video
    span: Span  # seconds; start == end for a thumbnail
    width: int
    mime_type: str

    @property
    def cache_key(self) -> str:
        """Hash of the video, the state of its file, span, width and format.

        The fingerprint is not enough: see `file_identity`. A video that is indexed again has
        another id.
        """
        video_text = f"{self.video.id} {self.video.fingerprint} {self.video.mtime_ns}"
        key_text = f"2 {video_text} {self._span_text} {self.width} {self.mime_type}"
        return hashlib.sha256(key_text.encode()).hexdigest()[:40]

    @property
    def shared_name(self) -> str:
        """Name among all images of the same content, in any library; 1 is the rendering."""
        return f"1-{self._span_text}-{self.width}{_SUFFIX_BY_MIME[self.mime_type]}"

    @property
    def _span_text(self) -> str:
        return f"{round(self.span.start * 1000)}-{round(self.span.end * 1000)}"

    @property
    def file_name(self) -> str:
        """Name of the cached file."""
        return self.cache_key + _SUFFIX_BY_MIME[self.mime_type]


def build_thumbnail_request(video: Video, requested_time: float, width: int) -> ThumbnailRequest:
    """Return the request for the frame at `requested_time` seconds, clamped to the video."""
    frame_time = _clamp_time(video, requested_time)
    return ThumbnailRequest(video, Span(frame_time, frame_time), round_up_width(width), _JPEG_MIME)


def build_preview_request(
    video: Video, requested_start: float, requested_end: float, width: int
) -> ThumbnailRequest:
    """Return the request for an animated preview of a span, clamped to the video."""
    start_time = _clamp_time(video, requested_start)
    return ThumbnailRequest(
        video,
        Span(start_time, max(start_time, _clamp_time(video, requested_end))),
        round_up_width(width),
        _WEBP_MIME,
    )


def round_up_width(requested_width: int) -> int:
    """Return the smallest supported width that is not below `requested_width`."""
    return next(
        (width for width in THUMBNAIL_WIDTHS if width >= requested_width), THUMBNAIL_WIDTHS[-1]
    )


class ThumbnailCache:
    """Thumbnails of a library's videos; rendered each time if the folder is not writable."""

    def __init__(
        self,
        library: Library,
        cache_folder: Path | None = None,
        *,
        max_cache_bytes: int = MAX_CACHE_BYTES,
        shared_thumbnails: SharedThumbnails | None = None,
    ) -> None:
        self._cache_folder = cache_folder or library.cache_path / "thumbnails"
        self._shared_thumbnails = shared_thumbnails
        self._max_cache_bytes = max_cache_bytes
        self._cached_bytes: int | None = None  # approximate; None until counted
        self._lock = threading.Lock()
        self.decode_limit = ConcurrencyLimit(os.cpu_count() or 1)
        self._is_writable = True

    def load_cached(self, thumbnail_request: ThumbnailRequest) -> bytes | None:
        """Return a cached image, or None."""
        try:
            content = (self._cache_folder / thumbnail_request.file_name).read_bytes()
        except OSError:
            return None
        image_bytes, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
        return image_bytes if image_bytes and checksum == _checksum(image_bytes) else None

    def load_or_render(self, thumbnail_request: ThumbnailRequest) -> bytes:
        """Return an image, rendering and caching it if necessary.

        Call it through `decode_limit`, because rendering decodes video.

        Args:
            thumbnail_request: The image to return.

        Returns:
            An encoded JPEG or WebP image.

        Raises:
            MediaError: If the video cannot be decoded.
            Problem: 404 if the file of the video is missing.
        """
        # checked again, because a concurrent request may have rendered it meanwhile
        image_bytes = self.load_cached(thumbnail_request)
        if image_bytes is not None:
            return image_bytes
        video_id, shared_name = thumbnail_request.video.id, thumbnail_request.shared_name
        shared_thumbnails = self._shared_thumbnails
        if shared_thumbnails is not None and (
            stored_bytes := shared_thumbnails.load(video_id, shared_name)
        ):
            self._store_image(thumbnail_request.file_name, stored_bytes)
            return stored_bytes
        image_bytes = _render_thumbnail(thumbnail_request)
        # a changed file no longer matches the fingerprint in the cache key
        if _is_unchanged(thumbnail_request.video):
            self._store_image(thumbnail_request.file_name, image_bytes)
            if shared_thumbnails is not None:
                shared_thumbnails.save(video_id, shared_name, image_bytes)
        return image_bytes

    def _store_image(self, file_name: str, image_bytes: bytes) -> None:
        if not self._is_writable:
            return
        try:
            with self._lock:
                if self._cached_bytes is None:
                    shutil.rmtree(self._cache_folder.with_name("stills"), ignore_errors=True)
                    self._cache_folder.mkdir(parents=True, exist_ok=True)
                    atomic_files.remove_partial_files(self._cache_folder)
                    self._cached_bytes = sum(file_bytes for _, file_bytes, _ in self._list_files())
            atomic_files.replace_file(
                self._cache_folder / file_name, image_bytes + _checksum(image_bytes)
            )
            with self._lock:
                self._cached_bytes += len(image_bytes)
                if self._cached_bytes > self._max_cache_bytes:
                    self._cached_bytes = self._prune_oldest()
        except OSError as error:
            self._is_writable = False
            log.warning("%s: thumbnails are not cached (%s)", self._cache_folder, error.strerror)

    def _prune_oldest(self) -> int:
        """Delete the oldest images and return the bytes left."""
        cached_files = sorted(self._list_files())
        total_bytes = sum(file_bytes for _, file_bytes, _ in cached_files)
        for _, file_bytes, file_path in cached_files:
            if total_bytes <= self._max_cache_bytes * _PRUNE_TO_SHARE:
                break
            file_path.unlink(missing_ok=True)
            total_bytes -= file_bytes
        return total_bytes

    def _list_files(self) -> list[tuple[int, int, Path]]:
        """Return (mtime in ns, bytes, path) of each image; other processes may delete some."""
        cached_files = []
        for file_suffix in _SUFFIX_BY_MIME.values():
            for file_path in self._cache_folder.glob(f"*{file_suffix}"):
                try:
                    file_stat = file_path.stat()
                except FileNotFoundError:
                    continue
                cached_files.append((file_stat.st_mtime_ns, file_stat.st_size, file_path))
        return cached_files


def _checksum(image_bytes: bytes) -> bytes:
    """Return the end of a cached file, which viewers of images ignore."""
    return zlib.crc32(image_bytes).to_bytes(_CHECKSUM_BYTES, "little")


def require_file(video: Video) -> Path:
    """Return the path of a video's file.

    Raises:
        Problem: 404 if the file is missing.
    """
    try:
        file_exists = video.path.is_file()
    except (OSError, ValueError, TransferError):
        file_exists = False
    if not file_exists:
        display_name = clean_file_name(video.path.name)
        is_offline = find_file_statuses([video.path])[video.path] == "offline"
        reason = (
            "is offline: its drive or folder is gone; connect the drive"
            if is_offline
            else "was moved or deleted; index the folder it is in now"
        )
        raise Problem(404, "gone", f"{display_name} {reason}")
    return video.path


def _is_unchanged(video: Video) -> bool:
    """Return True if the file has not changed since it was indexed."""
    try:
        file_stat = video.path.stat()
    except OSError:
        return False
    return (file_stat.st_size, file_stat.st_mtime_ns) == (video.size_bytes, video.mtime_ns)


def _render_thumbnail(thumbnail_request: ThumbnailRequest) -> bytes:
    video_path = require_file(thumbnail_request.video)
    if thumbnail_request.mime_type == _WEBP_MIME:
        return render_preview(video_path, thumbnail_request.span, max_width=thumbnail_request.width)
    return render_thumbnail(
        video_path, thumbnail_request.span.start, max_width=thumbnail_request.width
    )


def _clamp_time(video: Video, requested_time: float) -> float:
    """Clamp a time to the video and round it to milliseconds."""
    return round(min(max(requested_time, 0.0), max(video.duration, 0.0)), 3)
