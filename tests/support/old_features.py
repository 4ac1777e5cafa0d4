"""Files of frame features as older versions wrote them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Features


def write_old_features(npz_path: Path, features: Features) -> None:
    """Write an .npz file with `matrix`, `times` and `space`."""
    space = features.space
    npz_path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        npz_path,
        matrix=features.frame_vectors.astype(np.float16),
        times=features.frame_times.astype(np.float64),
        space=json.dumps([space.name, space.dim, space.supports_text]),
    )
