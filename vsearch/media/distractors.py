"""Draw distractors, images that footage is full of but that show nothing: black, title cards, blur.

They are synthetic, so that no footage is needed. A pooler learns to ignore them, and is tested on
others (`evaluation/pooler_gate.py`). The same random generator draws the same images.
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

RgbImage: TypeAlias = npt.NDArray[np.uint8]  # (H, W, 3) RGB
RandomGenerator: TypeAlias = np.random.Generator
DISTRACTOR_WIDTH, DISTRACTOR_HEIGHT = 320, 224  # pixels
TITLE_WORDS = re.findall(
    r"\S+",
    "the end chapter one two three part directed by presents a film scene episode story music "
    "production next time previously subscribe thanks for watching introduction summary day night "
    "please stand by loading copyright 2019 1998 live news tonight coming soon credits starring "
    "welcome to how it works official trailer season finale season 4 lecture week questions",
)


def draw_distractors(image_count: int, seed: int) -> Images:
    """Draw black, flat, title card, blurred, noise and test bar images in turn.

    Args:
        image_count: Number of images.
        seed: Random seed.

    Returns:
        uint8 (N, 224, 320, 3) RGB.
    """
    draw_functions: tuple[Callable[[RandomGenerator], RgbImage], ...] = (
        _draw_black,
        _draw_gradient,
        _draw_title_card,
        _draw_title_card,
        _draw_blobs,
        _draw_noise,
        _draw_bars,
    )
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            draw_functions[image_index % len(draw_functions)](rng)
            for image_index in range(image_count)
        ]
    )


def degrade_image(image: RgbImage, rng: RandomGenerator) -> RgbImage:
    """Blur, shake, over- or underexpose an image at random.

    Args:
        image: uint8 (H, W, 3) RGB.
        rng: Random generator.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    degradation = int(rng.integers(0, 4))
    if degradation == 0:
        blur_radius = float(rng.uniform(0.03, 0.12)) * min(image.shape[:2])
        return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(blur_radius)))
    if degradation == 1:
        return _blur_motion(image, float(rng.uniform(0.1, 0.4)))
    brightness = image.astype(np.float32)
    if degradation == 2:
        brightness = 255 - (255 - brightness) * float(rng.uniform(0.03, 0.25))  # flash
    else:
        brightness = brightness * float(rng.uniform(0.02, 0.15))  # fade to black
    brightness += rng.normal(0, 3, brightness.shape)
    return _clip_to_uint8(brightness)


def crop_randomly(image: RgbImage, rng: RandomGenerator) -> RgbImage:
    """Crop an image at random and vary its brightness, as if the camera had moved on.

    Args:
        image: uint8 (H, W, 3) RGB.
        rng: Random generator.

    Returns:
        uint8 (h, w, 3) RGB, half the size or larger.
    """
    height, width = image.shape[:2]
    zoom = float(rng.uniform(0.5, 0.95))
    crop_height, crop_width = max(1, int(height * zoom)), max(1, int(width * zoom))
    top, left = (
        int(rng.integers(0, height - crop_height + 1)),
        int(rng.integers(0, width - crop_width + 1)),
    )
    brightness = image[top : top + crop_height, left : left + crop_width].astype(np.float32)
    return _clip_to_uint8(brightness * float(rng.uniform(0.75, 1.25)) + float(rng.uniform(-15, 15)))


def _blur_motion(image: RgbImage, width_share: float) -> RgbImage:
    """Blur horizontally over a share of the width."""
    blur_width = max(2, int(width_share * image.shape[1]))
    cumulative_sums = np.cumsum(image.astype(np.float32), axis=1)
    shifted_sums = cumulative_sums[
        :, np.minimum(np.arange(image.shape[1]) + blur_width, image.shape[1] - 1)
    ]
    pixel_counts = np.minimum(blur_width, image.shape[1] - 1 - np.arange(image.shape[1]))
    blurred = (shifted_sums - cumulative_sums) / np.maximum(pixel_counts, 1)[None, :, None]
    blurred[:, pixel_counts < 1] = image[:, pixel_counts < 1]
    return _clip_to_uint8(blurred)


def _draw_black(rng: RandomGenerator) -> RgbImage:
    black_level, noise_std = rng.uniform(0, 24), rng.uniform(0, 6)
    return _clip_to_uint8(
        rng.normal(black_level, noise_std, (DISTRACTOR_HEIGHT, DISTRACTOR_WIDTH, 3))
    )


