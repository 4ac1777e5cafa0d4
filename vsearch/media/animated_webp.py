"""Read animated WebP, which FFmpeg does not decode."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from vsearch.buckets.bucket_path import as_image_source
from vsearch.errors import MediaError, TooLargeError, UnreadableError
from vsearch.media.container import check_frame_size
from vsearch.media.reader import DecodedFrame, HeaderMetadata, format_timestamp
from vsearch.media.rgb import create_video_frame
from vsearch.media.timestamps import TIME_RESOLUTION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.media.sample_times import SampleTimes


class WebPReader:
    """Animated WebP decoded by Pillow. A `VideoReader`.

    Raises:
        TooLargeError: Its frames are too large.
    """

    def __init__(self, image_path: Path) -> None:
        self._image_path = image_path
        try:
            self._image = Image.open(as_image_source(image_path), formats=["WEBP"])
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise TooLargeError(f"{image_path}: too many pixels; scale it down") from error
        try:
            # 64 bits, because Pillow makes several copies.
            check_frame_size(image_path, *self._image.size, bits_per_pixel=64)
        except TooLargeError:
            self.close()
            raise
        self._frame_count: int = getattr(self._image, "n_frames", 1)
        self._decoded_duration = Fraction(0)
        self._is_damaged = False
        self._iteration_state: Literal["none", "begun", "done"] = "none"

    def close(self) -> None:
        """Close the file."""
        self._image.close()

    def read_metadata(self) -> HeaderMetadata:
        """Return the metadata, decoding all frames unless a pass is going on or done.

        No header contains the duration, so it is unknown until the end of the first pass.
        """
        if self._iteration_state == "none":
            for _ in self.iter_frames():
                pass
        if self._iteration_state == "begun" or not self._decoded_duration:
            return HeaderMetadata(0.0, 0.0, "webp")
        duration = float(self._decoded_duration)
        return HeaderMetadata(duration, self._frame_count / duration, "webp")

    def iter_frames(
        self,
        start_time: Fraction = Fraction(0),  # noqa: ARG002
        sample_times: SampleTimes | None = None,  # noqa: ARG002
    ) -> Iterator[DecodedFrame]:
        """Yield all frames: there is no seeking, and animations are short."""
        self._decoded_duration, self._iteration_state = Fraction(0), "begun"
        for frame_index in range(self._frame_count):
            try:
                self._image.seek(frame_index)
                video_frame = create_video_frame(np.asarray(self._image.convert("RGB")))
            except (OSError, EOFError, ValueError):
                self._is_damaged = True
                break
            frame_duration = max(
                Fraction(int(self._image.info.get("duration", 100)), 1000), TIME_RESOLUTION * 10
            )
            yield DecodedFrame(video_frame, Fraction(1), self._decoded_duration, frame_duration)
            self._decoded_duration += frame_duration
        self._iteration_state = "done"

    def build_decode_error(self) -> MediaError:
        """Return the error to raise when no frame could be decoded."""
        return UnreadableError(f"{self._image_path}: the animation is damaged; copy it again")

    def build_warning(self, end_time: float, *, is_full_pass: bool) -> str | None:
        """Describe damage met while decoding; None if there was none."""
        return (
            f"damaged after {format_timestamp(end_time)}"
            if self._is_damaged and is_full_pass
            else None
        )
