"""Comparison of models, frame rates and poolers on one dataset, by quality and cost."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.encoders import model_zoo
from vsearch.errors import DatasetError, NoTextError, SpaceMismatchError, VSearchError
from vsearch.evaluation.metrics import bootstrap_metric, compute_query_values
from vsearch.evaluation.retrieval_cases import (
    build_retrieval_case,
    rank_first_hits,
    score_best_segments,
)
from vsearch.plugins import plugin_names, resolve_plugin
from vsearch.search.hubness import Querybank
from vsearch.storage.feature_store import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.evaluation.datasets import CaptionDataset
    from vsearch.evaluation.metrics import Metric
    from vsearch.evaluation.retrieval_cases import RetrievalCase
    from vsearch.library import Library
    from vsearch.protocols import Pooler
    from vsearch.types import Features, Matrix, Span, Vector

FRAME_STRIDES = (1, 2, 4)  # of the stored frames
FLOAT16_BYTES, FLOAT64_BYTES = 2, 8  # of vectors and features; of times


@dataclass(frozen=True, slots=True)
class IndexConfiguration:
    """Quality and cost of one way to index."""

    model: str
    space: str
    fps: float
    pooler: str
    metrics: tuple[Metric, ...]  # R@1, R@5, MRR of text → video
    is_subsampled: bool  # at a lower rate than it was decoded
    frame_count: int
    encode_seconds_per_hour: float  # encoding and pooling per hour of video, on this machine
    storage_bytes_per_hour: float  # features and vectors per hour of video
    is_pareto_optimal: bool = False  # not dominated by another configuration


@dataclass(frozen=True, slots=True)
class ConfigurationComparison:
    """Configurations on the videos that all libraries contain."""

    query_count: int
    video_count: int
    excluded_videos: int  # missing in some library
    configurations: tuple[IndexConfiguration, ...]
    skipped_reasons: tuple[str, ...]  # unavailable poolers, and why


@dataclass(slots=True)
class _ConfigurationTotals:
    """Scores and costs of one configuration, accumulated over videos."""

    fps: float
    pooler: Pooler
    frame_stride: int
    score_columns: list[Vector] = field(default_factory=list)  # float32 (Q,) per video
    frame_count: int = 0
    vector_count: int = 0
    pooling_seconds: float = 0.0


def compare_libraries(
    libraries: Sequence[Library], dataset: CaptionDataset
) -> ConfigurationComparison:
    """Evaluate libraries with every pooler and at subsampled frame rates.

    Segment boundaries stay the same; at a lower rate segments have fewer frames. Videos that are
    missing in one of the libraries are excluded from all.

    Args:
        libraries: Libraries of the same videos.
        dataset: Captions.

    Returns:
        The configurations, the Pareto-optimal ones marked.

    Raises:
        DatasetError: If no video is in every library.
        NoTextError: If a model does not encode text.
        DamagedLibraryError: If frame features are missing.
    """
    videos_by_library = [{video.path: video for video in library.videos()} for library in libraries]
    common_paths = sorted(
        set.intersection(*(set(library_videos) for library_videos in videos_by_library))
    )
    caption_items = [item for item in dataset.items if item.video_path in set(common_paths)]
    if not caption_items:
        raise DatasetError(
            f"{dataset.dataset_name}: none of the videos is in every compared library"
        )
    retrieval_case = build_retrieval_case(
        caption_items, [videos_by_library[0][video_path] for video_path in common_paths]
    )
    poolers, skipped_reasons = _create_poolers()
    configurations: list[IndexConfiguration] = []
    for library, library_videos in zip(libraries, videos_by_library, strict=True):
        library_case = replace(
            retrieval_case, videos=tuple(library_videos[video_path] for video_path in common_paths)
        )
        configurations += _evaluate_configurations(library, library_case, poolers, skipped_reasons)
    all_paths = set[object]().union(*videos_by_library)
    excluded_videos = len(all_paths) - len(common_paths)
    return ConfigurationComparison(
        len(retrieval_case.query_items),
        len(common_paths),
        excluded_videos,
        tuple(mark_pareto_front(_deduplicate_rates(configurations))),
        tuple(dict.fromkeys(skipped_reasons)),
    )


def check_text_support(library: Library) -> None:
    """Check that a library can be searched with text, before a long computation.

    Args:
        library: Library to check.

    Raises:
        NoTextError: If its model does not encode text.
        SpaceMismatchError: If another model indexed it.
    """
    space = library.encoder.space
    if library.space not in (None, space):
        raise SpaceMismatchError(
            f"{library.path} was not indexed with {space.name}: pass its model with --model"
        )
    if not space.supports_text:
        raise NoTextError(
            f"{space.name} encodes images only, not text, but the queries are texts: omit "
            f"{library.settings.model}"
        )


def mark_pareto_front(configurations: Sequence[IndexConfiguration]) -> Iterator[IndexConfiguration]:
    """Mark the configurations that are not dominated in MRR, time and size.

    Args:
        configurations: All configurations.

    Yields:
        The same configurations with `is_pareto_optimal` set.
    """
    cost_rows = [
        (
            -configuration.metrics[-1].value,
            configuration.encode_seconds_per_hour,
            configuration.storage_bytes_per_hour,
        )
        for configuration in configurations
    ]
    for configuration, row_cost in zip(configurations, cost_rows, strict=True):
        is_dominated = any(
            other_cost != row_cost
            and all(
                other_value <= row_value
                for other_value, row_value in zip(other_cost, row_cost, strict=True)
            )
            for other_cost in cost_rows
        )
        yield replace(configuration, is_pareto_optimal=not is_dominated)


def _deduplicate_rates(configurations: Sequence[IndexConfiguration]) -> list[IndexConfiguration]:
    """Keep one configuration per rate, preferably as decoded rather than subsampled."""
    best_by_key: dict[tuple[str, float, str], IndexConfiguration] = {}
    for configuration in sorted(
        configurations, key=lambda configuration: configuration.is_subsampled
    ):
        best_by_key.setdefault(
            (configuration.space, configuration.fps, configuration.pooler), configuration
        )
    kept_ids = set(map(id, best_by_key.values()))
    return [configuration for configuration in configurations if id(configuration) in kept_ids]


def _create_poolers() -> tuple[dict[str, Pooler], list[str]]:
    """Create all registered poolers; also return why some are unavailable."""
    poolers_by_name: dict[str, Pooler] = {}
    skipped_reasons = []
    for pooler_name in plugin_names("poolers"):
        try:
            poolers_by_name[pooler_name] = resolve_plugin("poolers", pooler_name)()
        except VSearchError as error:
            skipped_reasons.append(f"pooler {pooler_name}: {error}")
    return poolers_by_name, skipped_reasons


def _evaluate_configurations(
    library: Library,
    retrieval_case: RetrievalCase,
    poolers: dict[str, Pooler],
    skipped_reasons: list[str],
) -> Iterator[IndexConfiguration]:
    """Evaluate a library at several rates with every compatible pooler."""
    space = library.encoder.space
    text_vectors = library.encoder.encode_texts(retrieval_case.captions)
    querybank = Querybank.from_encoder(library.encoder)
    library_fps = library.settings.fps
    tried_poolers = [
        *poolers.values(),
        *([library.trained_pooler] if library.trained_pooler else []),
    ]
    active_totals = [
        _ConfigurationTotals(library_fps / frame_stride, pooler, frame_stride)
        for frame_stride in FRAME_STRIDES
        for pooler in tried_poolers
    ]
    feature_store = FeatureStore(library.path / "features")
    for video in retrieval_case.videos:
        frame_features = feature_store.load(video.id, space)
        segment_spans = [segment.span for segment in library.segments_with_vectors(video)[0]]
        for configuration_totals in list(active_totals):
            try:
                _add_video(
                    configuration_totals, frame_features, segment_spans, text_vectors, querybank
                )
            except VSearchError as error:
                skipped_reasons.append(
                    f"pooler {configuration_totals.pooler.name} on {space.name}: {error}"
                )
                active_totals.remove(configuration_totals)
    settings = library.settings
    seconds_per_frame = (
        1 / model_zoo.measure_throughput(settings.model, settings.device, library.encoder).rate
    )
    for configuration_totals in active_totals:
        yield _finish_configuration(
            library, retrieval_case, configuration_totals, seconds_per_frame
        )


def _add_video(
    configuration_totals: _ConfigurationTotals,
    frame_features: Features,
    segment_spans: Sequence[Span],
    text_vectors: Matrix,
    querybank: Querybank,
) -> None:
    """Pool the segments of a video and score every text by the best of them."""
    subsampled_segments = [
        subsample_by_stride(frame_features, span, configuration_totals.frame_stride)
        for span in segment_spans
    ]
    started_at = time.perf_counter()
    segment_vectors = np.stack(
        [
            configuration_totals.pooler.pool(
                segment_frames.frame_vectors, segment_frames.frame_times
            )
            for segment_frames in subsampled_segments
        ]
    )
    configuration_totals.pooling_seconds += time.perf_counter() - started_at
    configuration_totals.score_columns.append(
        score_best_segments(text_vectors, [segment_vectors], querybank)[:, 0]
    )
    configuration_totals.frame_count += sum(
        len(segment_frames.frame_times) for segment_frames in subsampled_segments
    )
    configuration_totals.vector_count += len(segment_vectors)


def subsample_by_stride(frame_features: Features, span: Span, frame_stride: int) -> Features:
    """Return the frames of a segment at a lower rate.

    Args:
        frame_features: Features of the video.
        span: The segment, in seconds.
        frame_stride: Keep every n-th frame of the video.

    Returns:
        The frames in the span, or its middle frame if none is kept.
    """
    span_features = frame_features.within(span)
    frame_indices = np.searchsorted(frame_features.frame_times, span_features.frame_times)
    is_kept = frame_indices % frame_stride == 0
    if not is_kept.any():
        is_kept[len(is_kept) // 2] = True
    return replace(
        span_features,
        frame_vectors=span_features.frame_vectors[is_kept],
        frame_times=span_features.frame_times[is_kept],
    )


def _finish_configuration(
    library: Library,
    retrieval_case: RetrievalCase,
    configuration_totals: _ConfigurationTotals,
    seconds_per_frame: float,
) -> IndexConfiguration:
    first_hit_ranks = rank_first_hits(
        np.stack(configuration_totals.score_columns, axis=1), retrieval_case.relevance_matrix
    )
    video_hours = sum(video.duration for video in retrieval_case.videos) / 3600
    space = library.encoder.space
    storage_bytes = (
        configuration_totals.frame_count * (FLOAT16_BYTES * space.dim + FLOAT64_BYTES)
        + configuration_totals.vector_count * FLOAT16_BYTES * space.dim
    )
    compute_seconds = (
        configuration_totals.frame_count * seconds_per_frame + configuration_totals.pooling_seconds
    )
    return IndexConfiguration(
        library.settings.model,
        space.name,
        configuration_totals.fps,
        configuration_totals.pooler.name,
        tuple(
            bootstrap_metric(metric_name, query_values)
            for metric_name, query_values in compute_query_values(first_hit_ranks[None]).items()
        ),
        configuration_totals.frame_stride > 1,
        configuration_totals.frame_count,
        float(f"{compute_seconds / video_hours:.3g}"),
        float(round(storage_bytes / video_hours)),
    )
