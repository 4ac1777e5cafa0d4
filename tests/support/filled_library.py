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


def vectors_with_scores(*scores: float, seed: int = 0) -> Matrix:
    """Return unit vectors with these inner products with QUERY, otherwise random, (N, 16)."""
    random_parts = np.random.default_rng(seed).normal(size=(len(scores), 15))
    random_parts /= np.linalg.norm(random_parts, axis=1, keepdims=True)
    score_column = np.array(scores)[:, None]
    return np.hstack([score_column, np.sqrt(1 - score_column**2) * random_parts]).astype(np.float32)


def add_vectors(
    catalog: Catalog,
    name: str,
    vectors: Matrix,
    feature_store: FeatureStore | None = None,
    seconds: float = 5.0,
) -> Ids:
    """Add or replace a video with one segment and frame per vector; return segment ids."""
    spans = [Span(seconds * i, seconds * i + seconds) for i in range(len(vectors))]
    with catalog.begin() as transaction:
        existing_video = catalog.video_by_path(Path(f"/{name}"))
        if existing_video is not None:
            transaction.remove_videos([existing_video.id])
        video = transaction.add_video(
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
        ids = transaction.add_segments(video.id, spans, vectors, SPACE)
    if feature_store is not None:
        times = np.array([span.start + seconds / 2 for span in spans])
        feature_store.save(video.id, Features(SPACE, vectors, times))
    return ids
