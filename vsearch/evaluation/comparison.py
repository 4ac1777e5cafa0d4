"""Comparison of models, frame rates and poolers on one dataset, by quality and cost."""

from __future__ import annotations

import operator
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.encoders import model_zoo
from vsearch.errors import DatasetError, NoTextError, SpaceMismatchError, VSearchError
from vsearch.evaluation.metrics import bootstrap_ranks
from vsearch.evaluation.retrieval_cases import (
    build_retrieval_case,
    rank_first_hits,
    score_best_segments,
)
from vsearch.plugins import plugin_names, resolve_plugin
from vsearch.search.hubness import Querybank

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
    is_subsampled: bool  # frames were dropped after decoding
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
    skipped_reasons: tuple[str, ...]  # why poolers were not evaluated


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
        The comparison, with the Pareto-optimal configurations marked.

    Raises:
        DatasetError: If no video is in every library.
        NoTextError: If a model does not encode text.
        DamagedLibraryError: If frame features are missing.
    """
    videos_by_library = [{video.path: video for video in library.videos()} for library in libraries]
    common_paths = set.intersection(*map(set, videos_by_library))
    caption_items = [item for item in dataset.items if item.video_path in common_paths]
    if not caption_items:
        raise DatasetError(
            f"{dataset.dataset_name}: none of the videos is in every compared library"
        )
    poolers, skipped_reasons = _create_poolers()
    configurations: list[IndexConfiguration] = []
    for library, videos_by_path in zip(libraries, videos_by_library, strict=True):
        retrieval_case = build_retrieval_case(
            caption_items, [videos_by_path[video_path] for video_path in sorted(common_paths)]
        )
        configurations += _evaluate_configurations(
            library, retrieval_case, poolers, skipped_reasons
        )
    return ConfigurationComparison(
        len(retrieval_case.query_items),
        len(common_paths),
        len(set[object]().union(*videos_by_library)) - len(common_paths),
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
            f"{library.location} was not indexed with {space.name}: pass its model with --model"
        )
    if not space.supports_text:
        raise NoTextError(
            f"{space.name} encodes images only, not text, but the queries are texts: omit the "
            f"model {library.settings.model}"
        )


def mark_pareto_front(configurations: Sequence[IndexConfiguration]) -> Iterator[IndexConfiguration]:
    """Mark the configurations that are not dominated in MRR, encoding time and storage.

    Args:
        configurations: All configurations.

    Yields:
        The same configurations with `is_pareto_optimal` set.
    """
    costs = [
        (-each.metrics[-1].value, each.encode_seconds_per_hour, each.storage_bytes_per_hour)
        for each in configurations
    ]
    for configuration, cost in zip(configurations, costs, strict=True):
        is_dominated = any(other != cost and all(map(operator.le, other, cost)) for other in costs)
        yield replace(configuration, is_pareto_optimal=not is_dominated)


def _deduplicate_rates(configurations: Sequence[IndexConfiguration]) -> list[IndexConfiguration]:
    """Drop subsampled configurations of a rate at which a library was also decoded."""
    decoded_keys = {
        (each.space, each.fps, each.pooler) for each in configurations if not each.is_subsampled
    }
    kept: dict[tuple[str, float, str], IndexConfiguration] = {}
    for each in configurations:
        key = (each.space, each.fps, each.pooler)
        if not (each.is_subsampled and key in decoded_keys):
            kept.setdefault(key, each)
    return list(kept.values())


def _create_poolers() -> tuple[list[Pooler], list[str]]:
    """Create all registered poolers; also return why some are unavailable."""
    poolers: list[Pooler] = []
    skipped_reasons: list[str] = []
    for pooler_name in plugin_names("poolers"):
        try:
            poolers.append(resolve_plugin("poolers", pooler_name)())
        except VSearchError as error:
            skipped_reasons.append(f"pooler {pooler_name}: {error}")
    return poolers, skipped_reasons


def _evaluate_configurations(
    library: Library,
    retrieval_case: RetrievalCase,
    poolers: Sequence[Pooler],
    skipped_reasons: list[str],
) -> Iterator[IndexConfiguration]:
    """Evaluate a library at several rates with every compatible pooler."""
    encoder, settings = library.encoder, library.settings
    text_vectors = encoder.encode_texts(retrieval_case.captions)
    querybank = Querybank.from_encoder(encoder)
    trained_pooler = library.models.trained_pooler
    all_poolers = [*poolers, *([trained_pooler] if trained_pooler else [])]
    active_totals = [
        _ConfigurationTotals(settings.fps / frame_stride, pooler, frame_stride)
        for frame_stride in FRAME_STRIDES
        for pooler in all_poolers
    ]
    feature_store = library.feature_store
    for video in retrieval_case.videos:
        frame_features = feature_store.load(video.id, encoder.space)
        spans = [segment.span for segment in library.segments_with_vectors(video)[0]]
        for totals in list(active_totals):
            try:
                _add_video(totals, frame_features, spans, text_vectors, querybank)
            except VSearchError as error:
                skipped_reasons.append(
                    f"pooler {totals.pooler.name} on {encoder.space.name}: {error}"
                )
                active_totals.remove(totals)
    throughput = model_zoo.measure_throughput(settings.model, settings.device, encoder)
    for totals in active_totals:
        yield _finish_configuration(library, retrieval_case, totals, 1 / throughput.rate)


def _add_video(
    totals: _ConfigurationTotals,
    frame_features: Features,
    spans: Sequence[Span],
    text_vectors: Matrix,
    querybank: Querybank,
) -> None:
    """Pool the segments of a video and score every text by the best of them."""
    segments = [subsample_by_stride(frame_features, span, totals.frame_stride) for span in spans]
    started_at = time.perf_counter()
    segment_vectors = np.stack(
        [totals.pooler.pool(segment.frame_vectors, segment.frame_times) for segment in segments]
    )
    totals.pooling_seconds += time.perf_counter() - started_at
    totals.score_columns.append(
        score_best_segments(text_vectors, [segment_vectors], querybank)[:, 0]
    )
    totals.frame_count += sum(len(segment.frame_times) for segment in segments)
    totals.vector_count += len(segments)


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
    totals: _ConfigurationTotals,
    seconds_per_frame: float,
) -> IndexConfiguration:
    scores = np.stack(totals.score_columns, axis=1)
    first_hit_ranks = rank_first_hits(scores, retrieval_case.relevance_matrix)
    video_hours = sum(video.duration for video in retrieval_case.videos) / 3600
    space = library.encoder.space
    vector_bytes = FLOAT16_BYTES * space.dim
    storage_bytes = (
        totals.frame_count * (vector_bytes + FLOAT64_BYTES) + totals.vector_count * vector_bytes
    )
    compute_seconds = totals.frame_count * seconds_per_frame + totals.pooling_seconds
    return IndexConfiguration(
        library.settings.model,
        space.name,
        totals.fps,
        totals.pooler.name,
        bootstrap_ranks(first_hit_ranks[None]),
        totals.frame_stride > 1,
        totals.frame_count,
        float(f"{compute_seconds / video_hours:.3g}"),
        float(round(storage_bytes / video_hours)),
    )
