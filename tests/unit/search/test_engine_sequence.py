from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from filled import QUERY, SPACE, add

from vsearch.catalog.repository import Catalog
from vsearch.search.current import CurrentIndex
from vsearch.search.engine import Engine
from vsearch.search.querybank import Querybank
from vsearch.types import Span
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Matrix, Moment, Vector

OTHER: Vector = np.eye(16, dtype=np.float32)[1]  # what is asked for as the second step


def showing(*scenes: str, seed: int = 0, score: float = 0.9) -> Matrix:
    """float32 (N, 16): segments that show the first step (a), the second (b) or neither (.)."""
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
def engine(catalog: Catalog, features: FeatureStore, tmp_path: Path) -> Engine:
    add(catalog, "reversed", showing(*"..b..a..", seed=1), features)
    add(catalog, "right", showing(*".a...b..", seed=2, score=0.8), features)
    add(catalog, "first only", showing(*"..a..a..", seed=3), features)
    add(catalog, "second only", showing(*"..b..b..", seed=4), features)
    add(catalog, "late", showing("a", *"." * 20, "b", seed=5), features)
    add(catalog, "neither", showing(*"." * 20, seed=6), features)
    current = CurrentIndex(catalog, tmp_path / "vectors", "exact").get()
    assert current is not None
    return Engine(catalog, features, current, Querybank.empty(SPACE.dim))


def names(moments: list[Moment]) -> list[str]:
    return [moment.video.path.stem for moment in moments]


def test_only_a_video_with_both_steps_in_order_is_found(engine: Engine) -> None:
    found = engine.sequence([QUERY, OTHER], [None], 10, among=None, per_video=3)
    assert names(found) == ["right"], "late shows them too far apart, reversed the wrong way"
    assert found[0].span == Span(5, 30)
    assert found[0].why.steps == (Span(5, 10), Span(25, 30))
    assert found[0].why.peak == 7.5, "the frame of the first step"


def test_the_other_order_finds_the_other_video(engine: Engine) -> None:
    found = engine.sequence([OTHER, QUERY], [None], 10, among=None, per_video=3)
    assert names(found) == ["reversed"]


def test_more_seconds_find_more(engine: Engine) -> None:
    found = engine.sequence([QUERY, OTHER], [200.0], 10, among=None, per_video=3)
    assert sorted(names(found)) == ["late", "right"]
    assert engine.sequence([QUERY, OTHER], [5.0], 10, among=None, per_video=3) == []


def test_three_steps_follow_each_other(engine: Engine, catalog: Catalog) -> None:
    found = engine.sequence([QUERY, OTHER, QUERY], [None, None], 10, among=None, per_video=3)
    assert found == []
    found = engine.sequence([QUERY, QUERY], [None], 10, among=None, per_video=3)
    assert names(found) == ["first only"]


def test_what_may_not_be_searched_is_no_part_of_a_sequence(
    engine: Engine, catalog: Catalog
) -> None:
    [right] = catalog.videos(["right"])
    ids = catalog.segment_ids([right.id])
    search = engine.sequence([QUERY, OTHER], [None], 10, among=ids[:5], per_video=3)
    assert search == []
    assert names(engine.sequence([QUERY, OTHER], [None], 1, among=ids, per_video=1)) == ["right"]
    assert engine.sequence([QUERY, OTHER], [None], 1, among=ids[:0], per_video=1) == []


def test_without_features_a_sequence_is_as_long_as_its_segments(
    engine: Engine, features: FeatureStore
) -> None:
    for video_id in features.ids():
        features.path(video_id, SPACE).write_bytes(b"junk")
    [found] = engine.sequence([QUERY, OTHER], [None], 10, among=None, per_video=3)
    assert found.why.steps == (Span(5, 10), Span(25, 30))


def test_a_common_step_hides_no_video_with_a_rare_one(
    engine: Engine,
    catalog: Catalog,
    features: FeatureStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vsearch.search.engine.STEPS", 8)
    add(catalog, "common", showing(*"a" * 12, seed=9, score=0.99), features)
    current = CurrentIndex(catalog, tmp_path / "vectors", "exact").get()
    assert current is not None
    engine = Engine(catalog, features, current, Querybank.empty(SPACE.dim))
    found = engine.sequence([QUERY, OTHER], [None], 10, among=None, per_video=3)
    assert names(found) == ["right"], "its first step is behind all of the common ones"


def test_gaps_that_do_not_fit_the_steps_are_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="2 steps do not fit 2 gaps"):
        engine.sequence([QUERY, OTHER], [None, None], 1, among=None, per_video=1)
