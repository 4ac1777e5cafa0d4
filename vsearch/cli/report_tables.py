"""Tables of evaluation results for the terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.render import (
    escape_unprintable,
    format_bytes,
    format_count,
    format_duration,
    print_table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.evaluation.auto_dataset import AutoDataset
    from vsearch.evaluation.benchmark import (
        BenchmarkReport,
        EvaluationProtocol,
        RetrievalTaskResult,
    )
    from vsearch.evaluation.comparison import ConfigurationComparison, IndexConfiguration
    from vsearch.evaluation.metrics import Metric
    from vsearch.evaluation.pooler_gate import GateResult
    from vsearch.evaluation.robustness import PerturbationResult

RANK_METRICS = ("MdR",)  # measured in ranks; all other metrics are shares
MAX_EXAMPLE_CHARS = 64


def print_report(report: BenchmarkReport) -> None:
    """Print the protocol of a benchmark and one table per retrieval task."""
    videos_text = format_count(report.video_count, "video")
    split_text = escape_unprintable(report.protocol.split_name)
    captions_text = (
        f"{report.caption_count} of {videos_text} ({report.dataset_name}), split {split_text}"
    )
    fact_rows = [("captions", captions_text)]
    if report.missing_count or report.unusable_count:
        excluded_text = f"{report.missing_count} missing, {report.unusable_count} unusable"
        fact_rows.append(("excluded", excluded_text))
    print_facts([*fact_rows, *list_facts(report.protocol)])
    for task_result in report.task_results:
        _print_task(task_result)


def print_robustness(perturbation_results: Sequence[PerturbationResult]) -> None:
    """Print the loss of each kind of query perturbation, on the captions it changes."""
    sections = {
        "robustness": [result for result in perturbation_results if not result.is_typed],
        "robustness as typed": [result for result in perturbation_results if result.is_typed],
    }
    for title, results in sections.items():
        method_text = "read by the query parser" if title.endswith("as typed") else "literal"
        click.echo(
            f"\n{click.style(title, bold=True)}   text → video, complete search, {method_text}, "
            "perturbed captions only; lost: percentage points, 95 %: interval of lost R@1"
        )
        table_rows: list[Sequence[str]] = [
            ("", "changed", "R@1", "R@5", "MRR", "lost R@1", "95 %", "lost R@5", "example")
        ]
        print_table(
            [*table_rows, *map(_build_perturbation_row, results)],
            alignments="lrrrrrrrl",
            shrink_column=8,
        )
        for result in results:
            for query in result.failed_queries:
                click.echo(f"could not be searched: {_truncate_example(query)}")


def _build_perturbation_row(result: PerturbationResult) -> Sequence[str]:
    metric_texts = [format_share(metric.value) for metric in result.perturbed_metrics]
    losses = {metric.name: metric for metric in result.metric_losses}
    loss_texts = ["–"] * 3
    if losses:
        loss_texts = [
            format_points(losses["R@1"].value),
            format_interval(losses["R@1"]),
            format_points(losses["R@5"].value),
        ]
    return (
        result.perturbation,
        f"{result.changed_count} of {result.caption_count}",
        *(metric_texts or ["–"] * 3),
        *loss_texts,
        _truncate_example(result.example_after),
    )


def print_gate(gate_result: GateResult) -> None:
    """Print the acceptance test of a pooler: its recall next to that of mean pooling."""
    click.echo(
        f"\n{click.style('pooling', bold=True)}   whole clips; distractors: 30–50 % of the frames, "
        f"{format_count(gate_result.seed_count, 'mixture')}"
    )
    metrics_by_setup = {
        "mean, clean": gate_result.mean_clean_metrics,
        f"{gate_result.pooler_name}, clean": gate_result.clean_metrics,
        "mean, with distractors": gate_result.mean_mixed_metrics,
        f"{gate_result.pooler_name}, with distractors": gate_result.mixed_metrics,
    }
    if gate_result.current_pooler_name:
        current_setup = f"{gate_result.current_pooler_name} (in use), with distractors"
        metrics_by_setup[current_setup] = gate_result.current_mixed_metrics
    table_rows: list[Sequence[str]] = [("", "R@1", "95 %", "R@5", "MRR")]
    for setup_name, (recall_at_1, *other_metrics) in metrics_by_setup.items():
        table_rows.append(
            (
                setup_name,
                format_share(recall_at_1.value),
                format_interval(recall_at_1),
                *(format_share(metric.value) for metric in other_metrics),
            )
        )
    print_table(table_rows, alignments="lrrrr")
    beaten_text = "; the pooler in use has higher recall" if gate_result.is_beaten else ""
    click.echo(
        f"R@1 {format_points(-gate_result.recall_loss)} points on clean clips (required: -0.5), "
        f"{format_points(gate_result.recall_gain)} with distractors (required: +6): "
        f"{'passed' if gate_result.has_passed else 'not passed'}{beaten_text}"
    )


def gate_to_dict(gate_result: GateResult) -> dict[str, Any]:
    """Return the acceptance test of a pooler as a JSON object."""
    return {
        **asdict(gate_result),
        "recall_loss": gate_result.recall_loss,
        "recall_gain": gate_result.recall_gain,
        "passed": gate_result.has_passed,
    }


def print_comparison(
    auto_dataset: AutoDataset, protocol: EvaluationProtocol, comparison: ConfigurationComparison
) -> None:
    """Print the sources of an automatic dataset and one line per index configuration.

    Args:
        auto_dataset: The dataset derived from the library.
        protocol: How the library was evaluated.
        comparison: Recall and cost of each configuration.
    """
    sources_text = ", ".join(
        f"{source.query_count} from {source.source_name}" for source in auto_dataset.sources
    )
    videos_text = format_count(comparison.video_count, "video")
    fact_rows = [("queries", f"{comparison.query_count} among {videos_text}: {sources_text}")]
    if comparison.excluded_videos:
        excluded_text = format_count(comparison.excluded_videos, "video")
        fact_rows.append(("excluded", f"{excluded_text} not in every library"))
    fact_rows += [
        ("excluded", escape_unprintable(skip_reason))
        for skip_reason in (*auto_dataset.unread_reasons, *comparison.skipped_reasons)
    ]
    print_facts([*fact_rows, *list_facts(protocol)])
    click.echo("")
    table_head = (
        "", "model", "frames/s", "pooler", "R@1", "95 %", "R@5", "MRR", "encoding", "on disk",
    )  # fmt: skip
    print_table(
        [table_head, *map(_build_row, comparison.configurations)],
        alignments="llrlrrrrrr",
        shrink_column=1,
    )
    click.echo(
        "* Pareto-optimal: no other configuration is at least as good in MRR, time and size and "
        "better in one of them\n"
        "encoding: per hour of video on this machine, without decoding; on disk: features and "
        "vectors per hour of video"
    )
    if any(source.source_name == "subtitles" for source in auto_dataset.sources):
        click.echo(
            "Speech rarely describes the picture: compare the lines, not their absolute level."
        )


def list_facts(protocol: EvaluationProtocol) -> list[tuple[str, str]]:
    """List the names and values that describe how the evaluation was done."""
    model_text = f"{escape_unprintable(protocol.model)} ({protocol.space})"
    if protocol.text_model:
        model_text += f", text model {escape_unprintable(protocol.text_model)}"
    if protocol.text_digest:
        model_text += f", text weights {protocol.text_digest}"
    if protocol.adapter:
        model_text += f", query adapter trained on {escape_unprintable(protocol.adapter)}"
    return [
        ("model", f"{model_text}, {protocol.precision}"),
        ("prompt", escape_unprintable(protocol.prompt)),
        ("frames", f"{protocol.frame_count} at {protocol.fps:g} fps, pooler {protocol.pooling}"),
        ("score", protocol.scoring),
        ("version", f"vsearch {protocol.vsearch_version}"),
    ]


def print_facts(fact_rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair per line."""
    for fact_name, fact_value in fact_rows:
        click.echo(f"{fact_name:<9} {fact_value}")


