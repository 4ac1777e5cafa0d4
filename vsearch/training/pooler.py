"""A pooler trained on a library's own stored features, and whether it may be installed.

It learns from clips of the library mixed with junk, and from captions where there are some; whole
videos are held out, and on those it has to pass the gate (`evaluation/gate.py`).
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DatasetError
from vsearch.evaluation.gate import (
    Case,
    Gate,
    encoded_junk,
    evenly,
    gate,
    hopeless,
    junk_pictures,
)
from vsearch.plugins import needed_by
from vsearch.pooler import AUTO, pooler_for
from vsearch.search.querybank import Querybank
from vsearch.temporal.learned import TransformerPooler
from vsearch.temporal.mixing import Clip
from vsearch.temporal.pooling import MeanPooler
from vsearch.temporal.robust import Example
from vsearch.temporal.weights import PRESETS, Weights
from vsearch.training.sequences import Sequences

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import Dataset
    from vsearch.library import Library
    from vsearch.protocols import Encoder, Pooler
    from vsearch.temporal.mixing import Random
    from vsearch.types import Features, Span, Vector, Video

JUNK = 140  # pictures drawn to learn from
LONGEST = 48  # frames of a clip
RATE = 4e-4
SAID = 0.5  # share of the clips that have a caption, where there are captions
HELD, LEAST = 256, 10  # clips to judge by, and how many are too few to
MOST = 2_000  # captions to judge by


@dataclass(frozen=True, slots=True)
class PoolerTraining:
    """A pooler that was trained, not yet installed, and how good it is."""

    weights: Weights
    gate: Gate
    steps: int
    seconds: float
    videos: int  # learnt from
    left_out: tuple[str, ...]  # in words


class LibraryClips:
    """A `robust.Source`: stretches of a library's videos, some with what is said of them."""

    def __init__(
        self, library: Library, encoder: Encoder, dataset: Dataset | None, seed: int
    ) -> None:
        self.sequences = Sequences(library, longest=LONGEST, least=2, seed=seed)
        self.junk = encoded_junk(encoder, JUNK, seed)
        self._said = self._described(encoder, dataset, self.sequences.train)
        self._held_said = self._described(encoder, dataset, self.sequences.held)[:MOST]

    @property
    def digest(self) -> str:
        """Names the data."""
        texts = b"".join(each.text.tobytes() for each in self._said)
        told = hashlib.sha256(self.junk.tobytes() + texts).hexdigest()
        return f"{self.sequences.digest} {told}"

    def draw(self, random: Random) -> Example:
        """A clip to learn from."""
        if self._said and random.random() < SAID:
            said = self._shown(self._said[int(random.integers(0, len(self._said)))])
            if said is not None:
                return said
        drawn = self.sequences.draw(int(random.integers(0, 1 << 62)), 1)[0]
        frames, times = drawn.features.matrix, drawn.features.times
        length = int(np.exp(random.uniform(np.log(2), np.log(len(times) + 1))))
        start = int(random.integers(0, len(times) - length + 1))
        part = slice(start, start + length)
        return Example(Clip.of(frames[part], times[part]), None, drawn.video.id)

    def held(self) -> Sequence[Example]:
        """Clips of held-out videos, always the same ones."""
        return [
            Example(Clip.of(each.features.matrix, each.features.times), None, each.video.id)
            for each in self.sequences.judged(HELD)
        ]

    def held_said(self) -> Sequence[Example]:
        """What is said of held-out videos, 2,000 rows at most."""
        shown = map(self._shown, self._held_said)
        return [each for each in shown if each is not None]

    def _described(
        self, encoder: Encoder, dataset: Dataset | None, videos: Sequence[Video]
    ) -> list[_Said]:
        known = {video.path: video for video in videos}
        asked = [item for item in dataset.items if item.path in known] if dataset else []
        texts = encoder.encode_texts([item.caption for item in asked])
        return [
            _Said(known[item.path], item.span, text)
            for item, text in zip(asked, texts, strict=True)
        ]

    def _shown(self, said: _Said) -> Example | None:
        """The frames, which are loaded only now, and the words; None where they do not load."""
        features = self.sequences.load(said.video)
        if features is None:
            return None
        within = features.within(said.span) if said.span else features
        return Example(evenly(_clip(within)), said.text, said.video.id)


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """Words about a span of a video, or all of it."""

    video: Video
    span: Span | None
    text: Vector  # float32 (D,)


