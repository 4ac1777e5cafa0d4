"""Check that paths stay inside given folders once their symbolic links are resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def is_within_roots(path: Path, roots: Sequence[Path]) -> bool:
    """Return True if `path` with links resolved is inside one of the resolved `roots`."""
    try:
        resolved_path = path.resolve()
    except (OSError, RuntimeError, ValueError):  # circular links, or not a valid path
        return False
    return any(resolved_path.is_relative_to(root) for root in roots)
