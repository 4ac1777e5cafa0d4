"""A clip that is asked for, as it was seen: its frames and its segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Features, Matrix, Span, Vector, Video


@dataclass(frozen=True, slots=True)
class Clip:
    """A part of a video file that is asked for; it went the way of what is indexed."""

    path: Path
    span: Span  # of the file
    features: Features  # of the frames in it; times are those of the file
    spans: tuple[Span, ...]  # its segments
    vectors: Matrix  # float32 (S, D) one for each
    video: Video | None = None  # itself, where it is in the library

    @property
    def vector(self) -> Vector:
        """The mean of its segments, each as much as it lasts, float32 (D,) of unit length."""
        lasting = np.array([span.duration for span in self.spans], np.float32)
        mean: Vector = lasting @ self.vectors
        length = float(np.linalg.norm(mean))
        # opposite segments cancel out: then the first one speaks for the clip
        return mean / np.float32(length) if length > 1e-6 else self.vectors[0]
