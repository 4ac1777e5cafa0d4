"""Indexes on real servers: kept in sync with the catalog, through crashes and loss of data."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.synthetic import build_library, make_queries
from benchmarks.walks import VECTOR_DIM, WalkVectors, load_all
from tests.support.filled_library import add_vectors, vectors_with_scores
from tests.support.free_port import find_free_port
from vsearch import Library
from vsearch.catalog.catalog import Catalog
from vsearch.cli.main import cli
from vsearch.errors import IndexServerError, SettingsError
from vsearch.index.ground_truth import GroundTruth, perturb_queries
from vsearch.search import live_index
from vsearch.search.shared_live_index import KEY_FILE, SharedLiveIndex, open_live_index
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.index_server import IndexServer
    from vsearch.search.live_index import LiveIndex
    from vsearch.types import Ids, Matrix

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=["pgvector", "milvus"])
def server(request: pytest.FixtureRequest) -> IndexServer:
    found: IndexServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as opened:
        yield opened


def open_index(catalog: Catalog, folder: Path, server: IndexServer) -> LiveIndex:
    return open_live_index(catalog, folder / "index", server.index_setting)


def found_ids(index: LiveIndex, vectors: Matrix) -> list[int]:
    """Return the nearest segment of each vector."""
    snapshot = index.take_snapshot()
    assert snapshot is not None
    return [int(snapshot.vector_index.search(vector, 1)[0][0]) for vector in vectors]


def test_the_index_follows_the_catalog(
    catalog: Catalog, tmp_path: Path, server: IndexServer
) -> None:
    index, other_process = (open_index(catalog, tmp_path, server) for _ in range(2))
    assert index.take_snapshot() is None
    vectors = vectors_with_scores(*np.linspace(0.9, 0.1, 30))
    first_ids = add_vectors(catalog, "a", vectors[:10])
    index.save()
    second_ids = add_vectors(catalog, "b", vectors[10:20])
    assert found_ids(other_process, vectors[:20]) == [*first_ids, *second_ids]
    assert found_ids(index, vectors[:20]) == [*first_ids, *second_ids]
    [removed] = [video for video in catalog.videos() if video.path.name == "a"]
    with catalog.begin() as transaction:
        transaction.remove_videos([removed.id])
    third_ids = add_vectors(catalog, "c", vectors[20:])
    assert found_ids(index, vectors[10:]) == [*second_ids, *third_ids]
    snapshot = other_process.take_snapshot()
    assert snapshot is not None
    assert snapshot.segments.count == len(snapshot.vector_index) == 20
    best_ids, scores = snapshot.vector_index.search(vectors[0], 100)
    assert sorted(best_ids) == [*second_ids, *third_ids]
    assert not set(best_ids) & set(first_ids.tolist())
    exact = np.sort(vectors[10:] @ vectors[0])[::-1]
    np.testing.assert_allclose(scores, exact, atol=2e-3)  # as stored in float16
    assert not index.find_problems()


def test_a_killed_server_loses_nothing_and_a_server_without_data_is_filled_again(
    catalog: Catalog, tmp_path: Path, server: IndexServer
) -> None:
    vectors = vectors_with_scores(*np.linspace(0.9, 0.1, 50))
    all_ids = add_vectors(catalog, "a", vectors[:40]).tolist()
    index = open_index(catalog, tmp_path, server)
    index.save()
    server.kill()
    all_ids += add_vectors(catalog, "b", vectors[40:]).tolist()  # the server is down meanwhile
    server.start()
    assert found_ids(index, vectors) == all_ids
    assert found_ids(open_index(catalog, tmp_path, server), vectors) == all_ids
    server.kill()
    server.delete_data()
    server.start()
    assert found_ids(index, vectors) == all_ids
    server.kill()
    server.delete_data()
    server.start()
    assert found_ids(open_index(catalog, tmp_path, server), vectors) == all_ids


def test_vectors_of_another_library_are_replaced(tmp_path: Path, server: IndexServer) -> None:
    """A library restored from a backup may give the same ids to other segments."""
    for folder, seed in ((tmp_path / "old", 1), (tmp_path / "new", 2)):
        vectors = vectors_with_scores(*np.linspace(0.9, 0.1, 30), seed=seed)
        (folder / "index").mkdir(parents=True)
        with Catalog.open(folder / "catalog.sqlite3", create=True) as opened:
            all_ids = add_vectors(opened, "a", vectors)
            index = open_index(opened, folder, server)
            if folder.name == "new":
                os.link(tmp_path / "old" / "index" / KEY_FILE, folder / "index" / KEY_FILE)
            assert found_ids(index, vectors) == all_ids.tolist()


def test_an_interrupted_update_is_repeated(
    catalog: Catalog, tmp_path: Path, server: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = vectors_with_scores(*np.linspace(0.9, 0.1, 30))
    add_vectors(catalog, "a", vectors[:10])
    index = open_index(catalog, tmp_path, server)
    index.save()
    add_vectors(catalog, "b", vectors[10:20])
    index_class = type(index.take_snapshot().vector_index.base_index)  # type: ignore[union-attr]
    add_vectors(catalog, "a", vectors[20:])  # replaces the video
    with monkeypatch.context() as patch:
        patch.setattr(
            index_class, "write_stamp", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            index.take_snapshot()
    expected = catalog.segment_ids().tolist()
    assert found_ids(open_index(catalog, tmp_path, server), vectors[10:]) == expected
    assert not index.find_problems()


def test_an_invalidated_index_is_built_again(
    catalog: Catalog, tmp_path: Path, server: IndexServer
) -> None:
    vectors = vectors_with_scores(*np.linspace(0.9, 0.1, 10))
    all_ids = add_vectors(catalog, "a", vectors)
    index = open_index(catalog, tmp_path, server)
    index.save()
    index.invalidate()
    assert found_ids(index, vectors) == all_ids.tolist()


def test_an_absent_server_is_named(
    catalog: Catalog, tmp_path: Path, server: IndexServer, caplog: pytest.LogCaptureFixture
) -> None:
    add_vectors(catalog, "a", vectors_with_scores(0.5))
    kind, address = server.index_setting.split(":", 1)
    port = f"127.0.0.1:{find_free_port()}"
    host = address.split("//")[1].split("/")[0].split("@")[-1]
    index = SharedLiveIndex(catalog, tmp_path / "index", kind, address.replace(host, port))
    with pytest.raises(IndexServerError, match=r"127\.0\.0\.1.*VSEARCH_INDEX"):
        index.take_snapshot()
    index.save()  # of a run that has indexed videos
    assert "The next search updates the index" in caplog.text
    assert len(index.find_problems()) == 1


@pytest.mark.parametrize("setting", ["milvus:", "milvus:nonsense", "milvus:http://"])
def test_an_address_that_is_not_valid_is_refused(
    catalog: Catalog, tmp_path: Path, setting: str
) -> None:
    add_vectors(catalog, "a", vectors_with_scores(0.5))
    with pytest.raises(SettingsError, match="address"):
        open_live_index(catalog, tmp_path / "index", setting).take_snapshot()


class Walks:
    """20,000 vectors of videos in a catalog and in an index, for tests of recall."""

    def __init__(self, catalog: Catalog, index: LiveIndex, vectors: Matrix) -> None:
        self.catalog, self.index, self.vectors = catalog, index, vectors
        self.ids = catalog.segment_ids()

    def measure_recall(self, queries: Matrix, allowed_ids: Ids | None) -> float:
        snapshot = self.index.take_snapshot()
        assert snapshot is not None
        truth = GroundTruth(queries)
        rows = slice(None) if allowed_ids is None else np.isin(self.ids, allowed_ids)
        truth.add(self.ids[rows], self.vectors[rows])
        found = [snapshot.vector_index.search(query, 10, allowed_ids)[0] for query in queries]
        if allowed_ids is not None:
            assert np.isin(np.concatenate(found), allowed_ids).all()
        return truth.measure_recall([ids.tolist() for ids in found])


@pytest.fixture(scope="module")
def walks(server: IndexServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walks]:
    folder = tmp_path_factory.mktemp("walks")
    vectors = load_all(WalkVectors(folder / "vectors", 20_000))
    space = Space("walks", VECTOR_DIM, supports_text=False)
    with Catalog.open(folder / "catalog.sqlite3", create=True) as catalog:
        from vsearch.types import Span

        for number in range(100):
            with catalog.begin() as transaction:
                video = transaction.add_video(
                    video_path=folder / f"{number}.mp4",
                    fingerprint=str(number),
                    size_bytes=1,
                    mtime_ns=1,
                    duration=1_000.0,
                    fps=25.0,
                    width=64,
                    height=48,
                    codec="h264",
                    sampled_frames=200,
                    sample_fps=0.2,
                )
                transaction.add_segments(
                    video.id,
                    [Span(5.0 * i, 5.0 * i + 5) for i in range(200)],
                    vectors[number * 200 : number * 200 + 200],
                    space,
                )
                transaction.set_space(space, "mean", "fake")
        index = open_live_index(catalog, folder / "index", server.index_setting)
        index.save()
        if server.index_setting.startswith("milvus"):
            time.sleep(20)  # until the query node has loaded HNSW
        _, stored_vectors = catalog.vectors(None, space)
        yield Walks(catalog, index, stored_vectors)


@pytest.mark.parametrize("share", [None, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("whole_videos", [True, False])
def test_recall_is_at_least_99_percent(
    walks: Walks, share: float | None, whole_videos: bool
) -> None:
    queries = perturb_queries(walks.vectors, 100, seed=3)
    random = np.random.default_rng(1)
    allowed_ids = None
    if share is not None:
        group = walks.ids // 200 if whole_videos else walks.ids
        groups = random.permutation(np.unique(group))
        allowed_ids = walks.ids[np.isin(group, groups[: max(1, round(share * len(groups)))])]
    assert walks.measure_recall(queries, allowed_ids) >= 0.99


def test_long_filters_find_what_short_ones_find(
    walks: Walks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vectors that are allowed may all be far from the query."""
    monkeypatch.setattr("vsearch.index.milvus.PART_IDS", 500)
    monkeypatch.setattr("vsearch.index.pgvector.MAX_COMPARED", 1_000)
    query = walks.vectors[0]
    far_ids = np.sort(walks.ids[np.argsort(walks.vectors @ query)[:9_000]])
    assert walks.measure_recall(query[None], far_ids) >= 0.9
    assert walks.measure_recall(perturb_queries(walks.vectors, 20), far_ids) >= 0.99


