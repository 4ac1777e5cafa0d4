"""What a torch model wants its pictures to look like, done on whole batches of uint8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

if TYPE_CHECKING:
    from vsearch.types import Images

LONGEST = 16  # a picture longer than 16 times its short side loses its ends before it is resized


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Resize, crop and normalise, as PIL does it within a level or two of 255."""

    size: tuple[int, int]  # (height, width) in pixels of what the model sees
    mean: tuple[float, ...]  # of each channel, on a scale of 0 to 1
    std: tuple[float, ...]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mode: Literal["shortest", "longest", "squash"] = "shortest"  # crop, pad or distort
    short: int | None = None  # the short side before a crop, where it is not that of `size`
    fill: int = 0  # around a padded picture

    @property
    def image_size(self) -> int:
        """The short side in pixels at which pictures need no resizing."""
        return self.short or min(self.size)

    def crop(self, images: Images) -> torch.Tensor:
        """uint8 (N, H, W, 3) -> uint8 (N, 3, height, width), channels last in memory."""
        images = self._without_ends(images)
        shape = self._resized(*images.shape[1:3])
        if shape == images.shape[1:3]:
            images = _centre(images, self.size)
        pixels = torch.from_numpy(np.require(images, requirements=("C", "W")))
        pixels = pixels.permute(0, 3, 1, 2)  # (N, 3, H, W)
        if shape != tuple(pixels.shape[2:]) and tuple(pixels.shape[2:]) != self.size:
            pixels = torch.nn.functional.interpolate(
                pixels, size=shape, mode=self.interpolation, antialias=True, align_corners=False
            )
        return self._fit(pixels)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (N, 3, H, W) -> float32 (N, 3, H, W), on the device where `pixels` is."""
        mean = torch.tensor(self.mean, device=pixels.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(3, 1, 1)
        return (pixels.float() / 255 - mean) / std

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """The shape before the crop, rounded as torchvision and open_clip round it."""
        if self.mode == "squash":
            return self.size
        ratios = height / self.size[0], width / self.size[1]
        if self.mode == "longest" or self.size[0] != self.size[1]:
            ratio = max(ratios) if self.mode == "longest" else min(ratios)
            return max(1, round(height / ratio)), max(1, round(width / ratio))
        short, side = self.image_size, min(height, width)
        return short * height // side, short * width // side

    def _without_ends(self, images: Images) -> Images:
        """Keep a ribbon of a picture from growing to gigabytes of which a square is seen."""
        height, width = images.shape[1:3]
        if self.mode != "shortest":
            return images
        return _centre(images, (min(height, LONGEST * width), min(width, LONGEST * height)))

    def _fit(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pad (N, 3, H, W) where it is smaller than `size`, then cut out the centre."""
        height, width = pixels.shape[2:]
        down, across = max(0, self.size[0] - height), max(0, self.size[1] - width)
        if down or across:
            sides = (across // 2, across - across // 2, down // 2, down - down // 2)
            pixels = torch.nn.functional.pad(pixels, sides, value=self.fill)
        top, left = (round((n - m) / 2) for n, m in zip(pixels.shape[2:], self.size, strict=True))
        return pixels[:, :, top : top + self.size[0], left : left + self.size[1]]


def _centre(images: Images, size: tuple[int, int]) -> Images:
    """uint8 (N, H, W, 3) -> a view of the centre, no larger than `size`."""
    top, left = (max(0, round((n - m) / 2)) for n, m in zip(images.shape[1:3], size, strict=True))
    return images[:, top : top + size[0], left : left + size[1]]
