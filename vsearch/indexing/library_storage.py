"""The stores of a library that indexing writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vsearch.catalog.catalog import Catalog
    from vsearch.media.frame_cache import FrameStore
    from vsearch.storage.feature_store import FeatureStore


@dataclass(frozen=True, slots=True)
class Storage:
    """The catalog and the file stores of a library."""

    catalog: Catalog
    feature_store: FeatureStore
    frame_store: FrameStore
