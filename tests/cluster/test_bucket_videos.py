"""Videos in buckets, on an S3 server: indexed, changed, moved, searched, played and exported."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.s3_server import S3Server
from tests.support.server import serve_library
from tests.support.tcp_proxy import TcpProxy
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.buckets import availability, filesystems, range_file
from vsearch.buckets.bucket_path import BucketPath, to_path
from vsearch.media.discovery import compute_fingerprint, find_videos
from vsearch.media.file_identity import compute_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.buckets.filesystems import ObjectAddress
    from vsearch.progress import IndexResult
    from vsearch.types import Video

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not S3Server.is_installed(), reason="needs s3fs and moto[server]"),
    # of the packages of the bucket, which are not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore", "ignore::ResourceWarning"),
]
FOLDER = "s3://films/raw"
SUBTITLES = b"1\n00:00:00,500 --> 00:00:02,000\nHello bucket\n"


def make_noisy_video(video_path: Path, *, seconds: int = 6, gop_size: int = 10) -> Path:
    """Write a video of noise, of about 0.7 MB/s, whose index is at its end."""
    random = np.random.default_rng(7)
    with av.open(str(video_path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 320, 240, "yuv420p", gop_size
        for frame_index in range(10 * seconds):
            image = random.integers(0, 256, (240, 320, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = frame_index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return video_path


@pytest.fixture(scope="module")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of three videos and subtitles."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "more").mkdir()
    make_video(folder / "red then blue.mp4", [ColorScene(RED, 4), ColorScene(BLUE, 4)])
    make_video(folder / "more" / "grün #1?.mkv", [ColorScene(GREEN, 3)])
    make_noisy_video(folder / "noise.mp4")
    (folder / "red then blue.srt").write_bytes(SUBTITLES)
    return folder


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    """Yield a running S3 server."""
    server = S3Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3_client(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield a client of the server, whose environment vsearch uses."""
    for name, value in s3_server.client_environment.items():
        monkeypatch.setenv(name, value)
    forget_state(monkeypatch)
    client = make_client(s3_server)
    client.create_bucket(Bucket="films")
    yield client
    empty_bucket(client)
    filesystems.open_filesystem.cache_clear()


def make_client(server: S3Server) -> Any:
    """Return a client of the server itself, not of a proxy."""
    import boto3

    return boto3.client("s3", endpoint_url=server.endpoint_url)


def forget_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start as a new process does: without connections and without blocks in memory."""
    filesystems.open_filesystem.cache_clear()
    monkeypatch.setattr(range_file, "_CACHE", range_file._BlockCache(range_file.CACHE_BYTES))
    range_file._DIGESTS.clear()


def empty_bucket(client: Any) -> None:
    """Delete all keys and the bucket."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="films"):
        for item in page.get("Contents", ()):
            client.delete_object(Bucket="films", Key=item["Key"])
    client.delete_bucket(Bucket="films")


def upload_folder(client: Any, folder: Path, prefix: str = "raw") -> None:
    """Copy a folder into the bucket."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client.upload_file(str(path), "films", f"{prefix}/{path.relative_to(folder)}")


@pytest.fixture
def filled_bucket(s3_client: Any, made_folder: Path) -> Any:
    """A client of the server, in whose bucket the videos are."""
    upload_folder(s3_client, made_folder)
    return s3_client


@pytest.fixture
def read_ranges(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Name, first byte and end of each range that is read."""
    ranges: list[tuple[str, int, int]] = []
    read_range = filesystems.read_range

    def record_range(path: ObjectAddress, info: Any, start: int, end: int) -> bytes:
        ranges.append((path.name, start, end))
        return read_range(path, info, start, end)

    monkeypatch.setattr(range_file, "read_range", record_range)
    return ranges


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """An empty library."""
    with Library.open(tmp_path / "library", encoder=FakeEncoder(), create=True) as opened:
        yield opened


def index(library: Library, *paths: str | Path, **options: Any) -> dict[str, str]:
    """Index paths; return outcomes by path, of failures with their reason."""
    results: list[IndexResult] = list(library.index(paths, **options))
    return {str(result.path): result.error or str(result.outcome) for result in results}


def count_bytes(ranges: list[tuple[str, int, int]]) -> int:
    """Return how many bytes were read."""
    return sum(end - start for _, start, end in ranges)


def find_video(library: Library, name: str) -> Video:
    """Return the video of a file name."""
    return next(video for video in library.videos() if video.path.name == name)


