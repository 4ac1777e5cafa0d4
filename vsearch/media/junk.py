"""Pictures that real footage is full of and nobody looks for: black, title cards, blur, flashes.

Drawn, so that no footage is needed: a pooler learns on them what to pass over, and is judged with
others of them (`evaluation/gate.py`). The same random generator gives the same pictures.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.types import Images

Picture: TypeAlias = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Random: TypeAlias = np.random.Generator

WIDTH, HEIGHT = 320, 224  # pixels
WORDS = re.findall(
    r"\S+",
    "the end chapter one two three part directed by presents a film scene episode story music "
    "production next time previously subscribe thanks for watching introduction summary day night "
    "please stand by loading copyright 2019 1998 live news tonight coming soon credits starring "
    "welcome to how it works official trailer season finale season 4 lecture week questions",
)


def drawn(count: int, seed: int) -> Images:
    """Uint8 (N, 224, 320, 3): black, flat, title cards, blobs out of focus, noise and test bars."""
    kinds: tuple[Callable[[Random], Picture], ...] = (
        _black,
        _flat,
        _title,
        _title,
        _blobs,
        _noise,
        _bars,
    )
    random = np.random.default_rng(seed)
    return np.stack([kinds[number % len(kinds)](random) for number in range(count)])


def spoiled(picture: Picture, random: Random) -> Picture:
    """The same picture out of focus, shaken, over- or underexposed: uint8 (H, W, 3)."""
    kind = int(random.integers(0, 4))
    if kind == 0:
        radius = float(random.uniform(0.03, 0.12)) * min(picture.shape[:2])
        return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))
    if kind == 1:
        return _shaken(picture, float(random.uniform(0.1, 0.4)))
    light = picture.astype(np.float32)
    if kind == 2:
        light = 255 - (255 - light) * float(random.uniform(0.03, 0.25))  # a flash
    else:
        light = light * float(random.uniform(0.02, 0.15))  # fading to black
    light += random.normal(0, 3, light.shape)
    return _picture(light)


def cropped(picture: Picture, random: Random) -> Picture:
    """As if the camera had moved on a little: a part of it, lighter or darker."""
    height, width = picture.shape[:2]
    zoom = float(random.uniform(0.5, 0.95))
    h, w = max(1, int(height * zoom)), max(1, int(width * zoom))
    top, left = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
    light = picture[top : top + h, left : left + w].astype(np.float32)
    return _picture(light * float(random.uniform(0.75, 1.25)) + float(random.uniform(-15, 15)))


def _shaken(picture: Picture, share: float) -> Picture:
    """Smeared to the side over a share of its width."""
    reach = max(2, int(share * picture.shape[1]))
    sums = np.cumsum(picture.astype(np.float32), axis=1)
    right = sums[:, np.minimum(np.arange(picture.shape[1]) + reach, picture.shape[1] - 1)]
    counts = np.minimum(reach, picture.shape[1] - 1 - np.arange(picture.shape[1]))
    smeared = (right - sums) / np.maximum(counts, 1)[None, :, None]
    smeared[:, counts < 1] = picture[:, counts < 1]
    return _picture(smeared)


def _black(random: Random) -> Picture:
    level, grain = random.uniform(0, 24), random.uniform(0, 6)
    return _picture(random.normal(level, grain, (HEIGHT, WIDTH, 3)))


def _flat(random: Random) -> Picture:
    """One colour, or one that passes into another."""
    one, other = random.uniform(0, 255, (2, 3))
    if random.random() < 0.5:
        other = one
    along = np.linspace(0, 1, HEIGHT if random.random() < 0.5 else WIDTH)[:, None]
    ramp = one + along * (other - one)
    full = ramp[:, None] if len(ramp) == HEIGHT else ramp[None]
    return _picture(
        np.broadcast_to(full, (HEIGHT, WIDTH, 3)) + random.normal(0, 2, (HEIGHT, WIDTH, 1))
    )


def _title(random: Random) -> Picture:
    """Some lines of words on something plain."""
    ground = [_black, _flat, _blobs][int(random.integers(0, 3))](random)
    image = Image.fromarray(ground)
    draw, bright = ImageDraw.Draw(image), float(ground.mean()) < 128
    colour = tuple(
        int(each) for each in (random.uniform(190, 256, 3) if bright else random.uniform(0, 60, 3))
    )
    for _ in range(int(random.integers(1, 4))):
        words = " ".join(random.choice(WORDS, int(random.integers(1, 5))))
        words = [words.title(), words.upper(), words][int(random.integers(0, 3))]
        font = ImageFont.load_default(size=int(random.integers(14, 44)))
        where = (int(random.integers(5, WIDTH // 2)), int(random.integers(5, HEIGHT - 50)))
        draw.text(where, words, font=font, fill=colour)
    return np.asarray(image)


def _blobs(random: Random) -> Picture:
    """Colours out of focus."""
    small = Image.fromarray(random.integers(0, 256, (4, 6, 3)).astype(np.uint8))
    large = small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    return np.asarray(large.filter(ImageFilter.GaussianBlur(float(random.uniform(5, 25)))))


def _noise(random: Random) -> Picture:
    """A station that does not send."""
    grain = int(random.integers(1, 4))
    rough = random.normal(
        random.uniform(60, 180),
        random.uniform(20, 90),
        (HEIGHT // grain + 1, WIDTH // grain + 1, 1),
    )
    return _picture(np.kron(rough, np.ones((grain, grain, 1)))[:HEIGHT, :WIDTH].repeat(3, axis=2))


def _bars(random: Random) -> Picture:
    """Upright or level bars, as a test card has."""
    colours = random.integers(0, 256, (int(random.integers(4, 10)), 3))
    level = random.random() < 0.3
    place = np.arange(HEIGHT if level else WIDTH) * len(colours) // (HEIGHT if level else WIDTH)
    row = colours[place]
    full = row[:, None] if level else row[None]
    return np.broadcast_to(full, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def _picture(values: npt.NDArray[np.float64] | npt.NDArray[np.float32]) -> Picture:
    return np.clip(values, 0, 255).astype(np.uint8)
