"""The progress of long work on a terminal: what is being read, how fast, how long still."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from vsearch.cli.render import clock, printable
from vsearch.types import KEY_FRAMES

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Ingested, Progress, Video


class ProgressLine:
    """One line on stderr that is redrawn; silent where stderr is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.console = Console(stderr=True, highlight=False, emoji=False)
        self._bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[rate]}", style="cyan"),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[name]}", style="dim", markup=False),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=1.0, count="", rate="", left="", name="")
        self._began = time.monotonic()
        self._seconds = 0.0  # of video that was indexed
        self._size = 0  # bytes of it
        self._hand: dict[Path, float] = {}  # seconds of those that are being indexed
        self._place = (1, 0)  # the pass, and the last file in it that was begun

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, message: str) -> None:
        """Print a line on stderr above the one that is redrawn."""
        self.console.print(message, markup=False, soft_wrap=True)

    def update(self, now: Progress) -> None:
        """Redraw, within one file."""
        if now.number_of_pass != self._place[0]:  # seconds of another kind
            self._began, self._seconds, self._size = time.monotonic(), 0.0, 0
        self._place = max(self._place, (now.number_of_pass, now.number))
        self._hand[now.path] = now.seconds
        spent = max(time.monotonic() - self._began, 1e-3)
        rate = max(self._seconds + sum(self._hand.values()), 1e-3) / spent  # of video a second
        left = self._still(now) / rate
        done = now.of_all(spent / (spent + left))
        first = now.number_of_pass < now.passes
        if first:
            left += (spent + left) * (1 / KEY_FRAMES - 1)
        self._bar.update(
            self._task,
            completed=done,
            count=f"{'key frames ' if first else ''}{self._place[1] + 1}/{now.files}",
            rate=f"{rate:.1f}× real time",
            left=f"{clock(left)} left",
            name=printable(now.path.name)[:40],
        )

    def finished(self, one: Ingested) -> None:
        """Count a file that is done."""
        self._hand.pop(one.path, None)
        if one.video is not None and one.outcome in ("indexed", "updated", "filled", "embedded"):
            self.passed(one.video)

    def passed(self, video: Video) -> None:
        """Count a video that was worked on."""
        self._hand.pop(video.path, None)
        self._seconds += video.duration
        self._size += video.size

    def _still(self, now: Progress) -> float:
        """Seconds of video still to come: files not yet opened are as long as those before."""
        size = max(self._size + now.size, 1)
        others = now.size_after * (self._seconds + now.duration) / size
        return max(now.duration - now.seconds, 0.0) + others
