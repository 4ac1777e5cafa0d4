"""Features, kept frames and thumbnails in a bucket of a real S3 server."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.video_factory import (
    BLUE,
    VIDEO_COLORS,
    ColorScene,
    make_colored_videos,
    make_video,
)
from vsearch import Library, Outcome, config
from vsearch.errors import StoreError
from vsearch.server.thumbnail_cache import ThumbnailCache, build_thumbnail_request
from vsearch.storage import object_store
from vsearch.storage.bucket_features import BucketFeatureStore
from vsearch.storage.object_cache import ObjectCache
from vsearch.storage.object_store import BucketObjects, open_object_store
from vsearch.types import Features, Space, Span

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.s3_server import S3Server

pytestmark = pytest.mark.cluster

STORE = "s3://films/library"
SPACE = Space("S", 64, supports_text=True)


@pytest.fixture(autouse=True)
def _models(fake_model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a server that is down only shortly."""
    monkeypatch.setattr(object_store, "RETRY_SECONDS", 0.5)


@pytest.fixture
def objects(s3_server: S3Server) -> BucketObjects:
    """The store, empty."""
    create_bucket("films")
    return BucketObjects(STORE)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    return make_colored_videos(tmp_path / "videos")


def create_bucket(name: str) -> None:
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket=name)
    client.close()


def open_library(folder: Path, store: str = STORE, *, keep_frames: bool = False) -> Library:
    folder.mkdir(exist_ok=True)
    (folder / "vsearch.toml").write_text(f'store = "{store}"\n' if store else "")
    return Library.open(folder, create=True, keep_frames=keep_frames)


def index(library: Library, *paths: Path, force: bool = False) -> list[Outcome]:
    return [index_result.outcome for index_result in library.index(paths, force=force)]


def stored_names(objects: BucketObjects, prefix: str = "") -> list[str]:
    return sorted(stored.name for stored in objects.list_objects(prefix))


def search_rows(library: Library, query: str) -> list[tuple[object, ...]]:
    return [
        (moment.video.path, moment.span, moment.score, moment.confidence)
        for moment in library.search(query)
    ]


def test_a_library_in_a_bucket_equals_one_in_a_folder(
    tmp_path: Path, objects: BucketObjects, videos: Path, real_or_made_clips: Path
) -> None:
    with open_library(tmp_path / "a", "") as plain, open_library(tmp_path / "b") as library:
        for opened in (plain, library):
            assert set(index(opened, videos, real_or_made_clips)) == {Outcome.INDEXED}
        assert len(stored_names(objects, "features")) == len(library.videos()) > 3
        assert not (library.path / "features").exists()
        for video in plain.videos():
            expected, found = plain.features(video), library.features(video.path)
            np.testing.assert_array_equal(found.frame_vectors, expected.frame_vectors)
            np.testing.assert_array_equal(found.frame_times, expected.frame_times)
            curves = [lib.similarity_curve("red", video.path) for lib in (plain, library)]
            np.testing.assert_array_equal(curves[0].scores, curves[1].scores)
        for query in (*VIDEO_COLORS, "gray", "red -blue", "2:green red"):
            assert search_rows(plain, query) == search_rows(library, query)
        assert index(library, videos) == [Outcome.UNCHANGED] * 3
        assert library.doctor() == []


@pytest.fixture
def real_or_made_clips(tmp_path: Path) -> Path:
    """More videos."""
    folder = tmp_path / "more"
    folder.mkdir()
    for number in range(3):
        color = (40 * number, 200 - 30 * number, 90)
        make_video(folder / f"{number}.mp4", [ColorScene(color, 2), ColorScene(BLUE, 2)])
    return folder


def test_models_frames_thumbnails_backups_and_removal_work(
    tmp_path: Path, objects: BucketObjects, videos: Path
) -> None:
    with open_library(tmp_path / "a", keep_frames=True) as library:
        index(library, videos)
        assert len(stored_names(objects, "frames")) == 3
        thumbnail_request = build_thumbnail_request(library.videos()[0], 1.0, 160)
        first, second = (
            ThumbnailCache(library, tmp_path / name, shared_thumbnails=library.shared_thumbnails)
            for name in ("1", "2")
        )
        rendered = first.load_or_render(thumbnail_request)
        for path in videos.iterdir():
            path.rename(tmp_path / path.name)  # nothing can be decoded any more
        assert second.load_or_render(thumbnail_request) == rendered
        library.models.switch("fake:other")
        assert len(stored_names(objects, "features")) == 6
        library.models.switch(None)
        library.models.delete("fake:other")
        library.rebuild()
        assert library.backup(tmp_path / "backup").lost_features == ()
        library.remove([str(videos / "red.mp4")])
        assert library.clean_store() == 0  # everything is new
        time.sleep(1.1)  # times in a bucket are whole seconds
        assert library.clean_store(min_age_days=0) > 0
        assert len(stored_names(objects, "features")) == 2
        assert len(stored_names(objects, "frames")) == 2
        assert [len(library.features(video).frame_times) for video in library.videos()] == [6] * 2
    Library.restore(tmp_path / "backup", tmp_path / "restored")
    with Library.open(tmp_path / "restored") as restored:
        assert [len(restored.features(video).frame_times) for video in restored.videos()] == [6] * 3


