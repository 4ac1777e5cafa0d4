"""Small videos with sound for tests: each scene has a tone of its own, or is silent."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from synth import Scene, frames

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

RATE = 44_100


@dataclass(frozen=True, slots=True)
class Sounding:
    """A scene and its tone."""

    scene: Scene
    tone: float = 0.0  # hertz; 0 is silence


def make_film(
    path: Path,
    parts: Sequence[Sounding],
    *,
    fps: int = 10,
    size: tuple[int, int] = (64, 48),
    gop: int = 12,
    layout: str = "stereo",
    codec: str = "aac",
    late: int = 0,
) -> Path:
    """Write a video whose tones begin and end with their scenes; pictures so many frames late."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.gop_size = gop
        video.options = {"preset": "ultrafast", "qp": "18"}
        audio = container.add_stream(codec, rate=RATE)
        assert isinstance(audio, av.AudioStream)
        audio.codec_context.layout = layout
        images = list(frames([part.scene for part in parts], fps=fps, size=size))
        samples = np.concatenate([_tone(part) for part in parts])
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = index + late, Fraction(1, fps)
            container.mux(video.encode(frame))
            here = samples[index * RATE // fps : (index + 1) * RATE // fps]
            container.mux(audio.encode(_audio(here, index * RATE // fps, layout)))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def heard(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """The sound of a file, by PyAV alone: float32 (N,) of the left side, from 0 s, and its rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        pieces = [
            frame.to_ndarray()[0] for frame in container.decode(stream) if (frame.pts or 0) >= 0
        ]
        return np.concatenate(pieces).astype(np.float32), stream.rate


def _tone(part: Sounding) -> npt.NDArray[np.float32]:
    times = np.arange(round(part.scene.seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * part.tone * times)).astype(np.float32)


def _audio(samples: npt.NDArray[np.float32], pts: int, layout: str) -> av.AudioFrame:
    channels = av.AudioLayout(layout).nb_channels
    block = np.ascontiguousarray(np.tile(samples, (channels, 1)))
    frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = RATE, pts, Fraction(1, RATE)
    return frame
