"""Clips cut out of real videos find them, and the span: by the embedded model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from copying import Copying, copy, joined
from vsearch import Library, Span
from vsearch.media.video import probe

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_clips_find_their_source_and_span(real_clips: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    long = [path for path in sorted(real_clips.iterdir()) if probe(path).duration > 5]
    films = [long[i] for i in rng.permutation(len(long))[:12]]
    film = joined(tmp_path / "joined.mp4", [(path, Span(0, 5)) for path in films[6:]])
    with Library.open(tmp_path / "library", model="builtin:fast") as library:
        assert [one.error for one in library.index([*films[:6], film]) if one.error] == []
        well = 0
        for number, video in enumerate([*library.videos(), *library.videos()]):
            length = rng.uniform(3, min(12, video.duration))
            start = rng.uniform(0, video.duration - length)
            truth = Span(start, start + length)
            clip = copy(video.path, truth, tmp_path / f"{number}.mp4", Copying(fps=12), rng)
            best = library.search(clip=clip)[0]
            well += best.video.path == video.path and best.span.iou(truth) >= 0.7
    print(f"{well} of 14 found with their span")
    assert well >= 13
