"""Robustness of retrieval to perturbed queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.evaluation.benchmark import prepare_case
from vsearch.evaluation.metrics import bootstrap_metric, compute_query_values
from vsearch.evaluation.query_perturbation import PERTURBATIONS, TYPO_SEEDS
from vsearch.evaluation.retrieval_cases import rank_first_hits, score_videos

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.evaluation.datasets import CaptionDataset
    from vsearch.evaluation.metrics import Metric, RankArray, RelevanceMatrix
    from vsearch.library import Library
    from vsearch.protocols import Encoder
    from vsearch.types import Matrix


@dataclass(frozen=True, slots=True)
class PerturbationResult:
    """Metrics of one perturbation on the captions that it changes."""

    perturbation: str
    caption_count: int  # all captions
    changed_count: int
    example_before: str  # an example; "" if no caption changed
    example_after: str
    clean_metrics: tuple[Metric, ...]  # R@1, R@5, MRR before perturbation; empty if none changed
    perturbed_metrics: tuple[Metric, ...]  # of the perturbed captions
    metric_losses: tuple[Metric, ...]  # differences, with paired intervals


def measure_robustness(library: Library, dataset: CaptionDataset) -> list[PerturbationResult]:
    """Evaluate text → video retrieval with each perturbation of the captions.

    Args:
        library: Library that contains the videos.
        dataset: Captions.

    Returns:
        One result per perturbation.

    Raises:
        DatasetError: If none of the videos is in the library.
        NoTextError: If the library's model does not encode text.
    """
    _, retrieval_case = prepare_case(library, dataset)
    segment_vectors = [library.segments_with_vectors(video)[1] for video in retrieval_case.videos]
    clean_ranks = _rank_videos(
        [retrieval_case.captions], library.encoder, segment_vectors, retrieval_case.relevance_matrix
    )
    perturbation_results = []
    for perturbation in PERTURBATIONS:
        perturbed_captions = _perturb_captions(perturbation, retrieval_case.captions)
        perturbed_ranks = _rank_videos(
            perturbed_captions, library.encoder, segment_vectors, retrieval_case.relevance_matrix
        )
        perturbation_results.append(
            _build_result(
                perturbation,
                retrieval_case.captions,
                perturbed_captions,
                clean_ranks,
                perturbed_ranks,
            )
        )
    return perturbation_results


def _perturb_captions(perturbation: str, captions: Sequence[str]) -> list[list[str]]:
    """Return the perturbed captions, in several variants if the perturbation is random."""
    if perturbation == "typo":
        return [
            [PERTURBATIONS[perturbation](caption, seed) for caption in captions]
            for seed in range(TYPO_SEEDS)
        ]
    return [
        [
            PERTURBATIONS[perturbation](caption, caption_index)
            for caption_index, caption in enumerate(captions)
        ]
    ]


def _rank_videos(
    caption_lists: Sequence[Sequence[str]],
    encoder: Encoder,
    segment_vectors: Sequence[Matrix],
    relevance_matrix: RelevanceMatrix,
) -> RankArray:
    """Return the rank of the first relevant video, int64 (T, Q)."""
    return np.stack(
        [
            rank_first_hits(score_videos(caption_list, encoder, segment_vectors), relevance_matrix)
            for caption_list in caption_lists
        ]
    )


def _build_result(
    perturbation: str,
    captions: list[str],
    perturbed_captions: list[list[str]],
    clean_ranks: RankArray,
    perturbed_ranks: RankArray,
) -> PerturbationResult:
    is_changed = np.array(
        [
            any(caption_row[caption_index] != caption for caption_row in perturbed_captions)
            for caption_index, caption in enumerate(captions)
        ]
    )
    if not is_changed.any():
        return PerturbationResult(perturbation, len(captions), 0, "", "", (), (), ())
    clean_values, perturbed_values = (
        compute_query_values(clean_ranks[:, is_changed]),
        compute_query_values(perturbed_ranks[:, is_changed]),
    )
    example_index = int(np.flatnonzero(is_changed)[0])
    return PerturbationResult(
        perturbation,
        len(captions),
        int(is_changed.sum()),
        captions[example_index],
        next(
            caption_row[example_index]
            for caption_row in perturbed_captions
            if caption_row[example_index] != captions[example_index]
        ),
        tuple(
            bootstrap_metric(metric_name, query_values)
            for metric_name, query_values in clean_values.items()
        ),
        tuple(
            bootstrap_metric(metric_name, query_values)
            for metric_name, query_values in perturbed_values.items()
        ),
        tuple(
            bootstrap_metric(metric_name, clean_values[metric_name] - perturbed_values[metric_name])
            for metric_name in clean_values
        ),
    )
