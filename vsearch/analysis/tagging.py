"""Classification of videos into tags: adjacent segments with one label become one span."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vsearch.analysis.classifier import TrainedClassifier
from vsearch.analysis.labels import NO_LABEL, parse_labels
from vsearch.analysis.zero_shot import ZeroShotClassifier, compute_video_probabilities
from vsearch.catalog.path_matching import select_videos
from vsearch.errors import DamagedLibraryError, QueryError, SettingsError
from vsearch.query.arguments import check_number
from vsearch.types import ClassificationResult, Span, Tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from vsearch.active_model import ActiveModel
    from vsearch.analysis.labels import Label
    from vsearch.catalog.catalog import Catalog
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Matrix, PathInput, Segment, Space, Vector, Video


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


def classify_library(
    catalog: Catalog,
    feature_store: FeatureStore,
    active_model: ActiveModel,
    labels: Sequence[str | Label],
    paths: Sequence[PathInput],
    checkpoint_path: Path | None,
    source_name: str,
    *,
    threshold: float,
    acquire_writer: Callable[[], AbstractContextManager[None]] | None,
) -> Iterator[ClassificationResult]:
    """Classify videos of a library. See `Library.classify`.

    Args:
        catalog: Catalog of the library.
        feature_store: Stored frame features of the library.
        active_model: Provides the encoder.
        labels: Labels; ignored if there is a checkpoint.
        paths: Paths of videos; empty means all videos.
        checkpoint_path: File of a trained classifier; None classifies by the labels (zero-shot).
        source_name: Source of the tags of zero-shot classification.
        threshold: Lowest probability of a tag, in [0, 1].
        acquire_writer: Context manager that takes the write lock; None does not save the tags.

    Yields:
        One result per video.

    Raises:
        SettingsError: If the threshold is not finite.
        DatasetError: If a label is invalid.
    """
    try:
        threshold = check_number(threshold, "the threshold")
    except QueryError as error:
        raise SettingsError(f"{error}; choose a number from 0 to 1") from error
    parsed_labels = parse_labels(labels) if checkpoint_path is None else []
    if (space := catalog.space()) is None:
        return
    with nullcontext() if acquire_writer is None else acquire_writer():
        classifier: SegmentClassifier
        if checkpoint_path is not None:
            classifier = TrainedClassifier.load(checkpoint_path, feature_store, space)
        else:
            classifier = ZeroShotClassifier.from_labels(
                parsed_labels,
                active_model.for_space(space, catalog),
                catalog.sample_vectors(space),
                source_name,
            )
        yield from classify_videos(
            catalog,
            select_videos(catalog, paths),
            classifier,
            space,
            threshold=threshold,
            save_tags=acquire_writer is not None,
        )


def classify_videos(
    catalog: Catalog,
    videos: Iterable[Video],
    classifier: SegmentClassifier,
    space: Space,
    *,
    threshold: float,
    save_tags: bool,
) -> Iterator[ClassificationResult]:
    """Classify videos one by one; a damaged video gives a result with an error.

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
        if save_tags:
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
    raise DamagedLibraryError(f"{video.path}: no segments; index it again")


def _create_failed_result(
    video: Video, label_names: tuple[str, ...], error_message: str
) -> ClassificationResult:
    zeros = np.zeros((0, len(label_names)), np.float32)
    return ClassificationResult(video, label_names, zeros.sum(axis=0), (), zeros, (), error_message)


def _iter_tags(
    video: Video,
    segments: Sequence[Segment],
    segment_probabilities: Matrix,
    video_probabilities: Vector,
    classifier: SegmentClassifier,
    threshold: float,
) -> Iterator[Tag]:
    """Yield the tags of each label: for the whole video first, then for its spans."""
    source, model = classifier.source, classifier.model
    created_at = datetime.now(UTC)
    for index, label in enumerate(classifier.label_names):
        if label == NO_LABEL:
            continue
        if (video_probability := float(video_probabilities[index])) >= threshold:
            yield Tag(video.id, label, video_probability, None, source, model, created_at)
        for span, probability in merge_runs(segments, segment_probabilities[:, index], threshold):
            yield Tag(video.id, label, probability, span, source, model, created_at)


def merge_runs(
    segments: Sequence[Segment], segment_probabilities: Vector, threshold: float
) -> list[tuple[Span, float]]:
    """Merge adjacent segments whose probability reaches the threshold.

    Args:
        segments: The S segments of a video.
        segment_probabilities: Probability of one label, float32 (S,).
        threshold: Lowest probability.

    Returns:
        The merged spans with their mean probability, weighted by duration.
    """
    likely_spans = []
    for is_likely, run in groupby(
        range(len(segments)), key=lambda index: bool(segment_probabilities[index] >= threshold)
    ):
        if is_likely:
            rows = list(run)
            run_segments = [segments[row] for row in rows]
            span = Span(run_segments[0].span.start, max(each.span.end for each in run_segments))
            [mean] = compute_video_probabilities(segment_probabilities[rows, None], run_segments)
            likely_spans.append((span, float(mean)))
    return likely_spans
