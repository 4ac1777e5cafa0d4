"""Scenario: kill -9 of every command; the library answers as before or as after, and continues."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.soak.harness import (
    Answers,
    Round,
    WrongAnswerError,
    check_same_answers,
    read_answers,
    run_command,
    start_command,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.soak.samples import Samples

KILLS_PER_ROUND = 3
Arguments = list[str | Path]


@dataclass(frozen=True, slots=True)
class KilledCommand:
    """A command to kill."""

    build_arguments: Callable[[Samples, Path], Arguments]  # with the folder for its output
    setup: Callable[[Samples, Path], Arguments] | None = None  # a command to run before
    runs_forever: bool = False


COMMANDS = {
    "index": KilledCommand(lambda samples, _: ["index", samples.extra_film]),
    "index --force": KilledCommand(lambda samples, _: ["index", "--force", samples.films]),
    "index --progressive": KilledCommand(
        lambda samples, _: ["index", "--progressive", samples.extra_film]
    ),
    "remove": KilledCommand(lambda _, __: ["remove", "green.mp4"]),
    "rebuild": KilledCommand(lambda _, __: ["rebuild"]),
    "tags": KilledCommand(lambda _, __: ["tags", "red.mp4@0-1", "--add", "soak"]),
    "save": KilledCommand(lambda _, __: ["save", "soak", "a red screen"]),
    "search": KilledCommand(lambda _, __: ["search", "a red screen"]),
    "list": KilledCommand(lambda _, __: ["list"]),
    "info": KilledCommand(lambda _, __: ["info"]),
    "doctor": KilledCommand(lambda _, __: ["doctor"]),
    "duplicates": KilledCommand(lambda _, __: ["duplicates"]),
    "mark": KilledCommand(
        lambda _, __: ["mark", "2", "up"], setup=lambda _, __: ["search", "a grey picture", "--all"]
    ),
    "export": KilledCommand(
        lambda _, folder: [
            "export", "a red screen", "-k", "3", "--clips", folder / "clips", "--supercut",
            folder / "film.mp4", "--csv", folder / "list.csv", "--edl", folder / "list.edl",
            "--overwrite",
        ]
    ),
    "summarize": KilledCommand(
        lambda samples, folder: [
            "summarize", samples.films / "mixed.mp4", "--length", "2s", "-o",
            folder / "summary.mp4", "--overwrite",
        ]
    ),
    "backup": KilledCommand(lambda _, folder: ["backup", folder / "library.backup", "--force"]),
    "restore": KilledCommand(
        lambda _, folder: ["restore", folder / "library.backup", "--force"],
        setup=lambda _, folder: ["backup", folder / "library.backup", "--force"],
    ),
    "serve": KilledCommand(lambda _, __: ["serve", "--port", "0"], runs_forever=True),
    "watch": KilledCommand(lambda samples, _: ["watch", samples.films], runs_forever=True),
}  # fmt: skip


@dataclass(slots=True)
class _Uninterrupted:
    """Duration and answers of a command that is not killed."""

    seconds: float
    answers: Answers


@dataclass(slots=True)
class KilledCommands:
    """Kills commands at random moments; learns first how long each of them takes."""

    uninterrupted: dict[str, _Uninterrupted] = field(default_factory=dict)

    def __call__(self, round_: Round, samples: Samples) -> None:
        """Kill some commands."""
        for kill_number in range(KILLS_PER_ROUND):
            command_name = round_.rng.choice(sorted(COMMANDS))
            self._kill(command_name, round_, samples, round_.folder / str(kill_number))

    def _kill(self, command_name: str, round_: Round, samples: Samples, folder: Path) -> None:
        command = COMMANDS[command_name]
        expected = self._run_uninterrupted(command_name, samples, folder / "whole")
        library_path = _prepare(command, samples, folder / "killed")
        output_folder = folder / "killed" / "output"
        arguments = command.build_arguments(samples, output_folder)
        process = start_command(library_path, *arguments)
        time.sleep(round_.rng.uniform(0.2, 1.0) * expected.seconds)
        was_running = process.poll() is None
        process.kill()
        process.communicate()
        round_.counts[f"{command_name} {'killed' if was_running else 'finished'}"] += 1
        self._check_killed(command_name, samples, library_path, expected.answers)
        if not command.runs_forever:
            again = run_command(library_path, *arguments)
            if again.exit_code != 0:
                raise WrongAnswerError(f"{command_name} fails after a kill: {again.stderr}")
        check_same_answers(expected.answers, library_path, f"{command_name}, killed and run again")
        stale_files = [*library_path.rglob("*.part"), *output_folder.rglob("*.part")]
        round_.expect(
            command.runs_forever or not stale_files, f"{command_name} leaves {stale_files}"
        )
        shutil.rmtree(folder)

    def _check_killed(
        self, command_name: str, samples: Samples, library_path: Path, after: Answers
    ) -> None:
        """Check that the library answers as before the command or as after it."""
        if command_name == "index --progressive":  # has answers in between
            read_answers(library_path)
            return
        try:
            check_same_answers(samples.answers, library_path, f"a killed {command_name}")
        except WrongAnswerError:
            check_same_answers(after, library_path, f"a killed {command_name}")
        checked = run_command(library_path, "doctor")
        if checked.exit_code != 0:
            raise WrongAnswerError(f"doctor after a killed {command_name}: {checked.stdout}")

    def _run_uninterrupted(
        self, command_name: str, samples: Samples, folder: Path
    ) -> _Uninterrupted:
        """Run a command once to its end; later calls return the same measurement."""
        if command_name not in self.uninterrupted:
            command = COMMANDS[command_name]
            library_path = _prepare(command, samples, folder)
            arguments = command.build_arguments(samples, folder / "output")
            started_at = time.monotonic()
            if command.runs_forever:
                _run_for(library_path, arguments, seconds=5.0)
            elif (result := run_command(library_path, *arguments)).exit_code != 0:
                raise WrongAnswerError(f"{command_name} fails: {result.stderr}")
            elapsed_seconds = time.monotonic() - started_at
            self.uninterrupted[command_name] = _Uninterrupted(
                elapsed_seconds, read_answers(library_path)
            )
        return self.uninterrupted[command_name]


def _prepare(command: KilledCommand, samples: Samples, folder: Path) -> Path:
    """Copy the library, make an output folder, and run the command's setup."""
    (folder / "output").mkdir(parents=True)
    library_path = samples.copy_library(folder / "library")
    if command.setup is not None:
        result = run_command(library_path, *command.setup(samples, folder / "output"))
        if result.exit_code != 0:
            raise WrongAnswerError(f"the setup of a command fails: {result.stderr}")
    return library_path


def _run_for(library_path: Path, arguments: Arguments, seconds: float) -> None:
    process = start_command(library_path, *arguments)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    else:
        raise WrongAnswerError(f"`vsearch {arguments[0]}` ended by itself: {process.returncode}")
