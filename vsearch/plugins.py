"""Names to classes. Built-ins are entry points in pyproject.toml, like those of third parties."""

from __future__ import annotations

import difflib
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vsearch.errors import MissingExtraError, UnknownPluginError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoints

    from vsearch.protocols import Encoder

Group: TypeAlias = Literal["encoders", "poolers", "indexes", "shots"]
NOUNS = {"encoders": "model", "poolers": "pooler", "indexes": "index", "shots": "shot detector"}


def names(group: Group) -> list[str]:
    """The names that are registered in a group, sorted."""
    return sorted(entry_points(group=f"vsearch.{group}").names)


def resolve(group: Group, name: str) -> type[Any]:
    """The class registered under `name`, imported only now.

    Raises UnknownPluginError for a name nobody registered and MissingExtraError when the class
    needs a package that is not installed.
    """
    found = _own(group, name) or entry_points(group=f"vsearch.{group}", name=name)
    if not found:
        known = names(group)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise UnknownPluginError(
            f"there is no {NOUNS[group]} named {name!r}{hint} Known: {', '.join(known)}."
        )
    with needed_by(repr(name)):
        loaded: type[Any] = next(iter(found)).load()
    return loaded


@contextmanager
def needed_by(what: str) -> Iterator[None]:
    """Imports in the block are of the extra `models`; MissingExtraError where one is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{what} needs the package {error.name!r}, which is not installed: "
            "pip install 'vsearch[models]'"
        ) from error


def _own(group: Group, name: str) -> EntryPoints | None:
    """What ships under that name: other packages need not be looked through for it."""
    try:
        return distribution("vsearch").entry_points.select(group=f"vsearch.{group}", name=name)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return None


def encoder(model: str, device: str) -> Encoder:
    """The model that `name` or `name:argument` means. Raises ModelError."""
    name, _, argument = model.partition(":")
    made: Encoder = resolve("encoders", name)(argument, device=device)
    return made
