"""Downloads resume, are not repeated, and are limited, against a server that misbehaves."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.web_server import Served, WebServer, serve
from vsearch.errors import TooLargeError, UnreadableError
from vsearch.media.download import (
    DownloadOptions,
    DownloadProgress,
    WebPageError,
    download_file,
    guess_file_name,
    make_digest,
    make_file_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = random.Random(3).randbytes(3_000_000)
OPTIONS = DownloadOptions(max_bytes=10_000_000, retry_seconds=0.0, timeout_seconds=5.0)


@pytest.fixture
def web() -> Iterator[WebServer]:
    yield from serve()


def fetch(web: WebServer, folder: Path, path: str = "/a.mp4", **changes: float) -> Path:
    options = DownloadOptions(
        **{
            "max_bytes": OPTIONS.max_bytes,
            "retry_seconds": 0.0,
            "timeout_seconds": 5.0,
            **changes,  # type: ignore[arg-type]
        }
    )
    return download_file(web.url + path, folder, options)


def part_path(web: WebServer, folder: Path, path: str = "/a.mp4") -> Path:
    return folder / f"{make_digest(web.url + path)}.part"


def test_a_file_is_downloaded_once(web: WebServer, tmp_path: Path) -> None:
    web.files["/a.mp4"] = Served(CONTENT)
    progress: list[DownloadProgress] = []
    path = download_file(web.url + "/a.mp4", tmp_path, OPTIONS, progress.append)
    assert path.read_bytes() == CONTENT
    assert path.name == f"a-{make_digest(web.url + '/a.mp4')}.mp4"
    assert path.stat().st_mtime == 1714557600  # Last-Modified
    assert progress[0].total_bytes == progress[-1].received_bytes == len(CONTENT)
    assert fetch(web, tmp_path) == path
    assert web.statuses() == [200, 304]
    assert len(list(tmp_path.iterdir())) == 2  # the file and its record


@pytest.mark.parametrize(
    ("etag", "last_modified"), [(None, "Wed, 01 May 2024 10:00:00 GMT"), (None, None)]
)
def test_without_an_etag_the_date_or_size_shows_that_nothing_changed(
    web: WebServer, tmp_path: Path, etag: str | None, last_modified: str | None
) -> None:
    web.files["/a.mp4"] = Served(CONTENT, etag=etag, last_modified=last_modified)
    path = fetch(web, tmp_path)
    web.files["/a.mp4"].before_chunk = lambda sent_bytes: None
    changed_time = path.stat().st_ctime_ns
    assert fetch(web, tmp_path) == path
    assert path.stat().st_ctime_ns == changed_time


def test_a_changed_file_replaces_the_old_one_under_its_path(web: WebServer, tmp_path: Path) -> None:
    web.files["/a.mp4"] = Served(CONTENT)
    path = fetch(web, tmp_path)
    web.files["/a.mp4"] = Served(CONTENT[::-1], etag='"two"')
    assert fetch(web, tmp_path) == path
    assert path.read_bytes() == CONTENT[::-1]


def test_a_cut_connection_is_continued(web: WebServer, tmp_path: Path) -> None:
    web.files["/a.mp4"] = Served(CONTENT, cut_after=1_100_000)
    assert fetch(web, tmp_path).read_bytes() == CONTENT
    assert web.statuses() == [200, 206, 206]
    assert web.requests[1].headers["If-Range"] == '"one"'


def test_an_interrupted_download_is_continued_by_the_next_run(
    web: WebServer, tmp_path: Path
) -> None:
    web.files["/a.mp4"] = Served(CONTENT, cut_after=700_000)
    with pytest.raises(UnreadableError, match="run the command again to continue"):
        fetch(web, tmp_path, max_attempts=1)
    assert part_path(web, tmp_path).stat().st_size == 700_000
    web.files["/a.mp4"].cut_after = None
    assert fetch(web, tmp_path).read_bytes() == CONTENT
    assert web.requests[-1].headers["Range"] == "bytes=700000-"
    assert not part_path(web, tmp_path).exists()


@pytest.mark.parametrize("ignores_condition", [False, True])
def test_a_file_that_changed_in_between_is_not_joined(
    web: WebServer, tmp_path: Path, ignores_condition: bool
) -> None:
    web.files["/a.mp4"] = Served(CONTENT, cut_after=700_000)
    with pytest.raises(UnreadableError):
        fetch(web, tmp_path, max_attempts=1)
    served = web.files["/a.mp4"] = Served(CONTENT[::-1], etag='"two"')
    if ignores_condition:
        served.last_modified = '"one"'  # accepted as the condition
    assert fetch(web, tmp_path).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("changes", [{"etag": None, "last_modified": None}, {"has_ranges": False}])
def test_without_validators_or_ranges_it_starts_again(
    web: WebServer, tmp_path: Path, changes: dict[str, Any]
) -> None:
    served = web.files["/a.mp4"] = Served(CONTENT, cut_after=700_000, **changes)
    with pytest.raises(UnreadableError):
        fetch(web, tmp_path, max_attempts=2)
    assert set(web.statuses()) == {200}
    served.cut_after = None
    assert fetch(web, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_larger_than_the_file_is_discarded(web: WebServer, tmp_path: Path) -> None:
    web.files["/a.mp4"] = Served(CONTENT, cut_after=700_000)
    with pytest.raises(UnreadableError):
        fetch(web, tmp_path, max_attempts=1)
    with part_path(web, tmp_path).open("ab") as part_file:
        part_file.write(b"\0" * len(CONTENT))
    web.files["/a.mp4"].cut_after = None
    assert fetch(web, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("has_length", [True, False])
def test_the_size_is_limited(web: WebServer, tmp_path: Path, has_length: bool) -> None:
    sent: list[int] = []
    web.files["/a.mp4"] = Served(CONTENT, has_length=has_length, before_chunk=sent.append)
    with pytest.raises(TooLargeError, match=r"larger than 0\.001 GB.*--max-download"):
        fetch(web, tmp_path, max_bytes=1_000_000)
    assert not part_path(web, tmp_path).exists()
    if has_length:
        assert len(web.requests) == 1
        assert not list(tmp_path.glob("*.mp4"))


def test_an_endless_body_ends_at_the_limit(web: WebServer, tmp_path: Path) -> None:
    class Endless(bytes):
        def __len__(self) -> int:
            return 10**12

        def __getitem__(self, _: object) -> bytes:  # type: ignore[override]
            return Endless() if not isinstance(_, slice) or _.stop is None else b"\1" * 65536

    web.files["/a.mp4"] = Served(Endless(), has_length=False)
    with pytest.raises(TooLargeError):
        fetch(web, tmp_path, max_bytes=2_000_000)


def test_a_length_that_is_too_large_is_noticed(web: WebServer, tmp_path: Path) -> None:
    web.files["/a.mp4"] = Served(CONTENT, announced_length=len(CONTENT) + 5, has_ranges=False)
    with pytest.raises(UnreadableError, match="connection"):
        fetch(web, tmp_path)


def test_a_length_that_is_too_small_ends_the_file(web: WebServer, tmp_path: Path) -> None:
    web.files["/a.mp4"] = Served(CONTENT, announced_length=1000)
    assert fetch(web, tmp_path).read_bytes() == CONTENT[:1000]


def test_redirects_are_followed_a_few_times(web: WebServer, tmp_path: Path) -> None:
    web.files["/b"] = Served(status=302, headers={"Location": "c"})
    web.files["/c"] = Served(status=308, headers={"Location": f"{web.url}/final.webm"})
    web.files["/final.webm"] = Served(CONTENT, media_type="video/webm")
    path = fetch(web, tmp_path, "/b")
    assert path.name == f"final-{make_digest(web.url + '/b')}.webm"
    web.files["/loop"] = Served(status=302, headers={"Location": "/loop"})
    with pytest.raises(UnreadableError, match="redirects more than 10 times"):
        fetch(web, tmp_path, "/loop")


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://host/a.mp4", "data:video/mp4,AA", "s3://x/", "http:"]
)
def test_redirects_to_other_protocols_are_refused(
    web: WebServer, tmp_path: Path, target: str
) -> None:
    web.files["/a.mp4"] = Served(status=302, headers={"Location": target})
    with pytest.raises(UnreadableError, match=r"redirects (to|more)"):
        fetch(web, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_slow_body_is_given_up(web: WebServer, tmp_path: Path) -> None:
    web.files["/a.mp4"] = Served(
        CONTENT[:2000], chunk_bytes=1, before_chunk=lambda sent_bytes: time.sleep(0.01)
    )
    with pytest.raises(UnreadableError, match="less than 1 KB per second"):
        fetch(web, tmp_path, stall_seconds=0.1, max_attempts=2)


def test_a_server_that_does_not_answer_is_given_up(web: WebServer, tmp_path: Path) -> None:
    is_over = threading.Event()
    web.files["/a.mp4"] = Served(CONTENT, before_chunk=lambda sent_bytes: is_over.wait(30))
    with pytest.raises(UnreadableError, match="no answer in time"):
        fetch(web, tmp_path, timeout_seconds=0.2, max_attempts=2)
    is_over.set()


@pytest.mark.parametrize(
    ("status", "message", "request_count"),
    [(401, "password", 1), (403, "expired", 1), (404, "check the URL", 1), (410, "any more", 1),
     (418, "status 418", 1), (500, "status 500", 4), (503, "status 503", 4)],
)  # fmt: skip
def test_errors_name_the_url_and_only_temporary_ones_are_repeated(
    web: WebServer, tmp_path: Path, status: int, message: str, request_count: int
) -> None:
    web.files["/a.mp4"] = Served(status=status)
    with pytest.raises(UnreadableError, match=message) as caught:
        fetch(web, tmp_path)
    assert str(caught.value).startswith(f"{web.url}/a.mp4: ")
    assert len(web.requests) == request_count


def test_a_temporary_error_is_survived(web: WebServer, tmp_path: Path) -> None:
    web.files["/a.mp4"] = Served(CONTENT, failures=[503, 429, 500])
    assert fetch(web, tmp_path).read_bytes() == CONTENT


def test_an_unreachable_server_is_named(tmp_path: Path) -> None:
    web = WebServer()
    web.close()
    with pytest.raises(UnreadableError, match=rf"{web.url}/a.mp4: the connection failed"):
        fetch(web, tmp_path)


@pytest.mark.parametrize("url", ["http://", "http://[::1", "https://a b/c.mp4", "http://x:99999/a"])
def test_an_invalid_url_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(UnreadableError, match=r"URL|connection"):
        download_file(url, tmp_path, OPTIONS)


def test_credentials_are_sent_to_their_host_only_and_never_stored(
    web: WebServer, tmp_path: Path
) -> None:
    other = WebServer()
    web.files["/a.mp4?token=hidden"] = Served(CONTENT, password="Basic bWU6aGlkZGVu")
    url = web.url.replace("//", "//me:hidden@") + "/a.mp4?token=hidden#hidden"
    path = download_file(url, tmp_path, OPTIONS)
    assert path.read_bytes() == CONTENT
    stored = "".join(one.read_text("latin-1") for one in tmp_path.glob("*.json"))
    assert "hidden" not in stored + "".join(one.name for one in tmp_path.iterdir())
    assert "token=REDACTED" in stored
    web.files["/b.mp4"] = Served(status=302, headers={"Location": f"{other.url}/b.mp4"})
    other.files["/b.mp4"] = Served(CONTENT)
    download_file(url.replace("/a.mp4", "/b.mp4").partition("?")[0], tmp_path, OPTIONS)
    assert "Authorization" not in other.requests[0].headers
    other.close()
    with pytest.raises(UnreadableError) as caught:
        download_file(url.replace("/a.mp4", "/none.mp4"), tmp_path, OPTIONS)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("media_type", "content"),
    [("text/html; charset=utf-8", b"x"), ("application/vnd.apple.mpegurl", b"x"),
     ("application/octet-stream", b"\n<!DOCTYPE html>"), ("video/mp4", b"#EXTM3U\nfile:///x")],
)  # fmt: skip
def test_web_pages_and_playlists_are_recognized(
    web: WebServer, tmp_path: Path, media_type: str, content: bytes
) -> None:
    web.files["/a"] = Served(content, media_type=media_type)
    with pytest.raises(WebPageError):
        fetch(web, tmp_path, "/a")


def test_other_types_are_refused(web: WebServer, tmp_path: Path) -> None:
    web.files["/a"] = Served(b"{}", media_type="application/json")
    with pytest.raises(UnreadableError, match="is application/json, not a video"):
        fetch(web, tmp_path, "/a")
    web.files["/b"] = Served(CONTENT, headers={"Content-Encoding": "gzip"})
    with pytest.raises(UnreadableError, match="compressed"):
        fetch(web, tmp_path, "/b")


HOSTILE_URLS = (
    "http://h/../../etc/passwd", "http://h/%2e%2e%2f%2e%2e%2fx.mp4", "http://h/..%5C..%5Cx.mp4",
    "http://h/a%00b.mp4", "http://h/.hidden.mp4", "http://h/con.mp4", "http://h/-rf.mp4",
    "http://h/" + "a" * 5000 + ".mp4", "http://h/a\u202egpj.mp4", "http://h/", "http://h",
    "http://h/%ff%fe.mp4", "http://h/a.mp4%0aX", "http://h/$(id).mp4", "http://h/a.MP4?x=/../y",
)  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_nothing_of_a_url_leads_out_of_the_folder(url: str, tmp_path: Path) -> None:
    name = guess_file_name(url)
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert name[0] not in ".-"
    assert name.isprintable()
    assert len(os.fsencode(name)) < 255
    assert make_digest(url) in name
    (tmp_path / name).touch()


def test_names_differ_by_url_not_by_credentials() -> None:
    assert guess_file_name("http://h/a.mp4?v=1") != guess_file_name("http://h/a.mp4?v=2")
    assert guess_file_name("http://u:p@h/a.mp4#x") == guess_file_name("http://H/a.mp4")
    assert make_file_name("Ein Lied: für Öl/…", "http://h/", ".webm").startswith("Ein_Lied_für_Öl-")
    assert guess_file_name("http://h/v?id=3", media_type="video/mp4").endswith(".mp4")


@pytest.mark.parametrize(
    "record",
    ["", "[]", "{", "null", '{"name": "../../x"}', '{"name": 3}', '{"other": 1}', "[" * 100_000,
     '{"name": "catalog.sqlite3"}'],
)  # fmt: skip
def test_a_damaged_record_is_ignored(web: WebServer, tmp_path: Path, record: str) -> None:
    web.files["/a.mp4"] = Served(CONTENT)
    record_path = tmp_path / f"{make_digest(web.url + '/a.mp4')}.json"
    record_path.write_text(record)
    path = fetch(web, tmp_path)
    assert path.parent == tmp_path
    assert path.read_bytes() == CONTENT
    assert json.loads(record_path.read_text())["name"] == path.name


def test_a_full_disk_is_named(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.files["/a.mp4"] = Served(CONTENT)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(UnreadableError, match="free space"):
        fetch(web, tmp_path)
