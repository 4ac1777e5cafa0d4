"""The model of a library: made when it is needed, and the one that the library answers by."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from vsearch import config
from vsearch.encoders.adapter import AdapterFile
from vsearch.encoders.text_tower import TextTower
from vsearch.errors import SettingsError, SpaceMismatchError
from vsearch.plugins import encoder as make_encoder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.catalog.repository import Catalog
    from vsearch.protocols import Encoder
    from vsearch.types import KnownSpace, Space


class Model:
    """Settings and what they name. Safe to use from several threads."""

    def __init__(
        self, folder: Path, settings: config.Settings, encoder: Encoder | None, *, pinned: bool
    ) -> None:
        """`encoder` stands in for the one that the settings name. `pinned` keeps to that, whatever
        the library is made to answer by.
        """
        self.settings = settings
        self._folder, self._pinned = folder, pinned
        self.adapter = AdapterFile(folder)
        self._encoder = encoder
        self._words: Encoder | None = None
        self._lock = threading.RLock()  # makes them

    @classmethod
    def of(
        cls,
        folder: Path,
        settings: config.Settings,
        spaces: Sequence[KnownSpace],
        encoder: Encoder | None,
        *,
        named: bool,
    ) -> Self:
        """The model that the library answers by, unless another one is `named` or written by hand.

        What vsearch.toml says counts for written by hand if no space of the library is of it.
        """
        present = next((known for known in spaces if known.in_use and known.model), None)
        written = config.read(folder).get("model")
        by_hand = written is not None and written not in {known.model for known in spaces}
        if present is None or named or by_hand:
            return cls(folder, settings, encoder, pinned=named or present is not None)
        if written is None:
            settings = replace(settings, model=present.model or settings.model)
        elif written != present.model:
            settings = _caught_up(folder, settings, present)
        return cls(folder, settings, encoder, pinned=False)

    @property
    def pictures(self) -> Encoder:
        """The model that the settings name: what indexes. Raises ModelError."""
        with self._lock:
            if self._encoder is None:
                self._encoder = make_encoder(self.settings.model, self.settings.device)
            return self._encoder

    @property
    def loaded(self) -> bool:
        """Whether the model of pictures is there already."""
        return self._encoder is not None

    @property
    def whole(self) -> Encoder:
        """The model of pictures, and of words where no other is named for them, adapted or not.

        Raises ModelError; what the other model raises is raised when words are encoded.
        """
        with self._lock:
            return self.adapter.over(self._plain)

    @property
    def _plain(self) -> Encoder:
        settings = self.settings
        if not settings.text_model:
            return self.pictures
        with self._lock:
            if self._words is None:
                load = partial(make_encoder, settings.text_model, settings.device)
                self._words = TextTower(self.pictures, settings.text_model, load)
            return self._words

    def fitting(self, space: Space, catalog: Catalog) -> Encoder:
        """The model for a space of the library, which another process may have switched to."""
        with self._lock:
            if not self._pinned and self.pictures.space != space:
                for known in catalog.spaces():  # not the one that it has just been switched from
                    if known.space == space and known.model is not None and known.in_use:
                        self.take(None, _named(known, self.settings))
            self.check(space)
            return self.whole

    def check(self, space: Space) -> None:
        """Raise SpaceMismatchError unless the model is of that space."""
        found = self.pictures.space
        if found != space:
            raise SpaceMismatchError(
                f"{self._folder} was indexed with {space.name}, but the model "
                f"{self.settings.model} is {found.name}: name the one that the library was made "
                "with by --model, change the library's by `vsearch model use`, or use another "
                "--library"
            )

    def rename(self, **named: str) -> None:
        """Go on with other names of settings, and with the model as it is."""
        with self._lock:
            self.settings = replace(self.settings, **named)  # type: ignore[arg-type] # are names

    def take(self, encoder: Encoder | None, named: dict[str, Any]) -> None:
        """Go on with other names of settings, and with their model if it is made already."""
        with self._lock:
            self.settings = replace(self.settings, **named)
            self._encoder, self._words, self._pinned = encoder, None, False


def _caught_up(folder: Path, settings: config.Settings, present: KnownSpace) -> config.Settings:
    """The settings with the model that the library answers by, in vsearch.toml as well.

    That is written after the catalogue was switched: a process killed between leaves it behind.
    """
    named = _named(present, settings)
    with suppress(SettingsError):  # who may only read gets the right model all the same
        config.change(folder, named)
    return replace(settings, **named)


def _named(known: KnownSpace, settings: config.Settings) -> dict[str, Any]:
    """The settings that go with a space."""
    return {"model": known.model or settings.model, "text_model": ""}
