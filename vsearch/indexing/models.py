"""The models of a library: embedding spaces, query adapter and trained pooler."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from vsearch import config
from vsearch.cluster.options import resolve_cluster
from vsearch.encoders.query_adapter import AdaptedEncoder, QueryAdapter
from vsearch.errors import LibraryError, QueryError, SpaceMismatchError
from vsearch.pooling.selection import (
    AUTO_POOLER,
    default_pooler,
    delete_other_poolers,
    load_pooler,
    trained_pooler_files,
    write_pooler_file,
)
from vsearch.pooling.weights import NetworkWeights
from vsearch.query.arguments import check_text
from vsearch.storage.reindexing import describe_lost_features

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from vsearch.active_model import ActiveModel
    from vsearch.catalog.catalog import Catalog
    from vsearch.encoders.query_adapter import AdapterFile
    from vsearch.indexing.library_storage import Storage
    from vsearch.library_location import LibraryLocation
    from vsearch.progress import IndexResult, Progress, SwitchResult
    from vsearch.protocols import Encoder, Pooler
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Space, SpaceInfo

    # because the method `list` hides the type in annotations of its class
    SpaceList: TypeAlias = list[SpaceInfo]

log = logging.getLogger(__name__)


class Writer(Protocol):
    """Write access to a library."""

    def storage(self) -> Storage:
        """Return the catalog, the feature store and the frame cache."""

    def exclusive(self, whole_work: str | None = None) -> AbstractContextManager[None]:
        """Hold the write lock; `whole_work` names work that changes the whole library."""

    def exclusive_with_cue_embedding(
        self, whole_work: str | None = None
    ) -> AbstractContextManager[None]:
        """Hold the write lock, and embed new transcript cues at the end."""


class SavedIndexes(Protocol):
    """The saved vector indexes of a library."""

    def invalidate(self, space: Space | None = None) -> None:
        """Delete the index of a space, by default the active one."""

    def saved_bytes(self, space: Space) -> int:
        """Return the size of the saved indexes of a space in bytes."""


class Models:
    """Models of one library (`Library.models`).

    A library keeps the vectors of every model it was switched to, each in an embedding space of
    its own, until the model is deleted. Searches use the active one.
    """

    def __init__(
        self,
        location: LibraryLocation,
        catalog: Catalog,
        feature_store: FeatureStore,
        active_model: ActiveModel,
        writer: Writer,
        saved_indexes: SavedIndexes,
    ) -> None:
        """Use `Library.models`.

        Args:
            location: Where the library is.
            catalog: Catalog of the library.
            feature_store: Stored frame features.
            active_model: Settings and encoder.
            writer: Write access to the library.
            saved_indexes: The vector indexes, which are invalid after a change of vectors.
        """
        self._location, self._catalog, self._feature_store = location, catalog, feature_store
        self._active_model, self._writer, self._saved_indexes = active_model, writer, saved_indexes

    def list(self) -> SpaceList:
        """Return the spaces in which the library has vectors, oldest first.

        Returns:
            The spaces with the number of videos and the size on disk.
        """
        return [self._add_usage(space_info) for space_info in self._catalog.spaces()]

    def switch(
        self,
        model_name: str | None,
        *,
        encoder: Encoder | None = None,
        skip_missing: bool = False,
        on_progress: Callable[[Progress], None] = lambda _: None,
        on_result: Callable[[IndexResult], None] = lambda _: None,
    ) -> SwitchResult:
        """Embed all videos with another model, then use it for searches.

        Searches use the previous model until all videos are embedded. Cached frames are used where
        they exist; other videos are decoded. An interrupted switch continues when it is run again.

        Args:
            model_name: Encoder as `name` or `name:argument`; None means the previously active one.
            encoder: Use this encoder instead of the named one.
            skip_missing: Switch even if some videos cannot be embedded.
            on_progress: Called with the progress of the run.
            on_result: Called with the result of each video to be embedded.

        Returns:
            The result; `is_switched` is False if a video failed and `skip_missing` is False.

        Raises:
            LockedError: If another process is writing.
            SpaceMismatchError: If the pooler is of another space.
            LibraryError: If there is no previously active model.
            ModelError: If the model cannot be loaded.
        """
        if model_name is not None:
            check_text(model_name, "model_name")
        from vsearch.indexing.model_switch import (
            ModelSwitch,  # deferred: imports a decoder
            record_active_model,
            resolve_target,
        )
        from vsearch.indexing.node_jobs import NodeWork

        with self._writer.exclusive_with_cue_embedding("switch the model"):
            settings = self._active_model.settings
            cluster = resolve_cluster(settings)
            record_active_model(self._catalog, self._active_model)
            target = resolve_target(
                model_name, self._location.folder, self._catalog, settings, encoder
            )
            model_switch = ModelSwitch(
                self._writer.storage(),
                target,
                invalidate_index=self._saved_indexes.invalidate,
                keep_frames=settings.keep_frames,
                hwaccel=settings.hwaccel,
                node_work=NodeWork(
                    cluster, target.model_name, settings.device, encoder, may_download=True
                )
                if cluster
                else None,
            )
            switch_result = model_switch.run(
                skip_missing=skip_missing, on_progress=on_progress, on_result=on_result
            )
            if switch_result.is_switched:
                changed_settings = target.to_settings(switch_result.previous_space)
                config.update_file(self._location.settings_source, changed_settings)
                self._active_model.switch_to(encoder or target.created_encoder, changed_settings)
                self._active_model.given_encoder = encoder
        return switch_result

    def delete(self, model_name: str) -> SpaceInfo:
        """Delete the vectors and features of an inactive model.

        An interrupted deletion can be repeated.

        Args:
            model_name: Name of the model or of its space.

        Returns:
            The deleted space, with its size on disk.

        Raises:
            LockedError: If another process is writing.
            LibraryError: If there is no such model, or it is active.
        """
        with self._writer.exclusive("delete a model"):
            space_info = self._find_inactive(
                config.absolute_model_name(check_text(model_name, "model_name"))
            )
            space_info = self._add_usage(space_info)
            self._saved_indexes.invalidate(space_info.space)
            with self._catalog.begin() as transaction:
                transaction.remove_vectors(space_info.space)
                transaction.remove_features(space_info.space)
            self._feature_store.delete_space(space_info.space)
            with self._catalog.begin() as transaction:
                transaction.remove_space(space_info.space)
        return space_info

    @property
    def query_adapter(self) -> QueryAdapter | None:
        """Query adapter applied to query text; None if there is none for the active model."""
        encoder = self._active_model.encoder
        return encoder.active_adapter if isinstance(encoder, AdaptedEncoder) else None

    @property
    def adapter_file(self) -> AdapterFile:
        """Installed query adapter file, even if it does not match the active model."""
        return self._active_model.adapter_file

    def set_query_adapter(self, adapter: QueryAdapter | None) -> bool:
        """Install or uninstall a query adapter, which maps the embedding of query text.

        Args:
            adapter: Adapter trained for this library's space (`vsearch train align`); None
                uninstalls it.

        Returns:
            True if anything changed.

        Raises:
            LockedError: If another process is writing.
            SpaceMismatchError: If the adapter is of another space.
            LibraryError: If the file cannot be written.
        """
        with self._writer.exclusive():
            if adapter is None:
                return self.adapter_file.remove_file()
            if not isinstance(adapter, QueryAdapter):
                raise QueryError(f"adapter must be a QueryAdapter, not {adapter!r:.60}")
            space = self._catalog.space()
            if space is None or space.name != adapter.training_info.space:
                raise SpaceMismatchError(
                    f"{self._location} is not indexed with {adapter.training_info.space}, for "
                    "which the adapter was trained; train one with `vsearch train align`"
                )
            self.adapter_file.write_adapter(adapter)
            return True

    @property
    def trained_pooler(self) -> Pooler | None:
        """Installed trained pooler, if any.

        Raises:
            DamagedLibraryError: If its file is corrupted.
        """
        pooler_files = trained_pooler_files(self._location.folder)
        return load_pooler(f"transformer:{pooler_files[0]}") if pooler_files else None

    def install_pooler(self, weights: NetworkWeights | None) -> str:
        """Install a trained pooler and pool all segments with it, without decoding videos.

        If it fails, the library keeps the previous pooler.

        Args:
            weights: Weights of the pooler, see `vsearch train pooler`; None uninstalls it and
                restores the default pooler.

        Returns:
            The name of the pooler now in use.

        Raises:
            LockedError: If another process is writing.
            SpaceMismatchError: If the pooler is of another space.
            DamagedLibraryError: If frame features are missing.
        """
        from vsearch.indexing.pipeline import repool_library  # deferred: imports a decoder

        if not isinstance(weights, NetworkWeights | None):
            raise QueryError(f"weights must be NetworkWeights, not {weights!r:.60}")
        library_path = self._location.folder
        with self._writer.exclusive("change the pooler"):
            space, existing_files = self._catalog.space(), trained_pooler_files(library_path)
            installed_path = (
                None if weights is None else write_pooler_file(library_path, space, weights)
            )
            new_pooler = (
                load_pooler(f"transformer:{installed_path}")
                if installed_path
                else default_pooler(space)
            )
            self._saved_indexes.invalidate()
            try:
                lost_paths = repool_library(self._catalog, self._feature_store, new_pooler)
            except BaseException:
                if installed_path is not None and installed_path not in existing_files:
                    installed_path.unlink()
                raise
            config.update_file(self._location.settings_source, {"pooler": AUTO_POOLER})
            self._active_model.update_settings(pooler=AUTO_POOLER)
            delete_other_poolers(library_path, installed_path)
        if lost_paths:
            log.warning("%s", describe_lost_features(lost_paths))
        return new_pooler.name

    def _add_usage(self, space_info: SpaceInfo) -> SpaceInfo:
        """Return a space with its number of complete videos and its size on disk."""
        space, catalog = space_info.space, self._catalog
        missing_count = len(catalog.videos_without_vectors(space))
        return replace(
            space_info,
            video_count=catalog.library_counts().video_count - missing_count,
            size_bytes=catalog.vector_bytes(space)
            + self._feature_store.size_bytes(space)
            + self._saved_indexes.saved_bytes(space),
        )

    def _find_inactive(self, model_name: str) -> SpaceInfo:
        """Find an inactive space by its name or the name of its model."""
        known_spaces = self._catalog.spaces()
        matching_spaces = [
            space_info
            for space_info in known_spaces
            if model_name in (space_info.space.name, space_info.model)
        ]
        inactive_spaces = [space_info for space_info in matching_spaces if not space_info.is_active]
        if inactive_spaces:
            return inactive_spaces[-1]
        if matching_spaces:
            raise LibraryError(
                f"{model_name} is in use; switch to another model first "
                "(`vsearch model switch` or `vsearch model rollback`)"
            )
        known_names = ", ".join(
            space_info.model or space_info.space.name for space_info in known_spaces
        )
        raise LibraryError(
            f"the library has no model or space {model_name!r}; it has {known_names or 'none'}"
        )
