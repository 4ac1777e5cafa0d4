"""The tags of a library: classify videos; list, add and remove tags."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING

from vsearch.analysis import labels as files
from vsearch.analysis import tagging
from vsearch.analysis.classifier import TrainedClassifier
from vsearch.analysis.zero_shot import ZeroShotClassifier
from vsearch.catalog.path_matching import videos_matching
from vsearch.errors import LibraryError, SettingsError
from vsearch.query.parser import parse_clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from vsearch.active_model import ActiveModel
    from vsearch.analysis.labels import Label
    from vsearch.analysis.tagging import SegmentClassifier, VideoRegion
    from vsearch.catalog.catalog import Catalog
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import ClassificationResult, Space, Span, Tag, Video


class Tagger:
    """Tags of one library and the classifiers that create them."""

    def __init__(
        self,
        catalog: Catalog,
        feature_store: FeatureStore,
        active_model: ActiveModel,
        exclusive_lock: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Use the parts of a library.

        Args:
            catalog: Catalog of the library.
            feature_store: Stored frame features of the library.
            active_model: Provides the encoder.
            exclusive_lock: Returns a context manager that makes this process the only writer.
        """
        self._catalog, self._feature_store, self._active_model = (
            catalog,
            feature_store,
            active_model,
        )
        self._exclusive_lock = exclusive_lock

    def classify_videos(
        self,
        labels: Sequence[str | Label],
        video_paths: Sequence[str],
        checkpoint_path: Path | None,
        source_name: str,
        *,
        threshold: float,
        save_tags: bool,
    ) -> Iterator[ClassificationResult]:
        """See `Library.classify`."""
        if not math.isfinite(threshold):
            raise SettingsError(f"the threshold must be a number from 0 to 1, not {threshold}")
        parsed_labels = files.parse_labels(labels) if checkpoint_path is None else []
        if (space := self._catalog.space()) is None:
            return
        with self._exclusive_lock() if save_tags else nullcontext():
            classifier = self._create_classifier(parsed_labels, checkpoint_path, source_name, space)
            yield from tagging.classify_videos(
                self._catalog,
                self._resolve_videos(video_paths),
                classifier,
                space,
                threshold=threshold,
                save_tags=save_tags,
            )

    def list_tags(self, video_paths: Sequence[str]) -> list[Tag]:
        """See `Library.tags`."""
        if not video_paths:
            return self._catalog.tags()
        return tagging.find_overlapping_tags(self._catalog, self._resolve_regions(video_paths))

    def add_tag(self, video_path: str, label: str, span: Span | None) -> Tag:
        """See `Library.tag`."""
        with self._exclusive_lock():
            return tagging.add_manual_tag(
                self._catalog, videos_matching(self._catalog, [video_path]), video_path, label, span
            )

    def remove_tags(
        self, video_paths: Sequence[str], label: str | None, tag_source: str | None
    ) -> int:
        """See `Library.untag`."""
        with self._exclusive_lock():
            return tagging.remove_tags(
                self._catalog, self._resolve_regions(video_paths), label, tag_source
            )

    def _create_classifier(
        self, labels: Sequence[Label], checkpoint_path: Path | None, source_name: str, space: Space
    ) -> SegmentClassifier:
        """Load a trained classifier if a checkpoint is given, else build a zero-shot one."""
        if checkpoint_path is not None:
            return TrainedClassifier.load(checkpoint_path, self._feature_store, space)
        encoder = self._active_model.for_space(space, self._catalog)
        return ZeroShotClassifier.from_labels(
            labels, encoder, self._catalog.sample_vectors(space), source_name
        )

    def _resolve_videos(self, video_paths: Sequence[str]) -> list[Video]:
        return (
            videos_matching(self._catalog, video_paths) if video_paths else self._catalog.videos()
        )

    def _resolve_regions(self, video_paths: Sequence[str]) -> list[VideoRegion]:
        """Return the videos or parts that paths match; all videos without paths."""
        if not video_paths:
            return [(video, None) for video in self._catalog.videos()]
        return [
            video_region
            for video_path in video_paths
            for video_region in self._resolve_span(video_path)
        ]

    def _resolve_span(self, video_path: str) -> list[VideoRegion]:
        """Resolve a path, with or without an `@START-END` suffix."""
        if whole_videos := videos_matching(self._catalog, [video_path]):
            return [(video, None) for video in whole_videos]
        clip_term = parse_clip(video_path)
        matched_videos = videos_matching(self._catalog, [clip_term.value])
        if not matched_videos:
            raise LibraryError(f"{video_path}: no such video in the library; see `vsearch list`")
        return [(video, clip_term.span) for video in matched_videos]
