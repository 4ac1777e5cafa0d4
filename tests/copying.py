"""Copies of videos as people make them: cut, cropped, half the size, another frame rate."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from vsearch.media.video import Sampler, probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from vsearch.types import Images, Span


@dataclass(frozen=True, slots=True)
class Copying:
    """How a copy differs from its source."""

    fps: float = 15.0
    scale: float = 0.5  # of the size
    crop: float = 0.1  # of width and height, taken off anywhere
    gain: float = 1.0  # of the brightness
    quality: int = 28  # x264's crf: larger is worse


def shown(path: Path, span: Span, fps: float, short_side: int) -> Iterator[Images]:
    """The pictures seen at span.start + k / fps, uint8 (H, W, 3), each as often as it is seen."""
    sampled = Sampler(path, fps=fps, short_side=short_side, span=span)
    frames = (
        (i, float(t)) for batch in sampled for i, t in zip(batch.images, batch.times, strict=True)
    )
    image, _ = next(frames)
    following = next(frames, None)
    for k in range(max(1, round(span.duration * fps))):
        while following is not None and following[1] <= span.start + k / fps + 1e-3:
            image, following = following[0], next(frames, None)
        yield image


def copy(source: Path, span: Span, target: Path, how: Copying, rng: np.random.Generator) -> Path:
    """A re-encoded part of a video."""
    return write(target, copied(source, span, how, rng), how.fps, how.quality)


def copied(source: Path, span: Span, how: Copying, rng: np.random.Generator) -> Iterator[Images]:
    """The pictures of a copy, cropped at one random place."""
    info = probe(source)
    side = max(48, round(min(info.width, info.height) * how.scale / (1 - how.crop)))
    down, right = rng.uniform(0, 1, 2)
    for image in shown(source, span, how.fps, side):
        height, width = image.shape[:2]
        h, w = (round(length * (1 - how.crop)) // 2 * 2 for length in (height, width))
        y, x = int(down * (height - h)), int(right * (width - w))
        part = image[y : y + h, x : x + w].astype(np.float32) * how.gain
        yield part.clip(0, 255).astype(np.uint8)


def write(target: Path, images: Iterable[Images], fps: float, quality: int) -> Path:
    """Encode pictures of one size, uint8 (H, W, 3), as H.264."""
    rate = Fraction(fps).limit_denominator(1000)
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": str(quality)}
        for number, image in enumerate(images):
            if not number:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image))
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target


def joined(
    target: Path, parts: Sequence[tuple[Path, Span]], *, fps: float = 25.0, size: int = 360
) -> Path:
    """Parts of videos one after the other, each in the middle of a black 16:9 picture."""
    width = size * 16 // 9 // 2 * 2

    def framed() -> Iterator[Images]:
        for path, span in parts:
            for image in shown(path, span, fps, size):
                canvas = np.zeros((size, width, 3), np.uint8)
                h, w = min(size, image.shape[0]), min(width, image.shape[1])
                y, x = (image.shape[0] - h) // 2, (image.shape[1] - w) // 2
                top, left = (size - h) // 2, (width - w) // 2
                canvas[top : top + h, left : left + w] = image[y : y + h, x : x + w]
                yield canvas

    return write(target, framed(), fps, 20)


def wandering(seconds: float, seed: int, *, fps: float = 10, side: int = 72) -> Iterator[Images]:
    """Colours that drift into others, never the same again: uint8 (side, side * 4 / 3, 3)."""
    rng = np.random.default_rng(seed)
    before, after = rng.integers(0, 256, (2, 6, 8, 3)).astype(np.float32)
    for k in range(round(seconds * fps)):
        now = k / fps % 2.5 / 2.5  # a new picture every 2.5 seconds
        if k and now < 1 / fps / 2.5:
            before, after = after, rng.integers(0, 256, (6, 8, 3)).astype(np.float32)
        mixed = (before * (1 - now) + after * now).repeat(side // 6, 0).repeat(side // 6, 1)
        yield mixed.astype(np.uint8)
