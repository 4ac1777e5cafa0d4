"""Conversion between catalog rows and objects, vectors and blobs, paths and stored values.

SQLite accepts any value in any column, so the `read_…` functions check what they convert. They
raise ValueError or TypeError for invalid rows.
"""

from __future__ import annotations

import math
import os
import re
from datetime import UTC, datetime
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.buckets.bucket_path import to_path
from vsearch.types import (
    FileIdentity,
    LibraryCounts,
    Location,
    Segment,
    Space,
    SpaceInfo,
    Span,
    Video,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.types import Matrix

    SqlRow = Sequence[Any]

_PATH_SEPARATOR_RE = re.compile(r"[/\\]")
_CAMEL_CASE_RE = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])")
_NAME_WORD_RE = re.compile(r"[^\W\d_]+|\d+")
_MAX_DIM = 65_536  # above any real model; a forged larger value would exhaust memory


def read_space(row: SqlRow) -> Space:
    """Convert the columns name, dim and supports_text."""
    space_name, dim, supports_text = row
    if not isinstance(dim, int) or dim > _MAX_DIM:
        raise ValueError(f"space {space_name!r} has {dim!r} dimensions")
    return Space(str(space_name), dim, bool(supports_text))


def read_space_info(row: SqlRow) -> SpaceInfo:
    """Convert name, dim, supports_text, model, pooler, retired_at_revision and is_active."""
    model, pooler, retired_at_revision, is_active = row[3:]
    return SpaceInfo(
        space=read_space(row[:3]),
        model=_read_optional_text(model),
        pooler=_read_optional_text(pooler),
        retired_at_revision=None if retired_at_revision is None else int(retired_at_revision),
        is_active=bool(is_active),
    )


def read_video(row: SqlRow) -> Video:
    """Convert a row of `videos._SELECT_VIDEO_SQL`."""
    (
        video_id,
        stored_path,
        fingerprint,
        size_bytes,
        mtime_ns,
        duration,
        fps,
        width,
        height,
        codec,
        *other_columns,
    ) = row
    sampled_frames, warning, recorded_text, model, keyframes_only, keyframe_gap = other_columns[:6]
    is_photo, utc_offset_minutes, latitude, longitude, camera, source_url, hex_paths = (
        other_columns[6:]
    )
    return Video(
        id=int(video_id),
        path=decode_path(stored_path),
        fingerprint=str(fingerprint),
        size_bytes=int(size_bytes),
        mtime_ns=int(mtime_ns),
        duration=read_nonnegative(duration),
        fps=read_nonnegative(fps),
        width=int(width),
        height=int(height),
        codec=str(codec),
        sampled_frames=int(sampled_frames),
        warning=_read_optional_text(warning),
        model=_read_optional_text(model),
        recorded_at=None
        if recorded_text is None
        else datetime.fromisoformat(recorded_text).replace(tzinfo=UTC),
        keyframes_only=bool(keyframes_only),
        max_keyframe_gap=None if keyframe_gap is None else read_nonnegative(keyframe_gap),
        is_photo=bool(is_photo),
        utc_offset_minutes=None if utc_offset_minutes is None else int(utc_offset_minutes),
        location=_read_location(latitude, longitude),
        camera=_read_optional_text(camera),
        source_url=_read_optional_text(source_url),
        other_paths=_read_paths(hex_paths),
    )


def _read_paths(hex_paths: str | None) -> tuple[Path, ...]:
    """Convert the joined `hex(path)` of duplicate files."""
    stored_paths = map(bytes.fromhex, hex_paths.split(",") if hex_paths else ())
    return tuple(sorted(map(decode_path, stored_paths)))


def _read_location(latitude: object, longitude: object) -> Location | None:
    if latitude is None or longitude is None:
        return None
    return Location(float(latitude), float(longitude))  # type: ignore[arg-type]


def read_file_identity(row: SqlRow) -> FileIdentity:
    """Convert the columns size_bytes, mtime_ns, ctime_ns, inode and content_digest."""
    size_bytes, mtime_ns, ctime_ns, inode, content_digest = row
    return FileIdentity(
        int(size_bytes),
        int(mtime_ns),
        None if ctime_ns is None else int(ctime_ns),
        _read_optional_text(inode),
        _read_optional_text(content_digest),
    )


def read_segment(row: SqlRow) -> Segment:
    """Convert the columns id, video_id, start and end."""
    segment_id, video_id, start_time, end_time = row
    return Segment(int(segment_id), int(video_id), Span(float(start_time), float(end_time)))


def read_counts(row: SqlRow) -> LibraryCounts:
    """Convert the number of videos, segments, seconds and sampled frames."""
    video_count, segment_count, duration_seconds, frame_count = row
    return LibraryCounts(
        int(video_count), int(segment_count), read_nonnegative(duration_seconds), int(frame_count)
    )


