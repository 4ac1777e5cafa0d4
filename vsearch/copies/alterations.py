"""Alterations of a copy: mirrored, rotated, grayscale, played faster or slower."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEED_TOLERANCE = 0.02  # relative difference of speeds that is not reported


@dataclass(frozen=True, slots=True)
class Alteration:
    """The difference between a video and its altered copy; the default is an unaltered copy."""

    is_mirrored: bool = False  # flipped horizontally, before the rotation
    rotation_degrees: int = 0  # clockwise: 0, 90, 180 or 270
    speed: float = 1.0  # of the copy: 2 if it plays twice as fast as the video
    is_grayscale: bool = False  # one of the two has no colors

    def invert(self) -> Alteration:
        """Return the alteration from the copy back to the video."""
        degrees = self.rotation_degrees if self.is_mirrored else -self.rotation_degrees % 360
        return replace(self, rotation_degrees=degrees, speed=1 / self.speed)

    def describe(self) -> str:
        """Return the alteration in words, e.g. `mirrored, 1.5× faster`; empty for none."""
        return ", ".join(self._iter_descriptions())

    def to_dict(self) -> dict[str, Any]:
        """Return the alteration as in JSON."""
        return {
            "mirrored": self.is_mirrored,
            "rotation": self.rotation_degrees,
            "speed": round(self.speed, 3),
            "grayscale": self.is_grayscale,
        }

    def _iter_descriptions(self) -> Iterator[str]:
        if self.is_mirrored and self.rotation_degrees == 180:
            yield "flipped upside down"  # the same as mirrored and turned by 180 degrees
        else:
            if self.is_mirrored:
                yield "mirrored"
            if self.rotation_degrees:
                yield f"rotated {self.rotation_degrees}°"
        if self.speed > 1 + SPEED_TOLERANCE:
            yield f"{round(self.speed, 2):g}× faster"
        elif self.speed < 1 / (1 + SPEED_TOLERANCE):
            yield f"{round(1 / self.speed, 2):g}× slower"
        if self.is_grayscale:
            yield "grayscale"


UNALTERED = Alteration()
