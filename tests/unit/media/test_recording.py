"""Place, camera and local time in the metadata of videos and photos."""

from __future__ import annotations

import math
import struct
import time
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.ExifTags import GPS, IFD, Base

from tests.support.photo_factory import make_exif, make_photo
from tests.support.subtitle_factory import add_subtitle_stream
from tests.support.video_factory import make_video
from vsearch.media.exif import read_exif_recording
from vsearch.media.gpmf import _read_entries, _Telemetry
from vsearch.media.recording import (
    Recording,
    find_drone_location,
    format_camera,
    make_location,
    parse_iso6709,
    parse_utc_offset,
    read_recording,
)
from vsearch.media.sampler import probe_video
from vsearch.types import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from PIL import Image

MUNICH = Location(48.1375, 11.5755)
NOON = datetime(2024, 5, 17, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+48.1375+011.5755+520.123/", MUNICH),
        ("+48.1375+011.5755/", MUNICH),
        ("+48.1375+11.5755", MUNICH),
        ("-33.8568+151.2153/", Location(-33.8568, 151.2153)),
        ("+27.5916-086.5640+8850CRSWGS_84/", Location(27.5916, -86.564)),
        ("-3351.408+15112.918/", Location(-33.8568, 151.215300)),
        ("+403559.5-0735430/", Location(40.599861, -73.908333)),
        ("+00+000/", None),
        ("+91+011/", None),
        ("+48+181/", None),
        ("+486100+0110000/", Location(49.016667, 11.0)),
        ("nan+nan/", None),
        ("48.1375,11.5755", None),
        ("+" + "4" * 5000, None),
        ("", None),
    ],
)
def test_locations_of_videos(text: str, expected: Location | None) -> None:
    assert parse_iso6709(text) == expected


@given(st.text(alphabet="+-.0123456789/CRSWG_ \0é", max_size=200))
def test_any_text_yields_a_location_or_none(text: str) -> None:
    location = parse_iso6709(text)
    assert location is None or (abs(location.latitude) <= 90 and abs(location.longitude) <= 180)


@pytest.mark.parametrize(
    ("make", "model", "expected"),
    [
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
        ("Canon", "Canon EOS R5\0\0", "Canon EOS R5"),
        ("samsung", None, "samsung"),
        (None, "DJI\nFC3582\x1b[31m", "DJI FC3582 [31m"),
        ("A" * 5000, "B" * 5000, None),
        (" ", "\0", None),
    ],
)
def test_cameras(make: str | None, model: str | None, expected: str | None) -> None:
    assert format_camera(make, model) == expected


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("+02:00", 120), ("-0330", -210), ("Z", 0), ("+15:00", None), ("2", None), ("", None)],
)
def test_utc_offsets(text: str, minutes: int | None) -> None:
    assert parse_utc_offset(text) == minutes


def write_video(path: Path, metadata: dict[str, str]) -> Path:
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata.update(metadata)
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


@pytest.mark.parametrize(
    ("name", "metadata", "expected"),
    [
        (
            "iphone.mov",
            {
                "com.apple.quicktime.location.ISO6709": "+48.1375+011.5755+520.0/",
                "com.apple.quicktime.make": "Apple",
                "com.apple.quicktime.model": "iPhone 12",
                "com.apple.quicktime.creationdate": "2024-05-17T12:30:00+0200",
            },
            Recording(NOON, 120, MUNICH, "Apple iPhone 12"),
        ),
        (
            "winter in london.mov",
            {"com.apple.quicktime.creationdate": "2024-01-17T12:30:00+0000"},
            Recording(datetime(2024, 1, 17, 12, 30, tzinfo=UTC), 0),
        ),
        (
            "android.mp4",
            {
                "location": "+48.1375+011.5755/",
                "com.android.manufacturer": "Google",
                "com.android.model": "Pixel 8",
                "com.samsung.android.utc_offset": "+0200",
                "creation_time": "2024-05-17T10:30:00Z",
            },
            Recording(NOON, 120, MUNICH, "Google Pixel 8"),
        ),
        (
            "film.mkv",
            {"LOCATION": "+48.1375+011.5755/", "creation_time": "2024-05-17T10:30:00Z"},
            Recording(NOON, None, MUNICH),
        ),
        (
            "hostile.mp4",
            {
                "com.apple.quicktime.location.ISO6709": "+99999999+NaN/",
                "com.apple.quicktime.make": "\x1b]0;x\x07" * 500,
                "com.apple.quicktime.creationdate": "2024-05-17T12:30:00+2359",
            },
            Recording(datetime(2024, 5, 16, 12, 31, tzinfo=UTC), None),
        ),
        ("plain.mp4", {}, Recording()),
    ],
)
def test_metadata_of_a_container(
    tmp_path: Path, name: str, metadata: dict[str, str], expected: Recording
) -> None:
    assert probe_video(write_video(tmp_path / name, metadata)).recording == expected


