from __future__ import annotations

from pathlib import Path

import pytest

from vsearch.evaluation.auto_dataset import derive_captions, split_filename


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG_1234.MOV", ""),
        ("VID_20240512_101112.mp4", ""),
        ("GOPR0042.mp4", ""),
        ("GX010042 (1).MP4", ""),
        ("2021-05-03 12.33.10.mp4", ""),
        ("WhatsApp Video 2023-01-01 at 10.00.00.mp4", "at"),
        ("dQw4w9WgXcQ.mp4", ""),
        ("Birthday party [dQw4w9WgXcQ].webm", "birthday party"),
        ("Summer holiday in Crete 2019 (1080p).mp4", "summer holiday in crete"),
        ("The.Great.Escape.2160p.UHD.BluRay.x265-GROUP.mkv", "the great escape"),
        ("beachVolleyball-final.mp4", "beach volleyball"),
        ("skiing_Été_école.mp4", "skiing été école"),
        ("犬 走る.mp4", ""),
    ],
)
def test_only_meaningful_words_of_a_file_name_are_kept(name: str, expected: str) -> None:
    assert " ".join(split_filename(Path(name))) == expected


def test_only_unique_file_names_become_queries() -> None:
    names = ["dog at the beach.mp4", "beach.mp4", "red car.mp4", "a/red car.mp4", "in the.mp4"]
    assert derive_captions(map(Path, names)) == {Path("dog at the beach.mp4"): "dog at the beach"}
