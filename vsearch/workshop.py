"""What a library is worked on with: stores, the parts that fill them, and the right to write."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vsearch import config
from vsearch.catalog.lock import WriteLock
from vsearch.errors import ModelError, QueryError, SpaceMismatchError
from vsearch.files import sweep
from vsearch.plugins import resolve
from vsearch.pooler import pooler_for
from vsearch.search.background import Background
from vsearch.search.querybank import Querybank

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.catalog.repository import Catalog
    from vsearch.ingest import Parts, Stores
    from vsearch.media.kept import FrameStore
    from vsearch.model import Model
    from vsearch.protocols import Pooler
    from vsearch.search.current import CurrentIndex
    from vsearch.search.excess import Excess
    from vsearch.vectors.features import FeatureStore

log = logging.getLogger(__name__)


class Workshop:
    """That of one library. What decodes or encodes is made when it is asked for."""

    def __init__(
        self,
        path: Path,
        catalog: Catalog,
        features: FeatureStore,
        current: CurrentIndex,
        model: Model,
        excess: Excess,
    ) -> None:
        self._path, self._catalog, self._model = path, catalog, model
        self._features, self._current, self._excess = features, current, excess

    @property
    def frames(self) -> FrameStore:
        """The frames that were kept."""
        from vsearch.media.kept import FrameStore  # deferred: a query needs none

        return FrameStore(self._path / "frames")

    def stores(self) -> Stores:
        """Where all is that is known of the videos."""
        from vsearch.ingest import Stores  # deferred: a query needs no decoder

        return Stores(self._catalog, self._features, self.frames)

    def parts(self) -> Parts:
        """What the settings name to look at videos with. Raises ModelError and the like."""
        from vsearch.ingest import Parts  # deferred: a query needs no decoder

        settings = self._model.settings
        detector = resolve("shots", settings.shots)
        name = config.absolute(settings.model)
        encoder = self._model.pictures
        return Parts(encoder, self.pooler(), detector, settings.fps, name, settings.hwaccel)

    def parts_to_index(self) -> Parts:
        """Those that fit what the library holds; what an empty one is given becomes its own.

        Raises SpaceMismatchError where they do not.
        """
        parts, space = self.parts(), self._catalog.space()
        if space is None or not self._catalog.counts().segments:
            config.save(self._path, self._model.settings)
            return parts
        self._model.check(space)
        if (known := self._catalog.pooler()) not in (None, parts.pooler.name):
            raise SpaceMismatchError(
                f"{self._path} holds segments pooled by {known}, not {parts.pooler.name}: run "
                "`vsearch rebuild` first, to pool them anew"
            )
        return parts

    def pooler(self, *, anew: bool = False) -> Pooler:
        """What pooled the segments that are there, or what is to pool them `anew`."""
        noted = None if anew or self._catalog.is_empty() else self._catalog.pooler()
        space = self._catalog.space() or self._model.pictures.space
        return pooler_for(self._model.settings.pooler, self._path, space, noted)

    def read_meanings(self, *, check: bool = False) -> None:
        """Read what new words mean; a model that cannot be had stops nothing else."""
        from vsearch.transcripts import read_meanings  # deferred: a query needs none

        try:
            read_meanings(self._catalog, lambda: self._model.pictures, check=check)
        except (ModelError, QueryError) as error:
            log.warning("%s: words are found, but not what means the same: %s", self._path, error)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one writer: clean up after an interrupted one first, save the index at the end.

        Raises LockedError.
        """
        with WriteLock(self._path):
            before = self._catalog.revision()
            known = {video.id for video in self._catalog.videos()}
            self._features.sweep(known, [one.space for one in self._catalog.spaces()])
            self.frames.sweep(known)
            self._current.sweep()
            sweep(self._path)
            try:
                yield
            finally:
                if self._catalog.revision() != before:
                    self._current.save()
                    self._keep_excess()

    def _keep_excess(self) -> None:
        """Measure what a search takes off the scores of new segments.

        What only removes or moves has loaded no model, and does not wait for one.
        """
        if self._model.loaded and (current := self._current.get()) is not None:
            bank = Querybank(self._current.questions(current.space))
            Background(self._catalog, current, bank, self._excess).keep()

    @contextmanager
    def wording(self) -> Iterator[None]:
        """Be the one writer, and read in the end what words mean: it may take long."""
        with self.writing():
            yield
            self.read_meanings()
