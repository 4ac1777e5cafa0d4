"""Paths in buckets: text, parts, comparison, parsing; without a server or its packages."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from vsearch.buckets.bucket_path import BucketPath, check_bucket_url, to_absolute, to_path
from vsearch.buckets.filesystems import compute_token, require_backend
from vsearch.catalog.rows import decode_path, encode_path
from vsearch.errors import MissingExtraError, SettingsError
from vsearch.media.urls import describe_url

URL = "s3://films/raw/a b#?%41[1].mp4"


def test_the_text_of_a_path_is_its_url() -> None:
    path = to_path(URL)
    assert isinstance(path, BucketPath)
    assert str(path) == path.as_posix() == URL
    assert (path.scheme, path.bucket_name, path.key) == ("s3", "films", "raw/a b#?%41[1].mp4")
    assert (path.name, path.suffix, path.stem) == ("a b#?%41[1].mp4", ".mp4", "a b#?%41[1]")
    assert str(path.parent) == "s3://films/raw"
    assert str(path.parent / "b.srt") == "s3://films/raw/b.srt"
    assert str(path.with_suffix(".srt")) == "s3://films/raw/a b#?%41[1].srt"
    assert path.as_uri() == "s3://films/raw/a%20b%23%3F%2541%5B1%5D.mp4"
    assert isinstance(path.parent, BucketPath)
    assert isinstance(path.parent / "b", BucketPath)


def test_paths_are_absolute_compared_and_pickled() -> None:
    path, folder = BucketPath(URL), BucketPath("s3://films/raw")
    assert path.is_absolute()
    assert path.resolve() == path.absolute() == path.expanduser() == path
    assert path.is_relative_to(folder)
    assert path.relative_to(folder) == Path("a b#?%41[1].mp4")
    assert not path.is_relative_to(Path("/films"))
    assert not Path("/films/raw").is_relative_to(folder)
    assert path == to_path(URL)
    assert path != BucketPath(URL.replace("s3:", "gs:"))
    assert len({path, to_path(URL), folder}) == 2
    copy = pickle.loads(pickle.dumps(path))
    assert (type(copy), str(copy)) == (BucketPath, URL)
    assert sorted([path, folder]) == [folder, path]


@pytest.mark.parametrize("text", ["S3://films/raw", "s3:/films/raw", "s3://films/raw/"])
def test_other_spellings_are_the_same_path(text: str) -> None:
    assert (
        str(to_path(text)) == str(to_path(Path(text))) == str(to_absolute(text)) == "s3://films/raw"
    )


@pytest.mark.parametrize(
    "text", ["films/s3://x", "/s3:/films", "c:/films", "s3:", "s3://", "ftp://a/b"]
)
def test_other_texts_are_paths_on_disk(text: str) -> None:
    assert not isinstance(to_path(text), BucketPath)


def test_the_catalog_stores_the_url() -> None:
    path = to_path(URL)
    assert encode_path(path) == URL
    assert isinstance(decode_path(URL), BucketPath)
    assert decode_path(URL) == path
    assert not isinstance(decode_path("/films/a.mp4"), BucketPath)


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:geheim@films/a.mp4",
        "s3://geheim@films",
        "s3://films/a.mp4?X-Amz-Signature=geheim",
        "az://films/a.mp4?sv=1&sig=geheim",
        "gs://films/a.mp4?X-Goog-Credential=geheim",
    ],
)
def test_urls_with_secrets_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        check_bucket_url(url)
    assert "geheim" not in str(raised.value)


def test_ordinary_keys_are_not_taken_for_secrets() -> None:
    for key in ("a@b.mp4", "what?.mp4", "a?b=c.mp4", "signature=.mp4"):
        check_bucket_url(f"s3://films/{key}")


def test_the_url_of_a_bucket_needs_no_download() -> None:
    assert describe_url(URL) is None
    assert "download" in str(describe_url("ftp://films/a.mp4"))


def test_a_missing_backend_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vsearch\[gs\]'"):
        require_backend("gs")
    with pytest.raises(OSError, match="gcsfs"):
        to_path("gs://films/a.mp4").stat()


def test_state_tokens_are_positive_numbers_of_the_catalog() -> None:
    tokens = {compute_token(f'"{number:x}"') for number in range(100)}
    assert len(tokens) == 100
    assert all(0 < token < 2**63 for token in tokens)


def test_a_laptop_imports_no_backend() -> None:
    program = (
        "import sys, vsearch, vsearch.cli.index, vsearch.media.discovery, vsearch.writer; "
        "print(sorted({'fsspec', 's3fs', 'botocore', 'aiohttp'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
