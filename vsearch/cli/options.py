"""The options that stand before every subcommand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

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


class SheetPath(click.ParamType[Path]):
    """A file to be written, refused before an hour of work and not after."""

    name = "file"

    def convert(
        self,
        value: str | Path,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        path = Path(value)
        if path.is_dir() or not path.parent.is_dir():
            self.fail(f"{path}: there is no folder {path.parent} to write a page in", param, ctx)
        return path