def test_samples_of_the_stamp_resemble_those_of_all_segments(
    walks: Walks, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = walks.index.take_snapshot()
    assert snapshot is not None
    assert not snapshot.keeps_all_ids
    sampled_from_all = walks.vectors[np.isin(walks.ids, snapshot.segments.sample(1_000))]
    monkeypatch.setattr(live_index, "MAX_LISTED_SAMPLE", 0)
    sampled = walks.vectors[np.isin(walks.ids, snapshot.segments.sample(1_000))]
    assert len(sampled) == len(sampled_from_all) == 1_000
    np.testing.assert_allclose(sampled.mean(axis=0), sampled_from_all.mean(axis=0), atol=0.005)


def test_searches_equal_those_of_the_exact_index(
    server: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_library(tmp_path / "library", 9_000)
    queries = make_queries(200)
    results = {}
    for index_setting in ("exact", server.index_setting):
        with Library.open(tmp_path / "library", index=index_setting) as library:
            results[index_setting] = [
                [
                    (moment.video.id, moment.span, moment.confidence)
                    for moment in library.search(query, k=10).moments
                ]
                for query in queries
            ]
    exact_results, server_results = results.values()
    pairs = list(zip(exact_results, server_results, strict=True))
    found = sum(len({m[:2] for m in a} & {m[:2] for m in b}) for a, b in pairs)
    assert found >= 0.99 * sum(map(len, exact_results))
    for exact_moments, server_moments in pairs:
        confidences = {moment[:2]: moment[2] for moment in exact_moments}
        for moment in server_moments:
            if moment[:2] in confidences:
                assert moment[2] == pytest.approx(confidences[moment[:2]], abs=1e-4)
    monkeypatch.setenv("VSEARCH_INDEX", server.index_setting)
    run = CliRunner().invoke(cli, ["--library", str(tmp_path / "library"), "doctor", "--recall"])
    assert run.exit_code == 0, run.output
    run = CliRunner().invoke(cli, ["--library", str(tmp_path / "library"), "doctor"])
    assert "does not match" not in run.output
