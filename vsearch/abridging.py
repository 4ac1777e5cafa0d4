"""One video in short: what is stored of it, or decoded now, becomes a summary."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.analysis.length import Length
from vsearch.analysis.summarise import Material, Summary, summarise
from vsearch.catalog.named import named
from vsearch.errors import NoTextError, QueryError, UnreadableError
from vsearch.ingest import describe, gone, holds
from vsearch.media.sampling import segments
from vsearch.search.query import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.catalog.repository import Catalog
    from vsearch.ingest import Parts
    from vsearch.model import Model
    from vsearch.protocols import Encoder
    from vsearch.types import Vector, Video
    from vsearch.vectors.features import FeatureStore


def abridged(
    name: str | os.PathLike[str],
    length: Length | str | float,
    query: str | None,
    catalog: Catalog,
    features: FeatureStore,
    model: Model,
    parts: Callable[[], Parts],
) -> Summary:
    """See `Library.summarize`; `parts`, which a file passes through, are made when needed."""
    wanted = Length.of(length)
    words = None if query is None else plain(query).terms[0].value
    material = _material(str(name), catalog, features, parts)
    if words is None:
        return summarise(material, wanted)
    encoder = model.fitting(material.features.space, catalog)
    return summarise(material, wanted, _vector(words, encoder))


def _material(
    name: str, catalog: Catalog, features: FeatureStore, parts: Callable[[], Parts]
) -> Material:
    """A video as it is stored; decoded now if it is not, or is another one by now."""
    found, space = named(catalog, [name]), catalog.space()
    if len(found) > 1:
        raise QueryError(f"{name} means {len(found)} videos of the library: name one of them")
    if found and space is not None and _is_as_known(found[0]):
        video = found[0]
        spans = [segment.span for segment in catalog.segments_of(video.id)]
        return Material(video.path, features.load(video.id, space), spans, video.duration)
    path = found[0].path if found else Path(os.path.abspath(Path(name).expanduser()))  # noqa: PTH100
    if not path.exists():
        raise UnreadableError(
            f"{name}: there is no such file and no such video in the library; see `vsearch list`"
        )
    seen = describe(path, parts())
    spans = segments(seen.features.times, seen.cuts, seen.end)
    return Material(path, seen.features, spans, seen.end)


def _is_as_known(video: Video) -> bool:
    """Whether its file is what was indexed; one that is gone is as good, for it cannot be seen."""
    return gone(video.path) or holds(video, video.fingerprint)


def _vector(words: str, encoder: Encoder) -> Vector:
    """Words in the encoder's space, float32 (D,)."""
    if not encoder.space.speaks_text:
        raise NoTextError(
            f"{encoder.space.name} understands pictures only, so it cannot look for {words!r}: "
            "leave out the query, or use a model that understands text"
        )
    vector: Vector = encoder.encode_texts([words])[0]
    return vector
