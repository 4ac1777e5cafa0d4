"""Make small videos with audio: each scene has its own tone, or is silent."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from tests.support.video_factory import ColorScene, render_frames

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

SAMPLE_RATE = 44_100


@dataclass(frozen=True, slots=True)
class SoundScene:
    """A scene and its tone."""

    scene: ColorScene
    tone_hz: float = 0.0  # 0: silence


def make_sound_video(
    video_path: Path,
    sound_scenes: Sequence[SoundScene],
    *,
    fps: int = 10,
    frame_size: tuple[int, int] = (64, 48),
    gop_size: int = 12,
    audio_layout: str = "stereo",
    codec: str = "aac",
    late_frames: int = 0,
) -> Path:
    """Write a video whose tones start and end with their scenes.

    `late_frames` delays the video stream by that number of frames.
    """
    with av.open(str(video_path), "w") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = *frame_size, "yuv420p"
        video.gop_size = gop_size
        video.options = {"preset": "ultrafast", "qp": "18"}
        audio = container.add_stream(codec, rate=SAMPLE_RATE)
        assert isinstance(audio, av.AudioStream)
        audio.codec_context.layout = audio_layout
        images = list(
            render_frames(
                [sound_scene.scene for sound_scene in sound_scenes], fps=fps, frame_size=frame_size
            )
        )
        samples = np.concatenate([_tone_samples(sound_scene) for sound_scene in sound_scenes])
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = index + late_frames, Fraction(1, fps)
            container.mux(video.encode(frame))
            frame_samples = samples[index * SAMPLE_RATE // fps : (index + 1) * SAMPLE_RATE // fps]
            container.mux(
                audio.encode(
                    _make_audio_frame(frame_samples, index * SAMPLE_RATE // fps, audio_layout)
                )
            )
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return video_path


def decode_left_channel(video_path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """Decode the left audio channel with PyAV: float32 (N,) from 0 s, and its sample rate."""
    with av.open(str(video_path)) as container:
        stream = container.streams.audio[0]
        sample_blocks = [
            frame.to_ndarray()[0] for frame in container.decode(stream) if (frame.pts or 0) >= 0
        ]
        return np.concatenate(sample_blocks).astype(np.float32), stream.rate


def _tone_samples(sound_scene: SoundScene) -> npt.NDArray[np.float32]:
    sample_times = np.arange(round(sound_scene.scene.seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.5 * np.sin(2 * np.pi * sound_scene.tone_hz * sample_times)).astype(np.float32)


def _make_audio_frame(
    samples: npt.NDArray[np.float32], pts: int, audio_layout: str
) -> av.AudioFrame:
    channels = av.AudioLayout(audio_layout).nb_channels
    channel_samples = np.ascontiguousarray(np.tile(samples, (channels, 1)))
    frame = av.AudioFrame.from_ndarray(channel_samples, format="fltp", layout=audio_layout)
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, pts, Fraction(1, SAMPLE_RATE)
    return frame
