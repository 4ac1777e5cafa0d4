"""Which pooler makes the vectors of a library's segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vsearch.errors import LibraryError, SpaceMismatchError
from vsearch.plugins import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.protocols import Pooler
    from vsearch.temporal.weights import Weights
    from vsearch.types import Space

AUTO = "auto"
FILE = "pooler.npz"  # in a library: one that was trained for it


def pooler_for(
    name: str, folder: Path, space: Space, noted: str | None = None, *, or_best: bool = False
) -> Pooler:
    """The pooler that a setting means, for a library in a folder and one of its spaces.

    `auto` is the one that is `noted` to have made what is there; where nothing is, the library's
    own, the one that ships for that space, or the mean: the best. Raises ModelError,
    DamagedLibraryError, and SpaceMismatchError where the noted one is gone, unless `or_best`.
    """
    if name != AUTO:
        return made(name)
    mean = made("mean")
    if noted == mean.name:
        return mean
    best = None
    for each in _trained(folder, space):
        best = best or each
        if noted in (None, each.name):
            return each
    if noted is None or or_best:
        return best or mean
    raise SpaceMismatchError(
        f"{folder}: its segments were pooled by {noted}, which is not there any more: run `vsearch "
        "rebuild` to pool them anew, nothing is decoded"
    )


def made(name: str) -> Pooler:
    """`name` or `name:argument`."""
    kind, _, argument = name.partition(":")
    cls: Any = resolve("poolers", kind)
    found: Pooler = cls(argument) if argument else cls()
    return found


def _trained(folder: Path, space: Space) -> Iterator[Pooler]:
    """Those that fit a space: the library's own, then the one that ships."""
    cls: Any = resolve("poolers", "transformer")
    own = folder / FILE
    for argument in [str(own)] * own.exists() + [""]:
        found = cls(argument)
        if found.fits(space):
            yield found


def install(folder: Path, space: Space | None, weights: Weights | None) -> None:
    """Put a library's own pooler in place, or take it away. Its segments are still to be pooled.

    Raises SpaceMismatchError for one of another space, and LibraryError where it cannot be written.
    """
    path = folder / FILE
    if weights is None:
        path.unlink(missing_ok=True)
        return
    if space is None or weights.about.get("space") != space.name:
        raise SpaceMismatchError(
            f"{folder} is not indexed with {weights.about.get('space')}, which the pooler was "
            "trained for: train it anew with `vsearch train pooler`"
        )
    try:
        weights.save(path)
    except OSError as error:
        raise LibraryError(
            f"{path} cannot be written ({error.strerror or error}): check the disk and the "
            "permissions"
        ) from error
