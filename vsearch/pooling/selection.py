"""Selection, storage and deletion of the poolers of a library."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import LibraryError, SpaceMismatchError
from vsearch.plugins import resolve_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.pooling.weights import NetworkWeights
    from vsearch.protocols import Pooler
    from vsearch.types import Space

AUTO_POOLER = "auto"
TRAINED_POOLER_GLOB = "pooler-*.npz"  # in a library folder, named by digest


def select_pooler(
    pooler_name: str,
    library_path: Path,
    space: Space,
    recorded_pooler: str | None = None,
    *,
    allow_best: bool = False,
) -> Pooler:
    """Return the pooler that a setting selects.

    `auto` is the recorded pooler; if none is recorded, the library's trained one, the bundled one
    of the space, or the mean, in this order.

    Args:
        pooler_name: The setting: `auto`, `name` or `name:argument`.
        library_path: Folder of the library.
        space: Space of the frame vectors.
        recorded_pooler: Name of the pooler that made the stored segment vectors, if any.
        allow_best: With `auto`, use the best pooler if the recorded one is missing.

    Returns:
        The pooler.

    Raises:
        ModelError: If the pooler is unknown or cannot be loaded.
        DamagedLibraryError: If its file cannot be read.
        SpaceMismatchError: If the recorded pooler is missing and `allow_best` is false.
    """
    if pooler_name != AUTO_POOLER:
        return load_pooler(pooler_name)
    mean_pooler = load_pooler("mean")
    if recorded_pooler == mean_pooler.name:
        return mean_pooler
    best_pooler = None
    for trained_pooler in _iter_trained_poolers(library_path, space):
        best_pooler = best_pooler or trained_pooler
        if recorded_pooler in (None, trained_pooler.name):
            return trained_pooler
    if recorded_pooler is None or allow_best:
        return best_pooler or mean_pooler
    raise SpaceMismatchError(
        f"{library_path}: its segments were pooled by {recorded_pooler}, which is missing: run "
        "`vsearch rebuild` to pool them again, without decoding"
    )


def load_pooler(pooler_name: str) -> Pooler:
    """Load a registered pooler; files are cached until they change.

    Args:
        pooler_name: `name` or `name:argument`.
    """
    plugin_name, _, pooler_argument = pooler_name.partition(":")
    pooler_path = Path(pooler_argument).expanduser()
    if not pooler_argument or not pooler_path.is_file():
        return _load_cached(plugin_name, pooler_argument, None)
    file_stat = pooler_path.stat()
    return _load_cached(
        plugin_name, pooler_argument, (file_stat.st_ino, file_stat.st_mtime_ns, file_stat.st_size)
    )


@lru_cache(maxsize=8)
def _load_cached(plugin_name: str, pooler_argument: str, _file_state: object) -> Pooler:
    pooler_class: Any = resolve_plugin("poolers", plugin_name)
    loaded_pooler: Pooler = pooler_class(pooler_argument) if pooler_argument else pooler_class()
    return loaded_pooler


def _iter_trained_poolers(library_path: Path, space: Space) -> Iterator[Pooler]:
    """Yield the compatible trained poolers: the library's, newest first, then the bundled one."""
    for pooler_name in [
        *(f"transformer:{pooler_path}" for pooler_path in trained_pooler_files(library_path)),
        "transformer",
    ]:
        loaded_pooler: Any = load_pooler(pooler_name)
        if loaded_pooler.is_compatible(space):
            yield loaded_pooler


def default_pooler(space: Space | None) -> Pooler:
    """Return the bundled pooler of a space, or the mean.

    Args:
        space: Space of the frame vectors, or None.
    """
    bundled_pooler: Any = load_pooler("transformer")
    pooler: Pooler = (
        bundled_pooler
        if space is not None and bundled_pooler.is_compatible(space)
        else load_pooler("mean")
    )
    return pooler


def trained_pooler_files(library_path: Path) -> list[Path]:
    """Return the trained poolers in a library folder, newest first.

    There is at most one, except while it is being replaced: the file recorded in the catalog is
    deleted last.

    Args:
        library_path: Folder of the library.
    """
    return sorted(
        library_path.glob(TRAINED_POOLER_GLOB),
        key=lambda pooler_path: pooler_path.stat().st_mtime_ns,
        reverse=True,
    )


def write_pooler_file(library_path: Path, space: Space | None, weights: NetworkWeights) -> Path:
    """Save a pooler next to the one in use, which is not changed.

    Args:
        library_path: Folder of the library.
        space: Space of the library.
        weights: Weights of the pooler.

    Returns:
        The new file.

    Raises:
        SpaceMismatchError: If the pooler was trained in another space.
        LibraryError: If the file cannot be written.
    """
    pooler_path = library_path / TRAINED_POOLER_GLOB.replace("*", weights.digest[:8])
    if space is None or weights.metadata.get("space") != space.name:
        raise SpaceMismatchError(
            f"{library_path} is not indexed with {weights.metadata.get('space')}, the space of "
            "the pooler: train a new one with `vsearch train pooler`"
        )
    try:
        weights.save(pooler_path)
    except OSError as exc:
        raise LibraryError(
            f"{pooler_path} cannot be written ({exc.strerror or exc}): check the disk and the "
            "permissions"
        ) from exc
    return pooler_path


def delete_other_poolers(library_path: Path, kept_path: Path | None) -> None:
    """Delete the trained poolers of a library except one.

    Args:
        library_path: Folder of the library.
        kept_path: File to keep, or None.
    """
    for pooler_path in trained_pooler_files(library_path):
        if pooler_path != kept_path:
            pooler_path.unlink(missing_ok=True)