def test_only_parts_of_long_videos_are_fetched(tmp_path: Path, objects: BucketObjects) -> None:
    fetched: list[int] = []

    class CountingObjects(BucketObjects):
        def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
            content = super().read(name, start, end)
            fetched.append(len(content))
            return content

    class Records:
        def features_crc32(self, _video_id: int, _space: Space) -> int | None:
            return crc32

        def content_fingerprint(self, _video_id: int) -> str:
            return "f"

        def video_path(self, _video_id: int) -> None:
            return None

        def videos_with_features(self, _space: Space) -> set[int]:
            return {1}

    vectors = np.random.default_rng(0).normal(size=(90_000, 64)).astype(np.float16)
    saved = Features(SPACE, vectors.astype(np.float32), np.arange(90_000, dtype=float))
    cache = ObjectCache(tmp_path / "cache", 2**22)
    store = BucketFeatureStore(tmp_path / "none", Records(), CountingObjects(STORE), cache)
    crc32 = store.save_content("f", saved)
    for start in (70_000, 70_020):
        part = store.load_range(1, SPACE, Span(start, start + 30))
        np.testing.assert_array_equal(
            part.frame_vectors, saved.frame_vectors[start - 1 : start + 31]
        )
    assert len(fetched) <= 4
    assert sum(fetched) < 1_600_000  # of 12 MB
    np.testing.assert_array_equal(store.load(1, SPACE).frame_vectors, saved.frame_vectors)
    cached_bytes = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.*"))
    assert 0 < cached_bytes <= 1.1 * 2**22


def test_an_outage_leaves_whole_videos_and_the_next_run_continues(
    tmp_path: Path, s3_server: S3Server, objects: BucketObjects, videos: Path
) -> None:
    with open_library(tmp_path / "a") as library:
        index_results = library.index([videos])
        assert next(index_results).outcome is Outcome.INDEXED
        s3_server.stop()
        with pytest.raises(StoreError, match="films/library: the store cannot be reached"):
            list(index_results)
        assert len(library.videos()) == 1
        assert library.search("red")  # goes on without the store
        assert any("cannot be reached" in problem for problem in library.doctor())
        s3_server.start()
        create_bucket("films")  # which lost the first one
        assert sorted(index(library, videos)) == sorted([Outcome.UNCHANGED, *[Outcome.INDEXED] * 2])
        (problem,) = library.doctor()
        assert "vsearch index --force" in problem
        index(library, videos, force=True)
        assert library.doctor() == []
        assert len(stored_names(objects)) == 3


def test_damaged_objects_are_named_and_made_again(
    tmp_path: Path, objects: BucketObjects, videos: Path
) -> None:
    with open_library(tmp_path / "a") as library:
        index(library, videos)
        name = stored_names(objects)[0]
        intact = objects.read(name)
        objects.write(name, intact[:-20] + bytes(20))
        (problem,) = library.doctor()
        assert "damaged" in problem
        index(library, videos, force=True)
        assert library.doctor() == []
        assert objects.read(name) == intact


WRITE = """
import sys
from pathlib import Path
from vsearch import Library
with Library.open(Path(sys.argv[1]), create=True) as library:
    print(*[result.outcome for result in library.index([Path(sys.argv[2])])])
"""


def test_two_processes_write_the_same_videos(
    tmp_path: Path, objects: BucketObjects, videos: Path
) -> None:
    processes = []
    for name in ("a", "b"):
        open_library(tmp_path / name).close()
        command = [sys.executable, "-c", WRITE, str(tmp_path / name), str(videos)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    for process in processes:
        assert process.communicate()[0].split() == [str(Outcome.INDEXED)] * 3
        assert process.returncode == 0
    assert len(stored_names(objects)) == 3
    for name in ("a", "b"):
        with Library.open(tmp_path / name) as library:
            assert library.doctor() == []


def test_a_writer_that_is_killed_leaves_whole_videos(
    tmp_path: Path, objects: BucketObjects, videos: Path
) -> None:
    for number in range(12):
        make_video(videos / f"{number}.mp4", [ColorScene((20 * number, 90, 10), 2)])
    open_library(tmp_path / "a").close()
    command = [sys.executable, "-c", WRITE, str(tmp_path / "a"), str(videos)]
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        count = len(stored_names(objects))
        deadline = time.monotonic() + 60
        while len(stored_names(objects)) <= count and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.wait()
        with Library.open(tmp_path / "a") as library:
            stored = stored_names(objects)
            assert len(library.videos()) in (len(stored), len(stored) - 1)
            for video in library.videos():
                assert len(library.features(video).frame_times)
    with Library.open(tmp_path / "a") as library:
        index(library, videos)
        assert library.doctor() == []
        assert len(stored_names(objects)) == len(library.videos()) == 15


FULL = """
import resource, sys
from pathlib import Path
from vsearch import Library
from vsearch.storage import object_cache
with Library.open(Path(sys.argv[1])) as library:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    print(*[len(library.features(video).frame_times) for video in library.videos()])
"""


def test_a_full_disk_of_the_cache_does_not_keep_features_from_being_read(
    tmp_path: Path, objects: BucketObjects, videos: Path
) -> None:
    with open_library(tmp_path / "a") as library:
        index(library, videos)
    command = [sys.executable, "-c", FULL, str(tmp_path / "a")]
    completed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert completed.stdout.split() == ["6", "6", "6"]
    assert "not cached" in completed.stderr
    assert not list(config.cache_folder().rglob("*.part"))


@pytest.mark.parametrize(
    ("store", "environment", "message"),
    [
        ("s3://missing/a", {}, "there is no such bucket"),
        (STORE, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no valid credentials"),
        (STORE, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "cannot be reached"),
    ],
)
def test_problems_are_named_without_secrets(
    store: str,
    environment: dict[str, str],
    message: str,
    objects: BucketObjects,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    for operation in (
        lambda opened: opened.write("a", b"content"),
        lambda opened: list(opened.list_objects()),
    ):
        with pytest.raises(StoreError, match=message) as caught:
            operation(open_object_store(store))
        assert "testing" not in str(caught.value)
