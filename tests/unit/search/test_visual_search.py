from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.filled_library import QUERY, SPACE, add_vectors, vectors_with_scores
from vsearch.catalog.catalog import Catalog
from vsearch.search import visual as searching
from vsearch.search.hubness import Querybank
from vsearch.search.live_index import LiveIndex
from vsearch.search.visual import MIN_CANDIDATES, VisualSearch
from vsearch.storage.feature_store import FeatureStore
from vsearch.types import Features, FrameWeight, Space, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.catalog.segments import SegmentRun
    from vsearch.types import Ids, Matrix, Moment, Times, Vector

NO_BANK = Querybank.create_empty(SPACE.dim)


class Counting(FeatureStore):
    """A feature store that records what was loaded."""

    loaded: list[int]

    def load(self, video_id: int, space: Space) -> Features:
        raise AssertionError("of a long video only what is near is wanted")

    def load_range(self, video_id: int, space: Space, span: Span) -> Features:
        found = super().load_range(video_id, space, span)
        self.loaded += [video_id] * len(found.frame_times)
        return found


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as opened:
        yield opened


@pytest.fixture
def features(tmp_path: Path) -> Counting:
    store = Counting(tmp_path / "features")
    store.loaded = []
    return store


@pytest.fixture
def index(catalog: Catalog, tmp_path: Path) -> LiveIndex:
    return LiveIndex(catalog, tmp_path / "vectors", "exact")


@pytest.fixture
def engine(catalog: Catalog, features: FeatureStore, index: LiveIndex) -> VisualSearch:
    add_vectors(catalog, "long.mp4", blinking(0.9, 2 * MIN_CANDIDATES), features)
    for number in range(9):
        add_vectors(
            catalog,
            f"{number}.mp4",
            vectors_with_scores(0.8 - number / 100, 0.0, seed=number),
            features,
        )
    current = index.take_snapshot()
    assert current is not None
    return VisualSearch(catalog, features, current, NO_BANK)


