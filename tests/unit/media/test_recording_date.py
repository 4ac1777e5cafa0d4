"""Recording dates in a file's metadata."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.video_factory import RED, ColorScene, make_video
from vsearch.media.recording import EARLIEST_RECORDING, read_recording
from vsearch.media.sampler import probe_video

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-17T10:30:00.000000Z", datetime(2024, 5, 17, 10, 30, tzinfo=UTC)),
        ("2024-05-17T12:30:00+0200", datetime(2024, 5, 17, 10, 30, tzinfo=UTC)),
        ("2024-05-17 10:30:00", datetime(2024, 5, 17, 10, 30, tzinfo=UTC)),
        ("1904-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("2999-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_plausible_dates_are_accepted(text: str, expected: datetime | None) -> None:
    assert read_recording({"creation_time": text}).recorded_at == expected


def test_the_cameras_tag_takes_precedence() -> None:
    file = {"creation_time": "2024-05-17T10:30:00Z"}
    camera = {"com.apple.quicktime.creationdate": "2020-01-02T03:04:05Z"}
    assert read_recording(file, camera).recorded_at == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert read_recording({}, file).recorded_at == datetime(2024, 5, 17, 10, 30, tzinfo=UTC)
    assert read_recording({}, {}).recorded_at is None


@given(st.text())
def test_any_text_yields_a_date_or_none(text: str) -> None:
    when = read_recording({"creation_time": text}).recorded_at
    assert when is None or when >= EARLIEST_RECORDING


def test_the_date_in_a_file_is_read(tmp_path: Path) -> None:
    plain, dated = tmp_path / "plain.mp4", tmp_path / "dated.mp4"
    make_video(plain, [ColorScene(RED, 1)])
    assert probe_video(plain).recording.recorded_at is None
    with av.open(str(plain)) as source, av.open(str(dated), "w") as target:
        target.metadata["creation_time"] = "2024-05-17T10:30:00.000000Z"
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert probe_video(dated).recording.recorded_at == datetime(2024, 5, 17, 10, 30, tzinfo=UTC)
