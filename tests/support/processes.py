"""Result of a command run in a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass
class CommandResult:
    """Captured output of a command."""

    stdout: str
    stderr: str


CommandRunner: TypeAlias = Callable[..., CommandResult]
