"""Files of a store: in a folder, and in a bucket by fsspec."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from vsearch.errors import MissingExtraError, SettingsError, StoreError
from vsearch.storage.object_cache import ObjectCache
from vsearch.storage.object_store import BucketObjects, ObjectStore, open_object_store
from vsearch.storage.store_urls import check_store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["folder", "file", "memory"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "memory":
        fsspec = pytest.importorskip("fsspec")
        fsspec.filesystem("memory").store.clear()
        return open_object_store("memory://films/one")
    folder = tmp_path / "a store"
    return open_object_store(str(folder) if request.param == "folder" else folder.as_uri())


def test_files_are_written_read_in_parts_listed_and_removed(objects: ObjectStore) -> None:
    before = time.time()
    objects.write("a/b/1.bin", b"0123456789")
    objects.write("a/c.bin", b"abc")
    objects.write("other/d.bin", b"")

    assert objects.read("a/b/1.bin") == b"0123456789"
    assert objects.read("a/b/1.bin", 2, 5) == b"234"
    assert objects.read("a/b/1.bin", 8, 20) == b"89"
    assert objects.read("a/b/1.bin", 20, 30) == b""
    assert objects.read("other/d.bin") == b""
    listed = {stored.name: stored for stored in objects.list_objects("a")}
    assert {name: stored.size_bytes for name, stored in listed.items()} == {
        "a/b/1.bin": 10,
        "a/c.bin": 3,
    }
    assert all(abs((stored.modified_at or 0) - before) < 60 for stored in listed.values())
    assert len(list(objects.list_objects())) == 3
    assert list(objects.list_objects("none")) == []
    for _ in range(2):
        objects.remove("a/c.bin")
    with pytest.raises(FileNotFoundError):
        objects.read("a/c.bin")


def test_a_file_is_replaced_as_a_whole(objects: ObjectStore) -> None:
    objects.write("a", b"long content")
    objects.write("a", b"short")
    assert objects.read("a") == b"short"


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    objects = open_object_store(str(tmp_path))
    (tmp_path / "a").write_text("a file, not a folder")
    with pytest.raises(StoreError, match="cannot be written"):
        objects.write("a/b", b"content")
    assert [stored.name for stored in objects.list_objects()] == ["a"]


class FailingClient:
    """A client whose first requests fail."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.requests = list(errors), 0

    def cat_file(self, _path: str, **_range: int) -> bytes:
        self.requests += 1
        if self.errors:
            raise self.errors.pop(0)
        return b"content"


def bucket_with(client: Any, monkeypatch: pytest.MonkeyPatch, seconds: float = 60) -> BucketObjects:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    objects = BucketObjects("s3://films/one", seconds)
    monkeypatch.setattr(objects, "_connect", lambda: (client, "films/one"))
    return objects


def test_a_request_that_fails_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FailingClient(TimeoutError(), ConnectionResetError(), OSError("slow down"))
    assert bucket_with(client, monkeypatch).read("a") == b"content"
    assert client.requests == 4


def test_the_message_has_no_text_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FailingClient(*[ConnectionError("https://me:secret@host?sig=secret")] * 9)
    objects = bucket_with(client, monkeypatch, 0)
    with pytest.raises(StoreError, match=r"s3://films/one: .* cannot be reached") as caught:
        objects.read("a")
    assert "secret" not in str(caught.value)
    assert client.requests == 1


def test_without_permission_nothing_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FailingClient(PermissionError("AccessDenied"))
    with pytest.raises(StoreError, match="no permission"):
        bucket_with(client, monkeypatch).read("a")
    assert client.requests == 1


def test_after_a_failure_requests_are_not_repeated_for_a_while(
    monkeypatch: pytest.MonkeyPatch, fake_clock: list[float]
) -> None:
    client = FailingClient(*[ConnectionError()] * 3)
    objects = bucket_with(client, monkeypatch, 0.0)
    for expected_requests, seconds in ((1, 1), (1, 10), (2, 1000)):
        with pytest.raises(StoreError, match="cannot be reached"):
            objects.read("a")
        assert client.requests == expected_requests
        fake_clock[0] += seconds
    objects._retry_seconds = 60
    assert objects.read("a") == b"content"


def test_codes_of_the_server_choose_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    for code, message in (
        ("PermanentRedirect", "another region"),
        ("SignatureDoesNotMatch", "no valid credentials"),
        ("NoSuchBucket", "no such bucket"),
    ):
        cause = RuntimeError()
        cause.response = {"Error": {"Code": code}}  # type: ignore[attr-defined] # as of botocore
        error = OSError(22, "secret")
        error.__cause__ = cause
        with pytest.raises(StoreError, match=message):
            bucket_with(FailingClient(error), monkeypatch).read("a")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vsearch\[gs\]'"):
        open_object_store("gs://films").read("a")


@pytest.mark.parametrize(
    "store",
    ["", "/mnt/films", "~/films", "file:///mnt/my%20films", "s3://films", "gs://a/b", "az://c/d"],
)
def test_folders_and_urls_of_buckets_are_stores(store: str) -> None:
    check_store(store)


@pytest.mark.parametrize(
    "store",
    [
        3,
        "films",
        "http://host/films",
        "s3://",
        "s3://key:secret@films/one",
        "s3://films/one?sig=secret",
        "s3://[films",
        "file://host/films",
    ],
)
def test_other_addresses_are_not_stores_and_their_secrets_not_repeated(store: Any) -> None:
    with pytest.raises(SettingsError, match="store") as caught:
        check_store(store)
    assert "secret" not in str(caught.value)


def test_a_cache_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, 100_000)
    for number in range(30):
        cache.store("s3://films/a", number, bytes([number]) * 10_000)
        cache.load("s3://films/a", 0)
        for path in tmp_path.rglob("*.?"):  # coarse clocks
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 5))
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.*")) <= 110_000
    assert cache.load("s3://films/a", 29) == bytes([29]) * 10_000
    assert cache.load("s3://films/a", 1) is None


def test_a_damaged_or_forgotten_part_counts_as_missing(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, 10_000)
    cache.store("a", 0, b"content")
    cache.store("a", 1, b"more")
    part_path = next(path for path in tmp_path.rglob("*.0"))
    part_path.write_bytes(b"C" + part_path.read_bytes()[1:])
    assert (cache.load("a", 0), cache.load("a", 1)) == (None, b"more")
    cache.forget("a")
    assert cache.load("a", 1) is None


def test_a_cache_that_cannot_be_written_is_not_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("not a folder")
    cache = ObjectCache(tmp_path / "cache", 1000)
    for _ in range(2):
        cache.store("a", 0, b"content")
    assert cache.load("a", 0) is None
    assert len(caplog.records) == 1
