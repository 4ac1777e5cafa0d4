"""Training and evaluation of a query adapter on a library's own videos: `vsearch train align`.

In the evaluation, the texts of the held-out videos retrieve their moments among the moments of all
rows, training rows included: an adapter that draws every query toward its training data would pass
among the held-out moments alone. Scores include the hubness correction of a search.

An adapter is better if its mean gain in MRR and the lower end of the 95 % confidence interval are
positive. The interval is the lower one of two bootstraps, over queries and over videos, because the
rows of one video are correlated. This rejects ties and most chance results: of adapters trained on
shuffled captions 5 of 90 pass (4 of 43 with a 90 % interval). An adapter that is in use must not be
better than the new one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.encoders.query_adapter import (
    PROBE_TEXTS,
    AdaptedEncoder,
    AdapterInfo,
    QueryAdapter,
    ResidualLinearMap,
)
from vsearch.evaluation.comparison import check_text_support
from vsearch.evaluation.metrics import Metric, bootstrap_metric, compute_query_values
from vsearch.evaluation.retrieval_cases import rank_first_hits
from vsearch.plugins import require_models_extra
from vsearch.search.hubness import Querybank
from vsearch.training.adapter_dataset import build_adapter_dataset

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.evaluation.datasets import CaptionDataset
    from vsearch.evaluation.metrics import QueryValues, RankArray
    from vsearch.library import Library
    from vsearch.protocols import Encoder
    from vsearch.training.adapter_dataset import AdapterDataset, TextImagePairs
    from vsearch.types import Ids, Matrix

CI_PERCENTILES = (2.5, 97.5)
BOOTSTRAP_RESAMPLES = 2_000
QUERY_BLOCK_ROWS = 512


@dataclass(frozen=True, slots=True)
class AdapterEvaluation:
    """Retrieval metrics of the held-out rows with and without an adapter."""

    candidate_count: int
    baseline_metrics: tuple[Metric, ...]  # R@1, R@5 and MRR without an adapter
    adapted_metrics: tuple[Metric, ...]  # with the new adapter
    current_metrics: tuple[Metric, ...] | None  # with the adapter in use, if any
    mrr_gain: Metric  # over the unadapted model

    @property
    def is_beaten(self) -> bool:
        """Return whether the adapter in use has a higher MRR."""
        return (
            self.current_metrics is not None
            and self.current_metrics[-1].value > self.adapted_metrics[-1].value
        )

    @property
    def is_better(self) -> bool:
        """Return whether the adapter may be installed."""
        return self.mrr_gain.value > 0 and self.mrr_gain.ci_low > 0 and not self.is_beaten


@dataclass(frozen=True, slots=True)
class AdapterTrainingResult:
    """A trained adapter that is not installed yet, and its evaluation."""

    adapter: QueryAdapter
    evaluation: AdapterEvaluation
    held_out_videos: int
    skipped_reasons: tuple[str, ...]
    weight_decay: float  # chosen by cross-validation
    step_count: int  # chosen by cross-validation; 0: no map helped
    seconds: float


def train_query_adapter(
    library: Library,
    dataset: CaptionDataset | None = None,
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda _, __: None,
) -> AdapterTrainingResult:
    """Train a query adapter; nothing is decoded or written, see `install_adapter`.

    Args:
        library: Library whose stored frame features are used.
        dataset: Captions; the subtitles and file names of the library if None.
        seed: Seed of the split and the training.
        on_progress: Called with the number of finished parts and of all parts.

    Returns:
        The adapter and its evaluation.

    Raises:
        DatasetError: If there are too few rows.
        NoTextError: If the library's model does not encode text.
        SpaceMismatchError: If another model indexed the library.
        MissingExtraError: If torch is not installed.
    """
    with require_models_extra("training"):
        from vsearch.training.adapter_fit import fit_adapter  # deferred: imports torch
    started_at = time.monotonic()
    check_text_support(library)
    unadapted_encoder = _get_unadapted_encoder(library)
    adapter_dataset = build_adapter_dataset(library, unadapted_encoder, dataset, seed)
    train_pairs, held_out_pairs = (
        adapter_dataset.text_image_pairs[~adapter_dataset.held_out_mask],
        adapter_dataset.text_image_pairs[adapter_dataset.held_out_mask],
    )
    fit_result = fit_adapter(train_pairs, seed, on_progress)
    evaluation = evaluate_adapter(
        adapter_dataset,
        fit_result.fitted_map,
        library.models.query_adapter,
        Querybank.from_encoder(unadapted_encoder).query_vectors,
    )
    adapter_info = AdapterInfo(
        space=unadapted_encoder.space.name,
        words=library.settings.text_model or library.settings.model,
        source=adapter_dataset.source_name,
        rows=len(train_pairs),
        videos=len(np.unique(train_pairs.video_ids)),
        held_out=len(held_out_pairs),
        before=evaluation.baseline_metrics[-1].value,
        after=evaluation.adapted_metrics[-1].value,
    )
    return AdapterTrainingResult(
        QueryAdapter(
            fit_result.fitted_map, unadapted_encoder.encode_texts(PROBE_TEXTS), adapter_info
        ),
        evaluation,
        len(np.unique(held_out_pairs.video_ids)),
        adapter_dataset.skipped_reasons,
        fit_result.weight_decay,
        fit_result.step_count,
        time.monotonic() - started_at,
    )


def install_adapter(
    library: Library, training_result: AdapterTrainingResult, *, force: bool = False
) -> bool:
    """Use an adapter for all queries of a library from now on, if it is better.

    Args:
        library: Library to change.
        training_result: Result of `train_query_adapter`.
        force: Install even if it is not better.

    Returns:
        True if the adapter was installed.

    Raises:
        LockedError: If another process writes to the library.
        SpaceMismatchError: If the library's model was changed in the meantime.
    """
    adapter, is_better = training_result.adapter, training_result.evaluation.is_better
    if is_better or force:
        library.models.set_query_adapter(
            replace(adapter, training_info=replace(adapter.training_info, forced=not is_better))
        )
    return is_better or force


def evaluate_adapter(
    adapter_dataset: AdapterDataset,
    linear_map: ResidualLinearMap,
    current_adapter: QueryAdapter | None = None,
    null_vectors: Matrix | None = None,
) -> AdapterEvaluation:
    """Retrieve the moments of the held-out rows with and without a map.

    Args:
        adapter_dataset: Rows with the mask of the held-out ones.
        linear_map: Map to evaluate.
        current_adapter: Adapter in use, if any.
        null_vectors: Querybank of generic queries for the hubness correction, float32 (B, D).

    Returns:
        Retrieval metrics and the gain in MRR.
    """
    held_out_pairs, candidate_moments = (
        adapter_dataset.text_image_pairs[adapter_dataset.held_out_mask],
        _deduplicate_moments(adapter_dataset.text_image_pairs),
    )
    baseline_ranks = _rank_moments(
        held_out_pairs,
        candidate_moments,
        ResidualLinearMap.identity(held_out_pairs.text_vectors.shape[1]),
        null_vectors,
    )
    adapted_ranks = _rank_moments(held_out_pairs, candidate_moments, linear_map, null_vectors)
    return AdapterEvaluation(
        len(candidate_moments),
        _summarize_ranks(baseline_ranks),
        _summarize_ranks(adapted_ranks),
        None
        if current_adapter is None
        else _summarize_ranks(
            _rank_moments(
                held_out_pairs, candidate_moments, current_adapter.residual_map, null_vectors
            )
        ),
        bootstrap_gain(1 / adapted_ranks - 1 / baseline_ranks, held_out_pairs.fold_ids),
    )


def bootstrap_gain(query_gains: QueryValues, fold_ids: Ids) -> Metric:
    """Return the mean gain with the more cautious of two 95 % bootstrap intervals.

    Args:
        query_gains: Gain of each query, (Q,).
        fold_ids: Fold of each query, (Q,). One interval resamples queries, the other folds.
    """
    _, fold_index = np.unique(fold_ids, return_inverse=True)
    unit_counts, fold_sums = np.ones(len(query_gains)), np.zeros(fold_index.max() + 1)
    fold_counts = fold_sums.copy()
    np.add.at(fold_sums, fold_index.tolist(), query_gains)
    np.add.at(fold_counts, fold_index.tolist(), unit_counts)
    intervals = [
        _bootstrap_interval(query_gains, unit_counts),
        _bootstrap_interval(fold_sums, fold_counts),
    ]
    low_bound, high_bound = (
        min(low_bound for low_bound, _ in intervals),
        max(high_bound for _, high_bound in intervals),
    )
    return Metric("MRR gained", float(query_gains.mean()), low_bound, high_bound)


def _bootstrap_interval(group_sums: QueryValues, group_counts: QueryValues) -> tuple[float, float]:
    """Return the 95 % interval of the mean over resampled groups of queries."""
    rng, resampled_means = np.random.default_rng(0), np.empty(BOOTSTRAP_RESAMPLES)
    for resample_index in range(BOOTSTRAP_RESAMPLES):
        resampled_rows = rng.integers(0, len(group_sums), len(group_sums))
        resampled_means[resample_index] = (
            group_sums[resampled_rows].sum() / group_counts[resampled_rows].sum()
        )
    low_bound, high_bound = np.percentile(resampled_means, CI_PERCENTILES)
    return float(low_bound), float(high_bound)


def _deduplicate_moments(text_image_pairs: TextImagePairs) -> TextImagePairs:
    """Keep one row per moment."""
    moment_keys = np.column_stack([text_image_pairs.video_ids, text_image_pairs.video_spans])
    return text_image_pairs[np.unique(moment_keys, axis=0, return_index=True)[1]]


def _rank_moments(
    query_pairs: TextImagePairs,
    candidate_moments: TextImagePairs,
    linear_map: ResidualLinearMap,
    null_vectors: Matrix | None,
) -> RankArray:
    """Return the rank of the first correct moment of each query, int64 (Q,), from 1."""
    querybank = (
        Querybank.create_empty(len(linear_map.bias_vector))
        if null_vectors is None or not len(null_vectors)
        else Querybank(linear_map(null_vectors))
    )
    hubness_penalties, block_ranks = querybank.hubness_penalty(candidate_moments.image_vectors), []
    for block_start in range(0, len(query_pairs), QUERY_BLOCK_ROWS):
        query_block = query_pairs[
            np.arange(block_start, min(block_start + QUERY_BLOCK_ROWS, len(query_pairs)))
        ]
        similarity_scores = (
            linear_map(query_block.text_vectors) @ candidate_moments.image_vectors.T
            - hubness_penalties
        )
        block_ranks.append(
            rank_first_hits(similarity_scores, query_block.find_false_negatives(candidate_moments))
        )
    return np.concatenate(block_ranks)


def _summarize_ranks(first_hit_ranks: RankArray) -> tuple[Metric, ...]:
    return tuple(
        bootstrap_metric(metric_name, query_values)
        for metric_name, query_values in compute_query_values(first_hit_ranks[None]).items()
    )


def _get_unadapted_encoder(library: Library) -> Encoder:
    """Return the library's encoder without its adapter."""
    encoder = library.encoder
    return encoder.base_encoder if isinstance(encoder, AdaptedEncoder) else encoder
