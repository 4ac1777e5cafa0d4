"""Clips cut from real videos find their source and span, with the built-in model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.copies import CopyOptions, join_parts, make_copy
from vsearch import Library, Span
from vsearch.media.sampler import probe_video

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_clips_find_their_source_and_span(real_clips: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    long_clips = [path for path in sorted(real_clips.iterdir()) if probe_video(path).duration > 5]
    films = [long_clips[i] for i in rng.permutation(len(long_clips))[:12]]
    joined_film = join_parts(tmp_path / "joined.mp4", [(path, Span(0, 5)) for path in films[6:]])
    with Library.open(tmp_path / "library", model="builtin:fast") as library:
        results = list(library.index([*films[:6], joined_film]))
        assert [result.error for result in results if result.error] == []
        found_count = 0
        for number, video in enumerate([*library.videos(), *library.videos()]):
            length = rng.uniform(3, min(12, video.duration))
            start = rng.uniform(0, video.duration - length)
            truth = Span(start, start + length)
            clip = make_copy(
                video.path, truth, tmp_path / f"{number}.mp4", CopyOptions(fps=12), rng
            )
            best = library.search(clip=clip)[0]
            found_count += best.video.path == video.path and best.span.iou(truth) >= 0.7
    print(f"{found_count} of 14 found with their span")
    assert found_count >= 13
