"""Which segments the filters of a query leave."""

from __future__ import annotations

from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from vsearch.catalog.filters import Meant, conditions, selection
from vsearch.catalog.named import ids_named
from vsearch.catalog.tags import meant
from vsearch.errors import LibraryError, QueryError
from vsearch.types import Filters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vsearch.catalog.repository import Catalog
    from vsearch.types import Ids, Query

NOTHING = Filters()


def narrowed(catalog: Catalog, query: Query) -> Ids | None:
    """Ids of the segments of which a query asks, ascending, int64 (N,); None: of all.

    Raises LibraryError for a tag that nothing has, and QueryError for a model that made nothing;
    to leave such out changes nothing.
    """
    if query.filters == query.without == NOTHING:
        return None
    asked = list(conditions(query.filters, _meant(catalog, query.filters, left_out=False)))
    without = conditions(query.without, _meant(catalog, query.without, left_out=True))
    return catalog.chosen(*selection(asked, without))


def _meant(catalog: Catalog, filters: Filters, *, left_out: bool) -> Meant:
    """What the names in filters mean here."""
    return Meant(
        tuple(sorted(ids_named(catalog, filters.videos, disk=not filters.elsewhere)))
        if filters.videos
        else None,
        tuple(_labels(catalog, filters.tags, left_out=left_out)),
        _models(catalog.models(), filters.models, left_out) if filters.models else None,
    )


def _labels(catalog: Catalog, tags: Sequence[str], *, left_out: bool) -> Iterable[tuple[str, ...]]:
    known = catalog.labels() if tags else []
    for tag in tags:
        try:
            yield tuple(meant(tag, known))
        except LibraryError:
            if not left_out:
                raise


def _models(known: Sequence[str], asked: Sequence[str], left_out: bool) -> tuple[str, ...]:
    """The models that are meant by their names, or the beginnings of them, or globs."""
    found: dict[str, None] = {}
    for name in asked:
        fitting = [one for one in known if _fits(one.casefold(), name.casefold())]
        if not fitting and not left_out:
            near = get_close_matches(name, known, 1, 0.6) or known
            raise QueryError(
                f"model:{name}: no video here was indexed by it, but by {' and '.join(near)}"
                if near
                else f"model:{name}: which model indexed these videos was not noted"
            )
        found |= dict.fromkeys(fitting)
    return tuple(found)


def _fits(model: str, asked: str) -> bool:
    return model == asked or model.startswith(f"{asked}:") or fnmatchcase(model, asked)
