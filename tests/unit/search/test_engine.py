from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from filled import QUERY, SPACE, add, scoring

from vsearch.catalog.repository import Catalog
from vsearch.search import engine as searching
from vsearch.search.current import CurrentIndex
from vsearch.search.engine import LEAST, Engine
from vsearch.search.querybank import Querybank
from vsearch.types import Features, Heeded, Space, Span
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.catalog.nearby import Run
    from vsearch.types import Ids, Matrix, Moment, Times, Vector

NO_BANK = Querybank.empty(SPACE.dim)


class Counting(FeatureStore):
    """Remembers what was loaded."""

    loaded: list[int]

    def load(self, video_id: int, space: Space) -> Features:
        raise AssertionError("of a long video only what is near is wanted")

    def part(self, video_id: int, space: Space, span: Span) -> Features:
        found = super().part(video_id, space, span)
        self.loaded += [video_id] * len(found.times)
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
def index(catalog: Catalog, tmp_path: Path) -> CurrentIndex:
    return CurrentIndex(catalog, tmp_path / "vectors", "exact")


@pytest.fixture
def engine(catalog: Catalog, features: FeatureStore, index: CurrentIndex) -> Engine:
    add(catalog, "long.mp4", blinking(0.9, 2 * LEAST), features)
    for number in range(9):
        add(catalog, f"{number}.mp4", scoring(0.8 - number / 100, 0.0, seed=number), features)
    current = index.get()
    assert current is not None
    return Engine(catalog, features, current, NO_BANK)


