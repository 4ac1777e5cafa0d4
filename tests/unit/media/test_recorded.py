"""When a file says that it was recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth import RED, Scene, make_video
from vsearch.media.recorded import EARLIEST, recorded
from vsearch.media.video import probe

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
def test_a_date_is_believed_if_it_can_be(text: str, expected: datetime | None) -> None:
    assert recorded({"creation_time": text}) == expected


def test_what_the_camera_says_goes_before_what_the_file_says() -> None:
    file = {"creation_time": "2024-05-17T10:30:00Z"}
    camera = {"com.apple.quicktime.creationdate": "2020-01-02T03:04:05Z"}
    assert recorded(file, camera) == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert recorded({}, file) == datetime(2024, 5, 17, 10, 30, tzinfo=UTC)
    assert recorded({}, {}) is None


@given(st.text())
def test_any_text_is_a_date_or_none(text: str) -> None:
    when = recorded({"creation_time": text})
    assert when is None or when >= EARLIEST


def test_the_date_in_a_file_is_read(tmp_path: Path) -> None:
    plain, dated = tmp_path / "plain.mp4", tmp_path / "dated.mp4"
    make_video(plain, [Scene(RED, 1)])
    assert probe(plain).recorded is None
    with av.open(str(plain)) as source, av.open(str(dated), "w") as target:
        target.metadata["creation_time"] = "2024-05-17T10:30:00.000000Z"
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert probe(dated).recorded == datetime(2024, 5, 17, 10, 30, tzinfo=UTC)