def blinking(score: float, times: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Add a video with `times` matching scenes, separated by others."""
    return vectors_with_scores(*[score, 0.0] * times)


def names(moments: list[Moment]) -> list[str]:
    return [moment.video.path.stem for moment in moments]


def test_a_long_video_does_not_crowd_out_others(engine: VisualSearch) -> None:
    found = engine.search(QUERY, 10, allowed_ids=None, per_video=3)
    assert names(found) == ["long"] * 3 + list("0123456")
    assert [moment.score for moment in found] == sorted((m.score for m in found), reverse=True)
    found = engine.search(QUERY, 10, allowed_ids=None, per_video=1)
    assert names(found) == ["long", *"012345678"]


def test_filling_does_not_displace_better_moments_of_other_videos(
    catalog: Catalog, features: FeatureStore, index: LiveIndex
) -> None:
    for number in range(6):  # these fill the first retrieval, with one moment each
        add_vectors(
            catalog, f"first {number}", vectors_with_scores(*[0.9] * 11, *[0.0] * 20, seed=number)
        )
    for number in range(8):
        add_vectors(catalog, f"second {number}", vectors_with_scores(0.5, seed=number))
    current = index.take_snapshot()
    assert current is not None
    found = VisualSearch(catalog, features, current, NO_BANK).search(
        QUERY, 8, allowed_ids=None, per_video=3
    )
    assert [round(moment.score, 1) for moment in found] == [0.9] * 6 + [0.5] * 2


def test_hubs_rank_below_specific_matches(
    catalog: Catalog, features: FeatureStore, index: LiveIndex
) -> None:
    for number in range(9):
        add_vectors(catalog, f"other {number}", vectors_with_scores(0.0, seed=number), features)
    add_vectors(catalog, "hub", vectors_with_scores(0.80, seed=70), features)
    add_vectors(catalog, "own", vectors_with_scores(0.78, seed=71), features)
    current = index.take_snapshot()
    assert current is not None
    hub = features.load_range(
        catalog.videos(["hub"])[0].id, SPACE, Span(0, 5)
    ).frame_vectors  # (1, 8)
    plain = VisualSearch(catalog, features, current, NO_BANK)
    assert names(plain.search(QUERY, 2, allowed_ids=None, per_video=3)) == ["hub", "own"]
    engine = VisualSearch(catalog, features, current, Querybank(np.repeat(hub, 4, axis=0)))
    assert names(engine.search(QUERY, 2, allowed_ids=None, per_video=3)) == ["own", "hub"]


def test_remaining_results_are_filled_from_the_same_video(
    engine: VisualSearch, catalog: Catalog
) -> None:
    long = next(video.id for video in catalog.videos() if video.path.stem == "long")
    among = catalog.segment_ids([long])
    assert names(engine.search(QUERY, 10, allowed_ids=among, per_video=3)) == ["long"] * 10
    assert len(engine.search(QUERY, 10_000, allowed_ids=None, per_video=1)) > 100


def test_moments_do_not_contain_excluded_segments(engine: VisualSearch, catalog: Catalog) -> None:
    among = catalog.segment_ids()[1::2]
    allowed = {
        (segment.video_id, segment.span)
        for video in catalog.videos()
        for segment in catalog.segments_of_video(video.id)
        if segment.id in among
    }
    found = engine.search(QUERY, 200, allowed_ids=among, per_video=200)
    assert {(moment.video.id, moment.span) for moment in found} == allowed


@pytest.mark.parametrize("seed", range(6))
def test_expansion_equals_growing_in_whole_videos(
    catalog: Catalog, index: LiveIndex, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = np.random.default_rng(seed)
    for number in range(30):
        walk = np.cumsum(random.normal(scale=0.12, size=random.integers(3, 200)))
        add_vectors(catalog, f"{number}", vectors_with_scores(*0.9 * np.tanh(walk), seed=number))
    current = index.take_snapshot()
    assert current is not None
    engine = VisualSearch(catalog, FeatureStore(Path("none")), current, NO_BANK)
    among = np.sort(
        random.choice(current.segment_ids, len(current.segment_ids) // 2, replace=False)
    )

    def found() -> list[Moment]:
        return [
            moment
            for some in (None, among)
            for k, per_video in ((1, 1), (10, 3), (20, 2))
            for moment in engine.search(QUERY, k, allowed_ids=some, per_video=per_video)
        ]

    beside = found()
    monkeypatch.setattr(searching, "MAX_CANDIDATES", 0)
    wholly = found()
    assert [(m.video.id, m.span) for m in beside] == [(m.video.id, m.span) for m in wholly]
    assert np.allclose([m.score for m in beside], [m.score for m in wholly], atol=1e-6)


def test_an_empty_filter_finds_nothing(engine: VisualSearch) -> None:
    assert engine.search(QUERY, 10, allowed_ids=np.array([], np.int64), per_video=3) == []
    assert engine.search(QUERY, 10, allowed_ids=np.array([77]), per_video=3) == []


def test_a_typical_search_reads_the_catalog_once_for_all_videos(
    engine: VisualSearch, catalog: Catalog
) -> None:
    statements: list[str] = []
    with catalog._pool.read_transaction() as connection:  # the next reader gets this connection
        assert isinstance(connection, sqlite3.Connection)
        connection.set_trace_callback(statements.append)
    assert engine.search(QUERY, 3, allowed_ids=None, per_video=3)
    reads = [statement for statement in statements if "SELECT" in statement]
    assert len(reads) == 4, "the sample, the nearest, what is around them, their videos"


def test_hopeless_candidates_are_not_expanded(
    catalog: Catalog, index: LiveIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        add_vectors(
            catalog, f"{number}", vectors_with_scores(*[0.0] * 30, 0.9 - number / 100, *[0.0] * 30)
        )
    read: list[int] = []
    around = Catalog.segment_runs

    def counting(self: Catalog, ids: Ids, reach: int, space: Space) -> list[SegmentRun]:
        read.extend(ids.tolist())
        return around(self, ids, reach, space)

    monkeypatch.setattr(Catalog, "segment_runs", counting)
    current = index.take_snapshot()
    assert current is not None
    engine = VisualSearch(catalog, FeatureStore(Path("none")), current, NO_BANK)
    assert names(engine.search(QUERY, 4, allowed_ids=None, per_video=3)) == list("0123")
    assert len(read) < MIN_CANDIDATES, "only what is better than the first that was not looked at"


def test_a_long_moment_is_found_as_a_whole_and_others_once(
    catalog: Catalog, index: LiveIndex
) -> None:
    shown = np.array([*[0.0] * 60, *[0.6] * 30, 0.9, *[0.6] * 30, *[0.0] * 60, 0.85, 0.0])
    film = vectors_with_scores(*shown)
    same = np.sqrt(1 - shown[60:121] ** 2)[:, None] * np.eye(16)[1]
    film[60:121] = np.hstack([shown[60:121, None], same[:, 1:]])
    add_vectors(catalog, "film", film, seconds=0.5)
    add_vectors(catalog, "other", vectors_with_scores(*[0.0] * 900))
    for number in range(200):  # nearer than the neighbors of the peak
        add_vectors(catalog, f"{number}", vectors_with_scores(0.7, seed=number))
    current = index.take_snapshot()
    assert current is not None
    engine = VisualSearch(catalog, FeatureStore(Path("none")), current, NO_BANK)
    found = engine.search(QUERY, 5, allowed_ids=None, per_video=5)
    assert [round(moment.score, 2) for moment in found] == [0.9, 0.85, 0.7, 0.7, 0.7]
    assert [moment.span for moment in found[:2]] == [Span(30, 60.5), Span(90.5, 91)]


def test_only_frames_near_a_moment_are_loaded(engine: VisualSearch, features: Counting) -> None:
    found = engine.search(QUERY, 10, allowed_ids=None, per_video=3)
    assert {*features.loaded} == {moment.video.id for moment in found}
    assert max(map(features.loaded.count, features.loaded)) <= 3 * 7
    assert all(moment.explanation.peak_time == moment.span.start + 2.5 for moment in found)


def test_replacing_a_video_during_a_search_is_safe(
    engine: VisualSearch, catalog: Catalog, tmp_path: Path
) -> None:
    engine.search(QUERY, 1, allowed_ids=None, per_video=1)
    with Catalog.open(tmp_path / "catalog.sqlite3") as writer:

        def replace(*_: object) -> None:
            add_vectors(writer, "long.mp4", blinking(0.9, 5))

        with catalog._pool.read_transaction() as connection:  # the next reader gets this connection
            assert isinstance(connection, sqlite3.Connection)
            connection.set_trace_callback(replace)
        for _ in range(3):
            found = engine.search(QUERY, 10, allowed_ids=None, per_video=3)
            assert set("0123456") <= set(names(found))


def test_a_segment_without_a_vector_is_skipped(
    engine: VisualSearch, catalog: Catalog, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite3")) as raw, raw:
        raw.execute("DELETE FROM vectors WHERE segment_id % 3 = 0")
    found = engine.search(QUERY, 10, allowed_ids=None, per_video=3)
    assert len(found) == 10
    assert catalog.find_problems() != []


@pytest.mark.parametrize("space", [SPACE, Space("other", 8, supports_text=True)])
def test_damaged_features_only_affect_the_explanation(
    engine: VisualSearch, features: FeatureStore, caplog: pytest.LogCaptureFixture, space: Space
) -> None:
    for video_id in features.video_ids():
        path = features.feature_path(video_id, SPACE)
        path.write_bytes(b"junk")
        if space != SPACE:
            others = Features(space, np.ones((3, space.dim), np.float32), np.arange(3.0))
            features.save(video_id, others)
            features.feature_path(video_id, space).replace(path)
    [best] = engine.search(QUERY, 1, allowed_ids=None, per_video=3)
    assert best.explanation.peak_time == (best.span.start + best.span.end) / 2
    assert best.explanation.peak_score == best.score
    assert caplog.text.count("--force") == 1
    assert best.span == Span(best.span.start, best.span.start + 5)


def test_a_moment_has_the_frame_weights_of_its_best_segment(
    catalog: Catalog, features: FeatureStore, index: LiveIndex
) -> None:
    add_vectors(catalog, "one", vectors_with_scores(0.1, 0.9, 0.1), features)
    current = index.take_snapshot()
    assert current is not None

    def weigh_frames(frames: Matrix, times: Times) -> Vector:
        assert len(frames) == len(times)
        shares: Vector = (times / times.sum()).astype(np.float32)  # later frames weigh more
        return shares

    engine = VisualSearch(catalog, features, current, NO_BANK, weigh_frames)
    moment = engine.search(QUERY, 1, allowed_ids=None, per_video=1)[0]
    assert moment.explanation.frame_weights == (
        FrameWeight(7.5, 1.0),
    )  # the one frame of the second segment
    plain = VisualSearch(catalog, features, current, NO_BANK).search(
        QUERY, 1, allowed_ids=None, per_video=1
    )
    assert plain[0].explanation.frame_weights == ()
