"""Convert an untrusted upload to an image or clip written by our own encoder, in its own process.

`python -m vsearch.media.upload_sandbox INPUT FOLDER [SECONDS]` writes `picture.png` or `clip.mp4`
to the folder and prints one line of JSON: kind, width, height and duration, or an error. Whatever a
malicious file makes a decoder do happens in this process: it has resource limits, no network and no
other files (see `vsearch.media.process_isolation`), and its parent may kill it.
"""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image

from vsearch.errors import MediaError, VSearchError
from vsearch.media.encoding import VideoTrack
from vsearch.media.images import read_image
from vsearch.media.process_isolation import isolate_process
from vsearch.media.sampler import Sampler, probe_video
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.types import Images

IMAGE_FILE_NAME, CLIP_FILE_NAME = "picture.png", "clip.mp4"
MAX_CPU_SECONDS = 20.0
MAX_ADDRESS_SPACE_BYTES = 2**31
MAX_PROCESSORS = 4
MAX_OUTPUT_BYTES = 2**26
MAX_CLIP_SECONDS = 60.0  # the rest of a clip is dropped
_MAX_IMAGE_SIDE_PX = 1024
_MAX_CLIP_LINES, _MIN_CLIP_LINES = 360, 16  # of the shorter side
_CLIP_FPS = 8
_STOP_AT_SHARE = 0.6  # share of the time after which a clip is truncated
_ANIMATED_FORMATS = ("GIF", "WEBP")
# formats of `read_image` that are not video formats
_STILL_FORMATS = (
    *_ANIMATED_FORMATS,
    "AVIF",
    "BMP",
    "HEIF",
    "ICO",
    "JPEG",
    "JPEG2000",
    "PNG",
    "PPM",
    "TIFF",
)


@dataclass(frozen=True, slots=True)
class SanitizedFile:
    """Result of a conversion."""

    kind: str  # "image" or "clip"
    width: int
    height: int
    duration: float | None  # seconds; None for an image


def main() -> None:
    """Convert the file given on the command line within limits, and print the result as JSON."""
    input_path, output_folder = Path(sys.argv[1]), Path(sys.argv[2])
    max_seconds = float(sys.argv[3]) if len(sys.argv) > 3 else MAX_CPU_SECONDS
    limit_resources(max_seconds)
    isolate_process(input_path, output_folder)
    warnings.simplefilter("ignore")  # errors are reported as JSON
    try:
        report = asdict(sanitize_file(input_path, output_folder, max_seconds=max_seconds))
    except VSearchError as error:
        report = {
            "error": str(error).removeprefix(f"{input_path}: ").removeprefix(f"{output_folder}: ")
        }
    except MemoryError:
        report = {"error": "needs too much memory; use a smaller file"}
    except (FFmpegError, OSError, ValueError, OverflowError):
        report = {"error": "cannot be read; it is damaged or too large for a query"}
    sys.stdout.write(json.dumps(report) + "\n")


def limit_resources(max_seconds: float) -> None:
    """Limit CPU time, memory, file size and processors of this process, where the system can.

    Args:
        max_seconds: CPU seconds per processor.
    """
    if sys.platform == "win32":
        return
    import resource  # not available on Windows

    resource_limits = {
        resource.RLIMIT_AS: MAX_ADDRESS_SPACE_BYTES,
        resource.RLIMIT_CPU: 4 * math.ceil(max_seconds),  # threads count together
        resource.RLIMIT_FSIZE: MAX_OUTPUT_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    for resource_kind, resource_limit in resource_limits.items():
        with suppress(OSError, ValueError):  # macOS defines some without implementing them
            _, hard_limit = resource.getrlimit(resource_kind)
            resource_limit = (
                resource_limit
                if hard_limit == resource.RLIM_INFINITY
                else min(resource_limit, hard_limit)
            )
            resource.setrlimit(resource_kind, (resource_limit, resource_limit))
    if sys.platform == "linux":  # decoders start a thread per processor, which takes memory
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:MAX_PROCESSORS])


