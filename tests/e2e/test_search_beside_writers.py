"""Each search answers from one state, while a process rebuilds, indexes again and removes."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library

if TYPE_CHECKING:
    from pathlib import Path

SEARCHES = 1_500
THREADS = 3
MIN_CHANGES = 30
QUERIES = ("red", "green", '"red" then:"green"')
WRITER = """
import itertools, sys
from pathlib import Path
from tests.support.fakes import FakeEncoder
from vsearch import Library

library_path, *video_paths = map(Path, sys.argv[1:])
for kind in itertools.cycle(("rebuild", "force", "remove", "tag")):
    with Library.open(library_path, encoder=FakeEncoder()) as library:
        if kind == "rebuild":
            library.rebuild()
        elif kind == "force":
            assert all(result.error is None for result in library.index(video_paths, force=True))
        elif kind == "remove":
            library.remove(video_paths[:1])
            list(library.index(video_paths[:1]))
        else:
            library.tags.add(str(video_paths[1]), "color")
            library.tags.remove([str(video_paths[1])])
    print(kind, flush=True)
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def answers(library: Library) -> dict[str, list[tuple[object, ...]]]:
    """Return what each query finds, in an order that does not depend on ties."""
    return {query: answer(library, query) for query in QUERIES}


def answer(library: Library, query: str) -> list[tuple[object, ...]]:
    return sorted(
        (
            moment.video.path.name,
            round(moment.span.start, 3),
            round(moment.span.end, 3),
            round(moment.score, 4),
            round(moment.confidence or 0.0, 3),
        )
        for moment in library.search(query, k=20)
    )


def test_every_answer_is_that_of_one_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    videos = [
        make_video(
            tmp_path / f"{number}.mp4", [ColorScene(color, 3.0 + number), ColorScene(GREEN, 2.0)]
        )
        for number, color in enumerate((RED, GREEN, BLUE, RED))
    ]
    library = Library.open(tmp_path / "library", encoder=FakeEncoder())
    assert all(result.error is None for result in library.index(videos))
    complete = answers(library)
    library.remove(videos[:1])
    incomplete = answers(library)
    list(library.index(videos[:1]))
    assert answers(library) == complete
    possible = {query: (complete[query], incomplete[query]) for query in QUERIES}
    wrong: list[object] = []
    counter, log_file = iter(range(10**9)), tmp_path / "log"

    def is_enough() -> bool:
        changes = log_file.read_text().split()
        return bool(wrong) or min(map(changes.count, ("rebuild", "force", "remove"))) >= MIN_CHANGES

    def search() -> None:
        while (number := next(counter)) < SEARCHES or (number % 20 or not is_enough()):
            query = QUERIES[number % len(QUERIES)]
            try:
                found = answer(library, query)
            except Exception as error:  # any error is wrong
                wrong.append((query, error))
                return
            if found not in possible[query]:
                wrong.append((query, found))

    with library, log_file.open("w") as log_output:
        command = [sys.executable, "-c", WRITER, str(library.path), *map(str, videos)]
        with subprocess.Popen(command, stdout=log_output) as writer:
            threads = [threading.Thread(target=search) for _ in range(THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert writer.poll() is None
            writer.kill()
    assert wrong == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
