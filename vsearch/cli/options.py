"""The options that stand before every subcommand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vsearch.library import Library


@dataclass(frozen=True, slots=True)
class Options:
    """What stands before the subcommand."""

    library: str | None
    model: str | None
    device: str | None

    def open(self, *, create: bool = False, fps: float | None = None) -> Library:
        """The library that the options mean."""
        from vsearch.library import Library  # deferred: --help needs no library

        return Library.open(
            self.library, create=create, model=self.model, device=self.device, fps=fps
        )
