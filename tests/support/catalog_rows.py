"""Videos and segments for tests of the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.types import Space, Span

if TYPE_CHECKING:
    from vsearch.catalog.catalog import Catalog
    from vsearch.catalog.transaction import Transaction
    from vsearch.types import Ids, Matrix, Video

SPACE = Space("fake", 16, supports_text=True)
OTHER = Space("other", 16, supports_text=True)


def add_video(
    transaction: Transaction, path: str, *, fingerprint: str = "f0", warning: str | None = None
) -> Video:
    """Add a video of ten seconds."""
    return transaction.add_video(
        video_path=Path(path),
        fingerprint=fingerprint,
        size_bytes=1000,
        mtime_ns=1_700_000_000_123_456_789,
        duration=10.0,
        fps=25.0,
        width=640,
        height=360,
        codec="h264",
        sampled_frames=20,
        warning=warning,
        sample_fps=2.0,
    )


def unit_vectors(count: int, *, seed: int = 0, dim: int = 16) -> Matrix:
    """Return random unit vectors, float32 (count, dim)."""
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    unit_rows: Matrix = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(
        np.float32
    )
    return unit_rows


def make_spans(count: int) -> list[Span]:
    """Return consecutive spans of two seconds."""
    return [Span(2.0 * i, 2.0 * i + 2) for i in range(count)]


def index_video(catalog: Catalog, path: str, count: int = 3, *, seed: int = 0) -> tuple[Video, Ids]:
    """Add a video with `count` segments in a transaction of its own."""
    with catalog.begin() as transaction:
        video = add_video(transaction, path)
        return video, transaction.add_segments(
            video.id, make_spans(count), unit_vectors(count, seed=seed), SPACE
        )
