"""The active encoder of a library, loaded on first use, and the settings that name it.

A library may have vectors in several spaces; the one in which it is searched is active. Another
process may switch it at any time.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from vsearch import config
from vsearch.encoders.downloads import limit_downloads
from vsearch.encoders.query_adapter import AdapterFile
from vsearch.encoders.text_tower import TextTower
from vsearch.errors import SettingsError, SpaceMismatchError
from vsearch.plugins import create_encoder

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.library_location import LibraryLocation
    from vsearch.protocols import Encoder
    from vsearch.types import Space, SpaceInfo


class ActiveModel:
    """Settings of an open library and the encoder they name. Thread-safe.

    Attributes:
        settings: Effective settings.
        adapter_file: File of the query adapter.
        given_encoder: Encoder that is used instead of the one that the settings name, if any.
    """

    def __init__(
        self,
        location: LibraryLocation,
        settings: config.Settings,
        encoder: Encoder | None,
        *,
        is_pinned: bool,
        downloadable_models: Collection[str] = (),
    ) -> None:
        """Use `ActiveModel.create`.

        Args:
            location: Where the library is.
            settings: Effective settings.
            encoder: Encoder to use instead of the one that the settings name.
            is_pinned: Do not follow a model switch of another process.
            downloadable_models: Models whose weights may be downloaded.
        """
        self.settings = settings
        self._location, self._is_pinned = location, is_pinned
        self.adapter_file = AdapterFile(location.folder)
        self._downloadable_models = frozenset(downloadable_models)
        self._encoder = self.given_encoder = encoder
        self._text_encoder: Encoder | None = None
        self._lock = threading.RLock()  # held while an encoder is created

    @classmethod
    def create(
        cls,
        location: LibraryLocation,
        settings: config.Settings,
        known_spaces: Sequence[SpaceInfo],
        encoder: Encoder | None,
        *,
        is_overridden: bool,
        downloadable_models: Collection[str] = (),
    ) -> Self:
        """Choose the active model of the library, unless another one is requested.

        A model in vsearch.toml of which the library has no space is regarded as edited by hand,
        and takes precedence.

        Args:
            location: Where the library is.
            settings: Effective settings.
            known_spaces: Spaces of the library.
            encoder: Encoder to use instead of the one that the settings name.
            is_overridden: A flag or environment variable names the model.
            downloadable_models: Models that flags or environment variables name. The weights of
                others are not downloaded, because the library may come from somebody else.

        Returns:
            The active model, not loaded yet.
        """
        active_space = next(
            (
                space_info
                for space_info in known_spaces
                if space_info.is_active and space_info.model
            ),
            None,
        )
        file_model = config.read_model(location.settings_source)
        is_edited_by_hand = file_model is not None and file_model not in {
            space_info.model for space_info in known_spaces
        }
        if active_space is None or is_overridden or is_edited_by_hand:
            return cls(
                location,
                settings,
                encoder,
                is_pinned=is_overridden or active_space is not None,
                downloadable_models=downloadable_models,
            )
        if file_model is None:
            settings = replace(settings, model=active_space.model or settings.model)
        elif file_model != active_space.model:
            settings = _catch_up_settings(location, settings, active_space)
        return cls(
            location,
            settings,
            encoder,
            is_pinned=False,
            downloadable_models=downloadable_models,
        )

    def follow_library(
        self, settings: config.Settings, known_spaces: Sequence[SpaceInfo], *, is_overridden: bool
    ) -> None:
        """Adopt the model of another library that has replaced this one in its folder.

        Args:
            settings: Effective settings.
            known_spaces: Spaces of the other library.
            is_overridden: A flag or environment variable names the model, or it is given.
        """
        adopted_model = type(self).create(
            self._location, settings, known_spaces, None, is_overridden=is_overridden
        )
        with self._lock:
            new_settings, old_settings = adopted_model.settings, self.settings
            if not is_overridden and (new_settings.model, new_settings.device) != (
                old_settings.model,
                old_settings.device,
            ):
                self._encoder = self.given_encoder = None
            self._text_encoder = None
            self.settings, self._is_pinned = new_settings, adopted_model._is_pinned

    @property
    def image_encoder(self) -> Encoder:
        """Encoder that indexes, named by the setting `model`.

        Raises:
            ModelError: If it cannot be loaded.
        """
        with self._lock:
            if self._encoder is None:
                self._encoder = self._load_encoder(self.settings.model, self._own_device)
            return self._encoder

    def may_download(self, model_name: str) -> bool:
        """Return whether the weights of a model may be downloaded."""
        return model_name in self._downloadable_models

    @property
    def _own_device(self) -> str:
        """Device of this process: with a cluster, the setting is about the nodes."""
        settings = self.settings
        return "auto" if settings.ray and settings.device == "cuda" else settings.device

    def _load_encoder(self, model_name: str, device: str) -> Encoder:
        with limit_downloads(is_allowed=model_name in self._downloadable_models):
            return create_encoder(model_name, device)

    @property
    def is_loaded(self) -> bool:
        """True if the image encoder is loaded."""
        return self._encoder is not None

    @property
    def encoder(self) -> Encoder:
        """Encoder that searches: with the text model and query adapter, if there are any.

        Raises:
            ModelError: If the image encoder cannot be loaded. The text model is loaded when it
                first encodes text.
        """
        with self._lock:
            return self.adapter_file.wrap_encoder(self._unadapted_encoder)

    @property
    def _unadapted_encoder(self) -> Encoder:
        settings = self.settings
        if not settings.text_model:
            return self.image_encoder
        with self._lock:
            if self._text_encoder is None:
                load_text_model = partial(self._load_encoder, settings.text_model, self._own_device)
                self._text_encoder = TextTower(
                    self.image_encoder, settings.text_model, load_text_model
                )
            return self._text_encoder

    def for_space(self, space: Space, catalog: Catalog) -> Encoder:
        """Return the search encoder for a space, following a switch by another process.

        Args:
            space: Active space of the library.
            catalog: Catalog of the library.

        Returns:
            The encoder, as `encoder`.

        Raises:
            SpaceMismatchError: If the model is of another space.
            ModelError: If the model cannot be loaded.
        """
        with self._lock:
            if not self._is_pinned and self.image_encoder.space != space:
                for space_info in catalog.spaces():
                    # if the catalog has been switched again since, `space` is no longer active
                    if space_info.space == space and space_info.model and space_info.is_active:
                        self.switch_to(None, _settings_for_space(space_info, self.settings))
            self.check_space(space)
            return self.encoder

    def check_space(self, space: Space) -> None:
        """Check that the image encoder is of a space.

        Args:
            space: Space of the library.

        Raises:
            SpaceMismatchError: If it is not.
        """
        model_space = self.image_encoder.space
        if model_space != space:
            raise SpaceMismatchError(
                f"{self._location} was indexed with {space.name}, but the model "
                f"{self.settings.model} is {model_space.name}: pass the model of the library as "
                "--model, change it by `vsearch model switch`, or use another --library"
            )

    def update_settings(self, **changes: str) -> None:
        """Update settings without reloading the encoder.

        Args:
            changes: New values by setting name.
        """
        with self._lock:
            self.settings = replace(self.settings, **changes)  # type: ignore[arg-type] # only str settings

    def switch_to(self, encoder: Encoder | None, changes: dict[str, Any]) -> None:
        """Update settings and replace the encoder.

        Args:
            encoder: Encoder that the new settings name; None loads it on next use.
            changes: New values by setting name.
        """
        with self._lock:
            self.settings = replace(self.settings, **changes)
            self._encoder, self._text_encoder, self._is_pinned = encoder, None, False
            self.given_encoder = None


def _catch_up_settings(
    location: LibraryLocation, settings: config.Settings, active_space: SpaceInfo
) -> config.Settings:
    """Return the settings with the active model, and write it to vsearch.toml.

    A switch writes vsearch.toml after the catalog, so a process killed in between leaves it behind.
    """
    space_settings = _settings_for_space(active_space, settings)
    with suppress(SettingsError):  # a read-only library works all the same
        config.update_file(location.settings_source, space_settings)
    return replace(settings, **space_settings)


def _settings_for_space(space_info: SpaceInfo, settings: config.Settings) -> dict[str, Any]:
    """Return the settings of the model of a space."""
    return {"model": space_info.model or settings.model, "text_model": ""}
