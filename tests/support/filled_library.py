"""Libraries with given segment vectors, for search tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.types import Features, Space, Span

if TYPE_CHECKING:
    from vsearch.catalog.catalog import Catalog
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Ids, Matrix, Vector

SPACE = Space("chosen", 16, supports_text=True)
QUERY: Vector = np.eye(16, dtype=np.float32)[0]


def scoring(*scores: float, seed: int = 0) -> Matrix:
    """Return vectors with these inner products with QUERY, otherwise random, float32 (N, 16)."""
    rest = np.random.default_rng(seed).normal(size=(len(scores), 15))
    rest /= np.linalg.norm(rest, axis=1, keepdims=True)
    first = np.array(scores)[:, None]
    return np.hstack([first, np.sqrt(1 - first**2) * rest]).astype(np.float32)


def add(
    catalog: Catalog,
    name: str,
    vectors: Matrix,
    features: FeatureStore | None = None,
    seconds: float = 5.0,
) -> Ids:
    """Add a video with one segment per vector, and a frame in its middle; return segment ids."""
    spans = [Span(seconds * i, seconds * i + seconds) for i in range(len(vectors))]
    with catalog.begin() as change:
        old = catalog.video_by_path(Path(f"/{name}"))
        if old is not None:
            change.remove_videos([old.id])
        video = change.add_video(
            video_path=Path(f"/{name}"),
            fingerprint=name,
            size_bytes=1,
            mtime_ns=1,
            duration=seconds * len(vectors),
            fps=25.0,
            width=64,
            height=48,
            codec="h264",
            sampled_frames=len(vectors),
            sample_fps=1 / seconds,
        )
        ids = change.add_segments(video.id, spans, vectors, SPACE)
    if features is not None:
        times = np.array([span.start + seconds / 2 for span in spans])
        features.save(video.id, Features(SPACE, vectors, times))
    return ids