def blinking(score: float, times: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """A video that shows `times` times what is asked for, and something else in between."""
    return scoring(*[score, 0.0] * times)


def names(moments: list[Moment]) -> list[str]:
    return [moment.video.path.stem for moment in moments]


def test_a_long_video_leaves_room_for_the_others(engine: Engine) -> None:
    found = engine.search(QUERY, 10, among=None, per_video=3)
    assert names(found) == ["long"] * 3 + list("0123456")
    assert [moment.score for moment in found] == sorted((m.score for m in found), reverse=True)
    found = engine.search(QUERY, 10, among=None, per_video=1)
    assert names(found) == ["long", *"012345678"]


def test_the_rest_of_a_video_never_takes_the_place_of_a_better_moment_elsewhere(
    catalog: Catalog, features: FeatureStore, index: CurrentIndex
) -> None:
    for number in range(6):  # they fill what is fetched first, with one moment each
        add(catalog, f"first {number}", scoring(*[0.9] * 11, *[0.0] * 20, seed=number))
    for number in range(8):
        add(catalog, f"second {number}", scoring(0.5, seed=number))
    current = index.get()
    assert current is not None
    found = Engine(catalog, features, current, NO_BANK).search(QUERY, 8, among=None, per_video=3)
    assert [round(moment.score, 1) for moment in found] == [0.9] * 6 + [0.5] * 2


def test_what_fits_every_query_comes_after_what_fits_this_one(
    catalog: Catalog, features: FeatureStore, index: CurrentIndex
) -> None:
    for number in range(9):
        add(catalog, f"other {number}", scoring(0.0, seed=number), features)
    add(catalog, "hub", scoring(0.80, seed=70), features)
    add(catalog, "own", scoring(0.78, seed=71), features)
    current = index.get()
    assert current is not None
    hub = features.part(catalog.videos(["hub"])[0].id, SPACE, Span(0, 5)).matrix  # (1, 8)
    plain = Engine(catalog, features, current, NO_BANK)
    assert names(plain.search(QUERY, 2, among=None, per_video=3)) == ["hub", "own"]
    engine = Engine(catalog, features, current, Querybank(np.repeat(hub, 4, axis=0)))
    assert names(engine.search(QUERY, 2, among=None, per_video=3)) == ["own", "hub"]


def test_places_that_nobody_else_can_take_are_filled(engine: Engine, catalog: Catalog) -> None:
    long = next(video.id for video in catalog.videos() if video.path.stem == "long")
    among = catalog.segment_ids([long])
    assert names(engine.search(QUERY, 10, among=among, per_video=3)) == ["long"] * 10
    assert len(engine.search(QUERY, 10_000, among=None, per_video=1)) > 100


def test_segments_that_are_not_searched_are_no_part_of_a_moment(
    engine: Engine, catalog: Catalog
) -> None:
    among = catalog.segment_ids()[1::2]
    allowed = {
        (segment.video_id, segment.span)
        for video in catalog.videos()
        for segment in catalog.segments_of(video.id)
        if segment.id in among
    }
    found = engine.search(QUERY, 200, among=among, per_video=200)
    assert {(moment.video.id, moment.span) for moment in found} == allowed


@pytest.mark.parametrize("seed", range(6))
def test_what_is_beside_the_nearest_tells_as_much_as_whole_videos(
    catalog: Catalog, index: CurrentIndex, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = np.random.default_rng(seed)
    for number in range(30):
        walk = np.cumsum(random.normal(scale=0.12, size=random.integers(3, 200)))
        add(catalog, f"{number}", scoring(*0.9 * np.tanh(walk), seed=number))
    current = index.get()
    assert current is not None
    engine = Engine(catalog, FeatureStore(Path("none")), current, NO_BANK)
    among = np.sort(random.choice(current.ids, len(current.ids) // 2, replace=False))

    def found() -> list[Moment]:
        return [
            moment
            for some in (None, among)
            for k, per_video in ((1, 1), (10, 3), (20, 2))
            for moment in engine.search(QUERY, k, among=some, per_video=per_video)
        ]

    beside = found()
    monkeypatch.setattr(searching, "MOST", 0)
    wholly = found()
    assert [(m.video.id, m.span) for m in beside] == [(m.video.id, m.span) for m in wholly]
    assert np.allclose([m.score for m in beside], [m.score for m in wholly], atol=1e-6)


def test_nothing_to_search_among_is_nothing_found(engine: Engine) -> None:
    assert engine.search(QUERY, 10, among=np.array([], np.int64), per_video=3) == []
    assert engine.search(QUERY, 10, among=np.array([77]), per_video=3) == []


def test_a_usual_search_reads_the_catalogue_once_for_all_its_videos(
    engine: Engine, catalog: Catalog
) -> None:
    statements: list[str] = []
    with catalog._pool.reading() as connection:  # the next one to read has it
        connection.set_trace_callback(statements.append)
    assert engine.search(QUERY, 3, among=None, per_video=3)
    reads = [told for told in statements if "SELECT" in told]
    assert len(reads) == 4, "the sample, the nearest, what is around them, their videos"


def test_what_can_not_be_among_the_best_is_not_read(
    catalog: Catalog, index: CurrentIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        add(catalog, f"{number}", scoring(*[0.0] * 30, 0.9 - number / 100, *[0.0] * 30))
    read: list[int] = []
    around = Catalog.around

    def counting(self: Catalog, ids: Ids, reach: int, space: Space) -> list[Run]:
        read.extend(ids.tolist())
        return around(self, ids, reach, space)

    monkeypatch.setattr(Catalog, "around", counting)
    current = index.get()
    assert current is not None
    engine = Engine(catalog, FeatureStore(Path("none")), current, NO_BANK)
    assert names(engine.search(QUERY, 4, among=None, per_video=3)) == list("0123")
    assert len(read) < LEAST, "only what is better than the first that was not looked at"


def test_a_moment_that_reaches_far_is_found_as_a_whole_and_others_of_its_video_once(
    catalog: Catalog, index: CurrentIndex
) -> None:
    shown = np.array([*[0.0] * 60, *[0.6] * 30, 0.9, *[0.6] * 30, *[0.0] * 60, 0.85, 0.0])
    film = scoring(*shown)
    same = np.sqrt(1 - shown[60:121] ** 2)[:, None] * np.eye(16)[1]
    film[60:121] = np.hstack([shown[60:121, None], same[:, 1:]])
    add(catalog, "film", film, seconds=0.5)
    add(catalog, "other", scoring(*[0.0] * 900))
    for number in range(200):  # nearer than what surrounds the best of the film
        add(catalog, f"{number}", scoring(0.7, seed=number))
    current = index.get()
    assert current is not None
    engine = Engine(catalog, FeatureStore(Path("none")), current, NO_BANK)
    found = engine.search(QUERY, 5, among=None, per_video=5)
    assert [round(moment.score, 2) for moment in found] == [0.9, 0.85, 0.7, 0.7, 0.7]
    assert [moment.span for moment in found[:2]] == [Span(30, 60.5), Span(90.5, 91)]


def test_of_the_features_of_a_video_only_those_near_are_read(
    engine: Engine, features: Counting
) -> None:
    found = engine.search(QUERY, 10, among=None, per_video=3)
    assert {*features.loaded} == {moment.video.id for moment in found}
    assert max(map(features.loaded.count, features.loaded)) <= 3 * 7
    assert all(moment.why.peak == moment.span.start + 2.5 for moment in found)


def test_a_writer_that_replaces_a_video_meanwhile_disturbs_no_search(
    engine: Engine, catalog: Catalog, tmp_path: Path
) -> None:
    engine.search(QUERY, 1, among=None, per_video=1)
    with Catalog.open(tmp_path / "catalog.sqlite3") as writer:

        def replace(*_: object) -> None:
            add(writer, "long.mp4", blinking(0.9, 5))

        with catalog._pool.reading() as connection:  # the next one to read has it
            connection.set_trace_callback(replace)
        for _ in range(3):
            found = engine.search(QUERY, 10, among=None, per_video=3)
            assert set("0123456") <= set(names(found))


def test_a_segment_without_a_vector_is_passed_over(
    engine: Engine, catalog: Catalog, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite3")) as raw, raw:
        raw.execute("DELETE FROM vectors WHERE segment_id % 3 = 0")
    found = engine.search(QUERY, 10, among=None, per_video=3)
    assert len(found) == 10
    assert catalog.check() != []


@pytest.mark.parametrize("space", [SPACE, Space("other", 8, speaks_text=True)])
def test_features_that_are_of_no_use_cost_the_explanation_only(
    engine: Engine, features: FeatureStore, caplog: pytest.LogCaptureFixture, space: Space
) -> None:
    for video_id in features.ids():
        path = features.path(video_id, SPACE)
        path.write_bytes(b"junk")
        if space != SPACE:
            others = Features(space, np.ones((3, space.dim), np.float32), np.arange(3.0))
            features.save(video_id, others)
            features.path(video_id, space).replace(path)
    [best] = engine.search(QUERY, 1, among=None, per_video=3)
    assert best.why.peak == (best.span.start + best.span.end) / 2
    assert best.why.peak_score == best.score
    assert caplog.text.count("--again") == 1
    assert best.span == Span(best.span.start, best.span.start + 5)


def test_a_moment_tells_which_frames_its_best_segment_is_made_of(
    catalog: Catalog, features: FeatureStore, index: CurrentIndex
) -> None:
    add(catalog, "one", scoring(0.1, 0.9, 0.1), features)
    current = index.get()
    assert current is not None

    def weigh(frames: Matrix, times: Times) -> Vector:
        assert len(frames) == len(times)
        shares: Vector = (times / times.sum()).astype(np.float32)  # the later, the more
        return shares

    engine = Engine(catalog, features, current, NO_BANK, weigh)
    moment = engine.search(QUERY, 1, among=None, per_video=1)[0]
    assert moment.why.heeded == (Heeded(7.5, 1.0),)  # the one frame of the second segment
    plain = Engine(catalog, features, current, NO_BANK).search(QUERY, 1, among=None, per_video=1)
    assert plain[0].why.heeded == ()
