"""Selection of the excerpts of a summary."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsearch.analysis.coverage import FrameSimilarity
from vsearch.analysis.summaries import SummaryInput, SummaryLength, SummaryResult, build_summary
from vsearch.media.segmentation import segment_video
from vsearch.types import Features, Matrix, Space, Span, Vector

SPACE = Space("chosen", 32, supports_text=True)


def normalize(rows: np.ndarray) -> Matrix:
    """Rows of unit length, float32."""
    unit_rows: Matrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return unit_rows


def make_film(*scenes: tuple[int, int], noise: float = 0.3, seed: int = 0) -> SummaryInput:
    """Make a film of scenes, (kind, seconds) each, at one frame per second."""
    rng = np.random.default_rng(seed)
    kinds = normalize(rng.normal(size=(1 + max(kind for kind, _ in scenes), SPACE.dim)))
    rows = np.concatenate([np.repeat(kinds[[kind]], seconds, axis=0) for kind, seconds in scenes])
    rows = normalize(rows + noise * normalize(rng.normal(size=rows.shape)))
    times = np.arange(float(len(rows)))
    cuts = np.cumsum([float(seconds) for _, seconds in scenes])
    spans = segment_video(times, cuts[:-1], cuts[-1])
    return SummaryInput(Path("/film.mp4"), Features(SPACE, rows, times), spans, float(cuts[-1]))


def scene_vector(kind: int) -> Vector:
    """Return the vector of a kind of scene, as in `make_film` with seed 0."""
    kinds = normalize(np.random.default_rng(0).normal(size=(kind + 1, SPACE.dim)))
    vector: Vector = kinds[kind]
    return vector


def list_kinds(summary: SummaryResult, *scenes: tuple[int, int]) -> list[int]:
    """Return the kinds of scene that the excerpts show, in order."""
    ends = np.cumsum([seconds for _, seconds in scenes])
    peak_times = [excerpt.peak_time for excerpt in summary.excerpts]
    return [scenes[int(index)][0] for index in np.searchsorted(ends, peak_times, "right")]


def check(summary: SummaryResult, budget: float) -> SummaryResult:
    """Check the invariants of a summary."""
    assert summary.total_seconds <= budget + 1e-6
    for excerpt in summary.excerpts:
        assert excerpt.span.start <= excerpt.peak_time <= excerpt.span.end
        assert 0 <= excerpt.span.start < excerpt.span.end <= summary.duration
    for earlier, later in pairwise(summary.excerpts):
        assert earlier.span.end <= later.span.start
    shares = sum(excerpt.video_share for excerpt in summary.excerpts)
    assert shares == pytest.approx(1 if summary.excerpts else 0)
    assert 0 <= summary.coverage <= 1 + 1e-6
    return summary


def test_every_scene_is_covered_before_one_repeats() -> None:
    scenes = ((0, 60), (1, 3), (2, 8), (3, 3), (4, 20), (5, 3))
    summary = check(build_summary(make_film(*scenes), SummaryLength(seconds=12)), 12)
    assert list_kinds(summary, *scenes) == [0, 1, 2, 3, 4, 5]


def test_short_scenes_are_not_lost_in_a_long_one() -> None:
    scenes = tuple(scene for i in range(1, 11) for scene in ((0, 60), (i, 4)))
    summary = check(build_summary(make_film(*scenes, noise=0.6), SummaryLength(seconds=30)), 30)
    assert set(range(1, 11)) <= set(list_kinds(summary, *scenes))


def test_a_recurring_scene_is_shown_once() -> None:
    scenes = ((0, 4), (1, 4), (0, 4), (1, 4), (0, 4), (2, 4))
    summary = check(build_summary(make_film(*scenes, noise=0), SummaryLength(seconds=7)), 7)
    assert sorted(list_kinds(summary, *scenes)) == [0, 1, 2]
    shares = sorted(excerpt.video_share for excerpt in summary.excerpts)
    assert shares == pytest.approx([1 / 6, 2 / 6, 3 / 6], abs=0.03)


def test_the_rest_of_the_budget_extends_excerpts() -> None:
    scenes = ((0, 6), (1, 6), (0, 6))
    summary = check(build_summary(make_film(*scenes, noise=0), SummaryLength(seconds=11)), 11)
    assert summary.total_seconds == pytest.approx(11)
    assert len(list_kinds(summary, *scenes)) in (1, 2)  # adjacent excerpts are merged


def test_excerpts_cross_shots_only_if_both_sides_are_selected() -> None:
    scenes = ((0, 3), (1, 5), (2, 30), (3, 3), (4, 7))
    film = make_film(*scenes)
    for excerpt in build_summary(film, SummaryLength(seconds=10)).excerpts:
        started = [span for span in film.segment_spans if span.start < excerpt.span.end - 1e-6]
        overlapping = [span for span in started if span.end > excerpt.span.start + 1e-6]
        assert len(overlapping) == 1 or excerpt.span.duration > 3


def test_a_query_changes_the_selection() -> None:
    scenes = ((0, 30), (1, 30), (2, 30), (3, 30))
    film = make_film(*scenes)
    plain = check(build_summary(film, SummaryLength(seconds=8)), 8)
    queried = check(build_summary(film, SummaryLength(seconds=8), scene_vector(2)), 8)
    assert set(list_kinds(plain, *scenes)) == {0, 1, 2, 3}
    assert list_kinds(queried, *scenes).count(2) >= 2
    assert all(excerpt.query_similarity is None for excerpt in plain.excerpts)
    best = max(queried.excerpts, key=lambda excerpt: excerpt.query_similarity or 0)
    assert 60 <= best.peak_time < 90


def test_a_query_is_scale_invariant() -> None:
    scenes = ((0, 30), (1, 30), (2, 30))
    film = make_film(*scenes)
    query = scene_vector(1)
    scaled_query: Vector = (0.1 * query).astype(np.float32)
    first, second = (
        build_summary(film, SummaryLength(seconds=8), query_vector).excerpts
        for query_vector in (query, scaled_query)
    )
    assert [excerpt.span for excerpt in first] == [excerpt.span for excerpt in second]


def test_an_uninformative_query_changes_nothing() -> None:
    film = make_film((0, 30), (1, 30), (2, 30))
    nothing = np.zeros(SPACE.dim, np.float32)
    first, second = (
        build_summary(film, SummaryLength(seconds=8), query_vector).excerpts
        for query_vector in (None, nothing)
    )
    assert len(first) == len(second)


def test_the_same_video_gives_the_same_summary() -> None:
    scenes = ((0, 30), (1, 12), (2, 30), (1, 9))
    assert build_summary(make_film(*scenes), SummaryLength(share=0.2)) == build_summary(
        make_film(*scenes), SummaryLength(share=0.2)
    )


@pytest.mark.parametrize("seconds", [60, 61, 1e6])
def test_a_budget_as_long_as_the_video_is_the_whole_video(seconds: float) -> None:
    summary = build_summary(make_film((0, 30), (1, 30)), SummaryLength(seconds=seconds))
    assert [excerpt.span for excerpt in summary.excerpts] == [Span(0, 60)]
    assert summary.coverage == pytest.approx(1)
    assert summary.excerpts[0].video_share == 1


def test_a_video_of_one_segment_is_trimmed_around_its_most_typical_part() -> None:
    rows = np.ones((20, SPACE.dim))
    rows[:14, 0] = np.arange(14, 0, -1) * 3
    times = np.arange(20.0)
    film = SummaryInput(
        Path("/a.mp4"), Features(SPACE, normalize(rows), times), [Span(0, 20)], 20.0
    )
    summary = check(build_summary(film, SummaryLength(seconds=4)), 4)
    assert len(summary.excerpts) == 1
    assert summary.total_seconds == pytest.approx(4)


def test_a_static_video_has_a_summary() -> None:
    summary = check(build_summary(make_film((0, 40), noise=0), SummaryLength(seconds=10)), 10)
    assert 2 <= summary.total_seconds <= 10


def test_a_video_of_one_frame_has_a_summary() -> None:
    features = Features(SPACE, normalize(np.ones((1, SPACE.dim))), np.zeros(1))
    for length in (0.001, 30):
        film = SummaryInput(Path("/a.mp4"), features, [Span(0, 0.04)], 0.04)
        summary = build_summary(film, SummaryLength(seconds=length))
        assert len(summary.excerpts) == 1


def test_a_video_without_frames_has_an_empty_summary() -> None:
    features = Features(SPACE, np.empty((0, SPACE.dim), np.float32), np.empty(0))
    film = SummaryInput(Path("/a.mp4"), features, [], 0.0)
    assert build_summary(film, SummaryLength(share=1)).excerpts == ()


def test_memory_is_bounded_for_long_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    # as for a video of ten days
    monkeypatch.setattr("vsearch.analysis.coverage._MAX_MATRIX_CELLS", 2**14)
    scenes = tuple((i % 40, 20) for i in range(80))
    summary = check(build_summary(make_film(*scenes), SummaryLength(seconds=120)), 120)
    assert len(set(list_kinds(summary, *scenes))) > 25


def test_shares_of_many_excerpts_use_little_memory() -> None:
    film = make_film(*((i % 40, 10) for i in range(300)))
    frames = FrameSimilarity(film.frame_features, film.duration, 300, None)
    spans = [Span(10.0 * i, 10.0 * i + 10) for i in range(300)]
    tracemalloc.start()
    shares = frames.compute_shares(spans)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(shares) == pytest.approx(1)
    assert peak < 1 << 20  # 3,000 frames times 300 excerpts are 3.6 MB


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40)), min_size=1, max_size=12),
    st.floats(0.05, 400),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_any_film_and_budget_give_a_valid_summary(
    scenes: list[tuple[int, int]], budget: float, noise: float
) -> None:
    film = make_film(*scenes, noise=noise)
    summary = check(build_summary(film, SummaryLength(seconds=budget)), budget)
    assert summary.excerpts
    assert summary.total_seconds > min(budget, 2, film.duration) - 1.1
