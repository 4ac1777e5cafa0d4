"""Which pooler makes the vectors of a library's segments."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import LibraryError, SpaceMismatchError
from vsearch.plugins import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.protocols import Pooler
    from vsearch.temporal.weights import Weights
    from vsearch.types import Space

AUTO = "auto"
OWN = "pooler-*.npz"  # in a library: trained for it, named by its digest


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
    """`name` or `name:argument`; a file is read once, until another takes its place."""
    kind, _, argument = name.partition(":")
    path = Path(argument).expanduser()
    if not argument or not path.is_file():
        return _made(kind, argument, None)
    stat = path.stat()
    return _made(kind, argument, (stat.st_ino, stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=8)
def _made(kind: str, argument: str, _state: object) -> Pooler:
    cls: Any = resolve("poolers", kind)
    found: Pooler = cls(argument) if argument else cls()
    return found


def _trained(folder: Path, space: Space) -> Iterator[Pooler]:
    """Those that fit a space: the library's own, the newest first, then the one that ships."""
    for name in [*(f"transformer:{path}" for path in own(folder)), "transformer"]:
        found: Any = made(name)
        if found.fits(space):
            yield found


def shipped(space: Space | None) -> Pooler:
    """What pools in a space where nothing was trained: what ships for it, or the mean."""
    found: Any = made("transformer")
    pooler: Pooler = found if space is not None and found.fits(space) else made("mean")
    return pooler


def own(folder: Path) -> list[Path]:
    """The files of the poolers that were trained for a library, the newest first.

    One, but for a moment while it is replaced: what the catalogue names is deleted last.
    """
    return sorted(folder.glob(OWN), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def install(folder: Path, space: Space | None, weights: Weights) -> Path:
    """Put a pooler beside the one in use, which is not touched; its file.

    Raises SpaceMismatchError for one of another space, and LibraryError where it cannot be written.
    """
    path = folder / OWN.replace("*", weights.digest[:8])
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
    return path


def keep(folder: Path, kept: Path | None) -> None:
    """Delete a library's own poolers, all but one."""
    for path in own(folder):
        if path != kept:
            path.unlink(missing_ok=True)
