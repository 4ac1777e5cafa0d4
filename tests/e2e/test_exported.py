"""What is exported is found again by what it was exported for: with the embedded model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from vsearch import Library, Span
from vsearch.exporting import check, excerpts, write
from vsearch.media.video import probe
from vsearch.results import Result

if TYPE_CHECKING:
    from pathlib import Path

LENGTH = 5.0  # seconds of each


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_exported_clips_and_supercut_are_found_again(real_clips: Path, tmp_path: Path) -> None:
    rows = map(json.loads, (real_clips.parent / "clips.jsonl").read_text("utf-8").splitlines())
    told = {real_clips.parent / row["path"]: row["caption"] for row in rows}
    long = [path for path in told if probe(path).duration > LENGTH + 2][::4][:10]
    # clips on key frames and off them, so that some are copied and some encoded
    spans = [Span(0, LENGTH) if i % 2 else Span(1.37, 1.37 + LENGTH) for i in range(len(long))]
    results = [Result(str(path), span, 1.0) for path, span in zip(long, spans, strict=True)]
    found, left = excerpts(enumerate(results, 1), durations={})
    assert not left
    targets = {"clips": tmp_path / "clips", "supercut": tmp_path / "all.mp4"}
    check(targets, found)
    *clips, supercut = write(found, targets, "all")
    assert [one.error for one in (*clips, supercut)] == [None] * (len(found) + 1)
    assert {one.copied for one in clips} == {True, False}
    with Library.open(tmp_path / "library", model="builtin:fast") as library:
        made = [targets["clips"], targets["supercut"]]
        assert not [one.error for one in library.index(made) if one.error]
        named, placed, copied = 0, 0, 0
        for one, clip, place in zip(found, clips, supercut.places, strict=True):
            caption, part = told[one.source.path], (one.span.start, one.span.end)
            folder, film = [str(targets["clips"])], [str(supercut.path)]
            named += library.search(caption, k=1, videos=folder)[0].video.path == clip.path
            placed += (
                place.start <= library.search(caption, k=1, videos=film)[0].why.peak < place.end
            )
            same = library.search(clip=one.source.path, span=part, k=1, videos=folder)[0]
            there = library.search(clip=one.source.path, span=part, k=1, videos=film)[0]
            copied += same.video.path == clip.path and there.span.iou(place) > 0.7
    print(f"of {len(found)}: {named} clips by caption, {placed} places, {copied} by themselves")
    assert min(named, placed, copied) >= len(found) - 1
