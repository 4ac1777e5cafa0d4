"""Write access to a library: the exclusive lock, cleanup, and the components that index.

Components that decode or encode are created on demand: most runs that write need none of them.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vsearch import config
from vsearch.catalog.lock import WriteLock
from vsearch.errors import ModelError, QueryError, SpaceMismatchError
from vsearch.plugins import resolve_plugin
from vsearch.pooling.selection import select_pooler
from vsearch.search.hubness import HubnessModel, Querybank
from vsearch.storage.atomic_files import remove_partial_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.active_model import ActiveModel
    from vsearch.catalog.catalog import Catalog
    from vsearch.indexing.pipeline import Pipeline, Storage
    from vsearch.media.frame_cache import FrameStore
    from vsearch.protocols import Pooler
    from vsearch.search.hubness import HubnessCache
    from vsearch.search.live_index import LiveIndex
    from vsearch.storage.feature_store import FeatureStore

log = logging.getLogger(__name__)

FRAME_CACHE_FOLDER = "frame_cache"  # inside the library
OLD_CACHE_FOLDERS = ("vectors", "excess", "null")  # before schema 0007


class LibraryWriter:
    """Creates the components that write to a library, and holds its lock while they do."""

    def __init__(
        self,
        library_path: Path,
        catalog: Catalog,
        feature_store: FeatureStore,
        live_index: LiveIndex,
        active_model: ActiveModel,
        hubness_cache: HubnessCache,
    ) -> None:
        """Store the parts of an open library; nothing is loaded yet."""
        self._library_path, self._catalog, self._active_model = library_path, catalog, active_model
        self._feature_store, self._live_index = feature_store, live_index
        self._hubness_cache = hubness_cache

    @property
    def frame_store(self) -> FrameStore:
        """Cache of decoded frames."""
        from vsearch.media.frame_cache import FrameStore  # deferred: imports a decoder

        return FrameStore(self._library_path / FRAME_CACHE_FOLDER)

    def storage(self) -> Storage:
        """Return the catalog, the feature store and the frame cache."""
        from vsearch.indexing.pipeline import Storage  # deferred: a query needs no decoder

        return Storage(self._catalog, self._feature_store, self.frame_store)

    def pipeline(self) -> Pipeline:
        """Create the components that the settings name.

        Returns:
            Encoder, pooler, shot detector and decoding options.

        Raises:
            ModelError: If one of them cannot be loaded.
            SpaceMismatchError: If the pooler is of another space.
        """
        from vsearch.indexing.pipeline import Pipeline  # deferred: a query needs no decoder

        settings = self._active_model.settings
        shot_detector = resolve_plugin("shots", settings.shot_detector)
        model_name = config.absolute_model_name(settings.model)
        encoder = self._active_model.image_encoder
        return Pipeline(
            encoder, self.pooler(), shot_detector, settings.fps, model_name, settings.hwaccel
        )

    def indexing_pipeline(self) -> Pipeline:
        """Create the components for indexing; an empty library adopts the settings.

        Returns:
            As `pipeline`.

        Raises:
            ModelError: If one of them cannot be loaded.
            SpaceMismatchError: If the encoder or pooler differs from that of the indexed videos.
        """
        pipeline, space = self.pipeline(), self._catalog.space()
        if space is None or not self._catalog.library_counts().segment_count:
            config.save(self._library_path, self._active_model.settings)
            return pipeline
        self._active_model.check_space(space)
        if (recorded_pooler := self._catalog.pooler()) not in (None, pipeline.pooler.name):
            raise SpaceMismatchError(
                f"{self._library_path} has segments pooled by {recorded_pooler}, not "
                f"{pipeline.pooler.name}: run `vsearch rebuild` first to pool them again"
            )
        return pipeline

    def pooler(self, *, repool: bool = False) -> Pooler:
        """Select the pooler.

        Args:
            repool: Follow the settings; otherwise use the pooler of the stored segments, if any.

        Returns:
            The pooler.

        Raises:
            ModelError: If it cannot be loaded.
            SpaceMismatchError: If it is of another space.
        """
        recorded_pooler = None if repool or self._catalog.is_empty() else self._catalog.pooler()
        space = self._catalog.space() or self._active_model.image_encoder.space
        return select_pooler(
            self._active_model.settings.pooler, self._library_path, space, recorded_pooler
        )

    def embed_cues(self, *, verify_model: bool = False) -> None:
        """Embed new transcript cues for semantic search; log a warning if no model is available.

        Args:
            verify_model: Embed all cues again if the model has changed.
        """
        from vsearch.search.transcript_text import embed_cues  # deferred: not used by most runs

        try:
            embed_cues(
                self._catalog, lambda: self._active_model.image_encoder, check_model=verify_model
            )
        except (ModelError, QueryError) as exc:
            log.warning(
                "%s: semantic transcript search is unavailable, keyword search still works: %s",
                self._library_path,
                exc,
            )

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the write lock: clean up after interrupted runs first, save the index at the end.

        Raises:
            LockedError: If another process is writing.
        """
        with WriteLock(self._library_path):
            self._rename_old_folders()
            previous_revision = self._catalog.revision()
            video_ids = {video.id for video in self._catalog.videos()}
            self._feature_store.remove_orphans(
                video_ids, [space_info.space for space_info in self._catalog.spaces()]
            )
            if (self._library_path / FRAME_CACHE_FOLDER).is_dir():  # else import no decoder
                self.frame_store.remove_stale_files(video_ids)
            self._live_index.remove_partial_builds()
            remove_partial_files(self._library_path)
            try:
                yield
            finally:
                if self._catalog.revision() != previous_revision:
                    self._live_index.save()
                    self._cache_hubness()

    def _rename_old_folders(self) -> None:
        """Rename or remove the cache folders of older versions.

        Cached frames cannot be rebuilt without decoding, so their folder is renamed. The other
        caches are rebuilt under their new names.
        """
        # not `self.frame_store`, which would import a decoder
        old_frames = self._library_path / "frames"
        frame_cache = self._library_path / FRAME_CACHE_FOLDER
        if old_frames.is_dir() and not frame_cache.exists():
            old_frames.rename(frame_cache)
        for folder_name in OLD_CACHE_FOLDERS:
            shutil.rmtree(self._library_path / folder_name, ignore_errors=True)

    def _cache_hubness(self) -> None:
        """Compute the hubness penalties of new segments, if this run has loaded the model."""
        if (
            self._active_model.is_loaded
            and (snapshot := self._live_index.take_snapshot()) is not None
        ):
            querybank = Querybank(self._live_index.tuning_queries(snapshot.space))
            HubnessModel(self._catalog, snapshot, querybank, self._hubness_cache).save_hubness()

    @contextmanager
    def exclusive_with_cue_embedding(self) -> Iterator[None]:
        """Hold the write lock, and embed new transcript cues at the end, which may take long."""
        with self.exclusive():
            yield
            self.embed_cues()
