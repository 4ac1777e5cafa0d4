"""Late interaction: segments scored by their frames."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.filled_library import QUERY, SPACE, add_vectors, vectors_with_scores
from vsearch.catalog.catalog import Catalog
from vsearch.search.hubness import Querybank
from vsearch.search.late_interaction import CONTEXT_SECONDS, score_segment
from vsearch.search.live_index import LiveIndex
from vsearch.search.visual import VisualSearch
from vsearch.storage.feature_store import FeatureStore
from vsearch.types import Features, Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Moment

SEGMENT_SECONDS = 5.0


def frames_with_scores(*scores: float, start: float = 0.0, end: float = 5.0) -> Features:
    """Return evenly spaced frames of these similarities to the query."""
    frame_times = start + (end - start) * (np.arange(len(scores)) + 0.5) / len(scores)
    return Features(SPACE, vectors_with_scores(*scores), frame_times)


def score(*scores: float) -> float:
    """Score a segment without surroundings by its frames."""
    return score_segment(frames_with_scores(*scores), Span(0, 5), QUERY)


@pytest.mark.parametrize("scores", [(0.1, 0.2, 0.6), (0.0, 0.3), (-0.4, 0.5, 0.1, 0.2)])
def test_the_score_lies_between_the_mean_and_the_best_frame(scores: tuple[float, ...]) -> None:
    assert np.mean(scores) < score(*scores) < max(scores)


def test_equal_frames_score_as_one() -> None:
    assert score(0.3) == pytest.approx(0.3)
    assert score(*[0.3] * 9) == pytest.approx(0.3)


def test_the_score_grows_with_every_frame() -> None:
    before = score(0.1, 0.2, 0.3)
    assert score(0.2, 0.2, 0.3) > before
    assert score(0.1, 0.2, 0.4) > before


def test_many_other_frames_dilute_one_that_matches() -> None:
    short, long = score(0.6, 0.0), score(0.6, *[0.0] * 50)
    assert 0.2 < long < short < 0.6


def test_matching_surroundings_raise_the_score_a_little() -> None:
    segment_span = Span(20, 25)

    def score_with(around: float, start: float, end: float) -> float:
        inside = frames_with_scores(*[0.3] * 5, start=20, end=25)
        outside = frames_with_scores(*[around] * 5, start=start, end=end)
        frames = Features(
            SPACE,
            np.concatenate([inside.frame_vectors, outside.frame_vectors]),
            np.concatenate([inside.frame_times, outside.frame_times]),
        )
        return score_segment(frames, segment_span, QUERY)

    near, far = (25, 25 + CONTEXT_SECONDS), (25 + CONTEXT_SECONDS, 60)
    assert score_with(0.3, *near) == pytest.approx(0.3)
    assert 0.2 < score_with(0.0, *near) < 0.3 < score_with(0.9, *near) < 0.5
    assert score_with(0.9, *far) == pytest.approx(0.3)


def test_a_segment_between_two_frames_has_the_score_of_those_near() -> None:
    frames = Features(SPACE, vectors_with_scores(0.4), np.array([9.0]))
    assert score_segment(frames, Span(0, 1), QUERY) == pytest.approx(0.4)


class FramesLibrary:
    """Videos whose frames differ from their pooled vectors."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self.catalog = catalog
        self.feature_store = FeatureStore(folder / "features")
        self.index = LiveIndex(catalog, folder / "index", "exact")

    def add(self, name: str, pooled_scores: list[float], frame_scores: list[list[float]]) -> None:
        """Add a video with pooled vectors and frames of these similarities to the query."""
        seed = sum(map(ord, name))
        add_vectors(self.catalog, name, vectors_with_scores(*pooled_scores, seed=seed))
        frame_times = np.concatenate(
            [
                SEGMENT_SECONDS * (number + (np.arange(len(scores)) + 0.5) / len(scores))
                for number, scores in enumerate(frame_scores)
            ]
        )
        flat_scores = [score for scores in frame_scores for score in scores]
        frames = Features(SPACE, vectors_with_scores(*flat_scores, seed=seed), frame_times)
        self.feature_store.save(self.video_id(name), frames)

    def video_id(self, name: str) -> int:
        [video] = self.catalog.videos([name])
        return video.id

    def search_with(self, *, late_interaction: bool, querybank: Querybank | None = None) -> Search:
        snapshot = self.index.take_snapshot()
        assert snapshot is not None
        return Search(
            VisualSearch(
                self.catalog,
                self.feature_store,
                snapshot,
                querybank or Querybank.create_empty(SPACE.dim),
                late_interaction=late_interaction,
            )
        )


