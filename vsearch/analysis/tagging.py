"""Classification of videos into tags: adjacent segments with one label become one span."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from vsearch.analysis.labels import NO_LABEL, parse_labels
from vsearch.analysis.zero_shot import compute_video_probabilities
from vsearch.catalog.annotation_rows import resolve_tags
from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.types import ClassificationResult, Span, Tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.types import Matrix, Segment, Space, Vector, Video

VideoRegion: TypeAlias = "tuple[Video, Span | None]"  # a video, or a part of one
MANUAL_SOURCE = "by hand"  # source of tags added by users


class SegmentClassifier(Protocol):
    """Classifier of the segments of a video."""

    @property
    def source(self) -> str:
        """Name of the classifier; its previous tags are replaced."""

    @property
    def model(self) -> str:
        """Space of the segment vectors it classifies."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The K outcomes."""

    def predict(
        self, video: Video, segments: Sequence[Segment], segment_vectors: Matrix, /
    ) -> Matrix:
        """Classify segments.

        Args:
            video: The video.
            segments: Its S segments.
            segment_vectors: Their vectors, float32 (S, D).

        Returns:
            Probabilities, float32 (S, K).

        Raises:
            DamagedLibraryError: If stored data of the video are missing.
        """


def classify_videos(
    catalog: Catalog,
    videos: Iterable[Video],
    classifier: SegmentClassifier,
    space: Space,
    *,
    threshold: float,
    save_tags: bool,
) -> Iterator[ClassificationResult]:
    """Classify videos one by one.

    Args:
        catalog: Catalog of the library.
        videos: Videos to classify.
        classifier: The classifier.
        space: Space of the library.
        threshold: Lowest probability of a tag.
        save_tags: Save the tags of each video before its result is yielded.

    Yields:
        One result per video.
    """
    for video in videos:
        try:
            classification = _classify_video(catalog, video, classifier, space, threshold)
        except DamagedLibraryError as error:
            yield _create_failed_result(video, classifier.label_names, str(error))
            continue
        if save_tags and classification.error is None:
            with catalog.begin() as transaction:
                transaction.replace_tags(video.id, classifier.source, classification.tags)
        yield classification


def _classify_video(
    catalog: Catalog, video: Video, classifier: SegmentClassifier, space: Space, threshold: float
) -> ClassificationResult:
    for segments, segment_vectors in catalog.iter_videos_with_vectors(
        catalog.segment_ids([video.id]), space
    ):
        segment_probabilities = classifier.predict(video, segments, segment_vectors)
        video_probabilities = compute_video_probabilities(segment_probabilities, segments)
        tags = _iter_tags(
            video, segments, segment_probabilities, video_probabilities, classifier, threshold
        )
        return ClassificationResult(
            video,
            classifier.label_names,
            video_probabilities,
            tuple(segments),
            segment_probabilities,
            tuple(tags),
        )
    return _create_failed_result(
        video, classifier.label_names, f"{video.path}: no segments; index it again"
    )


def _create_failed_result(
    video: Video, label_names: tuple[str, ...], error_message: str
) -> ClassificationResult:
    zero_probabilities = np.zeros(len(label_names), np.float32)
    return ClassificationResult(
        video, label_names, zero_probabilities, (), zero_probabilities[None][:0], (), error_message
    )


def _iter_tags(
    video: Video,
    segments: Sequence[Segment],
    segment_probabilities: Matrix,
    video_probabilities: Vector,
    classifier: SegmentClassifier,
    threshold: float,
) -> Iterator[Tag]:
    """Yield the labels above the threshold, of the whole video first, then of its spans."""
    created_at = _get_utc_now()
    for label_index, label_name in enumerate(classifier.label_names):
        tag_spans = (
            []
            if label_name == NO_LABEL
            else merge_runs(segments, segment_probabilities[:, label_index], threshold)
        )
        if label_name != NO_LABEL and video_probabilities[label_index] >= threshold:
            tag_spans = [(None, float(video_probabilities[label_index])), *tag_spans]
        for span, probability in tag_spans:
            yield Tag(
                video.id,
                label_name,
                probability,
                span,
                classifier.source,
                classifier.model,
                created_at,
            )


