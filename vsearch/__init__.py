"""vsearch finds the moment: semantic search in your own videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsearch.client.remote import connect
    from vsearch.errors import VSearchError
    from vsearch.library import Library
    from vsearch.types import (
        Cue,
        Filters,
        Info,
        Ingested,
        Moment,
        Outcome,
        Progress,
        Query,
        Quote,
        Shares,
        Space,
        Span,
        Step,
        Term,
        Timings,
        Video,
        Why,
    )

__all__ = [
    "Cue",
    "Filters",
    "Info",
    "Ingested",
    "Library",
    "Moment",
    "Outcome",
    "Progress",
    "Query",
    "Quote",
    "Shares",
    "Space",
    "Span",
    "Step",
    "Term",
    "Timings",
    "VSearchError",
    "Video",
    "Why",
    "__version__",
    "connect",
]

__version__ = "0.1.0"

_HOMES = {"Library": "library", "VSearchError": "errors", "connect": "client.remote"}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: `import vsearch` alone loads next to nothing (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'vsearch' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"vsearch.{_HOMES.get(name, 'types')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
