"""What became of the files that were indexed, told to a person."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from vsearch.cli.render import length, printable, short, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.types import Ingested, Timings, Video

ORDER = ("indexed", "updated", "filled", "moved", "unchanged", "duplicate", "failed")
NEW = ("indexed", "updated")  # outcomes of what was decoded
SEEN = (*NEW, "filled")  # all of them
STEPS = ("decode", "shots", "encode", "pool", "store")
COARSE = re.compile(r"key frames only, up to ([\d.]+) s apart(?:; )?")  # in a video's note


@dataclass(slots=True)
class Tally:
    """Counts files while they are indexed."""

    results: list[Ingested] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _coarse: float | None = None  # when the last one that is new was known by its key frames

    def count(self, one: Ingested) -> None:
        """Take what became of one file, the second time maybe."""
        if one.outcome in NEW and one.video is not None and one.video.keyframes:
            self._coarse = time.monotonic()
        self.results.append(one)

    def sum_up(self) -> None:
        """Tell of all on stdout, and on stderr if only key frames were looked at."""
        if not self.results:
            click.echo("There are no videos in it.", err=True)
            return
        counts = Counter(self._last().values())
        line = " · ".join(f"{counts[name]} {name}" for name in ORDER if counts[name])
        seen = [one.video for one in self.results if one.video and one.outcome in SEEN]
        videos = {video.path: video for video in seen}.values()  # each as it is now
        seconds = sum(video.duration for video in videos)
        if seconds:
            took = time.monotonic() - self._began
            rate = seconds / max(took, 1e-3)
            line += f"   ({length(seconds)} of video in {length(took)}, {rate:.1f}× real time"
            line += f"{self._told_of_first_pass()})"
        click.echo(line)
        coarse = [video for video in videos if video.keyframes]
        if coarse:
            click.echo(
                f"{len(coarse)} by key frames only{_apart(coarse)}: `vsearch list` tells of each, "
                "`vsearch index` fills them in.",
                err=True,
            )

    def _last(self) -> dict[Path, str]:
        """What became of each file in the end; filling in what was just indexed is a part of it."""
        last: dict[Path, str] = {}
        for one in self.results:
            before = last.get(one.path)
            if one.outcome != "filled" or before not in SEEN:
                last[one.path] = str(one.outcome)
        return last

    def _told_of_first_pass(self) -> str:
        filled = any(one.outcome == "filled" for one in self.results)
        if self._coarse is None or not filled:
            return ""
        return f"; by key frames after {length(self._coarse - self._began)}"


def messages(one: Ingested, *, brief: bool = False) -> Iterator[str]:
    """What a person should know of one file, a line each; mostly nothing.

    That a video is known by key frames only is left to the sum; `brief` leaves out other notes of
    such a one, too, which is about to be filled in.
    """
    video = one.video
    if one.outcome == "failed":
        yield f"failed     {printable(one.error or '')}"
    elif one.outcome == "duplicate" and video is not None:
        yield f"duplicate  {short(one.path)} is the same as {short(video.path)}"
    elif one.outcome in ("moved", "updated"):
        yield f"{one.outcome:<9}  {short(one.path)}"
    told = COARSE.sub("", video.note or "") if video and one.outcome in SEEN else ""
    if told and video and not (brief and video.keyframes):
        yield f"note       {short(one.path)}: {printable(told)}"
    for note in one.notes:
        yield f"subtitles  {printable(note)}"


def _apart(videos: Sequence[Video]) -> str:
    """The longest gap between key frames in these."""
    gaps = [float(found[1]) for each in videos if (found := COARSE.match(each.note or ""))]
    return f", up to {max(gaps):.1f} s apart" if gaps else ""


def tell_timings(results: Sequence[Ingested]) -> None:
    """Print on stderr how many seconds each step of each video took, in both passes together."""
    from vsearch.types import Timings  # deferred: --help needs no numpy

    spent: dict[Path, Timings] = {}
    for one in results:
        if one.timings is not None:
            spent[one.path] = spent.get(one.path, Timings()) + one.timings
    if not spent:
        click.echo("No video was looked at, so there is nothing that took time.", err=True)
        return
    total = sum(spent.values(), Timings())
    rows: list[tuple[str, ...]] = [(*STEPS, "seconds", "video")]
    rows += [(*_figures(each), short(path)) for path, each in spent.items()]
    rows.append((*_figures(total), "in all"))
    rows.append((*_shares(total), "", "of the work"))
    table(rows, right="r" * (len(STEPS) + 1), shrink=len(STEPS) + 1, err=True)


def _figures(timings: Timings) -> tuple[str, ...]:
    seconds = [getattr(timings, step) for step in STEPS]
    return *(f"{each:.2f}" for each in seconds), f"{timings.total:.2f}"


def _shares(timings: Timings) -> tuple[str, ...]:
    return tuple(f"{100 * getattr(timings, step) / (timings.total or 1):.0f} %" for step in STEPS)
