"""Captions of real clips retrieve their clips, with the built-in model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from vsearch import Library

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_captions_find_their_clips(real_clips: Path, tmp_path: Path) -> None:
    lines = (real_clips.parent / "clips.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    paths = [real_clips.parent / row["path"] for row in rows]
    with Library.open(tmp_path) as library:
        assert [result.error for result in library.index(paths) if result.error] == []
        found = [[moment.video.path for moment in library.search(row["caption"])] for row in rows]
    first_count = sum(best[0] == path for path, best in zip(paths, found, strict=True))
    ten_count = sum(path in best for path, best in zip(paths, found, strict=True))
    print(f"first: {first_count}/{len(rows)}, in the first ten: {ten_count}/{len(rows)}")
    assert first_count >= 0.70 * len(rows)
    assert ten_count >= 0.97 * len(rows)
