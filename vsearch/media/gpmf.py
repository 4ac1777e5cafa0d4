"""Read place, time and camera from the telemetry track of GoPro cameras.

Its packets are in the GoPro Metadata Format (GPMF): entries of a four-letter key, a type, the size
and number of samples, and the samples, big-endian and padded to four bytes. Entries of type 0
contain entries. Source: https://github.com/gopro/gpmf-parser.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from vsearch.media.container import read_data_packets
from vsearch.media.recording import (
    Recording,
    format_camera,
    infer_offset,
    is_plausible_date,
    make_location,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Location

TELEMETRY_HANDLER = "GoPro MET"  # part of its name
_MAX_PACKETS = 10  # one per second, read until the receiver has a fix
_MAX_DEPTH = 4  # devices contain streams, which contain entries
_MIN_FIX = 2  # dimensions
_GPS9_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_GPS_SAMPLE_BYTES = {b"GPS5": 20, b"GPS9": 32}


@dataclass(frozen=True, slots=True)
class _Entry:
    key: bytes
    sample_bytes: int
    samples: bytes


@dataclass(slots=True)
class _Telemetry:
    """Values read from packets; the entries of a stream precede its GPS samples."""

    device_name: str | None = None
    location: Location | None = None
    gps_time: datetime | None = None  # UTC
    fix: int = _MIN_FIX  # dimensions of the current stream; assumed where it is not stated
    scales: tuple[int, ...] = ()  # of the current stream


def add_telemetry(recording: Recording, video_path: Path) -> Recording:
    """Add what the first packets of the telemetry contain to the metadata of a recording.

    The clock of the camera is set to local time, which its files claim to be UTC; the time from the
    satellites corrects it.

    Args:
        recording: Metadata of the container.
        video_path: A file with a telemetry stream.
    """
    telemetry = _Telemetry()
    for packet_bytes in read_data_packets(video_path, TELEMETRY_HANDLER, _MAX_PACKETS):
        _read_entries(packet_bytes, telemetry)
        if telemetry.location is not None:
            break
    return _merge(recording, telemetry)


def _merge(recording: Recording, telemetry: _Telemetry) -> Recording:
    recorded_at, utc_offset_minutes = recording.recorded_at, recording.utc_offset_minutes
    if telemetry.location is not None and telemetry.gps_time is not None:
        if recorded_at is not None:
            utc_offset_minutes = infer_offset(recorded_at, telemetry.gps_time)
        recorded_at = telemetry.gps_time
    return replace(
        recording,
        recorded_at=recorded_at,
        utc_offset_minutes=utc_offset_minutes,
        location=recording.location or telemetry.location,
        camera=recording.camera or format_camera("GoPro", telemetry.device_name),
    )


def _iter_entries(packet_bytes: bytes) -> Iterator[_Entry]:
    position = 0
    while position + 8 <= len(packet_bytes):
        key, type_code, sample_bytes, sample_count = struct.unpack_from(
            ">4sBBH", packet_bytes, position
        )
        end = position + 8 + sample_bytes * sample_count
        samples = packet_bytes[position + 8 : end]
        yield _Entry(key, 0 if type_code == 0 else sample_bytes, samples)
        position += 8 + (end - position - 8 + 3) // 4 * 4


def _read_entries(packet_bytes: bytes, telemetry: _Telemetry, depth: int = 0) -> None:
    for entry in _iter_entries(packet_bytes):
        if entry.sample_bytes == 0:
            if entry.key == b"STRM":
                telemetry.fix, telemetry.scales = _MIN_FIX, ()
            if depth < _MAX_DEPTH:
                _read_entries(entry.samples, telemetry, depth + 1)
        elif telemetry.location is None:
            _read_entry(entry, telemetry)


def _read_entry(entry: _Entry, telemetry: _Telemetry) -> None:
    if entry.key == b"DVNM":
        telemetry.device_name = entry.samples.decode("latin-1")
    elif entry.key == b"GPSF" and len(entry.samples) >= 4:
        telemetry.fix = struct.unpack_from(">I", entry.samples)[0]
    elif entry.key == b"GPSU":
        telemetry.gps_time = _parse_gps_time(entry.samples)
    elif entry.key == b"SCAL" and entry.sample_bytes == 4:
        scale_count = min(9, len(entry.samples) // 4)
        telemetry.scales = struct.unpack_from(f">{scale_count}i", entry.samples)
    elif len(entry.samples) >= entry.sample_bytes == _GPS_SAMPLE_BYTES.get(entry.key):
        _read_fix(entry, telemetry)


def _read_fix(entry: _Entry, telemetry: _Telemetry) -> None:
    """Read the first sample of a GPS5 or GPS9 entry."""
    if len(telemetry.scales) < 5 or not all(telemetry.scales):
        return
    latitude, longitude = struct.unpack_from(">2i", entry.samples)
    if entry.key == b"GPS9" and len(telemetry.scales) >= 7:
        days, seconds, _, telemetry.fix = struct.unpack_from(">2i2H", entry.samples, 20)
        telemetry.gps_time = _compute_gps_time(
            days / telemetry.scales[5], seconds / telemetry.scales[6]
        )
    if telemetry.fix >= _MIN_FIX:
        telemetry.location = make_location(
            latitude / telemetry.scales[0], longitude / telemetry.scales[1]
        )


def _compute_gps_time(days: float, seconds: float) -> datetime | None:
    try:
        gps_time = _GPS9_EPOCH + timedelta(days=days, seconds=seconds)
    except OverflowError:
        return None
    return gps_time if is_plausible_date(gps_time) else None


def _parse_gps_time(time_bytes: bytes) -> datetime | None:
    """Parse `yymmddhhmmss.sss` in UTC."""
    try:
        gps_time = datetime.strptime(f"{time_bytes[:12].decode('ascii')}Z", "%y%m%d%H%M%S%z")
    except ValueError:
        return None
    return gps_time if is_plausible_date(gps_time) else None
