"""What running a command gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass
class Done:
    """What a command printed."""

    stdout: str
    stderr: str


Vsearch: TypeAlias = Callable[..., Done]
