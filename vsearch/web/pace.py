"""How long indexing will still take, judged by how fast it went until now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Progress, Video

SOON = 1.0  # second of work, before which nothing is said


class Pace:
    """Of one run over files; those not yet opened are taken for as long as those before."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._seconds = 0.0  # of video that was worked on
        self._size = 0  # bytes of it
        self._hand: dict[Path, float] = {}  # seconds of those in hand
        self._pass = 1

    def left(self, now: Progress) -> float | None:
        """Seconds still to go; None while that cannot be said."""
        if now.number_of_pass != self._pass:  # seconds of another kind
            self._began, self._seconds, self._size = time.monotonic(), 0.0, 0
            self._pass = now.number_of_pass
        self._hand[now.path] = now.seconds
        spent = time.monotonic() - self._began
        done = self._seconds + sum(self._hand.values())
        if spent < SOON or done <= 0:
            return None
        left = self._still(now) * spent / done
        if now.number_of_pass < now.passes:
            left += (spent + left) * (1 / now.of_all(1.0) - 1)
        return left

    def finished(self, path: Path, video: Video | None) -> None:
        """Count a file that is done; `video` where it was worked on."""
        self._hand.pop(path, None)
        if video is not None:
            self._seconds += video.duration
            self._size += video.size

    def _still(self, now: Progress) -> float:
        """Seconds of video still to come."""
        size = max(self._size + now.size, 1)
        others = now.size_after * (self._seconds + now.duration) / size
        return max(now.duration - now.seconds, 0.0) + others