@pytest.fixture
def in_kathmandu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the computer's time zone to UTC+05:45."""
    monkeypatch.setenv("TZ", "<+0545>-05:45")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("exif", "recorded_at", "offset"),
    [
        (make_exif("2024:05:17 12:30:00", "+02:00"), NOON, 120),
        (
            make_exif("2024:05:17 12:30:00", "+02:00", fraction="25"),
            NOON.replace(microsecond=250_000),
            120,
        ),
        (make_exif("2024:05:17 12:30:00", gps_time="2024:05:17 10:29:12"), NOON, 120),
        (make_exif("", gps_time="2024:05:17 10:30:00"), NOON, None),
        (make_exif("2024:05:17 16:15:00"), NOON, 345),  # that of the computer
        (make_exif("2024:05:17 16:15:00", "+99:00"), NOON, 345),
        (make_exif("0000:00:00 00:00:00"), None, None),
        (make_exif("1970:01:01 00:00:00"), None, None),
        (make_exif("2999:01:01 00:00:00"), None, None),
        (make_exif("long ago"), None, None),
        (make_exif(), None, None),
    ],
)
@pytest.mark.usefixtures("in_kathmandu")
def test_dates_of_photos(
    tmp_path: Path, exif: Image.Exif, recorded_at: datetime | None, offset: int | None
) -> None:
    recording = probe_video(make_photo(tmp_path / "a.jpg", exif=exif)).recording
    assert (recording.recorded_at, recording.utc_offset_minutes) == (recorded_at, offset)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif"])
def test_place_and_camera_of_photos(tmp_path: Path, name: str) -> None:
    exif = make_exif(gps=(-33.8568, 151.2153), camera=("Canon", "Canon EOS R5"))
    recording = probe_video(make_photo(tmp_path / name, exif=exif)).recording
    assert recording.camera == "Canon EOS R5"
    assert recording.location is not None
    assert recording.location.latitude == pytest.approx(-33.8568, abs=1e-4)
    assert recording.location.longitude == pytest.approx(151.2153, abs=1e-4)


@pytest.mark.parametrize(
    "angle", [(91, 0, 0), (math.nan, 0, 0), (math.inf, 0, 0), (1,), (), "48", b"\xff", None, 7]
)
def test_hostile_values_are_ignored(angle: object) -> None:
    class HostileExif(dict[int, object]):
        def get_ifd(self, ifd: int) -> dict[int, object]:
            if ifd == IFD.GPSInfo:
                return {GPS.GPSLatitude: angle, GPS.GPSLongitude: angle, GPS.GPSTimeStamp: angle}
            return {Base.DateTimeOriginal: angle, Base.Make: angle, Base.SubsecTimeOriginal: angle}

    recording = read_exif_recording(HostileExif())  # type: ignore[arg-type]
    assert (recording.recorded_at, recording.location) == (None, None)


def test_damaged_exif_data_does_not_stop_a_photo(tmp_path: Path) -> None:
    photo = make_photo(tmp_path / "a.jpg", exif=make_exif("2024:05:17 12:30:00", gps=(48, 11)))
    content = bytearray(photo.read_bytes())
    start = content.index(b"Exif\0\0")
    generator = np.random.default_rng(0)
    for position in generator.integers(start + 6, start + 180, 60):
        content[position] = generator.integers(256)
        photo.write_bytes(content)
        assert probe_video(photo).width == 160


@pytest.mark.parametrize(
    "text",
    [
        "FrameCnt: 1, DiffTime: 33ms\n[iso : 110] [latitude: 48.1375] [longtitude: 11.5755]",
        "[latitude : 48.1375] [longitude : 11.5755] [altitude: 500.0]",
        "[iso: 100] [latitude: 48.1375 longitude: 11.5755] [rel_alt: 1.2]",
        "HOME(11.5,48.1) GPS(11.5755,48.1375,19) BAROMETER:92.8",
        "F/2.8, SS 60.5, ISO 100, GPS (11.5755, 48.1375, 17), D 25.3m",
    ],
)
def test_subtitles_of_drones(text: str) -> None:
    unfixed = "[latitude: 0.000000] [longtitude: 0.000000]"
    assert find_drone_location([unfixed, text]) == MUNICH
    assert find_drone_location([unfixed] * 10 + [text]) is None


def test_ordinary_subtitles_have_no_place() -> None:
    assert (
        find_drone_location(["We use GPS (or maps)", "latitude: none", "GPS(999.0,99.0,1)"]) is None
    )