def _read_optional_text(stored_value: object) -> str | None:
    return None if stored_value is None else str(stored_value)


def read_nonnegative(stored_value: float) -> float:
    """Convert a number; raise ValueError unless it is finite and not negative."""
    float_value = float(stored_value)
    if not math.isfinite(float_value) or float_value < 0:
        raise ValueError(f"{stored_value!r} is not a finite number of at least 0")
    return float_value


# Vectors are stored as little-endian float16: half the size, precise to about 3 decimal digits.


def pack(vectors: Matrix) -> list[bytes]:
    """Convert vectors to blobs.

    Args:
        vectors: float32 (N, D), of any length but zero.

    Returns:
        N blobs of little-endian float16 (D,), normalized to unit length.

    Raises:
        ValueError: A vector is zero or not finite.
    """
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)  # (N, 1)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise ValueError("a vector is zero or not finite")
    return [unit_vector.tobytes() for unit_vector in (vectors / norms).astype("<f2")]


def unpack(blobs: Sequence[bytes], dim: int) -> Matrix:
    """Convert blobs to vectors.

    Args:
        blobs: N blobs as returned by `pack`.
        dim: The number of dimensions D.

    Returns:
        float32 (N, D), rows of unit length.

    Raises:
        ValueError: A blob has the wrong length or numbers that are not finite.
    """
    if set(map(len, blobs)) - {2 * dim}:
        raise ValueError(f"a vector does not have {dim} dimensions")
    half_vectors = np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), dim)
    vectors = half_vectors.astype(np.float32)
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]  # (N, 1)
    if not np.isfinite(norms).all():
        raise ValueError("a vector is not finite")
    vectors /= np.maximum(norms, np.finfo(np.float32).tiny)
    return vectors


# A file name can contain any bytes, but text in SQLite is UTF-8. A TEXT column also accepts blobs
# and never considers one equal to a text, so one unique column stores both kinds of paths. In
# PostgreSQL, such a path is stored as a text that is not an absolute path.

_HEX_PATH_PREFIX = "~bytes:"


class PathBytes(bytes):
    """A path that is not valid UTF-8."""


def path_bytes_to_text(path_bytes: PathBytes) -> str:
    """Return a path that is not valid UTF-8 as PostgreSQL stores it."""
    return f"{_HEX_PATH_PREFIX}{path_bytes.hex()}"


def text_to_path(stored_path: str | bytes) -> str | PathBytes:
    """Return a stored path as `encode_path` does, from either database."""
    if isinstance(stored_path, bytes):
        return PathBytes(stored_path)
    if stored_path.startswith(_HEX_PATH_PREFIX):
        return PathBytes(bytes.fromhex(stored_path.removeprefix(_HEX_PATH_PREFIX)))
    return stored_path


def encode_path(file_path: Path) -> str | PathBytes:
    """Return a path as text, or as bytes if it is not valid UTF-8."""
    path_text = str(file_path)
    try:
        path_text.encode()
    except UnicodeEncodeError:
        return PathBytes(os.fsencode(path_text))
    return path_text


def decode_path(stored_path: str | bytes) -> Path:
    """Return the path that `encode_path` converted; raise ValueError if it cannot be one."""
    path_text = decode_path_text(stored_path)
    decoded_path = to_path(path_text)
    is_absolute = decoded_path.is_absolute() or PureWindowsPath(path_text).is_absolute()
    if not is_absolute or "\0" in path_text:
        raise ValueError(f"{path_text[:200]!r} is not an absolute path")
    return decoded_path


def decode_path_text(stored_path: str | bytes) -> str:
    """Return the path that `encode_path` converted, as text and without checking it."""
    path_text = os.fsdecode(stored_path)
    if path_text.startswith(_HEX_PATH_PREFIX):
        return os.fsdecode(bytes.fromhex(path_text.removeprefix(_HEX_PATH_PREFIX)))
    return path_text


def name_words(file_path: Path) -> str:
    """Return the words of a file's name and of its last three folders, for full-text search."""
    path_text = str(file_path).encode("utf-8", "replace").decode()
    *folders, file_name = _PATH_SEPARATOR_RE.split(path_text)[-4:]
    stem = file_name.rpartition(".")[0] or file_name
    return " ".join(split_name(" ".join((*folders, stem))))


def split_name(name_text: str) -> list[str]:
    """Split a name at case changes (`BeachHoliday`), digits and separators."""
    return _NAME_WORD_RE.findall(_CAMEL_CASE_RE.sub(" ", name_text))


def encode_text(plain_text: str) -> str:
    """Escape characters that cannot be stored as UTF-8, e.g. from a file name in a warning."""
    return plain_text.encode("utf-8", "backslashreplace").decode()
