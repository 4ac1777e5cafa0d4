"""Rank audio tracks by the speech in samples of them, without recognizing any word."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from vsearch.media.audio import read_mono
from vsearch.transcripts.speech import SAMPLE_RATE, SpeechDetector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.media.audio_tracks import AudioTrack
    from vsearch.transcripts.speech import MonoSamples, SpeechRecognizer

_WINDOW_COUNT = 10
_WINDOW_SECONDS = 20  # a shorter video is listened to as a whole
_MIN_SPEECH_SECONDS = 0.5  # in all windows together; less may be a false alarm
_SILENCE_AMPLITUDE = 1e-3  # -60 dB


def rank_tracks(
    video_path: Path, tracks: Sequence[AudioTrack], duration: float, recognizer: SpeechRecognizer
) -> list[AudioTrack]:
    """Sort tracks so that those with speech come first, and silent ones last.

    Tracks after the first one with speech are not examined. If the recognizer is not a
    `SpeechDetector`, only silence is distinguished from sound.

    Args:
        video_path: The video.
        tracks: Its tracks, the preferred one first.
        duration: Of the video, in seconds.
        recognizer: The speech recognizer.

    Returns:
        The same tracks.
    """
    if len(tracks) < 2:
        return list(tracks)
    ranks: dict[int, int] = {}  # by track number; lower is better
    for track in tracks:
        ranks[track.number] = _rate_track(video_path, track, duration, recognizer)
        if ranks[track.number] == 0:
            break
    return sorted(tracks, key=lambda track: ranks.get(track.number, 1))


def _rate_track(
    video_path: Path, track: AudioTrack, duration: float, recognizer: SpeechRecognizer
) -> int:
    """Return 0 for a track with speech, 1 for one with other sound, 2 for a silent one."""
    speech_seconds, is_silent = 0.0, True
    for samples in _iter_windows(video_path, track, duration):
        if np.abs(samples).max(initial=0.0) < _SILENCE_AMPLITUDE:
            continue
        is_silent = False
        if isinstance(recognizer, SpeechDetector):
            speech_seconds += recognizer.measure_speech(samples)
        if speech_seconds >= _MIN_SPEECH_SECONDS:
            return 0
    return 2 if is_silent else 1


def _iter_windows(video_path: Path, track: AudioTrack, duration: float) -> Iterator[MonoSamples]:
    """Yield samples at places spread evenly over a video."""
    total_seconds = _WINDOW_COUNT * _WINDOW_SECONDS
    for window_index in range(_WINDOW_COUNT):
        start_time = window_index * max(duration, total_seconds) / _WINDOW_COUNT
        with closing(
            read_mono(
                video_path,
                SAMPLE_RATE,
                track_number=track.number,
                start_time=start_time,
                picture_end=duration,
            )
        ) as audio_blocks:
            blocks: list[MonoSamples] = []
            missing_samples = _WINDOW_SECONDS * SAMPLE_RATE
            while missing_samples > 0 and (block := next(audio_blocks, None)) is not None:
                blocks.append(block)
                missing_samples -= len(block)
        if not blocks:
            return
        yield np.concatenate(blocks)