def entry(key: str, kind: str, samples: bytes, count: int = 1) -> bytes:
    """Return a GPMF entry, padded to four bytes."""
    header = struct.pack(">4scBH", key.encode(), kind.encode(), len(samples) // count, count)
    return header + samples + bytes(-len(samples) % 4)


def nest(key: str, *entries: bytes) -> bytes:
    content = b"".join(entries)
    return struct.pack(">4sBBH", key.encode(), 0, 1, len(content)) + content


def gps5_packet(fix: int = 3) -> bytes:
    return nest(
        "DEVC",
        entry("DVID", "L", struct.pack(">I", 1)),
        entry("DVNM", "c", b"Hero7 Black"),
        nest("STRM", entry("SCAL", "s", struct.pack(">h", 418)), entry("ACCL", "s", bytes(6))),
        nest(
            "STRM",
            entry("GPSF", "L", struct.pack(">I", fix)),
            entry("GPSU", "U", b"240517103000.000"),
            entry("SCAL", "l", struct.pack(">5i", 10**7, 10**7, 1000, 1000, 100), 5),
            entry(
                "GPS5",
                "l",
                struct.pack(">5i", 481375000, 115755000, 520000, 0, 0) * 2,
                2,
            ),
        ),
    )


def test_telemetry_of_a_gopro() -> None:
    telemetry = _Telemetry()
    _read_entries(gps5_packet(fix=0), telemetry)
    assert not telemetry.location  # without a fix
    _read_entries(gps5_packet(), telemetry)
    assert (telemetry.location, telemetry.gps_time) == (MUNICH, NOON)
    assert telemetry.device_name == "Hero7 Black"


def test_telemetry_of_a_newer_gopro() -> None:
    days = (NOON.date() - datetime(2000, 1, 1, tzinfo=UTC).date()).days
    sample = struct.pack(
        ">7i2H", 481375000, 115755000, 520000, 0, 0, days, (10 * 60 + 30) * 60_000, 150, 3
    )
    scales = (10**7, 10**7, 1000, 1000, 100, 1, 1000, 100, 1)
    packet = nest(
        "DEVC",
        entry("DVNM", "c", b"HERO12 Black"),
        nest(
            "STRM", entry("SCAL", "l", struct.pack(">9i", *scales), 9), entry("GPS9", "?", sample)
        ),
    )
    telemetry = _Telemetry()
    _read_entries(packet, telemetry)
    assert (telemetry.location, telemetry.gps_time) == (MUNICH, NOON)


@given(st.binary(max_size=300), st.integers(0, 200))
def test_damaged_telemetry_is_ignored(noise: bytes, position: int) -> None:
    packet = bytearray(gps5_packet())
    packet[position : position + len(noise)] = noise
    for damaged_packet in (bytes(packet), nest("DEVC", *[b"DEVC\0\1\0\0"] * 9) + noise):
        telemetry = _Telemetry()
        _read_entries(damaged_packet, telemetry)
        assert telemetry.location is None or isinstance(telemetry.location, Location)


def write_gopro_video(path: Path, packets: Iterable[bytes]) -> Path:
    """Write a video with a telemetry track: a subtitle track under the names of GoPro."""
    plain_path = make_video(path.with_name("plain.mp4"))
    with av.open(str(plain_path)) as source, av.open(str(path), "w") as target:
        target.metadata["creation_time"] = "2024-05-17T12:30:20Z"
        video_stream = target.add_stream_from_template(source.streams.video[0])
        telemetry_stream = add_subtitle_stream(target, "mov_text", "eng")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video_stream
                target.mux(packet)
        for second, content in enumerate(packets):
            telemetry: av.Packet[Any] = av.Packet(content)
            telemetry.time_base, telemetry.pts, telemetry.dts = Fraction(1), second, second
            telemetry.duration, telemetry.stream = 1, telemetry_stream
            target.mux(telemetry)
    content = path.read_bytes().replace(b"sbtl", b"meta").replace(b"tx3g", b"gpmd")
    path.write_bytes(content.replace(b"SubtitleHandler", b"    GoPro MET  "))
    return path


def test_telemetry_corrects_the_clock(tmp_path: Path) -> None:
    """A GoPro claims that its local time is UTC."""
    path = write_gopro_video(tmp_path / "GX010001.mp4", [gps5_packet(0), gps5_packet()])
    assert probe_video(path).recording == Recording(NOON, 120, MUNICH, "GoPro Hero7 Black")
    path = write_gopro_video(tmp_path / "GX010002.mp4", [gps5_packet(0), b"noise" * 10])
    recording = probe_video(path).recording
    assert recording == Recording(
        datetime(2024, 5, 17, 12, 30, 20, tzinfo=UTC), None, None, "GoPro Hero7 Black"
    )


def test_places_are_on_earth() -> None:
    assert make_location(0.0, 0.0) is None  # a receiver without a fix
    assert make_location(math.nan, 1.0) is None
    assert make_location(0.0, 11.5) == Location(0.0, 11.5)


def test_any_tag_is_read_whatever_its_case() -> None:
    assert read_recording({"Location": "+48.1375+011.5755/"}).location == MUNICH
