"""URLs among paths: those that can be downloaded, and messages for the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsearch.errors import UnreadableError
from vsearch.media.discovery import find_videos
from vsearch.media.images import read_image
from vsearch.media.sampler import probe_video
from vsearch.media.urls import describe_missing, describe_url, parse_web_url, redact_url

URLS = ("https://example.org/a.mp4", "dav://bucket/a.mp4", "rtsp://camera/1", "ftp://host/a b.mkv")


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("as_path", [False, True])
def test_a_url_is_refused_by_name_with_a_remedy(url: str, as_path: bool) -> None:
    message = describe_url(Path(url) if as_path else url) or ""
    assert message.startswith(f"{url}: is ")
    assert "download the file first" in message or "record it to a file first" in message


@pytest.mark.parametrize(
    ("given", "url"),
    [("https://h/a//b.mp4?x=1", "https://h/a//b.mp4?x=1"), (Path("http://h/a"), "http://h/a"),
     ("HTTPS://h/a", "https://h/a"), ("ftp://h/a", None), ("a.mp4", None), ("C:/a.mp4", None),
     ("file:///a", None), ("https:", None)],
)  # fmt: skip
def test_urls_of_the_web_are_recognized(given: str | Path, url: str | None) -> None:
    assert parse_web_url(given) == url


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://me:pw@h:8/a.mp4#f", "https://h:8/a.mp4"),
        ("https://pw@h/a?b=1", "https://h/a?b=1"),
        ("https://a@b@h/x", "https://h/x"),
        ("https://h/a?X-Amz-Signature=abc&v=2&access_token=x", None),
        ("https://h/a?key=abc;sig=abc&b=3", None),
        ("https://me:abc@[::1/a", "https://[::1/a"),
        ("https://h/a@b?c=d@e", "https://h/a@b?c=d@e"),
    ],
)
def test_credentials_are_left_out_of_what_is_stored_and_printed(
    url: str, clean: str | None
) -> None:
    redacted = redact_url(url)
    assert clean is None or redacted == clean
    assert not any(secret in redacted for secret in ("abc", "pw", "=x"))
    assert "abc" not in (describe_url(url) or "")


def test_a_file_url_names_the_path() -> None:
    assert str(describe_url("file:///films/a%20b.mp4")).endswith("instead: /films/a b.mp4")


@pytest.mark.parametrize("path", ["a.mp4", "/films/a.mp4", "C:/films/a.mp4", "12:30", "a:b.mp4"])
def test_a_path_is_not_a_url(path: str) -> None:
    assert describe_url(path) is None
    assert "there is no such file" in describe_missing(path)


def test_a_file_that_looks_like_a_url_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("https:").mkdir()
    Path("https:", "a.mp4").touch()
    assert describe_url("https://a.mp4") is None


@pytest.mark.parametrize("url", URLS)
def test_urls_are_refused_wherever_a_file_is_expected(url: str) -> None:
    [found] = find_videos([url])
    assert (found.error or "").startswith(f"{url}: is ")
    for read in (probe_video, read_image):
        with pytest.raises(UnreadableError, match=r"is (a|the) URL"):
            read(Path(url))
