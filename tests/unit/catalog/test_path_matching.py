from __future__ import annotations

from pathlib import Path

import pytest

from vsearch.catalog.path_matching import compile_matcher


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*.mp4", "/films/a.mp4"),
        ("A.MP4", "/films/a.mp4"),
        ("a.mp4", "/films/A.mp4"),
        ("holiday/*", "/films/Holiday/2024/a.mp4"),
        ("holiday/*/a.mp4", "/films/holiday/2024/a.mp4"),
        ("/films/*", "/films/a.mp4"),
        ("/films/a.mp4", "/films/a.mp4"),
        ("[ab].mp4", "/b.mp4"),
        ("?.mp4", "/b.mp4"),
        ("clip [1].mp4", "/v/clip [1].mp4"),
        ("stra\u00dfe.mp4", "/v/STRASSE.mp4"),
        ("caf\u00e9.mp4", "/v/cafe\u0301.mp4"),
        ("*", "/v/\udcff.mp4"),
        ("*.mp4", "/v/line\nbreak.mp4"),
    ],
)
def test_a_glob_matches(glob: str, path: str) -> None:
    assert compile_matcher([glob])(Path(path))


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("a.mp4", "/home/ba.mp4"),
        ("liday/*", "/home/holiday/a.mp4"),
        ("holiday", "/home/holiday/a.mp4"),
        ("/a.mp4", "/home/a.mp4/b.mp4"),
        ("[ab].mp4", "/c.mp4"),
        ("a.mp4", "/a.mp4x"),
        ("", "/a.mp4"),
    ],
)
def test_a_glob_does_not_match(glob: str, path: str) -> None:
    assert not compile_matcher([glob])(Path(path))


def test_one_matching_glob_suffices() -> None:
    assert compile_matcher(["x", "*.mkv"])(Path("/a.mkv"))
