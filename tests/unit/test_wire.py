"""What is found, as JSON and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vsearch.types import Heeded, Moment, Quote, Shares, Span, Video, Why
from vsearch.wire import in_library, moment_json, read_moment, read_video, video_json

VIDEO = Video(
    7, Path("/films/a b.mp4"), "ab", 3, 4, 9.5, 25.0, 64, 36, "h264", 9, "cut off", "builtin",
    datetime(2024, 5, 17, 10, 30, tzinfo=UTC), True,
)  # fmt: skip
WHY = Why(
    1.5, 0.25, 2, copy=True, heeded=(Heeded(1.0, 0.75),), steps=(Span(1, 2), Span(3, 4)),
    quotes=(Quote("speech", Span(1, 2), "thank you", 0.5),), shares=Shares(0.5, 0.25, 0.25),
    alike=3,
)  # fmt: skip


@pytest.mark.parametrize("why", [WHY, Why(0.5, 0.125, 1)])
@pytest.mark.parametrize("confidence", [None, 0.125])
def test_a_moment_comes_back_as_it_was(why: Why, confidence: float | None) -> None:
    moment = Moment(VIDEO, Span(1.25, 2.5), 0.5, confidence, why)
    told = {**moment_json(1, moment), "video": video_json(VIDEO)}
    assert read_moment(json.loads(json.dumps(told))) == moment


def test_a_video_comes_back_as_it_was() -> None:
    assert read_video(json.loads(json.dumps(video_json(VIDEO)))) == VIDEO


@pytest.mark.parametrize("lacking", ["path", "duration", "id"])
def test_what_is_not_told_is_an_error(lacking: str) -> None:
    told = video_json(VIDEO)
    del told[lacking]
    with pytest.raises(KeyError):
        read_video(told)


def test_words_of_unknown_origin_are_refused() -> None:
    told = {**moment_json(1, Moment(VIDEO, Span(1, 2), 0.5, None, WHY)), "video": video_json(VIDEO)}
    told["why"]["quotes"][0]["source"] = "elsewhere"
    with pytest.raises(ValueError, match="said or shown"):
        read_moment(told)


def test_whether_it_is_in_the_library_is_known_where_confidence_is() -> None:
    def found(*confidences: float | None) -> list[Moment]:
        return [Moment(VIDEO, Span(1, 2), 0.5, one, WHY) for one in confidences]

    assert in_library(found(None, None)) is None
    assert in_library(found(0.1, 0.9)) is True
    assert in_library(found(0.1, None)) is True
    assert in_library(found(0.1)) is False
    assert in_library([]) is False