def add_manual_tag(
    catalog: Catalog,
    matched_videos: Sequence[Video],
    video_path: str,
    label: str,
    span: Span | None,
) -> Tag:
    """Add a tag to a video, replacing an equal one.

    Args:
        catalog: Catalog of the library.
        matched_videos: Videos that match `video_path`; must be exactly one.
        video_path: Path, for messages.
        label: Name of the tag.
        span: Tagged span, clipped to the duration of the video, or None for the whole video.

    Returns:
        The tag.

    Raises:
        LibraryError: If the path does not match one video, or the span starts after its end.
        DatasetError: If the label is invalid.
    """
    if len(matched_videos) != 1:
        raise LibraryError(
            f"{video_path}: matches {len(matched_videos)} videos of the library; choose one"
        )
    [video], [parsed_label] = matched_videos, parse_labels([label.strip()])
    if span is not None and span.start >= video.duration:
        raise LibraryError(f"{video_path}: ends at {video.duration:.1f} s, before that span")
    if span is not None:
        span = Span(span.start, min(span.end, video.duration))
    tag = Tag(video.id, parsed_label.name, 1.0, span, MANUAL_SOURCE, None, _get_utc_now())
    kept_tags = [
        existing_tag
        for existing_tag in catalog.tags([video.id])
        if existing_tag.source == MANUAL_SOURCE
        and (existing_tag.label, existing_tag.span) != (tag.label, tag.span)
    ]
    with catalog.begin() as transaction:
        transaction.replace_tags(video.id, MANUAL_SOURCE, [*kept_tags, tag])
    return tag


def find_overlapping_tags(catalog: Catalog, video_regions: Sequence[VideoRegion]) -> list[Tag]:
    """Return the tags that overlap any of the regions, each once.

    Args:
        catalog: Catalog of the library.
        video_regions: Videos, or parts of them.
    """
    spans_by_video: dict[int, list[Span | None]] = {}
    for video, span in video_regions:
        spans_by_video.setdefault(video.id, []).append(span)
    return [
        tag
        for tag in catalog.tags(spans_by_video)
        if any(span is None or tag.overlaps(span) for span in spans_by_video[tag.video_id])
    ]


def remove_tags(
    catalog: Catalog,
    video_regions: Sequence[VideoRegion],
    label: str | None,
    tag_source: str | None,
) -> int:
    """Remove tags.

    Args:
        catalog: Catalog of the library.
        video_regions: Videos, or parts of them.
        label: Remove only this label, in any case; all if None.
        tag_source: Remove only tags of this source; all if None.

    Returns:
        The number of removed tags.
    """
    label_names = [None] if label is None else resolve_tags(label, catalog.tag_labels())
    with catalog.begin() as transaction:
        return sum(
            transaction.remove_tags([video.id], label=label_name, source=tag_source, span=span)
            for video, span in video_regions
            for label_name in label_names
        )


def _get_utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def merge_runs(
    segments: Sequence[Segment], segment_probabilities: Vector, threshold: float
) -> list[tuple[Span | None, float]]:
    """Merge adjacent segments whose probability reaches the threshold.

    Args:
        segments: The S segments of a video.
        segment_probabilities: Probability of one label, float32 (S,).
        threshold: Lowest probability.

    Returns:
        The spans with their mean probability, weighted by duration; the span is None for the whole
        video.
    """
    segment_runs = groupby(
        range(len(segments)),
        key=lambda segment_index: bool(segment_probabilities[segment_index] >= threshold),
    )
    likely_spans: list[tuple[Span | None, float]] = []
    for is_likely, segment_run in segment_runs:
        run_indices = list(segment_run)
        if is_likely:
            run_segments = [segments[segment_index] for segment_index in run_indices]
            span = Span(
                run_segments[0].span.start, max(segment.span.end for segment in run_segments)
            )
            likely_spans.append(
                (
                    span,
                    float(
                        compute_video_probabilities(
                            segment_probabilities[run_indices, None], run_segments
                        )[0]
                    ),
                )
            )
    return likely_spans
