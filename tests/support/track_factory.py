"""Make videos with several audio tracks, or with sound that begins or ends with another time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from tests.support.video_factory import GREEN, ColorScene, render_frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

SAMPLE_RATE = 48_000
FRAME_SAMPLES = 960  # 20 ms


@dataclass(frozen=True, slots=True)
class ToneTrack:
    """An audio track with a tone at some times."""

    tones: Sequence[tuple[float, float]] = ()  # start and end in seconds, in the video's time
    seconds: float = 6.0  # end of the track, in the video's time
    start: float = 0.0  # in the video's time
    gaps: Sequence[tuple[float, float]] = ()  # without packets
    language: str | None = None
    title: str = ""
    disposition: int = 0
    tone_hz: float = 400.0
    samples: npt.NDArray[np.float32] | None = None  # (N,) at SAMPLE_RATE, instead of tones


def make_tracks_video(
    video_path: Path, tracks: Sequence[ToneTrack], *, picture_seconds: float = 6.0
) -> Path:
    """Write a video with audio tracks and return its path. PCM in .mkv, else AAC."""
    codec = "pcm_s16le" if video_path.suffix == ".mkv" else "aac"
    with av.open(str(video_path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.options = {"preset": "ultrafast", "qp": "18"}
        streams = []
        for track in tracks:
            stream = container.add_stream(codec, rate=SAMPLE_RATE)
            assert isinstance(stream, av.AudioStream)
            stream.codec_context.layout = "mono"
            stream.disposition = av.stream.Disposition(track.disposition)
            if track.language:
                stream.metadata["language"] = track.language
            if track.title:
                stream.metadata["title"] = track.title
            streams.append(stream)
        images = render_frames([ColorScene(GREEN, picture_seconds)], fps=10, frame_size=(64, 48))
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for track, stream in zip(tracks, streams, strict=True):
            for audio_frame in _iter_frames(track):
                container.mux(stream.encode(audio_frame))
            container.mux(stream.encode(None))
    return video_path


def _iter_frames(track: ToneTrack) -> Iterator[av.AudioFrame]:
    for frame_start in np.arange(track.start, track.seconds, FRAME_SAMPLES / SAMPLE_RATE):
        if any(start <= frame_start < end for start, end in track.gaps):
            continue
        first_sample = round(frame_start * SAMPLE_RATE)
        times = (first_sample + np.arange(FRAME_SAMPLES)) / SAMPLE_RATE
        if track.samples is None:
            is_loud = np.any(
                [(times >= start) & (times < end) for start, end in track.tones], axis=0
            )
            samples = 0.5 * np.sin(2 * np.pi * track.tone_hz * times) * is_loud
        else:
            samples = np.zeros(FRAME_SAMPLES)
            known = track.samples[first_sample : first_sample + FRAME_SAMPLES]
            samples[: len(known)] = known
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None].astype(np.float32)),
            format="fltp",
            layout="mono",
        )
        frame.sample_rate, frame.pts = SAMPLE_RATE, first_sample
        frame.time_base = Fraction(1, SAMPLE_RATE)
        yield frame