def test_a_bucket_is_indexed_like_a_folder_and_each_byte_is_read_once(
    filled_bucket: Any,
    made_folder: Path,
    tmp_path: Path,
    library: Library,
    read_ranges: list[tuple[str, int, int]],
) -> None:
    outcomes = index(library, FOLDER)
    assert outcomes == {
        f"{FOLDER}/{name}": "indexed"
        for name in ("more/grün #1?.mkv", "noise.mp4", "red then blue.mp4")
    }
    sizes = [path.stat().st_size for path in made_folder.rglob("*.m*") if path.is_file()]
    subtitle_bytes = 2 * len(SUBTITLES)
    assert count_bytes(read_ranges) <= 1.05 * sum(sizes) + subtitle_bytes
    with Library.open(tmp_path / "local", encoder=FakeEncoder(), create=True) as local_library:
        index(local_library, made_folder)
        for local_video in local_library.videos():
            video = find_video(library, local_video.path.name)
            assert isinstance(video.path, BucketPath)
            for field in ("fingerprint", "size_bytes", "duration", "fps", "width", "codec"):
                assert getattr(video, field) == getattr(local_video, field)
            segments, vectors = library.segments_with_vectors(video)
            local_segments, local_vectors = local_library.segments_with_vectors(local_video)
            assert [s.span for s in segments] == [s.span for s in local_segments]
            assert np.array_equal(vectors, local_vectors)
    moments = library.search('"Hello bucket"').moments
    assert moments[0].video.path.name == "red then blue.mp4"


def test_an_unchanged_bucket_is_listed_and_not_read(
    filled_bucket: Any, library: Library, read_ranges: list[tuple[str, int, int]]
) -> None:
    index(library, FOLDER)
    read_ranges.clear()
    assert set(index(library, FOLDER).values()) == {"unchanged"}
    assert not read_ranges