def _print_task(task_result: RetrievalTaskResult) -> None:
    click.echo(
        f"\n{click.style(task_result.task_name, bold=True)}   "
        f"{task_result.query_count} among {task_result.candidate_count}"
    )
    metrics = task_result.metrics
    table_rows = [
        ("", *(metric.name for metric in metrics)),
        ("", *(_format_metric(metric, metric.value) for metric in metrics)),
        (
            "95 %",
            *(
                f"{_format_metric(metric, metric.ci_low)}–{_format_metric(metric, metric.ci_high)}"
                for metric in metrics
            ),
        ),
    ]
    print_table(table_rows, alignments="l" + "r" * len(metrics))


def _build_row(configuration: IndexConfiguration) -> tuple[str, ...]:
    recall_at_1, recall_at_5, reciprocal_rank = configuration.metrics
    return (
        "*" if configuration.is_pareto_optimal else "",
        escape_unprintable(configuration.model),
        f"{configuration.fps:g}",
        configuration.pooler,
        format_share(recall_at_1.value),
        format_interval(recall_at_1),
        format_share(recall_at_5.value),
        format_share(reciprocal_rank.value),
        format_duration(configuration.encode_seconds_per_hour),
        format_bytes(configuration.storage_bytes_per_hour),
    )


def _truncate_example(example_text: str) -> str:
    if len(example_text) > MAX_EXAMPLE_CHARS:
        example_text = f"{example_text[: MAX_EXAMPLE_CHARS - 1]}…"
    return escape_unprintable(example_text)


def _format_metric(metric: Metric, metric_value: float) -> str:
    return f"{metric_value:g}" if metric.name in RANK_METRICS else format_share(metric_value)


def format_share(share_value: float) -> str:
    """Return a share in percent with one decimal, without the sign."""
    return f"{100 * share_value:.1f}"


def format_points(share_difference: float) -> str:
    """Return a difference of shares in percentage points, with `+` or `-`."""
    return f"{100 * share_difference:+.1f}" if share_difference else "0"


def format_interval(metric: Metric) -> str:
    """Return the confidence interval of a metric in percent."""
    low_text, high_text = f"{100 * metric.ci_low:.0f}", f"{100 * metric.ci_high:.0f}"
    separator = "–" if metric.ci_low >= 0 else " to "  # a dash would read as a minus sign
    return f"{low_text}{separator}{high_text}"
