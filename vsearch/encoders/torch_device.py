"""Run torch models: device, precision, and image preprocessing in batches."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.types import Images, Matrix

DEVICE_NAMES = ("auto", "cpu", "cuda", "mps")
BATCH_IMAGES = {"cpu": 8, "cuda": 64, "mps": 32}  # more is not faster and takes memory
MAX_ASPECT_RATIO = 16  # longer images are cropped before they are resized


@dataclass(frozen=True, slots=True)
class Device:
    """A torch device and the precision of its matrix products."""

    device_name: str  # "cpu", "cuda" or "mps"
    precision: torch.dtype

    @classmethod
    def from_name(cls, device_name: str = "auto") -> Device:
        """Return a device; "auto" selects the fastest one available.

        Raises:
            SettingsError: The device is unknown or not available.
        """
        usable_devices = [
            chosen_device
            for chosen_device in ("cuda", "mps", "cpu")
            if _is_available(chosen_device)
        ]
        if device_name not in DEVICE_NAMES:
            raise SettingsError(
                f"there is no device {device_name!r}; use one of: {', '.join(DEVICE_NAMES)}"
            )
        chosen_device = usable_devices[0] if device_name == "auto" else device_name
        if chosen_device not in usable_devices:
            raise SettingsError(
                f"torch finds no {chosen_device} device; use auto or {', '.join(usable_devices)}"
            )
        return cls(chosen_device, _choose_precision(chosen_device))

    def place_network(self, network: nn.Module) -> None:
        """Move a network to the device, ready for `encode_images`.

        On a CPU with bfloat16 its matrices are converted once. With autocast they would be
        converted at each batch and, without `requires_grad`, by a code path 2 to 11 times slower
        than float32.
        """
        network.to(self.device_name)
        if self.precision == torch.bfloat16:
            for layer_module in network.modules():
                if isinstance(layer_module, (nn.Linear, nn.Conv2d, nn.MultiheadAttention)):
                    layer_module.to(self.precision)

    def encode_images(
        self,
        network: Callable[[torch.Tensor], torch.Tensor],
        preprocess: ImagePreprocess,
        images: Images,
        vector_dim: int,
    ) -> Matrix:
        """Preprocess and encode images in small batches.

        Args:
            network: Maps float32 (N, 3, H, W) to (N, D).
            preprocess: Preprocessing of the network.
            images: uint8 (N, H, W, 3).
            vector_dim: D.

        Returns:
            float32 (N, D), rows of unit length.
        """
        vector_batches = [np.empty((0, vector_dim), np.float32)]
        for batch_start in range(0, len(images), BATCH_IMAGES[self.device_name]):
            pixel_batch = preprocess.crop_images(
                images[batch_start : batch_start + BATCH_IMAGES[self.device_name]]
            ).to(self.device_name)
            vector_batches.append(
                self.run_network(network, preprocess.normalize_pixels(pixel_batch))
            )
        return np.concatenate(vector_batches)

    def run_network(
        self,
        network: Callable[[torch.Tensor], torch.Tensor],
        input_batch: torch.Tensor,
        *,
        full_precision: bool = False,
    ) -> Matrix:
        """Run a network and normalize its output.

        Args:
            network: Maps a batch to (N, D).
            input_batch: Batch on this device.
            full_precision: Compute in float32.

        Returns:
            float32 (N, D), rows of unit length.
        """
        is_half_precision = self.precision != torch.float32 and not full_precision
        autocast_context = (
            torch.autocast(self.device_name, self.precision) if is_half_precision else nullcontext()
        )
        with torch.no_grad(), autocast_context:
            output_rows = network(input_batch).float()
        has_overflow = (
            is_half_precision
            and self.device_name == "cuda"
            and not bool(output_rows.isfinite().all())
        )
        if has_overflow:  # float16 ends at 65504
            return self.run_network(network, input_batch, full_precision=True)
        unit_vectors: Matrix = torch.nn.functional.normalize(output_rows, dim=-1).cpu().numpy()
        return unit_vectors


def _is_available(device_name: str) -> bool:
    if device_name == "cuda":
        return torch.cuda.is_available()
    return device_name == "cpu" or torch.backends.mps.is_available()


def _choose_precision(device_name: str) -> torch.dtype:
    """Return 16-bit precision where the hardware multiplies it faster, else float32.

    float16 on CUDA, because it is 8 times finer than bfloat16, and `run_network` handles overflow.
    """
    if device_name == "cuda":
        return torch.float16
    return torch.bfloat16 if device_name == "cpu" and _cpu_has_bfloat16() else torch.float32


def _cpu_has_bfloat16() -> bool:
    """Return whether the CPU has AVX512_BF16 or AMX; emulated bfloat16 is slower than float32."""
    # Private, because torch 2.4 has no public ones.
    support_tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(
        getattr(torch.cpu, test_name)()
        for test_name in support_tests
        if hasattr(torch.cpu, test_name)
    )


# Preprocessing


@dataclass(frozen=True, slots=True)
class ImagePreprocess:
    """Preprocessing of a model: resize, crop, normalize, within a level or two of PIL's result."""

    target_size: tuple[int, int]  # (height, width) of the model's input in pixels
    channel_means: tuple[float, ...]  # per channel, on a scale of 0 to 1
    channel_stds: tuple[float, ...]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize_mode: Literal["shortest", "longest", "squash"] = "shortest"  # crop, pad or distort
    resize_short_side: int | None = None  # before the crop; None: that of `target_size`
    fill_value: int = 0  # of padding

    @property
    def image_size(self) -> int:
        """Short side in pixels of images that need no resizing."""
        return self.resize_short_side or min(self.target_size)

    def crop_images(self, images: Images) -> torch.Tensor:
        """Resize and crop images.

        Args:
            images: uint8 (N, H, W, 3).

        Returns:
            uint8 (N, 3, height, width), channels last in memory.
        """
        images = self._trim_long_images(images)
        resized_shape = self._compute_resized_shape(*images.shape[1:3])
        if resized_shape == images.shape[1:3]:
            images = _crop_center(images, self.target_size)
        pixel_tensor = torch.from_numpy(np.require(images, requirements=("C", "W")))
        pixel_tensor = pixel_tensor.permute(0, 3, 1, 2)  # (N, 3, H, W)
        if (
            resized_shape != tuple(pixel_tensor.shape[2:])
            and tuple(pixel_tensor.shape[2:]) != self.target_size
        ):
            pixel_tensor = torch.nn.functional.interpolate(
                pixel_tensor,
                size=resized_shape,
                mode=self.interpolation,
                antialias=True,
                align_corners=False,
            )
        return self._pad_and_crop(pixel_tensor)

    def normalize_pixels(self, pixel_tensor: torch.Tensor) -> torch.Tensor:
        """Normalize channels: uint8 (N, 3, H, W) -> float32 (N, 3, H, W), on the same device."""
        channel_means = torch.tensor(self.channel_means, device=pixel_tensor.device).view(3, 1, 1)
        channel_stds = torch.tensor(self.channel_stds, device=pixel_tensor.device).view(3, 1, 1)
        return (pixel_tensor.float() / 255 - channel_means) / channel_stds

    def _compute_resized_shape(self, image_height: int, image_width: int) -> tuple[int, int]:
        """Return the shape before the crop, rounded as by torchvision and open_clip."""
        if self.resize_mode == "squash":
            return self.target_size
        axis_ratios = image_height / self.target_size[0], image_width / self.target_size[1]
        if self.resize_mode == "longest" or self.target_size[0] != self.target_size[1]:
            scale_ratio = max(axis_ratios) if self.resize_mode == "longest" else min(axis_ratios)
            return max(1, round(image_height / scale_ratio)), max(
                1, round(image_width / scale_ratio)
            )
        target_short_side, short_side = self.image_size, min(image_height, image_width)
        return (
            target_short_side * image_height // short_side,
            target_short_side * image_width // short_side,
        )

    def _trim_long_images(self, images: Images) -> Images:
        """Crop very long images, which resizing would enlarge to gigabytes."""
        image_height, image_width = images.shape[1:3]
        if self.resize_mode != "shortest":
            return images
        return _crop_center(
            images,
            (
                min(image_height, MAX_ASPECT_RATIO * image_width),
                min(image_width, MAX_ASPECT_RATIO * image_height),
            ),
        )

    def _pad_and_crop(self, pixel_tensor: torch.Tensor) -> torch.Tensor:
        """Pad (N, 3, H, W) where it is smaller than `target_size`, then crop the center."""
        image_height, image_width = pixel_tensor.shape[2:]
        missing_height, missing_width = (
            max(0, self.target_size[0] - image_height),
            max(0, self.target_size[1] - image_width),
        )
        if missing_height or missing_width:
            padding_sides = (
                missing_width // 2,
                missing_width - missing_width // 2,
                missing_height // 2,
                missing_height - missing_height // 2,
            )
            pixel_tensor = torch.nn.functional.pad(
                pixel_tensor, padding_sides, value=self.fill_value
            )
        crop_top, crop_left = (
            round((source_length - target_length) / 2)
            for source_length, target_length in zip(
                pixel_tensor.shape[2:], self.target_size, strict=True
            )
        )
        return pixel_tensor[
            :,
            :,
            crop_top : crop_top + self.target_size[0],
            crop_left : crop_left + self.target_size[1],
        ]


def _crop_center(images: Images, target_size: tuple[int, int]) -> Images:
    """Return a view of the center of uint8 (N, H, W, 3), no larger than `target_size`."""
    crop_top, crop_left = (
        max(0, round((source_length - target_length) / 2))
        for source_length, target_length in zip(images.shape[1:3], target_size, strict=True)
    )
    return images[:, crop_top : crop_top + target_size[0], crop_left : crop_left + target_size[1]]
