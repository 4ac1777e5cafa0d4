"""What videos are said to show, joined from the parts: judged, given by hand, read, removed."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING

from vsearch.analysis import labels as files
from vsearch.analysis import tagging
from vsearch.analysis.classify import ZeroShot
from vsearch.analysis.trained import Trained
from vsearch.catalog.named import named
from vsearch.errors import LibraryError, SettingsError
from vsearch.search.query import parse_clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from vsearch.analysis.labels import Label
    from vsearch.analysis.tagging import Labeller, Place
    from vsearch.catalog.repository import Catalog
    from vsearch.model import Model
    from vsearch.types import Classified, Space, Span, Tag, Video
    from vsearch.vectors.features import FeatureStore


class Labelling:
    """The tags of one library, and what makes them."""

    def __init__(
        self,
        catalog: Catalog,
        features: FeatureStore,
        model: Model,
        writing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`writing` makes this process the one writer."""
        self._catalog, self._features, self._model = catalog, features, model
        self._writing = writing

    def classify(
        self,
        labels: Sequence[str | Label],
        paths: Sequence[str],
        checkpoint: Path | None,
        name: str,
        *,
        threshold: float,
        store: bool,
    ) -> Iterator[Classified]:
        """See `Library.classify`."""
        if not math.isfinite(threshold):
            raise SettingsError(f"the threshold must be a number from 0 to 1, not {threshold}")
        chosen = files.named(labels) if checkpoint is None else []
        if (space := self._catalog.space()) is None:
            return
        with self._writing() if store else nullcontext():
            labeller = self._labeller(chosen, checkpoint, name, space)
            yield from tagging.classify(
                self._catalog,
                self._videos(paths),
                labeller,
                space,
                threshold=threshold,
                store=store,
            )

    def tags(self, paths: Sequence[str]) -> list[Tag]:
        """See `Library.tags`."""
        if not paths:
            return self._catalog.tags()
        return tagging.touching(self._catalog, self._places(paths))

    def tag(self, path: str, label: str, span: Span | None) -> Tag:
        """See `Library.tag`."""
        with self._writing():
            return tagging.by_hand(self._catalog, named(self._catalog, [path]), path, label, span)

    def untag(self, paths: Sequence[str], label: str | None, source: str | None) -> int:
        """See `Library.untag`."""
        with self._writing():
            return tagging.remove(self._catalog, self._places(paths), label, source)

    def _labeller(
        self, labels: Sequence[Label], checkpoint: Path | None, name: str, space: Space
    ) -> Labeller:
        """A trained classifier where one is named, else the words of labels."""
        if checkpoint is not None:
            return Trained.load(checkpoint, self._features, space)
        encoder = self._model.fitting(space, self._catalog)
        return ZeroShot.of(labels, encoder, self._catalog.sample(space), name)

    def _videos(self, paths: Sequence[str]) -> list[Video]:
        return named(self._catalog, paths) if paths else self._catalog.videos()

    def _places(self, paths: Sequence[str]) -> list[Place]:
        """The videos that paths mean, or parts of them; all if none are given. LibraryError."""
        if not paths:
            return [(video, None) for video in self._catalog.videos()]
        return [place for path in paths for place in self._meant(path)]

    def _meant(self, path: str) -> list[Place]:
        """A path as it is, or less the `@START-END` that it ends with."""
        if whole := named(self._catalog, [path]):
            return [(video, None) for video in whole]
        clip = parse_clip(path)
        found = named(self._catalog, [clip.value])
        if not found:
            raise LibraryError(f"{path}: no such video in the library; see `vsearch list`")
        return [(video, clip.span) for video in found]
