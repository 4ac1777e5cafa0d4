"""How measurements look in a terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.render import length, plural, printable, size, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.evaluation.benchmark import Report, Task
    from vsearch.evaluation.comparison import Comparison, Configuration
    from vsearch.evaluation.gate import Gate
    from vsearch.evaluation.metrics import Measure
    from vsearch.evaluation.own import OwnSet
    from vsearch.evaluation.protocol import Protocol
    from vsearch.evaluation.robustness import Variant

COUNTED = ("MdR",)  # in places; all other measures are shares
EXAMPLE = 64  # characters


def show_report(report: Report) -> None:
    """What was measured, how, and a table a task."""
    of = f"{report.captions} of {plural(report.videos, 'video')} ({report.dataset})"
    rows = [("captions", f"{of}, split {printable(report.protocol.split)}")]
    if report.missing or report.unusable:
        rows.append(("left out", f"{report.missing} missing, {report.unusable} unusable"))
    _show_facts([*rows, *_facts(report.protocol)])
    for task in report.tasks:
        _show_task(task)


def show_robustness(variants: Sequence[Variant]) -> None:
    """What each way of typing loses, on the captions that it changes."""
    click.echo(
        f"\n{click.style('typed otherwise', bold=True)}   text → video, on the captions that are "
        "changed; lost: points, 95 % of R@1"
    )
    rows: list[Sequence[str]] = [
        ("", "changed", "R@1", "R@5", "MRR", "lost R@1", "95 %", "lost R@5", "for example")
    ]
    for one in variants:
        figures = [share(each.value) for each in one.typed] or ["–"] * 3
        lost = {each.name: each for each in one.lost}
        losses = ["–"] * 3
        if lost:
            losses = [
                points(lost["R@1"].value),
                interval(lost["R@1"]),
                points(lost["R@5"].value),
            ]
        changed = f"{one.changed} of {one.captions}"
        rows.append((one.kind, changed, *figures, *losses, _beginning(one.after)))
    table(rows, right="lrrrrrrrl", shrink=8)


def show_gate(gate: Gate) -> None:
    """How well a pooler does beside the mean."""
    click.echo(
        f"\n{click.style('pooling', bold=True)}   whole clips; junk: 30–50 % of the frames, "
        f"{gate.seeds} mixtures"
    )
    rows: list[Sequence[str]] = [("", "R@1", "95 %", "R@5", "MRR")]
    for name, found in (
        ("mean, clean", gate.mean_clean),
        (f"{gate.pooler}, clean", gate.clean),
        ("mean, with junk", gate.mean_mixed),
        (f"{gate.pooler}, with junk", gate.mixed),
        *([(f"{gate.present} (in use), with junk", gate.present_mixed)] if gate.present else []),
    ):
        rank, *others = found
        rows.append((name, share(rank.value), interval(rank), *(share(m.value) for m in others)))
    table(rows, right="lrrrr")
    click.echo(
        f"R@1 {points(-gate.lost)} points on clean clips (-0.5 may be lost), {points(gate.gained)} "
        f"on those with junk (+6 to be gained): {'passed' if gate.passed else 'not passed'}"
        f"{', the one in use finds more' if gate.beaten else ''}"
    )


def plain_gate(gate: Gate) -> dict[str, Any]:
    """The same for another program."""
    return {**asdict(gate), "lost": gate.lost, "gained": gate.gained, "passed": gate.passed}


def show_comparison(own: OwnSet, protocol: Protocol, comparison: Comparison) -> None:
    """What the set is made of, and a line a configuration."""
    made = ", ".join(f"{one.queries} from {one.name}" for one in own.sources)
    rows = [("queries", f"{comparison.queries} among {plural(comparison.videos, 'video')}: {made}")]
    if comparison.left_out:
        rows.append(("left out", f"{plural(comparison.left_out, 'video')} not in every library"))
    rows += [("left out", printable(reason)) for reason in (*own.unread, *comparison.skipped)]
    _show_facts([*rows, *_facts(protocol)])
    click.echo("")
    head = ("", "model", "frames/s", "pooler", "R@1", "95 %", "R@5", "MRR", "encoding", "on disk")
    table([head, *map(_line, comparison.configurations)], right="llrlrrrrrr", shrink=1)
    click.echo(
        "* nothing else is as good by MRR, time and size, and better by one of them\n"
        "encoding: of an hour of video, on this machine now, without decoding; on disk: features "
        "and vectors of an hour"
    )
    if any(one.name == "subtitles" for one in own.sources):
        click.echo("What is said is seldom what is seen: compare the lines, not the level.")


def _facts(protocol: Protocol) -> list[tuple[str, str]]:
    """How it was measured, in few lines."""
    model = f"{printable(protocol.model)} ({protocol.space})"
    if protocol.text_model:
        model += f", words by {printable(protocol.text_model)}"
    if protocol.text_digest:
        model += f", text weights {protocol.text_digest}"
    if protocol.adapter:
        model += f", words adapted to {printable(protocol.adapter)}"
    frames = (
        f"{protocol.frames} at {protocol.fps:g} a second, segments pooled by {protocol.pooling}"
    )
    return [
        ("model", f"{model}, {protocol.precision}"),
        ("prompt", printable(protocol.prompt)),
        ("frames", frames),
        ("score", protocol.scores),
        ("made by", f"vsearch {protocol.version}"),
    ]


def _show_facts(rows: Sequence[tuple[str, str]]) -> None:
    for name, value in rows:
        click.echo(f"{name:<9} {value}")


def _show_task(task: Task) -> None:
    click.echo(f"\n{click.style(task.name, bold=True)}   {task.queries} among {task.answers}")
    rows = [("", *(each.name for each in task.measures))]
    rows.append(("", *(_figure(each, each.value) for each in task.measures)))
    rows.append(("95 %", *(f"{_figure(m, m.low)}–{_figure(m, m.high)}" for m in task.measures)))
    table(rows, right="l" + "r" * len(task.measures))


def _line(one: Configuration) -> tuple[str, ...]:
    first, fifth, reciprocal = one.measures
    return (
        "*" if one.best else "",
        printable(one.model),
        f"{one.fps:g}",
        one.pooler,
        share(first.value),
        interval(first),
        share(fifth.value),
        share(reciprocal.value),
        length(one.encode),
        size(one.size),
    )


def _beginning(text: str) -> str:
    """As much of an example as shows what is meant."""
    return printable(text if len(text) <= EXAMPLE else f"{text[: EXAMPLE - 1]}…")


def _figure(measure: Measure, value: float) -> str:
    return f"{value:g}" if measure.name in COUNTED else share(value)


def share(value: float) -> str:
    """In percent, without the sign."""
    return f"{100 * value:.1f}"


def points(value: float) -> str:
    """A difference of shares, with its sign."""
    return f"{100 * value:+.1f}" if value else "0"


def interval(measure: Measure) -> str:
    """From where to where, in percent."""
    return (
        f"{100 * measure.low:.0f}–{100 * measure.high:.0f}"
        if measure.low >= 0
        else (f"{100 * measure.low:.0f} to {100 * measure.high:.0f}")
    )
