"""Evaluation of people's queries by complete searches: ranking, and confidence that is justified.

Queries are searched as typed: `Library.search` parses and normalizes them. Captions are literal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.errors import DatasetError, VSearchError
from vsearch.evaluation.benchmark import describe_protocol
from vsearch.evaluation.classification import build_reliability_table, compute_calibration_error
from vsearch.evaluation.metrics import (
    NOT_FOUND_RANK,
    RECALL_AT,
    bootstrap_metric,
    bootstrap_statistic,
    compute_auroc,
    compute_proportion,
)
from vsearch.evaluation.video_search import (
    MAX_RANK,
    find_first_rank,
    is_query_fault,
    search_videos,
)
from vsearch.query.parser import text_query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.evaluation.benchmark import EvaluationProtocol
    from vsearch.evaluation.classification import ReliabilityBin
    from vsearch.evaluation.metrics import Metric, Proportion
    from vsearch.evaluation.query_datasets import QueryDataset, QueryItem
    from vsearch.library import Library
    from vsearch.types import Ids

TOP_RESULTS = 10  # results whose confidence is compared with their relevance, as a search prints
ALL_QUERIES = "all"  # name of the group of all queries
SCORING_DESCRIPTION = (
    f"complete search as typed, one result per video, up to rank {MAX_RANK}; 95 % bootstrap, "
    "counts: 95 % Wilson"
)


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """Results of one query."""

    query_text: str
    language: str
    is_present: bool  # a clip answers the query
    rank: int | None  # of the first right video, from 1; None: not found
    first_path: Path | None  # video of the first result
    confidences: tuple[float, ...]  # of the first TOP_RESULTS; empty without results or calibration
    are_right: tuple[bool, ...]  # the same results
    is_weak: bool  # the first result has low confidence, or there is no result
    error_text: str = ""  # why the query could not be searched


@dataclass(frozen=True, slots=True)
class ConfidenceReport:
    """Comparison of the stated confidence with the truth, over queries with calibrated results."""

    misses: Proportion  # right first results with low confidence
    false_alarms: Proportion  # absent, but the first result has no low confidence
    auroc: Metric | None  # of the first confidence, present against absent; None without either
    first_calibration_error: Metric | None  # of first results; None without results
    calibration_error: Metric | None  # of all results
    first_reliability: tuple[ReliabilityBin, ...]
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class QueryGroupReport:
    """Metrics of the queries of one language, or of all."""

    group_name: str
    present_count: int
    absent_count: int
    failed_count: int  # not searchable; they count as not found
    metrics: tuple[Metric, ...]  # R@1/5/10 and MRR of the present queries; empty without any
    confidence: ConfidenceReport


@dataclass(frozen=True, slots=True)
class QueryReport:
    """Results of a query dataset with the protocol."""

    dataset_name: str
    video_count: int  # of the library
    missing_count: int  # clips without a file
    skipped_count: int  # queries without a clip in the library
    protocol: EvaluationProtocol
    groups: tuple[QueryGroupReport, ...]  # all, then by language if several are given
    outcomes: tuple[QueryOutcome, ...]


def evaluate_queries(library: Library, dataset: QueryDataset) -> QueryReport:
    """Search every query of a dataset.

    Args:
        library: Library that contains the clips; all of its videos are searched.
        dataset: Queries.

    Returns:
        The report.

    Raises:
        DatasetError: If no query remains because their clips are not in the library.
        NoTextError: If the library's model does not encode text.
    """
    videos = library.videos()
    library_paths = {video.path for video in videos}
    items = [
        replace(item, clip_paths=item.clip_paths & library_paths)
        for item in dataset.items
        if not item.clip_paths or item.clip_paths & library_paths
    ]
    if not items:
        raise DatasetError(f"{dataset.dataset_name}: none of the clips is in the library")
    outcomes = [search_query(library, item) for item in items]
    languages = list(dict.fromkeys(outcome.language for outcome in outcomes))
    groups = [report_group(ALL_QUERIES, outcomes)]
    if any(languages):
        groups += [
            report_group(
                language or "unknown", [each for each in outcomes if each.language == language]
            )
            for language in languages
        ]
    return QueryReport(
        dataset.dataset_name,
        len(videos),
        len(dataset.missing_paths),
        dataset.skipped_count + len(dataset.items) - len(items),
        describe_protocol(library, videos, "all", SCORING_DESCRIPTION),
        tuple(groups),
        tuple(outcomes),
    )


def search_query(library: Library, item: QueryItem) -> QueryOutcome:
    """Search one query of a dataset.

    Args:
        library: Library to search.
        item: The query; its clips are in the library.

    Returns:
        The outcome.

    Raises:
        NoTextError: If the library's model does not encode text.
    """
    is_present = bool(item.clip_paths)
    query = text_query(item.query_text) if item.is_literal else item.query_text
    try:
        search_result = search_videos(library, query)
    except VSearchError as error:
        if not is_query_fault(error):
            raise
        return QueryOutcome(
            item.query_text, item.language, is_present, None, None, (), (), True, str(error)
        )
    top_moments = search_result[:TOP_RESULTS]
    confidences = [moment.confidence for moment in top_moments if moment.confidence is not None]
    is_calibrated = len(confidences) == len(top_moments)
    return QueryOutcome(
        item.query_text,
        item.language,
        is_present,
        find_first_rank([moment.video.path for moment in search_result], item.clip_paths),
        top_moments[0].video.path if top_moments else None,
        tuple(confidences) if is_calibrated else (),
        tuple(moment.video.path in item.clip_paths for moment in top_moments),
        not top_moments or top_moments[0].has_low_confidence,
    )


def report_group(group_name: str, outcomes: Sequence[QueryOutcome]) -> QueryGroupReport:
    """Compute the metrics of a group of queries.

    Args:
        group_name: Name of the group.
        outcomes: Outcomes of its queries.
    """
    present_outcomes = [outcome for outcome in outcomes if outcome.is_present]
    return QueryGroupReport(
        group_name,
        len(present_outcomes),
        len(outcomes) - len(present_outcomes),
        sum(bool(outcome.error_text) for outcome in outcomes),
        _compute_rank_metrics(present_outcomes),
        _report_confidence([each for each in outcomes if each.confidences or not each.are_right]),
    )


def _compute_rank_metrics(outcomes: Sequence[QueryOutcome]) -> tuple[Metric, ...]:
    """Return R@1, R@5, R@10 and MRR."""
    if not outcomes:
        return ()
    ranks = np.array([outcome.rank or NOT_FOUND_RANK for outcome in outcomes], np.int64)
    recalls = [bootstrap_metric(f"R@{k}", (ranks <= k).astype(np.float64)) for k in RECALL_AT]
    return (*recalls, bootstrap_metric("MRR", 1 / ranks))


def _report_confidence(outcomes: Sequence[QueryOutcome]) -> ConfidenceReport:
    """Compare confidences with relevance; a query without results counts as confidence 0."""
    right_outcomes = [each for each in outcomes if each.is_present and each.rank == 1]
    absent_outcomes = [each for each in outcomes if not each.is_present]
    is_present = np.array([each.is_present for each in outcomes], np.bool_)
    has_results = np.array([bool(each.confidences) for each in outcomes], np.bool_)
    confidences, are_right = _stack_results(outcomes)
    first_confidences = np.nan_to_num(confidences[:, 0])
    query_groups = [np.flatnonzero(is_present), np.flatnonzero(~is_present)]

    def measure_auroc(rows: Ids) -> float:
        return compute_auroc(first_confidences[rows], is_present[rows])

    def measure_calibration(rows: Ids) -> float:
        is_result = ~np.isnan(confidences[rows])
        return compute_calibration_error(confidences[rows][is_result], are_right[rows][is_result])

    def measure_first_calibration(rows: Ids) -> float:
        return compute_calibration_error(first_confidences[rows], are_right[rows, 0])

    answered_rows = np.flatnonzero(has_results)
    is_result = ~np.isnan(confidences)
    return ConfidenceReport(
        compute_proportion(
            "misses", sum(each.is_weak for each in right_outcomes), len(right_outcomes)
        ),
        compute_proportion(
            "false alarms", sum(not each.is_weak for each in absent_outcomes), len(absent_outcomes)
        ),
        bootstrap_statistic("AUROC", measure_auroc, query_groups)
        if all(map(len, query_groups))
        else None,
        bootstrap_statistic("ECE of first results", measure_first_calibration, [answered_rows])
        if len(answered_rows)
        else None,
        bootstrap_statistic("ECE of all results", measure_calibration, [answered_rows])
        if len(answered_rows)
        else None,
        build_reliability_table(first_confidences[has_results], are_right[has_results, 0]),
        build_reliability_table(confidences[is_result], are_right[is_result]),
    )


def _stack_results(
    outcomes: Sequence[QueryOutcome],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return confidences and relevance, (Q, TOP_RESULTS); NaN and False beyond the results."""
    confidences = np.full((len(outcomes), TOP_RESULTS), np.nan, np.float32)
    are_right = np.zeros((len(outcomes), TOP_RESULTS), np.bool_)
    for row, outcome in enumerate(outcomes):
        confidences[row, : len(outcome.confidences)] = outcome.confidences
        are_right[row, : len(outcome.confidences)] = outcome.are_right[: len(outcome.confidences)]
    return confidences, are_right
