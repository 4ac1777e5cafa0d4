"""Permission to download weights: given by a flag, variable or argument, never by a library's file.

A library may come from somebody else; opening it must not contact servers that it names.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_are_downloads_allowed: ContextVar[bool] = ContextVar("are_downloads_allowed", default=True)


@contextmanager
def limit_downloads(*, is_allowed: bool) -> Iterator[None]:
    """Context in which models are loaded, with or without the permission to download.

    Args:
        is_allowed: The caller, not only the library, names the model.
    """
    token = _are_downloads_allowed.set(is_allowed)
    try:
        yield
    finally:
        _are_downloads_allowed.reset(token)


def are_downloads_allowed() -> bool:
    """Return whether a model that is loaded now may be downloaded."""
    return _are_downloads_allowed.get()


def check_downloads_allowed() -> None:
    """Check the permission to download.

    Raises:
        OSError: Only the library's settings name the model.
    """
    if not are_downloads_allowed():
        raise OSError(
            "only the library's settings name this model; "
            "name it yourself to download it: --model or --text-model"
        )
