"""Commands run in a test: their results, and the modules that they load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class CommandResult:
    """Captured output of a command."""

    stdout: str
    stderr: str


CommandRunner: TypeAlias = Callable[..., CommandResult]


def list_loaded_modules(code: str, cwd: Path) -> set[str]:
    """Return the names of the modules that are loaded after running `code` in a new process."""
    code = f"try:\n    {code}\nexcept SystemExit: pass\nimport sys; print('MODULES', *sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    return set(result.stdout.rpartition("MODULES")[2].split())


def format_main_call(*arguments: str) -> str:
    """Return code that runs `vsearch` with these arguments."""
    return (
        f"import sys; sys.argv[1:] = {list(arguments)!r}; from vsearch.cli.main import main; main()"
    )