def sanitize_file(
    input_path: Path, output_folder: Path, *, max_seconds: float = MAX_CPU_SECONDS
) -> SanitizedFile:
    """Convert a file to `picture.png` or `clip.mp4`.

    Args:
        input_path: Untrusted file.
        output_folder: Folder to write to.
        max_seconds: Seconds after which a clip is truncated, with some margin.

    Raises:
        MediaError: The file is not an image or video, or is damaged.
        MemoryError: It needs too much memory.
    """
    if not _is_still_image(input_path):
        return _transcode_clip(input_path, output_folder / CLIP_FILE_NAME, max_seconds)
    image = Image.fromarray(read_image(input_path))
    image.thumbnail(
        (_MAX_IMAGE_SIDE_PX, _MAX_IMAGE_SIDE_PX), Image.Resampling.BICUBIC, reducing_gap=2
    )
    image.save(output_folder / IMAGE_FILE_NAME, "PNG", compress_level=1)
    return SanitizedFile("image", image.width, image.height, None)


def _is_still_image(input_path: Path) -> bool:
    """Return whether a file is a still image, judged by its content."""
    try:
        with Image.open(input_path, formats=_STILL_FORMATS) as image:
            return image.format not in _ANIMATED_FORMATS or not getattr(image, "is_animated", False)
    except Image.DecompressionBombError:
        return True  # read_image() reports it
    except Exception:  # decoders raise nearly anything on damage
        return False


def _transcode_clip(input_path: Path, output_path: Path, max_seconds: float) -> SanitizedFile:
    deadline = monotonic() + _STOP_AT_SHARE * max_seconds
    video_info = probe_video(input_path)
    short_side = (
        min(max(min(video_info.width, video_info.height), _MIN_CLIP_LINES), _MAX_CLIP_LINES)
        // 2
        * 2
    )
    sampler = Sampler(
        input_path,
        fps=_CLIP_FPS,
        short_side=short_side,
        batch_size=1,
        span=Span(0.0, MAX_CLIP_SECONDS),
    )
    timed_images = _iter_timed_images(sampler, deadline)
    first_image, _ = next(timed_images)
    height, width = (side_length // 2 * 2 for side_length in first_image.shape[:2])
    with av.open(
        f"file:{output_path.absolute()}", "w", options={"movflags": "faststart"}
    ) as container:
        video_track = VideoTrack(container, (width, height), Fraction(_CLIP_FPS))
        video_track.add_image(_fit_image(first_image, width, height), Fraction(0), is_first=True)
        for image, frame_time in timed_images:
            video_track.add_image(
                _fit_image(image, width, height), Fraction(frame_time), is_first=False
            )
        end_time = min(max(sampler.end_time, 1 / _CLIP_FPS), MAX_CLIP_SECONDS)
        video_track.finish_track(Fraction(end_time))
    return SanitizedFile("clip", width, height, end_time)


def _iter_timed_images(sampler: Sampler, deadline: float) -> Iterator[tuple[Images, float]]:
    """Yield images, uint8 (H, W, 3), and times, until the first damage or the deadline."""
    has_frames = False
    try:
        for frame_batch in sampler:
            yield frame_batch.images[0], float(frame_batch.frame_times[0])
            has_frames = True
            if monotonic() > deadline:
                sampler.stop()
    except (MediaError, FFmpegError, MemoryError):
        if not has_frames:
            raise


def _fit_image(image: Images, width: int, height: int) -> Images:
    """Crop or stretch an image to the clip's size; video may change its size on the way."""
    if image.shape[0] - height in (0, 1) and image.shape[1] - width in (0, 1):
        return np.ascontiguousarray(image[:height, :width])
    return np.asarray(Image.fromarray(image).resize((width, height)))


if __name__ == "__main__":
    main()
