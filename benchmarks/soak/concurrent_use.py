"""Scenario: searches while other processes write or switch the model; answers stay whole."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from benchmarks.soak.harness import (
    QUERIES,
    Answers,
    Round,
    WrongAnswerError,
    read_answers,
    run_command,
    summarize_moments,
)
from vsearch.library import Library

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.soak.samples import Samples

READERS = 3
WRITER_RUNS = 4
OTHER_MODEL = "builtin:fast"


def check_concurrent_use(round_: Round, samples: Samples) -> None:
    """Search in threads while commands change the library.

    Each answer must be that of a state the library really had: with or without the extra film, of
    either model.
    """
    library_path = samples.copy_library(round_.folder / "library")
    valid_answers = [samples.answers, *_list_other_answers(samples, round_.folder / "states")]
    is_finished = threading.Event()
    failures: list[BaseException] = []
    search_counts = [0] * READERS
    with Library.open(library_path) as library:

        def search_until_finished(reader_index: int) -> None:
            try:
                while not is_finished.is_set():
                    query = QUERIES[(reader_index + search_counts[reader_index]) % len(QUERIES)]
                    _check_answer(library, query, valid_answers)
                    search_counts[reader_index] += 1
            except BaseException as error:
                failures.append(error)

        readers = [
            threading.Thread(target=search_until_finished, args=(reader_index,))
            for reader_index in range(READERS)
        ]
        for reader in readers:
            reader.start()
        try:
            for _ in range(WRITER_RUNS):
                _change_library(round_, samples, library_path)
        finally:
            is_finished.set()
            for reader in readers:
                reader.join()
    round_.counts["searches"] += sum(search_counts)
    for failure in failures:
        raise WrongAnswerError(f"while the library changed: {failure}") from failure


def _list_other_answers(samples: Samples, library_path: Path) -> list[Answers]:
    """Return the answers with the other model, and with the extra film for either model."""
    samples.copy_library(library_path)
    answers = []
    for arguments in (
        ["model", "switch", OTHER_MODEL],
        ["index", samples.extra_film],
        ["model", "switch", "builtin"],
    ):
        result = run_command(library_path, *arguments)
        if result.exit_code != 0:
            raise WrongAnswerError(f"{arguments}: {result.stderr}")
        answers.append(read_answers(library_path))
    return answers


def _change_library(round_: Round, samples: Samples, library_path: Path) -> None:
    """Run a command that changes the library, or has it written again."""
    extra_film = str(samples.extra_film)
    arguments = round_.rng.choice(
        (
            ["rebuild"],
            ["index", "--force", str(samples.films)],
            ["index", "--force", extra_film],
            ["remove", extra_film],
            ["index", extra_film],
            ["tags", "red.mp4", "--add", "soak"],
            ["model", "switch", OTHER_MODEL],
            ["model", "switch", "builtin"],
        )
    )
    result = run_command(library_path, *arguments)
    round_.expect(result.exit_code in (0, 1), f"{arguments}: {result.stderr}")
    round_.counts[" ".join(arguments[: 2 if arguments[-2:-1] == ["--force"] else 1])] += 1


def _check_answer(library: Library, query: str, valid_answers: list[Answers]) -> None:
    moments = summarize_moments(library.search(query))
    if not any(moments == answers[query] for answers in valid_answers):
        known_answers = "\n  ".join(str(answers[query][:3]) for answers in valid_answers)
        raise WrongAnswerError(
            f"{query!r} finds\n  {moments[:3]}\ninstead of one of\n  {known_answers}"
        )
