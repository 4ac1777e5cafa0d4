"""`at:`: nothing outside of the requested part of a video is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.query.parser import parse_query
from vsearch.query.times import OPEN_END_SECONDS
from vsearch.search.time_ranges import TimeRanges
from vsearch.types import Cue, Features, FrameWeight, Moment, Space, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.types import Matrix, Times, Vector

INSIDE = [(2.0, 10.0)]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """A red, a blue and a green scene of 14 s, 8 s and 6 s, in which words are said and shown."""
    scenes = [ColorScene(RED, 14), ColorScene(BLUE, 8), ColorScene(GREEN, 6)]
    make_video(tmp_path / "one.mp4", scenes)
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        list(opened.index([tmp_path / "one.mp4"]))
        [video] = opened.videos()
        with opened._catalog.begin() as change:
            said = [
                Cue(Span(start, start + 1.5), "learning rate")
                for start in (0.2, 1.0, 6.0, 9.4, 16.0)
            ]
            change.replace_cues(video.id, "subtitles", said, source_name="by hand")
            shown = [Cue(Span(0, 28), "EXIT", "ocr")]
            change.replace_cues(video.id, "ocr", shown, source_name="by hand")
        yield opened


def check_inside(moments: Sequence[Moment], ranges: Sequence[tuple[float, float]]) -> None:
    assert moments
    for moment in moments:
        explanation = moment.explanation
        for span in [
            *(explanation.step_spans or [moment.span]),
            *(q.span for q in explanation.quotes),
        ]:
            assert any(start <= span.start < span.end <= end for start, end in ranges), span
        times = [
            explanation.peak_time,
            *(weight.frame_time for weight in explanation.frame_weights),
        ]
        for time in times:
            assert any(start <= time <= end for start, end in ranges), time


@pytest.mark.parametrize(
    ("query", "ranges"),
    [
        ("red at:0:00:02-0:00:10", INSIDE),
        ("red at:2-10 -at:4-6", [(2, 4), (6, 10)]),
        ("red at:2.2-2.4", [(2.2, 2.4)]),
        ("red at:2-3 at:9-10", [(2, 3), (9, 10)]),
        ("red at:5-", [(5, 28.1)]),
        ("green at:25-", [(25, 28.1)]),
        ("red at:-3", [(0, 3)]),
        ('"red" 2:blue -green at:2-10', INSIDE),
        ('said:"learning rate" at:2-10', INSIDE),
        ("learning rate at:2-10", INSIDE),
        ("shown:exit at:2-10", INSIDE),
        ("red said:rate at:2-10", INSIDE),
        ("red then: blue at:10-18", [(10, 18)]),
        ("red then: said:rate at:2-8", [(2, 8)]),
        ("red then: blue at:11-13 at:15-16", [(11, 13), (15, 16)]),
    ],
)
def test_moments_peaks_and_quotes_are_inside(
    library: Library, query: str, ranges: Sequence[tuple[float, float]]
) -> None:
    check_inside(list(library.search(query, per_video=9)), ranges)


@pytest.mark.parametrize(
    "query",
    ["red at:40-50", "red at:30-", "said:rate at:12-15", "said:rate at:40-50", "shown:exit at:30-",
     "red then: blue at:2-10", "red then: said:rate at:10.9-14"],
)  # fmt: skip
def test_outside_of_the_video_or_of_the_words_nothing_is_found(
    library: Library, query: str
) -> None:
    assert not any(moment.explanation.quotes for moment in library.search(query))
    if "then" in query or "red" not in query or "at:3" in query or "at:4" in query:
        assert not library.search(query)


def test_both_mentions_in_the_range_are_found(library: Library) -> None:
    found = library.search('said:"learning rate" at:2-10', per_video=9)
    assert sorted(moment.span for moment in found) == [Span(2, 3), Span(6, 7.5), Span(9.4, 10)]


def test_clips_and_copies_are_inside(library: Library, tmp_path: Path) -> None:
    copy_path = tmp_path / "copy.mp4"
    make_video(copy_path, [ColorScene(RED, 14), ColorScene(BLUE, 4)])
    check_inside(list(library.search(f"clip:{copy_path} at:2-10")), INSIDE)
    check_inside(list(library.search(f"clip:{tmp_path / 'one.mp4'}@3-8 at:2-10")), INSIDE)


def test_a_moment_inside_the_range_is_the_same_as_without_it(library: Library) -> None:
    [expected] = library.search("blue", k=1)
    [found] = library.search("blue at:12-26", k=1)
    assert (found.span, found.score) == (expected.span, expected.score)
    assert found.confidence == pytest.approx(expected.confidence)
    assert found.explanation.peak_time == expected.explanation.peak_time


def test_a_moment_in_two_ranges_is_found_in_both(library: Library) -> None:
    found = library.search("red at:2-3 at:9-10", per_video=9)
    assert {moment.span for moment in found} == {Span(2, 3), Span(9, 10)}


def test_frame_weights_are_inside(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def weigh(frame_vectors: Matrix, frame_times: Times) -> Vector:
        return np.full(len(frame_times), 1 / len(frame_times), np.float32)

    monkeypatch.setattr(library._searcher, "_frame_weights", weigh)
    found = list(library.search("red at:2.5-4.5"))
    assert found[0].explanation.frame_weights
    assert isinstance(found[0].explanation.frame_weights[0], FrameWeight)
    check_inside(found, [(2.5, 4.5)])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("x at:1-2 at:1.5-3 at:5-6", [Span(1, 3), Span(5, 6)]),
        ("x at:1-9 -at:2-3 -at:8-12", [Span(1, 2), Span(3, 8)]),
        ("x -at:0-3", [Span(3, OPEN_END_SECONDS)]),
        ("x at:1:00-", [Span(60, OPEN_END_SECONDS)]),
        ("x at:1-2 -at:0-5", []),
    ],
)
def test_ranges_are_united_and_excluded(query: str, expected: list[Span]) -> None:
    ranges = TimeRanges.from_query(parse_query(query))
    assert ranges is not None
    assert list(ranges.spans) == expected


def test_open_ranges_are_formatted_as_typed() -> None:
    query = parse_query("x at:5- at:-10 -at:1:00-")
    assert str(query) == "x at:5- at:0-10 -at:60-"
    assert parse_query(str(query)) == query
    assert str(parse_query("x at:0-11000000000")) == "x at:0-11000000000"
    assert TimeRanges.from_query(parse_query("x")) is None


def test_a_range_between_two_frames_has_the_nearest_frame() -> None:
    space = Space("fake", 2, supports_text=True)
    features = Features(space, np.eye(2, dtype=np.float32), np.array([0.0, 5.0]))
    selected = TimeRanges((Span(3, 4),)).select_frames(features, Span(3, 4))
    assert selected.frame_times.tolist() == [3.5]
    assert selected.frame_vectors.tolist() == [[0.0, 1.0]]
