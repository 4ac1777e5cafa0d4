"""Indexes folders in a process of its own: `python -m vsearch.web.indexer`, asked on stdin.

A decoder that crashes or takes much memory takes no server along.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import MissingExtraError
from vsearch.library import Library
from vsearch.web.errand import run, text
from vsearch.web.pace import Pace
from vsearch.web.walk import videos

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vsearch.hearing import Worded
    from vsearch.types import Progress, Video
    from vsearch.web.errand import Tell

OFTEN = 0.1  # seconds between two reports of progress
WORKED = ("indexed", "updated", "filled", "embedded")  # outcomes of what was decoded


@dataclass(slots=True)
class Account:
    """Tells how far one run over files has come; several such runs are the whole work."""

    tell: Tell
    number: int = 0  # of the run
    runs: int = 1
    pace: Pace = field(default_factory=Pace)
    _told: float = 0.0  # when that was

    def progress(self, now: Progress) -> None:
        """Tell of progress within a file, unless that was just done."""
        left = self.pace.left(now)
        if time.monotonic() - self._told < OFTEN:
            return
        self._told = time.monotonic()
        last = self.number == self.runs - 1  # how long the next run takes is not known
        self.tell(
            {
                "told": "progress",
                "share": (self.number + now.share) / self.runs,
                "left": left if last else None,
                "name": text(now.path.name),
            }
        )


def index(asked: Mapping[str, Any], tell: Tell) -> None:
    """Index the folders that are asked for, then look for words in them, as settings say."""
    roots = [Path(root) for root in asked["roots"]]
    with Library.open(Path(asked["library"]), create=False, **asked["settings"]) as library:
        _check_extras(library)
        settings = library.settings
        runs = 1 + settings.transcribe + settings.read_text
        account = Account(tell, 0, runs)
        files = list(videos([Path(folder) for folder in asked["folders"]], roots))
        seen = _index(library, files, account, progressive=asked["progressive"])
        paths = [video.path for video in seen]
        if paths and settings.transcribe:
            account = Account(tell, 1, runs)
            _hear("speech", library.transcribe(paths, progress=account.progress), account)
        if paths and settings.read_text:
            account = Account(tell, runs - 1, runs)
            _hear("screen", library.read_screen(paths, progress=account.progress), account)


def _index(
    library: Library, files: list[Path], account: Account, *, progressive: bool
) -> list[Video]:
    """Tell what became of each file; the videos that are there."""
    seen: dict[int, Video] = {}
    found = library.index(files, progressive=progressive, progress=account.progress)
    with closing(found) as run_:
        for one in run_:
            worked = one.video if one.outcome in WORKED else None
            account.pace.finished(one.path, worked)
            account.tell({"told": "file", "outcome": str(one.outcome), **_of(one.path, one.error)})
            if one.video is not None:
                seen[one.video.id] = one.video
    return list(seen.values())


def _hear(source: str, found: Iterator[Worded], account: Account) -> None:
    for one in found:
        account.pace.finished(one.video.path, None if one.found == "known" else one.video)
        outcome = f"{source} {one.found}"
        account.tell({"told": "file", "outcome": outcome, **_of(one.video.path, one.error)})


def _of(path: Path, error: str | None) -> dict[str, str | None]:
    return {"path": text(path), "name": text(path.name), "error": error and text(error)}


def _check_extras(library: Library) -> None:
    """Raise MissingExtraError now, not after an hour of indexing."""
    settings = library.settings
    for wanted, package, extra in (
        (settings.transcribe, "faster_whisper", "speech"),
        (settings.read_text, "rapidocr", "ocr"),
    ):
        if wanted and util.find_spec(package) is None:
            raise MissingExtraError(
                f"{package} is not installed, which is needed for words in videos: "
                f"pip install 'vsearch[{extra}]'"
            )


if __name__ == "__main__":
    run(index)
