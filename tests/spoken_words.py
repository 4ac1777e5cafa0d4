"""Libraries that hold nothing but words, for tests of what finds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.repository import Catalog
from vsearch.types import Cue, Space, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import CueSource

SPACE = Space("fake", 16, speaks_text=True)


def with_words(
    folder: Path, *videos: Sequence[str | Cue], every: float = 4.0, space: Space = SPACE
) -> Catalog:
    """A catalogue of videos, 1, 2, …, that say these lines, one after the other."""
    catalog = Catalog.open(folder / "catalog.sqlite3", create=True)
    for number, lines in enumerate(videos, 1):
        cues = [
            Cue(Span(at * every, at * every + 3), line) if isinstance(line, str) else line
            for at, line in enumerate(lines)
        ]
        add(catalog, f"/films/{number}.mp4", cues, space)
    return catalog


def add(catalog: Catalog, path: str, cues: Sequence[Cue], space: Space = SPACE) -> int:
    """A video of ten minutes in segments of ten seconds, with these words; its id."""
    spans = [Span(at, at + 10) for at in range(0, 600, 10)]
    rows = np.eye(space.dim, dtype=np.float32)[np.arange(len(spans)) % space.dim]
    with catalog.begin() as change:
        video = change.add_video(
            path=Path(path), fingerprint=path, size=1, modified=1, duration=600.0, fps=25.0,
            width=64, height=36, codec="h264", frames=600, sampled_at=1.0,
        )  # fmt: skip
        change.add_segments(video.id, spans, rows, space)
        for source in sorted({cue.source for cue in cues}):
            of_source = [cue for cue in cues if cue.source == source]
            change.replace_cues(video.id, source, of_source, origin="a test")
    return video.id


def said(text: str, at: float, source: CueSource = "speech", last: float = 3.0) -> Cue:
    """A cue that begins at a time."""
    return Cue(Span(at, at + last), text, source)
