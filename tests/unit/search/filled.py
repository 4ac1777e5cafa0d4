"""Libraries whose segments are vectors of one's choice, for the tests of searching."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.types import Features, Space, Span

if TYPE_CHECKING:
    from vsearch.catalog.repository import Catalog
    from vsearch.types import Ids, Matrix, Vector
    from vsearch.vectors.features import FeatureStore

SPACE = Space("chosen", 16, speaks_text=True)
QUERY: Vector = np.eye(16, dtype=np.float32)[0]


def scoring(*scores: float, seed: int = 0) -> Matrix:
    """float32 (N, 16): vectors that have these inner products with QUERY, else all different."""
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
    """A video with a segment of some seconds, and a frame in its middle, for each vector."""
    spans = [Span(seconds * i, seconds * i + seconds) for i in range(len(vectors))]
    with catalog.begin() as change:
        old = catalog.find(Path(f"/{name}"))
        if old is not None:
            change.remove_videos([old.id])
        video = change.add_video(
            path=Path(f"/{name}"),
            fingerprint=name,
            size=1,
            modified=1,
            duration=seconds * len(vectors),
            fps=25.0,
            width=64,
            height=48,
            codec="h264",
            frames=len(vectors),
            sampled_at=1 / seconds,
        )
        ids = change.add_segments(video.id, spans, vectors, SPACE)
    if features is not None:
        times = np.array([span.start + seconds / 2 for span in spans])
        features.save(video.id, Features(SPACE, vectors, times))
    return ids
