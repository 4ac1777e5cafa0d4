"""Saved searches in SQL."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from vsearch.catalog.paths import storable
from vsearch.errors import QueryError
from vsearch.types import SavedSearch

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL = "SELECT name, query, made_at FROM searches ORDER BY name"
INSERT = "INSERT OR REPLACE INTO searches (name, query, made_at) VALUES (?, ?, ?)"


def row(name: str, query: str) -> tuple[Any, ...]:
    """The values of `INSERT`, as of now."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return storable(name), storable(query), now.isoformat(" ", "microseconds")


def read_search(found: Sequence[Any]) -> SavedSearch:
    """A row of `ALL`; ValueError or TypeError if it makes no sense."""
    name, query, made_at = found
    return SavedSearch(str(name), str(query), datetime.fromisoformat(made_at))


def meant(name: str, known: Sequence[SavedSearch]) -> SavedSearch:
    """The search that was saved under a name. Raises QueryError, with a near one, if none was."""
    for one in known:
        if one.name == name:
            return one
    near = get_close_matches(name, [one.name for one in known], 1, 0.6)
    hint = f"did you mean @{near[0]}?" if near else "see `vsearch saved`"
    raise QueryError(f"@{name}: no search is saved under that name; {hint}")
