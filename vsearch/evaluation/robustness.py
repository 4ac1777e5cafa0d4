"""Robustness of retrieval to perturbed queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from vsearch.evaluation.benchmark import prepare_case
from vsearch.evaluation.metrics import (
    NOT_FOUND_RANK,
    bootstrap_metric,
    bootstrap_ranks,
    compute_query_values,
)
from vsearch.evaluation.query_perturbation import PERTURBATIONS, TYPO_SEEDS
from vsearch.evaluation.retrieval_cases import find_relevant_videos
from vsearch.evaluation.typed_perturbation import SHORT_FORMS, TYPED_PERTURBATIONS, list_words
from vsearch.evaluation.video_search import find_first_rank, list_found_videos

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import CaptionDataset, CaptionItem
    from vsearch.evaluation.metrics import Metric, RankArray
    from vsearch.library import Library

    RelevantPaths: TypeAlias = Sequence[Sequence[set[Path]]]  # of T variants of Q captions


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
    is_typed: bool = False  # read by the query parser; others are literal, like captions
    failed_queries: tuple[str, ...] = ()  # that could not be searched; they count as not found


@dataclass(frozen=True, slots=True)
class _RankedVariants:
    """Ranks of the first relevant video, int64 (T, Q), for T variants of Q captions."""

    ranks: RankArray
    failed_queries: tuple[str, ...] = ()


def measure_robustness(library: Library, dataset: CaptionDataset) -> list[PerturbationResult]:
    """Evaluate text → video retrieval with each perturbation of the captions.

    All are complete searches. Perturbations of wording are literal, like captions; those that
    change how a query is typed are read by the query parser.

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
    captions = retrieval_case.captions
    candidate_paths = {video.path for video in retrieval_case.videos}
    relevant_paths = find_relevant_videos(retrieval_case.query_items)

    def rank_variants(
        variants: Sequence[Sequence[str]], variant_paths: RelevantPaths, *, is_literal: bool
    ) -> _RankedVariants:
        return _search_variants(
            library, variants, variant_paths, candidate_paths, is_literal=is_literal
        )

    clean_ranks = rank_variants([captions], [relevant_paths], is_literal=True).ranks
    results = []
    for perturbation in PERTURBATIONS:
        variants = _perturb_captions(perturbation, captions)
        ranked_variants = rank_variants(variants, [relevant_paths] * len(variants), is_literal=True)
        results.append(
            _build_result(perturbation, captions, variants, clean_ranks, ranked_variants)
        )
    for perturbation, rewrite in TYPED_PERTURBATIONS.items():
        variants = rewrite(captions)
        variant_paths = [
            add_matching_videos(retrieval_case.query_items, queries, relevant_paths)
            if perturbation in SHORT_FORMS
            else relevant_paths
            for queries in variants
        ]
        ranked_variants = rank_variants(variants, variant_paths, is_literal=False)
        results.append(
            _build_result(
                perturbation, captions, variants, clean_ranks, ranked_variants, is_typed=True
            )
        )
    return results


def add_matching_videos(
    caption_items: Sequence[CaptionItem],
    short_forms: Sequence[str],
    relevant_paths: Sequence[set[Path]],
) -> list[set[Path]]:
    """Add the videos whose caption has all words of a short form to those that are right for it.

    Args:
        caption_items: Captions of all candidates.
        short_forms: The Q queries.
        relevant_paths: Right videos of each query.

    Returns:
        Right videos of each query.
    """
    words_by_item = [(item.video_path, list_words(item.caption)) for item in caption_items]
    return [
        paths | {path for path, words in words_by_item if list_words(short_form) <= words}
        for short_form, paths in zip(short_forms, relevant_paths, strict=True)
    ]


def _search_variants(
    library: Library,
    variants: Sequence[Sequence[str]],
    relevant_paths: RelevantPaths,
    candidate_paths: set[Path],
    *,
    is_literal: bool,
) -> _RankedVariants:
    """Rank the candidates by complete searches."""
    failed_queries: list[str] = []
    ranks = np.full((len(variants), len(variants[0])), NOT_FOUND_RANK, np.int64)
    for row, (queries, query_paths) in enumerate(zip(variants, relevant_paths, strict=True)):
        for column, (query, right_paths) in enumerate(zip(queries, query_paths, strict=True)):
            found_paths = list_found_videos(library, query, is_literal=is_literal)
            if found_paths is None:
                failed_queries.append(query)
                continue
            found_candidates = [path for path in found_paths if path in candidate_paths]
            ranks[row, column] = find_first_rank(found_candidates, right_paths) or NOT_FOUND_RANK
    return _RankedVariants(ranks, tuple(failed_queries))


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
    ranked_variants: _RankedVariants,
    *,
    is_typed: bool = False,
) -> PerturbationResult:
    changes = [  # the first variant of each caption that differs from it, if any
        next((variant for variant in caption_variants if variant != caption), None)
        for caption, caption_variants in zip(captions, zip(*variants, strict=True), strict=True)
    ]
    rows = [row for row, change in enumerate(changes) if change is not None]
    if not rows:
        return PerturbationResult(
            perturbation, len(captions), 0, "", "", (), (), (), is_typed=is_typed
        )
    perturbed_ranks = ranked_variants.ranks[:, rows]
    clean_values = compute_query_values(clean_ranks[:, rows])
    perturbed_values = compute_query_values(perturbed_ranks)
    return PerturbationResult(
        perturbation,
        len(captions),
        len(rows),
        captions[rows[0]],
        changes[rows[0]] or "",
        bootstrap_ranks(clean_ranks[:, rows]),
        bootstrap_ranks(perturbed_ranks),
        tuple(
            bootstrap_metric(name, values - perturbed_values[name])
            for name, values in clean_values.items()
        ),
        is_typed,
        ranked_variants.failed_queries,
    )
