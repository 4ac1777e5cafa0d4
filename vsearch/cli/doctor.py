"""`vsearch doctor`: check a library for problems, or measure the recall of its index."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import library_options
from vsearch.cli.render import escape_unprintable, format_bytes, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vsearch.cli.options import CommonOptions
    from vsearch.doctor import IndexRecall

LOGGERS_OF_PROBLEMS = (  # their warnings would repeat problems that are printed
    "vsearch.index.cache",
    "vsearch.search.hubness",
    "vsearch.search.null_queries",
)
MIN_RECALL = 0.99  # recall@10 below this is reported as a problem


@click.command()
@click.option(
    "--recall",
    "measure_recall",
    is_flag=True,
    help="Measure the recall@10 and latency of the index against exact search instead.",
)
@click.option(
    "--clean-store",
    is_flag=True,
    help="Delete files of the bucket in the setting `store` that no video needs instead. No other "
    "library may use it.",
)
@click.option(
    "--min-age",
    "min_age_days",
    type=click.FloatRange(0),
    default=7.0,
    metavar="DAYS",
    help="With --clean-store: keep files written since (default: 7).",
)
@library_options
@click.pass_obj
def doctor(
    options: CommonOptions, measure_recall: bool, clean_store: bool, min_age_days: float
) -> None:
    """Check the library and list problems; exit 1 if there are any.

    With --recall, a recall@10 below 99 % is a problem.
    """
    if clean_store:
        with options.open_library() as library:
            removed_bytes = library.clean_store(min_age_days=min_age_days)
        click.echo(f"Deleted {format_bytes(removed_bytes)}.")
        return
    with (
        _silence_loggers(() if measure_recall else LOGGERS_OF_PROBLEMS),
        options.open_library(ignore_invalid_settings=not measure_recall) as library,
    ):
        if measure_recall:
            recall_measurements = library.measure_recall()
            problems = _print_recall(recall_measurements, library.info().segment_count)
        else:
            problems = library.doctor()
    for problem in problems:
        click.echo(escape_unprintable(problem))
    if problems:
        sys.exit(1)
    if not measure_recall:
        click.echo("No problems found.")


@contextmanager
def _silence_loggers(logger_names: Iterable[str]) -> Iterator[None]:
    """Ignore warnings of some loggers in a `with` block."""
    loggers = [logging.getLogger(logger_name) for logger_name in logger_names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _print_recall(recall_measurements: Sequence[IndexRecall], segment_count: int) -> list[str]:
    """Print the measurements; return the problems."""
    if not recall_measurements:
        return ["nothing is indexed, so recall cannot be measured"]
    table_rows = [("recall@10", "index", "exact", f"queries ({segment_count} segments)")]
    for measurement in recall_measurements:
        index_latency, exact_latency = (
            f"{1000 * latency_seconds:.2f} ms"
            for latency_seconds in (measurement.index_seconds, measurement.exact_seconds)
        )
        table_rows.append(
            (
                f"{measurement.recall:.3f}",
                index_latency,
                exact_latency,
                f"{measurement.query_count} {measurement.query_kind}",
            )
        )
    print_table(table_rows, alignments="rrr")
    if min(measurement.recall for measurement in recall_measurements) >= MIN_RECALL:
        return []
    return [
        f"the index finds less than {100 * MIN_RECALL:.0f} % of the nearest segments: rebuild it "
        'with `vsearch rebuild`, or set `index = "exact"` in vsearch.toml'
    ]