def _draw_gradient(rng: RandomGenerator) -> RgbImage:
    """Draw one color, or a gradient of two."""
    start_color, end_color = rng.uniform(0, 255, (2, 3))
    if rng.random() < 0.5:
        end_color = start_color
    positions = np.linspace(0, 1, DISTRACTOR_HEIGHT if rng.random() < 0.5 else DISTRACTOR_WIDTH)[
        :, None
    ]
    color_ramp = start_color + positions * (end_color - start_color)
    full_rows = color_ramp[:, None] if len(color_ramp) == DISTRACTOR_HEIGHT else color_ramp[None]
    return _clip_to_uint8(
        np.broadcast_to(full_rows, (DISTRACTOR_HEIGHT, DISTRACTOR_WIDTH, 3))
        + rng.normal(0, 2, (DISTRACTOR_HEIGHT, DISTRACTOR_WIDTH, 1))
    )


def _draw_title_card(rng: RandomGenerator) -> RgbImage:
    """Draw a few lines of text on a plain background."""
    background = [_draw_black, _draw_gradient, _draw_blobs][int(rng.integers(0, 3))](rng)
    image = Image.fromarray(background)
    image_draw, is_dark_background = ImageDraw.Draw(image), float(background.mean()) < 128
    text_color = tuple(
        int(channel)
        for channel in (rng.uniform(190, 256, 3) if is_dark_background else rng.uniform(0, 60, 3))
    )
    for _ in range(int(rng.integers(1, 4))):
        title_text = " ".join(rng.choice(TITLE_WORDS, int(rng.integers(1, 5))))
        title_text = [title_text.title(), title_text.upper(), title_text][int(rng.integers(0, 3))]
        font = ImageFont.load_default(size=int(rng.integers(14, 44)))
        text_position = (
            int(rng.integers(5, DISTRACTOR_WIDTH // 2)),
            int(rng.integers(5, DISTRACTOR_HEIGHT - 50)),
        )
        image_draw.text(text_position, title_text, font=font, fill=text_color)
    return np.asarray(image)


def _draw_blobs(rng: RandomGenerator) -> RgbImage:
    """Draw colors out of focus."""
    color_grid = Image.fromarray(rng.integers(0, 256, (4, 6, 3)).astype(np.uint8))
    large_image = color_grid.resize((DISTRACTOR_WIDTH, DISTRACTOR_HEIGHT), Image.Resampling.BICUBIC)
    return np.asarray(large_image.filter(ImageFilter.GaussianBlur(float(rng.uniform(5, 25)))))


def _draw_noise(rng: RandomGenerator) -> RgbImage:
    """Draw analog television noise."""
    grain_px = int(rng.integers(1, 4))
    coarse_noise = rng.normal(
        rng.uniform(60, 180),
        rng.uniform(20, 90),
        (DISTRACTOR_HEIGHT // grain_px + 1, DISTRACTOR_WIDTH // grain_px + 1, 1),
    )
    return _clip_to_uint8(
        np.kron(coarse_noise, np.ones((grain_px, grain_px, 1)))[
            :DISTRACTOR_HEIGHT, :DISTRACTOR_WIDTH
        ].repeat(3, axis=2)
    )


def _draw_bars(rng: RandomGenerator) -> RgbImage:
    """Draw vertical or horizontal bars, as on a test card."""
    bar_colors = rng.integers(0, 256, (int(rng.integers(4, 10)), 3))
    is_horizontal = rng.random() < 0.3
    bar_indexes = (
        np.arange(DISTRACTOR_HEIGHT if is_horizontal else DISTRACTOR_WIDTH)
        * len(bar_colors)
        // (DISTRACTOR_HEIGHT if is_horizontal else DISTRACTOR_WIDTH)
    )
    color_line = bar_colors[bar_indexes]
    full_rows = color_line[:, None] if is_horizontal else color_line[None]
    return np.broadcast_to(full_rows, (DISTRACTOR_HEIGHT, DISTRACTOR_WIDTH, 3)).astype(np.uint8)


def _clip_to_uint8(pixel_values: npt.NDArray[np.float64] | npt.NDArray[np.float32]) -> RgbImage:
    return np.clip(pixel_values, 0, 255).astype(np.uint8)
