"""A library's videos in the space of another model, while the space before answers queries.

Segments stay as they are: they depend on shots, not on the model. Each video is one transaction,
so what is done stays done, however a run ends; the next one goes on with what is missing. When
every segment has its vector, one transaction makes the new space the library's.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from vsearch.config import absolute
from vsearch.errors import (
    DamagedLibraryError,
    LibraryError,
    ModelError,
    NoPictureError,
    SpaceMismatchError,
    UnreadableError,
)
from vsearch.ingest import Run, attempted, encoded, gone, holds, pooled
from vsearch.media.ahead import ahead
from vsearch.media.video import Sampler
from vsearch.plugins import encoder as make_encoder
from vsearch.pooler import pooler_for
from vsearch.types import Ingested, Outcome, Switch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from vsearch.catalog.repository import Catalog
    from vsearch.config import Settings
    from vsearch.ingest import Stores
    from vsearch.model import Model
    from vsearch.protocols import Encoder, Pooler
    from vsearch.search.current import CurrentIndex
    from vsearch.types import Features, FrameBatch, KnownSpace, Progress, Space, Video

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Goal:
    """The space to go to and what leads there."""

    space: Space
    model: str
    pooler: Pooler
    lend: Callable[[], Encoder]  # asked when there is something to encode
    made: Encoder | None  # where it had to be made to know the space

    def named(self, before: Space | None) -> dict[str, str]:
        """The settings that go with it; the words of the model before are of no use to another."""
        named = {"model": self.model}
        return named if before == self.space else {**named, "text_model": ""}


class Reembedding:
    """Brings a library to its goal. Only the holder of the lock may."""

    def __init__(
        self,
        stores: Stores,
        goal: Goal,
        *,
        forget: Callable[[Space], None],
        keep: bool,
        hwaccel: str = "",
    ) -> None:
        """`forget` drops the index of a space, `keep` keeps the frames of what is decoded."""
        self._stores, self._goal, self._forget, self._keep = stores, goal, forget, keep
        self._hwaccel = hwaccel
        self._described: set[int] = set()  # ids of the videos that have features in the goal

    def run(
        self,
        *,
        skip_missing: bool,
        progress: Callable[[Progress], None],
        each: Callable[[Ingested], None],
    ) -> Switch:
        """Embed what is missing, then switch, unless a video failed and may not be skipped."""
        catalog, goal = self._stores.catalog, self._goal
        before = catalog.space()
        self._prepare(before)
        self._described = catalog.described_in(goal.space)
        todo = catalog.lacking(goal.space)
        sizes, failed = Run([video.size for video in todo], progress), []
        for number, video in enumerate(todo):
            one = self._embedded(video, sizes.reporter(video.path, number))
            sizes.finished(number)
            each(one)
            if one.error is not None:
                failed.append(one)
        done = not failed or (skip_missing and len(failed) < catalog.counts().videos)
        if done:
            with catalog.begin() as change:
                change.name_model(goal.space, goal.model)
                if before != goal.space:
                    change.switch_space(goal.space)
        embedded = len(todo) - len(failed)
        return Switch(goal.model, goal.space, before, done, embedded, tuple(failed))

    def _prepare(self, before: Space | None) -> None:
        """Note the goal in the catalogue; raises SpaceMismatchError if two poolers would mix."""
        catalog, goal = self._stores.catalog, self._goal
        if goal.space != before:
            if goal.pooler.name not in {
                known.pooler for known in catalog.spaces() if known.space == goal.space
            }:
                self._forget(goal.space)  # first: its vectors are replaced, their ids stay
            with catalog.begin() as change:
                change.prepare_space(goal.space, goal.model, goal.pooler.name)
        elif catalog.pooler() not in (None, goal.pooler.name):
            raise SpaceMismatchError(
                f"the library's segments are pooled by {catalog.pooler()}, not {goal.pooler.name}: "
                "run `vsearch rebuild` first, to pool them anew"
            )

    def _embedded(self, video: Video, progress: Callable[[float, float], None]) -> Ingested:
        def work() -> Ingested:
            self._embed(video, lambda time: progress(time, video.duration))
            return Ingested(video.path, Outcome.EMBEDDED, video)

        return attempted(video.path, work)

    def _embed(self, video: Video, progress: Callable[[float], None]) -> None:
        """Give every segment of a video its vector; the features are stored before."""
        catalog, space = self._stores.catalog, self._goal.space
        segments = catalog.segments_of(video.id)
        stored = self._stored(video)
        features = stored or self._seen(video, progress)
        vectors = pooled(features, [segment.span for segment in segments], self._goal.pooler)
        if stored is None:
            self._stores.features.save(video.id, features)
        with catalog.begin() as change:
            change.add_vectors(np.array([segment.id for segment in segments]), vectors, space)
            if stored is None:
                change.add_features(video.id, space, self._goal.model)

    def _stored(self, video: Video) -> Features | None:
        """The features of a video in the new space, where an earlier run made them."""
        if video.id not in self._described:
            return None
        try:
            return self._stores.features.load(video.id, self._goal.space)
        except DamagedLibraryError as error:
            log.info("%s", error)
            return None

    def _seen(self, video: Video, progress: Callable[[float], None]) -> Features:
        """The features of a video from its kept frames, else from the video itself."""
        if self._stores.frames.has(video.id):
            try:
                return self._from_frames(video, progress)
            except DamagedLibraryError as error:
                log.warning("%s", error)
        return self._from_video(video, progress)

    def _from_frames(self, video: Video, progress: Callable[[float], None]) -> Features:
        features = self._encoded(self._stores.frames.batches(video.id), progress)
        if features is None or len(features.times) != video.frames:
            raise DamagedLibraryError(f"{video.path}: its kept frames are not those it was made of")
        return features

    def _from_video(self, video: Video, progress: Callable[[float], None]) -> Features:
        _check_unchanged(video)
        frames = self._stores.frames
        with frames.keeping() if self._keep else nullcontext() as keeper:
            sampler = Sampler(
                video.path,
                fps=self._stores.catalog.sampled_at(video.id),
                short_side=self._goal.lend().image_size,
                keep=keeper.add if keeper else None,
                keyframes=video.keyframes,
                hwaccel=self._hwaccel,
            )
            with ahead(sampler) as batches:
                features = self._encoded(batches, progress)
        if features is None:
            raise NoPictureError(f"{video.path}: no frame can be decoded any more; copy it again")
        if self._keep:  # those that were there are damaged
            frames.claim(video.id)
        return features

    def _encoded(
        self, batches: Iterable[FrameBatch], progress: Callable[[float], None]
    ) -> Features | None:
        encoder = self._goal.lend()
        if encoder.space != self._goal.space:
            raise SpaceMismatchError(
                f"{self._goal.model} is now {encoder.space.name}, not {self._goal.space.name} as "
                f"it was: `vsearch model use {self._goal.model}` embeds the library anew"
            )
        return encoded(batches, encoder, progress)


def goal_of(
    name: str | None,
    folder: Path,
    catalog: Catalog,
    settings: Settings,
    encoder: Encoder | None,
) -> Goal:
    """The space of a model by its name, or that which answered before; `encoder` stands in for it.

    Raises ModelError, and LibraryError where there was no other space.
    """
    known = previous(catalog) if name is None else None
    model = absolute(name or (known and known.model) or "")
    lend = cache(lambda: encoder or make_encoder(model, settings.device))
    made = lend() if known is None else None
    space = known.space if known is not None else lend().space
    noted = next((one.pooler for one in catalog.spaces() if one.space == space), None)
    here = space == catalog.space()
    pooler = pooler_for(settings.pooler, folder, space, noted, or_best=not here)
    return Goal(space, model, pooler, lend, made)


def note_model(catalog: Catalog, model: Model) -> None:
    """Note which model the library has had, where an older vsearch did not."""
    for known in catalog.spaces():
        if known.in_use and known.model is None:
            with suppress(ModelError, SpaceMismatchError):
                model.check(known.space)
                with catalog.begin() as change:
                    change.name_model(known.space, absolute(model.settings.model))


def counted(stores: Stores, index: CurrentIndex, known: KnownSpace) -> KnownSpace:
    """The same with how many videos are wholly in it, and its size on disk."""
    space, catalog = known.space, stores.catalog
    videos = catalog.counts().videos - len(catalog.lacking(space))
    size = catalog.vector_bytes(space) + stores.features.size(space) + index.size(space)
    return replace(known, videos=videos, size=size)


def previous(catalog: Catalog) -> KnownSpace:
    """The space that answered before the present one. Raises LibraryError if there is none."""
    left = [known for known in catalog.spaces() if known.answered_until and not known.in_use]
    if not left:
        raise LibraryError("the library has had no other model; `vsearch model use NAME` names one")
    last = max(left, key=lambda known: known.answered_until or 0)
    if last.model is None:
        raise LibraryError(
            f"which model made {last.space.name} was not noted: name it by `vsearch model use NAME`"
        )
    return last


def meant(catalog: Catalog, name: str) -> KnownSpace:
    """The space of that name or of the model of that name, not the one in use.

    Raises LibraryError if there is none.
    """
    known = [one for one in catalog.spaces() if name in (one.space.name, one.model)]
    unused = [one for one in known if not one.in_use]
    if unused:
        return unused[-1]
    if known:
        raise LibraryError(
            f"{name} is in use: choose another model first, by `vsearch model use` or `model back`"
        )
    names = ", ".join(one.model or one.space.name for one in catalog.spaces())
    raise LibraryError(f"the library knows no model or space {name!r}; it has {names or 'none'}")


def drop(stores: Stores, space: Space) -> None:
    """Delete a space that is not in use. Whenever it is killed, running it again ends it."""
    with stores.catalog.begin() as change:
        change.remove_vectors(space)
        change.remove_features(space)
    stores.features.drop(space)
    with stores.catalog.begin() as change:
        change.remove_space(space)


def _check_unchanged(video: Video) -> None:
    """The segments were cut in the file as it was: another content must not be put into them."""
    if gone(video.path):
        raise UnreadableError(
            f"{video.path}: the file is gone; bring it back and index its new place, or forget it "
            "by `vsearch remove --missing`"
        )
    if not holds(video, video.fingerprint):
        raise UnreadableError(
            f"{video.path}: has changed since it was indexed, or cannot be read; `vsearch index` it"
        )
