"""Films concatenated from random clips, with the ground truth of their scenes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch import Library
from vsearch.evaluation.datasets import read_dataset
from vsearch.export.mp4 import ClipSpan, export_clips
from vsearch.media.sampler import probe_video
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np

MIN_SCENE_SECONDS, MAX_SCENE_SECONDS = 3.0, 12.0
SCENES_PER_REEL = 10


@dataclass(frozen=True, slots=True)
class CaptionedClip:
    """A captioned video."""

    path: Path
    caption: str
    duration: float  # seconds


@dataclass(frozen=True, slots=True)
class ReelScene:
    """A caption and its span in a reel."""

    caption: str
    span: Span


@dataclass(frozen=True, slots=True)
class Reel:
    """A film and its scenes in order."""

    path: Path
    scenes: tuple[ReelScene, ...]


def load_clips(dataset_path: Path) -> list[CaptionedClip]:
    """Load the clips of a dataset that are long enough to be a scene."""
    all_clips = [
        CaptionedClip(item.video_path, item.caption, probe_video(item.video_path).duration)
        for item in read_dataset(dataset_path).items
    ]
    return [clip for clip in all_clips if clip.duration >= MIN_SCENE_SECONDS]


def make_reels(
    clips: Sequence[CaptionedClip], reel_count: int, folder: Path, rng: np.random.Generator
) -> list[Reel]:
    """Write films to a folder, sampling the clips evenly and each at most once per film.

    Existing films are reused; the samples from `rng` are the same in either case.
    """
    reel_clips = _sample_reels(len(clips), reel_count, rng)
    return [
        _make_reel(folder / f"{number}.mp4", [clips[i] for i in clip_indexes], rng)
        for number, clip_indexes in enumerate(reel_clips)
    ]


def reverse_reel(
    reel: Reel, clips: Sequence[CaptionedClip], folder: Path, rng: np.random.Generator
) -> Reel:
    """Concatenate the clips of a reel in reverse order, trimmed differently."""
    clip_by_caption = {clip.caption: clip for clip in clips}
    clip_order = [clip_by_caption[scene.caption] for scene in reversed(reel.scenes)]
    return _make_reel(folder / f"reversed {reel.path.name}", clip_order, rng)


def index_reels(folder: Path, reels: Sequence[Reel]) -> Library:
    """Index films into a library."""
    library = Library.open(folder, create=True)
    index_errors = [
        index_result.error
        for index_result in library.index([reel.path for reel in reels])
        if index_result.error
    ]
    assert not index_errors, index_errors
    return library


def _sample_reels(
    clip_count: int, reel_count: int, rng: np.random.Generator
) -> Iterator[list[int]]:
    """Yield the clip indices of each reel, evenly sampled and without duplicates in a reel."""
    remaining_clips: list[int] = []
    for _ in range(reel_count):
        sampled_clips: list[int] = []
        while len(sampled_clips) < min(SCENES_PER_REEL, clip_count):
            remaining_clips = remaining_clips or rng.permutation(clip_count).tolist()
            next_clip = next((clip for clip in remaining_clips if clip not in sampled_clips), None)
            if next_clip is None:
                remaining_clips += rng.permutation(clip_count).tolist()
                continue
            remaining_clips.remove(next_clip)
            sampled_clips.append(next_clip)
        yield sampled_clips


def _make_reel(
    target_path: Path, clip_order: Sequence[CaptionedClip], rng: np.random.Generator
) -> Reel:
    """Concatenate a random part of each clip."""
    parts = [_random_part(clip, rng) for clip in clip_order]
    spans_path = target_path.with_suffix(".json")
    if not spans_path.exists():
        target_path.parent.mkdir(parents=True, exist_ok=True)
        scene_spans = export_clips(parts, target_path, overwrite=True).output_spans
        spans_path.write_text(
            json.dumps([[scene_span.start, scene_span.end] for scene_span in scene_spans])
        )
    spans = [Span(*span_bounds) for span_bounds in json.loads(spans_path.read_text())]
    scenes = (ReelScene(clip.caption, span) for clip, span in zip(clip_order, spans, strict=True))
    return Reel(target_path, tuple(scenes))


def _random_part(clip: CaptionedClip, rng: np.random.Generator) -> ClipSpan:
    part_seconds = rng.uniform(MIN_SCENE_SECONDS, min(MAX_SCENE_SECONDS, clip.duration))
    start_seconds = rng.uniform(0, clip.duration - part_seconds)
    return ClipSpan(clip.path, Span(start_seconds, start_seconds + part_seconds))
