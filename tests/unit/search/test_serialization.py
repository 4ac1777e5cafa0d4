"""Results and videos as JSON and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vsearch.search.serialization import (
    moment_from_dict,
    moment_to_dict,
    video_from_dict,
    video_to_dict,
)
from vsearch.types import Explanation, FrameWeight, Moment, Quote, ScoreShares, Span, Video

VIDEO = Video(
    7, Path("/films/a b.mp4"), "ab", 3, 4, 9.5, 25.0, 64, 36, "h264", 9, "cut off", "builtin",
    datetime(2024, 5, 17, 10, 30, tzinfo=UTC), True,
)  # fmt: skip
EXPLANATION = Explanation(
    1.5, 0.25, 2, is_copy=True, frame_weights=(FrameWeight(1.0, 0.75),),
    step_spans=(Span(1, 2), Span(3, 4)), quotes=(Quote("speech", Span(1, 2), "thank you", 0.5),),
    score_shares=ScoreShares(0.5, 0.25, 0.25), duplicates_hidden=3,
)  # fmt: skip


@pytest.mark.parametrize("explanation", [EXPLANATION, Explanation(0.5, 0.125, 1)])
@pytest.mark.parametrize("confidence", [None, 0.125])
def test_a_moment_survives_a_round_trip(explanation: Explanation, confidence: float | None) -> None:
    moment = Moment(VIDEO, Span(1.25, 2.5), 0.5, confidence, explanation)
    data = {**moment_to_dict(1, moment), "video": video_to_dict(VIDEO)}
    assert moment_from_dict(json.loads(json.dumps(data))) == moment


def test_explanation_fields_have_public_names() -> None:
    data = moment_to_dict(1, Moment(VIDEO, Span(1, 2), 0.5, None, EXPLANATION))
    assert set(data["explanation"]) == {
        "peak", "peak_score", "segment_count", "is_copy", "frame_weights", "quotes",
        "score_shares", "steps", "duplicates_hidden",
    }  # fmt: skip
    assert data["explanation"]["score_shares"] == {"visual": 0.5, "speech": 0.25, "ocr": 0.25}
    assert data["explanation"]["frame_weights"] == [{"time": 1.0, "weight": 0.75}]


def test_a_video_survives_a_round_trip() -> None:
    assert video_from_dict(json.loads(json.dumps(video_to_dict(VIDEO)))) == VIDEO


@pytest.mark.parametrize("missing_field", ["path", "duration", "video_id"])
def test_a_missing_field_is_an_error(missing_field: str) -> None:
    data = video_to_dict(VIDEO)
    del data[missing_field]
    with pytest.raises(KeyError):
        video_from_dict(data)


def test_unknown_transcript_sources_are_rejected() -> None:
    data = {
        **moment_to_dict(1, Moment(VIDEO, Span(1, 2), 0.5, None, EXPLANATION)),
        "video": video_to_dict(VIDEO),
    }
    data["explanation"]["quotes"][0]["source"] = "elsewhere"
    with pytest.raises(ValueError, match="unknown transcript source"):
        moment_from_dict(data)
