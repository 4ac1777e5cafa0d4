"""Parts that all scenarios of the soak test share: commands, answers, and wrong answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vsearch.errors import VSearchError
from vsearch.library import Library

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

QUERIES = ("a red screen", "blue stripes", "a green circle", "a grey picture")
MAX_COMMAND_SECONDS = 400.0  # a command that takes longer is regarded as hanging
_BUG_MARKS = ("Traceback (most recent call last)", "please report")

# Path, start and end of the moments of a query, best first. Scores of a small library depend on the
# order in which its segments were stored: the mean hubness is measured on every fifth of them.
Answer = list[tuple[str, float, float]]
Answers = dict[str, Answer]


class WrongAnswerError(Exception):
    """A result that is wrong, or a failure that is not reported as one."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """A finished command."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(slots=True)
class Round:
    """One round of a scenario: its folder, its random numbers, and what it counted."""

    folder: Path  # empty; deleted after the round
    rng: random.Random
    counts: Counter[str] = field(default_factory=Counter)

    def expect(self, condition: object, message: str) -> None:
        """Raise WrongAnswerError with the message unless the condition holds."""
        if not condition:
            raise WrongAnswerError(message)


def run_command(
    library_path: Path, *arguments: str | Path, max_seconds: float = MAX_COMMAND_SECONDS
) -> CommandResult:
    """Run `vsearch` to its end.

    Args:
        library_path: The library.
        arguments: Command and options.
        max_seconds: Time after which the command counts as hanging.

    Returns:
        Exit code and output.

    Raises:
        WrongAnswerError: It hangs, dies by a signal, or prints a traceback.
    """
    process = start_command(library_path, *arguments)
    try:
        stdout, stderr = process.communicate(timeout=max_seconds)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise WrongAnswerError(f"{_describe(arguments)} hangs for {max_seconds:.0f} s") from error
    command_result = CommandResult(process.returncode, stdout, stderr)
    if process.returncode < 0:
        raise WrongAnswerError(
            f"{_describe(arguments)} died by signal {-process.returncode}\n{stderr}"
        )
    check_output(stdout + stderr, _describe(arguments))
    return command_result


def check_output(output: str, command_name: str) -> None:
    """Raise WrongAnswerError if a command printed a traceback."""
    if any(bug_mark in output for bug_mark in _BUG_MARKS):
        raise WrongAnswerError(f"{command_name} failed with a traceback:\n{output}")


def start_command(
    library_path: Path, *arguments: str | Path, output: IO[str] | None = None
) -> subprocess.Popen[str]:
    """Start `vsearch` in a process whose output is captured, or written to a file."""
    command = [sys.executable, "-m", "vsearch", "--library", str(library_path)]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=output or subprocess.PIPE,
        stderr=output or subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "NO_COLOR": "1", "OPENBLAS_NUM_THREADS": "1"},
        cwd=library_path.parent,
    )


def read_answers(library_path: Path, queries: Iterable[str] = QUERIES) -> Answers:
    """Return the answers of a library, read in this process.

    Raises:
        VSearchError: The library cannot be read, or cannot answer.
    """
    with Library.open(library_path) as library:
        return {query: summarize_moments(library.search(query)) for query in queries}


def summarize_moments(moments: Iterable[Any]) -> Answer:
    """Return path, start and end of each moment."""
    return [
        (moment.video.path.name, round(moment.span.start, 3), round(moment.span.end, 3))
        for moment in moments
    ]


def parse_answer(stdout: str) -> Answer:
    """Return the moments that `search --json` printed, like `summarize_moments`."""
    return [
        (Path(result["video"]).name, round(result["start"], 3), round(result["end"], 3))
        for result in json.loads(stdout)["results"]
    ]


def check_same_answers(expected: Answers, library_path: Path, after: str) -> None:
    """Compare the answers of a library with the expected ones.

    Raises:
        WrongAnswerError: They differ, or the library cannot be read.
    """
    try:
        answers = read_answers(library_path)
    except VSearchError as error:
        raise WrongAnswerError(f"after {after}: {error}") from error
    for query, moments in expected.items():
        if answers[query] != moments:
            raise WrongAnswerError(
                f"after {after}, {query!r} finds\n  {answers[query][:3]}\ninstead of\n"
                f"  {moments[:3]}"
            )


def _describe(arguments: Iterable[str | Path]) -> str:
    return f"`vsearch {' '.join(map(str, arguments))}`"