def train_pooler(
    library: Library,
    dataset: Dataset | None = None,
    *,
    folder: Path,
    steps: int,
    seed: int = 0,
    device: str = "auto",
    start: Weights | None = None,
    anyway: bool = False,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> PoolerTraining:
    """Learn a pooler; checkpoints and the log are in `folder`, where a killed run goes on.

    `start` are pretrained weights. Nothing is decoded or installed: see `install`. Raises
    DatasetError for a library that is too small to judge by, unless it is to be trained `anyway`,
    and MissingExtraError without torch.
    """
    with needed_by("training"):
        from vsearch.encoders.device import Device  # deferred: bring torch
        from vsearch.temporal.robust import RobustPooling
        from vsearch.temporal.training import Recipe, train
    began = time.monotonic()
    encoder = library.encoder
    source = LibraryClips(library, encoder, dataset, seed)
    case = judged(source, encoder)
    if not anyway and (share := hopeless(case)) is not None:
        raise DatasetError(
            f"{library.path}: among {len(case.clips)} clips of held-out videos the mean already "
            f"finds {share:.0%} with junk, so nothing could gain six points there. Index more "
            "videos, or name captions that are harder to tell apart"
        )
    config = replace(PRESETS["small"], features=encoder.space.dim)
    lesson = RobustPooling(config, source, seed, start)
    where = Device.choose(device).kind
    recipe = Recipe(
        steps=steps,
        rate=RATE,
        seed=seed,
        every=max(1, min(100, steps // 5)),
        device=where,
        half=where == "cuda",
    )
    now = train(lesson, recipe, folder, lambda now: progress(now.step, steps))
    videos = len(source.sequences.train)
    told = {"space": encoder.space.name, "videos": videos, "seed": seed, "steps": now.best_step}
    weights = lesson.weights(told).half
    found = gate(case, TransformerPooler.of(weights), _in_use(library))
    seconds, left_out = time.monotonic() - began, source.sequences.left_out
    return PoolerTraining(weights, found, now.step, seconds, videos, left_out)


def _in_use(library: Library) -> Pooler | None:
    """The trained pooler of the library's segments, if it is not the mean."""
    found = pooler_for(
        AUTO, library.path, library.encoder.space, library.info().pooler, or_best=True
    )
    return None if isinstance(found, MeanPooler) else found


def judged(source: LibraryClips, encoder: Encoder) -> Case:
    """What the gate asks: captions of held-out videos, or the other half of each clip's frames."""
    junk, said = junk_pictures(encoder), source.held_said()
    if len(said) >= LEAST:
        numbers = np.array([each.number for each in said])
        queries = np.stack([each.text for each in said if each.text is not None])
        relevant = numbers[:, None] == numbers
        return Case(
            tuple(each.clip for each in said), queries, relevant, junk, Querybank.of(encoder)
        )
    held = [each for each in source.held() if len(each.clip.times) >= 4]
    if len(held) < LEAST:
        raise DatasetError(
            f"{len(held)} clips of held-out videos are too few to judge a pooler by; {LEAST} of "
            "four frames and more are the least: `vsearch index` more videos"
        )
    numbers = np.array([each.number for each in held])
    halves = [(_every_second(each.clip, 0), _every_second(each.clip, 1)) for each in held]
    queries = np.stack([half.target for _, half in halves])
    relevant = numbers[:, None] == numbers
    bank = Querybank.empty(encoder.space.dim)
    return Case(tuple(half for half, _ in halves), queries, relevant, junk, bank)


def install(library: Library, training: PoolerTraining, *, force: bool = False) -> bool:
    """Pool the library by it from now on if it passed the gate, or by `force`; whether it is used.

    Every segment is pooled anew, nothing is decoded. Raises LockedError.
    """
    if training.gate.passed or force:
        library.use_pooler(training.weights)
    return training.gate.passed or force


def _clip(features: Features) -> Clip:
    return Clip.of(features.matrix, features.times)


def _every_second(clip: Clip, first: int) -> Clip:
    part = slice(first, None, 2)
    return Clip(clip.frames[part], clip.times[part], clip.clean[part])
