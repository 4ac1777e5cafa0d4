"""`vsearch watch`: index what arrives, and tell what saved searches find in it."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.options import give_way, hurried, shared, small_matrices
from vsearch.cli.render import percent, period, printable, short
from vsearch.errors import LockedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.cli.options import Options
    from vsearch.library import Library
    from vsearch.media.arrivals import Arrivals
    from vsearch.types import Ingested, Moment, Query, Video

MOST = 20  # matches that are told of one search at a time
NEW = ("indexed", "updated")


class Interval(click.ParamType[float]):
    """A length of time, at least a tenth of a second."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from vsearch.errors import QueryError
        from vsearch.search.times import parse_length  # deferred: --help needs no numpy

        try:
            seconds = value if isinstance(value, float) else parse_length(str(value))
        except QueryError as error:
            self.fail(str(error), param, ctx)
        if not 0.1 <= seconds <= 86_400:
            self.fail(f"{value}: from 0.1s to 24h", param, ctx)
        return float(seconds)


def _named(
    _ctx: click.Context, _param: click.Parameter, alerts: tuple[str, ...]
) -> tuple[str, ...]:
    for alert in alerts:
        if not re.fullmatch(r"@?[\w-]+", alert):
            raise click.BadParameter(
                f"{alert!r} is no name of a saved search: `vsearch save NAME QUERY` makes one"
            )
    return alerts


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="DIR...")
@click.option(
    "--alert",
    "alerts",
    multiple=True,
    metavar="@NAME",
    callback=_named,
    help="Only this saved search; may be given again.  [default: all of them]",
)
@click.option("--every", default="10s", show_default=True, type=Interval(), help="How often.")
@click.option("--once", is_flag=True, help="Until nothing more arrives, instead of for ever.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@hurried
@shared
@click.pass_obj
def watch(
    options: Options,
    paths: tuple[str, ...],
    alerts: tuple[str, ...],
    every: float,
    once: bool,
    as_json: bool,
    fast: bool | None,
    workers: int | None,
    hwaccel: str | None,
) -> None:
    """Index what arrives in folders, and tell what saved searches find in it.

    A file that is still being written waits. Ctrl-C ends it.

    \b
    vsearch save dogs a dog runs
    vsearch watch ~/Camera --alert @dogs
    """
    small_matrices()
    give_way()
    from vsearch.media.arrivals import QUIET, Arrivals  # deferred: --help needs none

    with options.open(create=True, fast=fast, workers=workers, hwaccel=hwaccel) as library:
        watching = _Watching(library, alerts, as_json)
        watching.asked()  # a name that means no search is told at once
        arrivals = Arrivals(paths, max(every, QUIET))
        try:
            while watching.round(arrivals) or not once:
                time.sleep(every)
        except KeyboardInterrupt:
            click.echo("Stopped watching. What was indexed is kept.", err=True)
    if once and watching.failed:
        sys.exit(1)


@dataclass(slots=True)
class _Watching:
    """What is told while folders are watched."""

    library: Library
    alerts: tuple[str, ...]
    as_json: bool
    failed: bool = False
    told: dict[str, str] = field(default_factory=dict)  # what is wrong, once while it lasts

    def round(self, arrivals: Arrivals) -> bool:
        """Look once, index and tell; whether something is still to come."""
        ready = arrivals.look()
        self._tell("folders", "\n".join(arrivals.errors))
        self.failed |= bool(arrivals.errors)
        try:
            new = list(self._indexed(ready, arrivals)) if ready else []
        except LockedError as error:
            self._tell("lock", f"{error}; trying again")
            return True
        self._tell("lock", "")
        for name, query in self.asked() if new else ():
            for rank, moment in enumerate(found(self.library, query, new), 1):
                self._show(name, rank, moment)
        return bool(arrivals.waiting)

    def asked(self) -> list[tuple[str, Query]]:
        """The saved searches, as they are now. Raises QueryError for a name that there is not."""
        names = [alert.removeprefix("@") for alert in self.alerts]
        names = names or [one.name for one in self.library.saved()]
        return [(name, self.library.query(f"@{name}")) for name in names]

    def _indexed(self, ready: Sequence[Path], arrivals: Arrivals) -> Iterator[Video]:
        with closing(self.library.index(ready)) as results:
            for one in results:
                arrivals.given(one.path)
                self._report(one)
                if one.video is not None and one.outcome in NEW:
                    yield one.video

    def _report(self, one: Ingested) -> None:
        if one.error is not None:
            self.failed = True
            if self._tell(str(one.path), one.error) and self.as_json:
                self._print({"video": str(one.path), "error": one.error})
            return
        self._tell(str(one.path), "")
        if one.outcome == "duplicate" and one.video is not None:
            known = short(one.video.path)
            click.echo(f"duplicate  {short(one.path)} is the same as {known}", err=True)
        elif one.outcome in (*NEW, "filled"):
            click.echo(f"{one.outcome}    {short(one.path)}", err=True)

    def _show(self, name: str, rank: int, moment: Moment) -> None:
        if self.as_json:
            from vsearch.wire import moment_json  # deferred: --help needs no numpy

            self._print({"alert": name, **moment_json(rank, moment)})
            return
        sure = "" if moment.confidence is None else f"  {percent(moment.confidence)}"
        where = f"{period(moment.span)}  {short(moment.video.path)}"
        click.echo(f"@{printable(name)}{sure}  {where}")
        sys.stdout.flush()

    def _print(self, line: dict[str, Any]) -> None:
        click.echo(json.dumps(line))
        sys.stdout.flush()

    def _tell(self, what: str, message: str) -> bool:
        """Say what is wrong with something, if it is anything new; "" if nothing is any more."""
        before = self.told.pop(what, "")
        if message:
            self.told[what] = message
        if new := bool(message) and message != before:
            click.echo("\n".join(map(printable, message.split("\n"))), err=True)
        return new


def found(library: Library, query: Query, videos: Sequence[Video]) -> list[Moment]:
    """What a query finds in some videos that is probably what it asks for."""
    new = {str(video.path) for video in videos}
    if query.filters.videos:
        new &= {str(video.path) for video in library.videos(query.filters.videos)}
    if not new:
        return []
    here = replace(query, filters=replace(query.filters, videos=tuple(sorted(new))))
    return [moment for moment in library.search(here, k=MOST) if not moment.weak]
