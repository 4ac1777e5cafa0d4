from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.filled_library import QUERY, SPACE, add_vectors
from vsearch.catalog.catalog import Catalog
from vsearch.search.hubness import Querybank
from vsearch.search.live_index import LiveIndex
from vsearch.search.visual import VisualSearch
from vsearch.storage.feature_store import FeatureStore
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Matrix, Moment, Vector

OTHER: Vector = np.eye(16, dtype=np.float32)[1]  # the second step


def showing(*scenes: str, seed: int = 0, score: float = 0.9) -> Matrix:
    """Return segments that show step a, step b or neither (.), float32 (N, 16)."""
    rows = np.random.default_rng(seed).normal(size=(len(scenes), 16))
    rows[:, :2] = 0
    rows *= np.sqrt(1 - score**2) / np.linalg.norm(rows, axis=1, keepdims=True)
    for row, scene in zip(rows, scenes, strict=True):
        row["ab.".index(scene) if scene != "." else 2] += score
    shown: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return shown


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as opened:
        yield opened


@pytest.fixture
def features(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features")


@pytest.fixture
def engine(catalog: Catalog, features: FeatureStore, tmp_path: Path) -> VisualSearch:
    add_vectors(catalog, "reversed", showing(*"..b..a..", seed=1), features)
    add_vectors(catalog, "right", showing(*".a...b..", seed=2, score=0.8), features)
    add_vectors(catalog, "first only", showing(*"..a..a..", seed=3), features)
    add_vectors(catalog, "second only", showing(*"..b..b..", seed=4), features)
    add_vectors(catalog, "late", showing("a", *"." * 20, "b", seed=5), features)
    add_vectors(catalog, "neither", showing(*"." * 20, seed=6), features)
    current = LiveIndex(catalog, tmp_path / "vectors", "exact").take_snapshot()
    assert current is not None
    return VisualSearch(catalog, features, current, Querybank.create_empty(SPACE.dim))


def names(moments: list[Moment]) -> list[str]:
    return [moment.video.path.stem for moment in moments]


def test_only_videos_with_both_steps_in_order_are_found(engine: VisualSearch) -> None:
    found = engine.search_sequence([QUERY, OTHER], [None], 10, allowed_ids=None, per_video=3)
    assert names(found) == ["right"], "late shows them too far apart, reversed the wrong way"
    assert found[0].span == Span(5, 30)
    assert found[0].explanation.step_spans == (Span(5, 10), Span(25, 30))
    assert found[0].explanation.peak_time == 7.5, "the frame of the first step"


def test_the_reverse_order_finds_the_other_video(engine: VisualSearch) -> None:
    found = engine.search_sequence([OTHER, QUERY], [None], 10, allowed_ids=None, per_video=3)
    assert names(found) == ["reversed"]


def test_a_longer_gap_finds_more(engine: VisualSearch) -> None:
    found = engine.search_sequence([QUERY, OTHER], [200.0], 10, allowed_ids=None, per_video=3)
    assert sorted(names(found)) == ["late", "right"]
    assert engine.search_sequence([QUERY, OTHER], [5.0], 10, allowed_ids=None, per_video=3) == []


def test_three_steps_follow_each_other(engine: VisualSearch, catalog: Catalog) -> None:
    found = engine.search_sequence(
        [QUERY, OTHER, QUERY], [None, None], 10, allowed_ids=None, per_video=3
    )
    assert found == []
    found = engine.search_sequence([QUERY, QUERY], [None], 10, allowed_ids=None, per_video=3)
    assert names(found) == ["first only"]


def test_sequences_do_not_contain_excluded_segments(engine: VisualSearch, catalog: Catalog) -> None:
    [right] = catalog.videos(["right"])
    ids = catalog.segment_ids([right.id])
    search = engine.search_sequence([QUERY, OTHER], [None], 10, allowed_ids=ids[:5], per_video=3)
    assert search == []
    assert names(
        engine.search_sequence([QUERY, OTHER], [None], 1, allowed_ids=ids, per_video=1)
    ) == ["right"]
    assert engine.search_sequence([QUERY, OTHER], [None], 1, allowed_ids=ids[:0], per_video=1) == []


def test_a_sequence_without_features_keeps_segment_boundaries(
    engine: VisualSearch, features: FeatureStore
) -> None:
    for video_id in features.video_ids():
        features.feature_path(video_id, SPACE).write_bytes(b"junk")
    [found] = engine.search_sequence([QUERY, OTHER], [None], 10, allowed_ids=None, per_video=3)
    assert found.explanation.step_spans == (Span(5, 10), Span(25, 30))


def test_a_common_step_does_not_hide_a_rare_one(
    engine: VisualSearch,
    catalog: Catalog,
    features: FeatureStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vsearch.search.visual.CANDIDATES_PER_SEQUENCE_STEP", 8)
    add_vectors(catalog, "common", showing(*"a" * 12, seed=9, score=0.99), features)
    current = LiveIndex(catalog, tmp_path / "vectors", "exact").take_snapshot()
    assert current is not None
    engine = VisualSearch(catalog, features, current, Querybank.create_empty(SPACE.dim))
    found = engine.search_sequence([QUERY, OTHER], [None], 10, allowed_ids=None, per_video=3)
    assert names(found) == ["right"], "its first step is behind all of the common ones"


def test_a_wrong_number_of_gaps_is_rejected(engine: VisualSearch) -> None:
    with pytest.raises(ValueError, match="2 steps and 2 gaps"):
        engine.search_sequence([QUERY, OTHER], [None, None], 1, allowed_ids=None, per_video=1)
