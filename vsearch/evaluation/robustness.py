"""Robustness of retrieval to perturbed queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.evaluation.benchmark import prepare_case
from vsearch.evaluation.metrics import bootstrap_metric, bootstrap_ranks, compute_query_values
from vsearch.evaluation.query_perturbation import PERTURBATIONS, TYPO_SEEDS
from vsearch.evaluation.retrieval_cases import rank_first_hits, score_videos

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.evaluation.datasets import CaptionDataset
    from vsearch.evaluation.metrics import Metric, RankArray
    from vsearch.library import Library


@dataclass(frozen=True, slots=True)
class PerturbationResult:
    """Metrics of one perturbation on the captions that it changes; empty if it changes none."""

    perturbation: str
    caption_count: int  # all captions
    changed_count: int
    example_before: str  # a changed caption; "" if there is none
    example_after: str
    clean_metrics: tuple[Metric, ...]  # R@1, R@5, MRR of the original captions
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
    captions, relevance_matrix = retrieval_case.captions, retrieval_case.relevance_matrix
    segment_vectors = [library.segments_with_vectors(video)[1] for video in retrieval_case.videos]

    def rank_videos(variants: Sequence[Sequence[str]]) -> RankArray:
        """Return the rank of the first relevant video, int64 (T, Q), for T variants."""
        scores = [score_videos(queries, library.encoder, segment_vectors) for queries in variants]
        return np.stack([rank_first_hits(each, relevance_matrix) for each in scores])

    clean_ranks = rank_videos([captions])
    results = []
    for perturbation in PERTURBATIONS:
        variants = _perturb_captions(perturbation, captions)
        results.append(
            _build_result(perturbation, captions, variants, clean_ranks, rank_videos(variants))
        )
    return results


def _perturb_captions(perturbation: str, captions: Sequence[str]) -> list[list[str]]:
    """Return the perturbed captions, in several variants if the perturbation is random."""
    perturb = PERTURBATIONS[perturbation]
    if perturbation == "typo":
        return [[perturb(caption, seed) for caption in captions] for seed in range(TYPO_SEEDS)]
    return [[perturb(caption, index) for index, caption in enumerate(captions)]]


def _build_result(
    perturbation: str,
    captions: list[str],
    variants: list[list[str]],
    clean_ranks: RankArray,
    perturbed_ranks: RankArray,
) -> PerturbationResult:
    changes = [  # the first variant of each caption that differs from it, if any
        next((variant for variant in caption_variants if variant != caption), None)
        for caption, caption_variants in zip(captions, zip(*variants, strict=True), strict=True)
    ]
    rows = [row for row, change in enumerate(changes) if change is not None]
    if not rows:
        return PerturbationResult(perturbation, len(captions), 0, "", "", (), (), ())
    clean_values = compute_query_values(clean_ranks[:, rows])
    perturbed_values = compute_query_values(perturbed_ranks[:, rows])
    return PerturbationResult(
        perturbation,
        len(captions),
        len(rows),
        captions[rows[0]],
        changes[rows[0]] or "",
        bootstrap_ranks(clean_ranks[:, rows]),
        bootstrap_ranks(perturbed_ranks[:, rows]),
        tuple(
            bootstrap_metric(name, values - perturbed_values[name])
            for name, values in clean_values.items()
        ),
    )
