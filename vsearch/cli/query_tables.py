"""Tables of the evaluation of people's queries for the terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.render import escape_unprintable, format_count, print_table
from vsearch.cli.report_tables import format_interval, format_share, list_facts, print_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.evaluation.classification import ReliabilityBin
    from vsearch.evaluation.metrics import Metric, Proportion
    from vsearch.evaluation.query_evaluation import QueryGroupReport, QueryReport


def print_query_report(report: QueryReport) -> None:
    """Print the protocol, ranking, confidence and reliability of a query dataset."""
    all_queries = report.groups[0]
    videos_text = format_count(report.video_count, "video")
    queries_text = (
        f"{len(report.outcomes)} in {videos_text} ({escape_unprintable(report.dataset_name)}): "
        f"{all_queries.present_count} present, {all_queries.absent_count} absent"
    )
    fact_rows = [("queries", queries_text)]
    if report.missing_count or report.skipped_count:
        missing_text = format_count(report.missing_count, "missing clip")
        skipped_text = f"{report.skipped_count} of the queries without a clip in the library"
        fact_rows.append(("excluded", f"{missing_text}; {skipped_text}"))
    print_facts([*fact_rows, *list_facts(report.protocol)])
    _print_ranking(report.groups)
    print_confidence(report.groups)
    _print_reliability(all_queries)
    for outcome in report.outcomes:
        if outcome.error_text:
            query_text = escape_unprintable(outcome.query_text)
            click.echo(f"could not be searched: {query_text} ({outcome.error_text})")


def query_report_to_dict(report: QueryReport) -> dict[str, Any]:
    """Return the evaluation of a query dataset as a JSON object."""
    outcomes = [
        {**asdict(each), "first_path": None if each.first_path is None else str(each.first_path)}
        for each in report.outcomes
    ]
    return {**asdict(report), "outcomes": outcomes}


def _print_ranking(groups: Sequence[QueryGroupReport]) -> None:
    click.echo(f"\n{click.style('text → video', bold=True)}   queries that a clip answers")
    metric_names = [metric.name for metric in groups[0].metrics]
    head_cells = [cell for name in metric_names for cell in (name, "95 %")]
    table_rows: list[Sequence[str]] = [("", "queries", *head_cells)]
    for group in groups:
        cells = [cell for metric in group.metrics for cell in _format_metric(metric)]
        cells = cells or ["–"] * len(head_cells)
        table_rows.append((escape_unprintable(group.group_name), str(group.present_count), *cells))
    print_table(table_rows, alignments="l" + "r" * (len(head_cells) + 1))


def print_confidence(groups: Sequence[QueryGroupReport]) -> None:
    """Print misses, false alarms, AUROC and calibration errors of groups of queries."""
    click.echo(
        f"\n{click.style('confidence', bold=True)}   misses: right first results marked as weak; "
        "false alarms: absent, but the first result is not"
    )
    head_cells = [
        cell
        for name in ("misses", "false alarms", "AUROC", "ECE first", "ECE all")
        for cell in (name, "95 %")
    ]
    table_rows: list[Sequence[str]] = [("", *head_cells)]
    for group in groups:
        confidence = group.confidence
        table_rows.append(
            (
                escape_unprintable(group.group_name),
                *_format_proportion(confidence.misses),
                *_format_proportion(confidence.false_alarms),
                *_format_metric(confidence.auroc),
                *_format_metric(confidence.first_calibration_error),
                *_format_metric(confidence.calibration_error),
            )
        )
    print_table(table_rows, alignments="l" + "r" * len(head_cells))


def _print_reliability(all_queries: QueryGroupReport) -> None:
    click.echo(
        f"\n{click.style('reliability', bold=True)}   stated confidence against the share that is "
        "right, in percent"
    )
    table_rows: list[Sequence[str]] = [
        ("stated", "first results", "mean", "right", "all results", "mean", "right")
    ]
    for first_bin, result_bin in zip(
        all_queries.confidence.first_reliability, all_queries.confidence.reliability, strict=True
    ):
        table_rows.append(
            (
                f"{100 * first_bin.low:.0f}–{100 * first_bin.high:.0f}",
                *_format_bin(first_bin),
                *_format_bin(result_bin),
            )
        )
    print_table(table_rows, alignments="lrrrrrr")


def _format_metric(metric: Metric | None) -> tuple[str, str]:
    if metric is None:
        return "–", "–"
    return format_share(metric.value), format_interval(metric)


def _format_proportion(proportion: Proportion) -> tuple[str, str]:
    if not proportion.total:
        return "–", "–"
    interval_text = f"{100 * proportion.ci_low:.0f}–{100 * proportion.ci_high:.0f}"
    return f"{proportion.count} of {proportion.total}", interval_text


def _format_bin(reliability_bin: ReliabilityBin) -> tuple[str, str, str]:
    mean_confidence, correct_share = reliability_bin.mean_confidence, reliability_bin.correct_share
    if mean_confidence is None or correct_share is None:
        return "0", "–", "–"
    return str(reliability_bin.count), format_share(mean_confidence), format_share(correct_share)