def test_the_same_bytes_uploaded_again_are_not_read(
    filled_bucket: Any,
    made_folder: Path,
    library: Library,
    read_ranges: list[tuple[str, int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index(library, FOLDER)
    video_id = find_video(library, "noise.mp4").id
    upload_folder(filled_bucket, made_folder)
    forget_state(monkeypatch)
    read_ranges.clear()
    assert set(index(library, FOLDER).values()) == {"unchanged"}
    assert "noise.mp4" not in {name for name, _, _ in read_ranges}  # subtitles are read again
    assert find_video(library, "noise.mp4").id == video_id


def test_changed_renamed_copied_and_deleted_keys_are_recognized(
    filled_bucket: Any, made_folder: Path, tmp_path: Path, library: Library
) -> None:
    index(library, FOLDER)
    noise_id = find_video(library, "noise.mp4").id
    changed_path = make_video(tmp_path / "changed.mp4", [ColorScene(GREEN, 2)])
    filled_bucket.upload_file(str(changed_path), "films", "raw/red then blue.mp4")
    source = {"Bucket": "films", "Key": "raw/noise.mp4"}
    filled_bucket.copy_object(Bucket="films", Key="raw/new name.mp4", CopySource=source)
    filled_bucket.delete_object(Bucket="films", Key="raw/noise.mp4")
    filled_bucket.delete_object(Bucket="films", Key="raw/more/grün #1?.mkv")
    assert index(library, FOLDER) == {
        f"{FOLDER}/new name.mp4": "moved",
        f"{FOLDER}/red then blue.mp4": "updated",
    }
    assert find_video(library, "new name.mp4").id == noise_id
    statuses = {
        video.path.name: video.file_status for video in library.check_files(library.videos())
    }
    assert statuses == {
        "new name.mp4": "available",
        "red then blue.mp4": "available",
        "grün #1?.mkv": "missing",
    }
    # a file on disk with the same bytes is a copy of the one in the bucket
    assert index(library, made_folder / "noise.mp4") == {
        str(made_folder / "noise.mp4"): "duplicate"
    }
    assert [video.path.name for video in library.remove_missing()] == ["grün #1?.mkv"]


def test_a_video_moved_from_disk_into_a_bucket_keeps_its_id(
    s3_client: Any, tmp_path: Path, library: Library
) -> None:
    local_path = make_noisy_video(tmp_path / "a.mp4", seconds=4)
    assert index(library, local_path) == {str(local_path): "indexed"}
    video_id = find_video(library, "a.mp4").id
    s3_client.upload_file(str(local_path), "films", "raw/a.mp4")
    local_path.unlink()
    assert index(library, FOLDER) == {f"{FOLDER}/a.mp4": "moved"}
    assert (find_video(library, "a.mp4").id, str(find_video(library, "a.mp4").path)) == (
        video_id,
        f"{FOLDER}/a.mp4",
    )


def test_keyframes_alone_are_read_with_a_part_of_the_file_and_the_same_result(
    s3_client: Any,
    tmp_path: Path,
    library: Library,
    read_ranges: list[tuple[str, int, int]],
) -> None:
    local_path = make_noisy_video(tmp_path / "long gops.mp4", seconds=24, gop_size=40)
    s3_client.upload_file(str(local_path), "films", "raw/long gops.mp4")
    with (
        Library.open(
            tmp_path / "keys", encoder=FakeEncoder(), keyframes_only=True, create=True
        ) as bucket_library,
        Library.open(
            tmp_path / "local", encoder=FakeEncoder(), keyframes_only=True, create=True
        ) as local_library,
    ):
        assert index(bucket_library, FOLDER) == {f"{FOLDER}/long gops.mp4": "indexed"}
        assert count_bytes(read_ranges) < 0.7 * local_path.stat().st_size
        index(local_library, local_path)
        (video,), (local_video,) = bucket_library.videos(), local_library.videos()
        for field in ("duration", "max_keyframe_gap", "sampled_frames", "warning"):
            assert getattr(video, field) == getattr(local_video, field)
        features, local_features = (
            bucket_library.features(video),
            local_library.features(local_video),
        )
        assert np.array_equal(features.frame_vectors, local_features.frame_vectors)
        assert set(index(bucket_library, FOLDER).values()) == {"unchanged"}


@pytest.mark.parametrize(
    ("patterns", "expected_names"),
    [
        (["s3://films/raw/*.mp4"], {"noise.mp4", "red then blue.mp4"}),
        (["s3://films/*/more/*"], {"grün #1?.mkv"}),
        (["s3://films/**/*.mkv"], {"grün #1?.mkv"}),
        (["s3://films/raw/more/grün #1?.mkv"], {"grün #1?.mkv"}),
        (["s3://films/r?w"], {"noise.mp4", "red then blue.mp4", "grün #1?.mkv"}),
        (["s3://films", "s3://films/raw"], {"noise.mp4", "red then blue.mp4", "grün #1?.mkv"}),
    ],
)
def test_globs_and_names_work_in_buckets(
    filled_bucket: Any, patterns: list[str], expected_names: set[str]
) -> None:
    found_files = list(find_videos(patterns))
    assert not [found.error for found in found_files if found.error]
    assert {found.path.name for found in found_files} == expected_names
    assert len(found_files) == len(expected_names)


def test_excludes_ignore_files_and_dry_runs_work_in_buckets(
    filled_bucket: Any, library: Library
) -> None:
    filled_bucket.put_object(Bucket="films", Key="raw/more/.vsearchignore", Body=b"*.mkv\n")
    filled_bucket.put_object(Bucket="films", Key="raw/.hidden/a.mp4", Body=b"x")
    entries = {
        entry.path.name: entry.state
        for entry in library.preview_index([FOLDER], excludes=["noise*"])
    }
    assert entries["red then blue.mp4"] == "new"
    assert entries["noise.mp4"] == entries["grün #1?.mkv"] == "skipped"
    assert not library.videos()
    assert index(library, FOLDER, excludes=[f"{FOLDER}/noise.mp4"]) == {
        f"{FOLDER}/red then blue.mp4": "indexed"
    }


def test_odd_keys_are_indexed_or_named_in_an_error(
    s3_client: Any, made_folder: Path, library: Library
) -> None:
    content = (made_folder / "red then blue.mp4").read_bytes()
    fine_keys = ["raw/ä b+%41&=;'\"*[x].mp4", "raw/名 前.mp4", "raw/-rf.mp4", "raw/~/$HOME.mp4"]
    for key_index, key in enumerate(fine_keys):
        s3_client.put_object(Bucket="films", Key=key, Body=content + bytes(key_index))
    for key in ("raw//empty.mp4", "raw/../up.mp4", "raw/./here.mp4"):
        s3_client.put_object(Bucket="films", Key=key, Body=content)
    s3_client.put_object(Bucket="films", Key="raw/folder/", Body=b"")
    s3_client.put_object(Bucket="films", Key="raw/damaged.mp4", Body=b"no video at all")
    outcomes = index(library, FOLDER)
    assert {path for path, outcome in outcomes.items() if outcome == "indexed"} == {
        f"s3://films/{key}" for key in fine_keys
    }
    failures = [outcome for outcome in outcomes.values() if outcome != "indexed"]
    assert any("damaged.mp4" in failure for failure in failures)
    results = [found.error for found in find_videos([FOLDER]) if found.error]
    assert len(results) == 3
    assert all("rename it" in result for result in results)
    assert {str(video.path) for video in library.videos()} == {f"s3://films/{k}" for k in fine_keys}


def test_many_keys_are_listed_by_pages(
    s3_client: Any, monkeypatch: pytest.MonkeyPatch, library: Library
) -> None:
    monkeypatch.setattr(filesystems, "_PAGE_KEYS", 7)
    for number in range(30):
        s3_client.put_object(Bucket="films", Key=f"raw/{number:03}.mp4", Body=b"x")
    found_paths = [found.path.name for found in find_videos([FOLDER])]
    assert found_paths == [f"{number:03}.mp4" for number in range(30)]
    monkeypatch.setattr(availability, "_MIN_LISTED_FILES", 10)
    paths = [BucketPath(f"{FOLDER}/{number:03}.mp4") for number in range(29, 35)]
    statuses = availability.find_bucket_statuses(
        [*paths, *(BucketPath(f"{FOLDER}/{number:03}.mp4") for number in range(29))]
    )
    assert [statuses[path] for path in paths] == ["available"] + 5 * ["missing"]


def test_digests_and_fingerprints_are_those_of_the_file_on_disk(
    filled_bucket: Any, made_folder: Path
) -> None:
    path, local_path = to_path(f"{FOLDER}/noise.mp4"), made_folder / "noise.mp4"
    assert compute_fingerprint(path) == compute_fingerprint(local_path)
    assert compute_digest(path) == compute_digest(local_path)


# --- faults


@pytest.fixture
def proxy(
    s3_server: S3Server, filled_bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TcpProxy]:
    """Yield a proxy between vsearch and the server, in whose bucket the videos are."""
    with TcpProxy(s3_server.port) as tcp_proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", tcp_proxy.url)
        monkeypatch.setattr(filesystems, "ATTEMPT_SECONDS", 1.0)
        forget_state(monkeypatch)
        yield tcp_proxy


@pytest.mark.parametrize("fault", ["stall", "reset"])
def test_a_short_fault_in_the_middle_of_a_file_changes_nothing(
    proxy: TcpProxy, made_folder: Path, library: Library, fault: str
) -> None:
    ending = threading.Timer(2.0, proxy.set_fault, ["none"])

    def start_fault(path: ObjectAddress, info: Any, start: int, end: int) -> bytes:
        if start > 500_000 and not ending.is_alive() and not ending.finished.is_set():
            proxy.set_fault(fault)  # type: ignore[arg-type]
            ending.start()
        return filesystems.read_range(path, info, start, end)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(range_file, "read_range", start_fault)
        assert set(index(library, FOLDER).values()) == {"indexed"}
    ending.join()
    video = find_video(library, "noise.mp4")
    assert video.warning is None
    assert video.fingerprint == compute_fingerprint(made_folder / "noise.mp4")


def test_resets_at_any_byte_are_repeated(proxy: TcpProxy, library: Library) -> None:
    for limit in (60_000, 900_000, 2_000_000):
        proxy.reset_after_bytes = proxy.received_bytes + limit
        outcomes = index(library, FOLDER, force=True)
        assert set(outcomes.values()) <= {"indexed", "updated"}, outcomes
        assert all(video.warning is None for video in library.videos())


def test_a_server_that_is_killed_and_comes_back_is_waited_for(
    made_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Library
) -> None:
    server = S3Server()
    server.start()
    for name, value in server.client_environment.items():
        monkeypatch.setenv(name, value)
    forget_state(monkeypatch)
    client = make_client(server)
    client.create_bucket(Bucket="films")
    upload_folder(client, made_folder)
    restarts: list[threading.Thread] = []

    def restart() -> None:
        server.stop()
        server.start()
        make_client(server).create_bucket(Bucket="films")
        upload_folder(make_client(server), made_folder)

    def kill_once(path: ObjectAddress, info: Any, start: int, end: int) -> bytes:
        if start > 500_000 and not restarts:
            restarts.append(threading.Thread(target=restart))
            restarts[0].start()
            server_process = server.process
            if server_process is not None:
                server_process.wait()
        for _ in range(100):  # a bucket that is not filled yet answers that there is no such key
            try:
                return filesystems.read_range(path, info, start, end)
            except FileNotFoundError:
                restarts[0].join()
        raise AssertionError

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(range_file, "read_range", kill_once)
            assert set(index(library, FOLDER).values()) == {"indexed"}
        assert restarts
        assert find_video(library, "noise.mp4").warning is None
    finally:
        server.stop()


def test_a_bucket_that_stays_away_fails_files_and_is_offline_not_missing(
    proxy: TcpProxy, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(library, f"{FOLDER}/red then blue.mp4")
    monkeypatch.setattr(filesystems, "READ_SECONDS", 1.0)
    monkeypatch.setattr(filesystems, "STATE_SECONDS", 1.0)
    monkeypatch.setattr(availability, "STATUS_SECONDS", 1.0)

    def fail_late(path: ObjectAddress, info: Any, start: int, end: int) -> bytes:
        if start > 500_000 and path.name == "noise.mp4":
            proxy.set_fault("stall")
        return filesystems.read_range(path, info, start, end)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(range_file, "read_range", fail_late)
        outcomes = index(library, f"{FOLDER}/noise.mp4")
    assert "does not answer" in outcomes[f"{FOLDER}/noise.mp4"]
    assert [video.path.name for video in library.videos()] == ["red then blue.mp4"]
    proxy.set_fault("stall")
    assert [video.file_status for video in library.check_files(library.videos())] == ["offline"]
    assert not library.remove_missing()
    assert "does not answer" in index(library, FOLDER)[FOLDER]
    proxy.set_fault("none")
    assert index(library, FOLDER)[f"{FOLDER}/noise.mp4"] == "indexed"


def test_a_file_that_is_replaced_while_it_is_read_is_not_stored_as_one(
    filled_bucket: Any, made_folder: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced: list[ObjectAddress] = []

    def replace_once(path: ObjectAddress, info: Any, start: int, end: int) -> bytes:
        if path.name == "noise.mp4" and start > 500_000 and not replaced:
            replaced.append(path)
            other_path = str(made_folder / "red then blue.mp4")
            filled_bucket.upload_file(other_path, "films", "raw/noise.mp4")
        return filesystems.read_range(path, info, start, end)

    monkeypatch.setattr(range_file, "read_range", replace_once)
    outcomes = index(library, f"{FOLDER}/noise.mp4")
    assert "replaced while it was read" in outcomes[f"{FOLDER}/noise.mp4"]
    assert not library.videos()


def test_gone_buckets_and_refused_access_say_so_without_secrets(
    filled_bucket: Any, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        "no such bucket" in index(library, "s3://no-such-bucket/a.mp4")["s3://no-such-bucket/a.mp4"]
    )
    assert "no such file" in index(library, f"{FOLDER}/none.mp4")[f"{FOLDER}/none.mp4"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    filesystems.open_filesystem.cache_clear()
    assert "credentials" in index(library, FOLDER)[FOLDER]


# --- playing and exporting


def test_the_server_plays_ranges_of_a_file_in_a_bucket(
    filled_bucket: Any,
    made_folder: Path,
    tmp_path: Path,
    read_ranges: list[tuple[str, int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library_path, content = tmp_path / "library", (made_folder / "noise.mp4").read_bytes()
    with Library.open(library_path, encoder=FakeEncoder(), create=True) as library:
        index(library, FOLDER)
        video_id = find_video(library, "noise.mp4").id
    with serve_library(library_path) as client:
        url = f"/api/v1/videos/{video_id}/file"
        whole = client.get(url)
        assert (whole.status_code, whole.content) == (200, content)
        assert whole.headers["content-type"] == "video/mp4"
        assert whole.headers["accept-ranges"] == "bytes"
        head = client.head(url)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(content))
        forget_state(monkeypatch)
        read_ranges.clear()
        start = len(content) // 2
        part = client.get(url, headers={"Range": f"bytes={start}-{start + 99_999}"})
        assert (part.status_code, part.content) == (206, content[start : start + 100_000])
        assert part.headers["content-range"] == f"bytes {start}-{start + 99_999}/{len(content)}"
        assert count_bytes(read_ranges) <= 100_000 + 2 * range_file.BLOCK_BYTES
        for header, expected in (
            ("bytes=-5", content[-5:]),
            (f"bytes={len(content) - 3}-", content[-3:]),
            ("bytes=0-0", content[:1]),
            (f"bytes=10-{10**12}", content[10:]),
        ):
            answer = client.get(url, headers={"Range": header})
            assert (answer.status_code, answer.content) == (206, expected), header
        for header in ("bytes=0-1,4-5", "bytes=5-2", "lines=1-2", "bytes=x"):
            assert client.get(url, headers={"Range": header}).content == content
        beyond = client.get(url, headers={"Range": f"bytes={len(content)}-"})
        assert beyond.status_code == 416
        assert beyond.headers["content-range"] == f"bytes */{len(content)}"
        etag = whole.headers["etag"]
        same = client.get(url, headers={"Range": "bytes=0-9", "If-Range": etag})
        assert (same.status_code, same.content) == (206, content[:10])
        other = client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
        assert (other.status_code, other.content) == (200, content)


def test_the_server_shows_and_streams_videos_of_a_bucket(
    filled_bucket: Any, tmp_path: Path
) -> None:
    library_path = tmp_path / "library"
    with Library.open(library_path, encoder=FakeEncoder(), create=True) as library:
        index(library, FOLDER)
        video_id = find_video(library, "grün #1?.mkv").id
    with serve_library(library_path) as client:
        thumbnail = client.get(f"/api/v1/videos/{video_id}/thumbnail?time=1")
        assert (thumbnail.status_code, thumbnail.content[:2]) == (200, b"\xff\xd8")
        preview = client.get(f"/api/v1/videos/{video_id}/preview?start=0&end=2")
        assert (preview.status_code, preview.content[:4]) == (200, b"RIFF")
        stream = client.get(f"/api/v1/videos/{video_id}/stream?start=1")
        assert (stream.status_code, stream.content[4:8]) == (200, b"ftyp")
        filled_bucket.delete_object(Bucket="films", Key="raw/more/grün #1?.mkv")
        assert client.get(f"/api/v1/videos/{video_id}/stream").status_code == 404
        assert client.get(f"/api/v1/videos/{video_id}/thumbnail?time=2").status_code == 404


def test_the_command_line_lists_searches_and_exports_videos_of_a_bucket(
    filled_bucket: Any, tmp_path: Path, fake_model: None, run_vsearch: Any
) -> None:
    result = run_vsearch("index", FOLDER)
    assert "3 indexed" in result.stdout
    assert "s3://films/raw/noise.mp4" in run_vsearch("list", f"{FOLDER}/noise.mp4").stdout
    assert "noise.mp4" not in run_vsearch("list", f"{FOLDER}/more").stdout
    found = run_vsearch("search", "--clip", f"{FOLDER}/noise.mp4", "--video", f"{FOLDER}/*").stdout
    assert "noise.mp4" in found
    run_vsearch("search", "red", "--video", f"{FOLDER}/red then blue.mp4")
    run_vsearch("export", "1", "--clips", "clips")
    assert {path.suffix for path in (tmp_path / "clips").iterdir()} == {".mp4"}
    run_vsearch("remove", f"{FOLDER}/more")
    assert "grün" not in run_vsearch("list").stdout


def test_urls_with_secrets_are_refused_and_not_repeated(
    filled_bucket: Any, library: Library, run_vsearch: Any, fake_model: None
) -> None:
    for url in (
        "s3://KEY:geheim@films/raw",
        "s3://films/raw/noise.mp4?X-Amz-Signature=geheim",
        "gs://films/a.mp4?x-goog-signature=geheim",
    ):
        result = run_vsearch("index", url, exit_code=2)
        assert "geheim" not in result.stdout + result.stderr
        assert "credentials come from the environment" in result.stderr


def test_videos_are_relocated_between_disk_and_bucket(
    filled_bucket: Any, made_folder: Path, library: Library
) -> None:
    index(library, made_folder)
    video_ids = {video.id for video in library.videos()}
    results = list(library.relocate(made_folder, FOLDER))
    assert [result.outcome for result in results] == 3 * ["moved"]
    assert {str(video.path).startswith(FOLDER) for video in library.videos()} == {True}
    assert {video.id for video in library.videos()} == video_ids
