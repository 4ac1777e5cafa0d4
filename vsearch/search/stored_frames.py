"""Stored frame features of a search, which another process may delete meanwhile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vsearch.catalog.pool import OutdatedSnapshotError
from vsearch.errors import DamagedLibraryError, StoreError

if TYPE_CHECKING:
    from vsearch.catalog.catalog import Catalog
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Features, Space, Span

log = logging.getLogger(__name__)
_reported_messages: set[str] = set()


def load_frames(
    catalog: Catalog,
    feature_store: FeatureStore,
    video_id: int,
    space: Space,
    span: Span | None = None,
) -> Features | None:
    """Load the stored frames of a video.

    Args:
        catalog: The catalog, in a snapshot.
        feature_store: Its frame features.
        video_id: A video of the snapshot.
        space: The space of the snapshot.
        span: The part to load, as of `FeatureStore.load_range`; None: all.

    Returns:
        The features; None if they are damaged or lost, or if their store is out of reach.

    Raises:
        OutdatedSnapshotError: They were deleted because the video was removed or replaced.
    """
    try:
        if span is None:
            return feature_store.load(video_id, space)
        return feature_store.load_range(video_id, space, span)
    except DamagedLibraryError as error:
        if catalog.is_replaced(video_id, space):
            raise OutdatedSnapshotError(str(error)) from error
        _report_once(str(error))
        return None
    except StoreError as error:
        _report_once(str(error))
        return None


def _report_once(message: str) -> None:
    """Log a message once, not for every segment."""
    if message not in _reported_messages:
        _reported_messages.add(message)
        log.warning("%s", message)