class Search:
    """A visual search for the query."""

    def __init__(self, visual_search: VisualSearch) -> None:
        self.visual_search = visual_search

    def find(self) -> list[Moment]:
        return self.visual_search.search(QUERY, 10, allowed_ids=None, per_video=3)

    def names(self) -> list[str]:
        return [moment.video.path.name for moment in self.find()]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[FramesLibrary]:
    """Two videos, of which one matches in part, and the other has the nearer pooled vector."""
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as catalog:
        filled = FramesLibrary(catalog, tmp_path)
        filled.add("in part", [0.35], [[0.7, 0.7, 0.0, 0.0]])
        filled.add("blurred", [0.45], [[0.4, 0.4, 0.4, 0.4]])
        for number in range(5):
            filled.add(f"other {number}", [0.0], [[0.0, 0.1]])
        yield filled


def test_a_video_that_matches_in_part_ranks_above_a_nearer_pooled_vector(
    library: FramesLibrary,
) -> None:
    assert library.search_with(late_interaction=False).names()[:2] == ["blurred", "in part"]
    search = library.search_with(late_interaction=True)
    assert search.names()[:2] == ["in part", "blurred"]
    first, second = search.find()[:2]
    assert 0.35 < first.score < 0.7
    assert second.score == pytest.approx(0.4, abs=1e-3)


def test_frames_far_from_the_segment_do_not_count(library: FramesLibrary) -> None:
    library.add("long", [0.5, *[0.0] * 4], [[0.5, 0.5], *[[0.5, 0.5]] * 2, *[[0.9, 0.9]] * 2])
    search = library.search_with(late_interaction=True).visual_search
    [span_score] = search.score_spans([(library.video_id("long"), Span(0, 5))], QUERY)
    assert span_score == pytest.approx(0.5, abs=1e-3)


def test_missing_frames_leave_the_score_of_the_pooled_vector(
    library: FramesLibrary, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "features")
    search = library.search_with(late_interaction=True)
    assert search.names()[:2] == ["blurred", "in part"]
    assert search.find()[0].score == pytest.approx(0.45, abs=1e-3)
    video_span = library.video_id("blurred"), Span(0, SEGMENT_SECONDS)
    [span_score] = search.visual_search.score_spans([video_span], QUERY)
    assert span_score == pytest.approx(0.45, abs=1e-3)


@pytest.mark.parametrize("late_interaction", [False, True])
@pytest.mark.parametrize("bank_size", [0, 40])
def test_the_span_of_a_moment_scores_as_the_moment(
    library: FramesLibrary, late_interaction: bool, bank_size: int
) -> None:
    library.add("scenes", [0.5, 0.0, 0.3], [[0.5, 0.6], [0.0, 0.1], [0.2, 0.4]])
    bank = vectors_with_scores(*np.linspace(-0.3, 0.3, bank_size), seed=9)
    search = library.search_with(late_interaction=late_interaction, querybank=Querybank(bank))
    moments = search.find()
    assert len(moments) >= 7
    span_scores = search.visual_search.score_spans(
        [(moment.video.id, moment.span) for moment in moments], QUERY
    )
    assert span_scores == pytest.approx([moment.score for moment in moments], abs=1e-4)


def test_a_span_without_segments_has_the_mean_score(library: FramesLibrary) -> None:
    search = library.search_with(late_interaction=True).visual_search
    mean_score = search.hubness_model.query_baseline(QUERY).score
    assert search.score_spans([(library.video_id("blurred"), Span(90, 91))], QUERY) == [mean_score]
    assert search.score_spans([], QUERY) == []
