"""Exported clips are found by their captions and by their source, with the built-in model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from vsearch import Library, Span
from vsearch.export.exporter import build_excerpts, check_targets, write_exports
from vsearch.media.sampler import probe_video
from vsearch.query.model import ResultRef

if TYPE_CHECKING:
    from pathlib import Path

CLIP_SECONDS = 5.0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_exported_clips_and_supercut_are_found_again(real_clips: Path, tmp_path: Path) -> None:
    rows = map(json.loads, (real_clips.parent / "clips.jsonl").read_text("utf-8").splitlines())
    captions = {real_clips.parent / row["path"]: row["caption"] for row in rows}
    long_clips = [path for path in captions if probe_video(path).duration > CLIP_SECONDS + 2]
    chosen_clips = long_clips[::4][:10]
    # some start on key frames and are copied, others are encoded
    starts = [0.0 if i % 2 else 1.37 for i in range(len(chosen_clips))]
    results = [
        ResultRef(str(path), Span(start, start + CLIP_SECONDS), 1.0)
        for path, start in zip(chosen_clips, starts, strict=True)
    ]
    excerpts, skipped = build_excerpts(enumerate(results, 1), durations={})
    assert not skipped
    targets = {"clips": tmp_path / "clips", "supercut": tmp_path / "all.mp4"}
    check_targets(targets, excerpts)
    *clips, supercut = write_exports(excerpts, targets, "all")
    assert [result.error for result in (*clips, supercut)] == [None] * (len(excerpts) + 1)
    assert {clip.is_stream_copy for clip in clips} == {True, False}
    with Library.open(tmp_path / "library", model="builtin:fast") as library:
        index_results = list(library.index([targets["clips"], targets["supercut"]]))
        assert not [result.error for result in index_results if result.error]
        by_caption, by_time, by_clip = 0, 0, 0
        for excerpt, clip, place in zip(excerpts, clips, supercut.excerpt_spans, strict=True):
            source_path = excerpt.source.video_path
            caption, part = captions[source_path], (excerpt.span.start, excerpt.span.end)
            folder, film = [str(targets["clips"])], [str(supercut.output_path)]
            in_folder = library.search(caption, k=1, videos=folder)[0]
            by_caption += in_folder.video.path == clip.output_path
            in_film = library.search(caption, k=1, videos=film)[0]
            by_time += place.start <= in_film.explanation.peak_time < place.end
            same = library.search(clip=source_path, span=part, k=1, videos=folder)[0]
            there = library.search(clip=source_path, span=part, k=1, videos=film)[0]
            by_clip += same.video.path == clip.output_path and there.span.iou(place) > 0.7
    print(f"of {len(excerpts)}: {by_caption} by caption, {by_time} by time, {by_clip} by clip")
    assert min(by_caption, by_time, by_clip) >= len(excerpts) - 1
