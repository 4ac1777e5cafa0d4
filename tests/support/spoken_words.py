"""Catalogs that contain only transcripts, for tests of transcript search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.catalog import Catalog
from vsearch.types import Cue, Space, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.catalog.database_url import CatalogLocation
    from vsearch.types import CueSource

FAKE_SPACE = Space("fake", 16, supports_text=True)


def make_transcript_catalog(
    location: CatalogLocation,
    *video_lines: Sequence[str | Cue],
    cue_interval: float = 4.0,
    space: Space = FAKE_SPACE,
) -> Catalog:
    """Create a catalog of videos 1, 2, … with these transcript lines at regular intervals."""
    catalog = Catalog.open(location, create=True)
    for video_number, lines in enumerate(video_lines, 1):
        cues = [
            Cue(Span(line_index * cue_interval, line_index * cue_interval + 3), line)
            if isinstance(line, str)
            else line
            for line_index, line in enumerate(lines)
        ]
        add_video_with_cues(catalog, f"/films/{video_number}.mp4", cues, space)
    return catalog


def add_video_with_cues(
    catalog: Catalog, video_path: str, cues: Sequence[Cue], space: Space = FAKE_SPACE
) -> int:
    """Add a video of ten minutes in segments of ten seconds with these cues; return its id."""
    spans = [Span(segment_start, segment_start + 10) for segment_start in range(0, 600, 10)]
    segment_vectors = np.eye(space.dim, dtype=np.float32)[np.arange(len(spans)) % space.dim]
    with catalog.begin() as change:
        video = change.add_video(
            video_path=Path(video_path), fingerprint=video_path, size_bytes=1, mtime_ns=1,
            duration=600.0, fps=25.0, width=64, height=36, codec="h264", sampled_frames=600,
            sample_fps=1.0,
        )  # fmt: skip
        change.add_segments(video.id, spans, segment_vectors, space)
        for source in sorted({cue.source for cue in cues}):
            source_cues = [cue for cue in cues if cue.source == source]
            change.replace_cues(video.id, source, source_cues, source_name="a test")
    return video.id


def make_cue(
    cue_text: str, start_seconds: float, source: CueSource = "speech", duration_seconds: float = 3.0
) -> Cue:
    """Return a cue that starts at a time."""
    return Cue(Span(start_seconds, start_seconds + duration_seconds), cue_text, source)
