"""A file of unknown origin to a picture or a clip written by our own encoder: a program of its own.

`python -m vsearch.media.sanitise INPUT FOLDER [SECONDS]` writes `picture.png` or `clip.mp4` into
the folder and prints one line of JSON: the kind, width, height and duration, or an error. Whatever
a decoder can be made to do happens in here, under limits, and whoever started it may kill it.
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
from vsearch.media.stills import read_picture
from vsearch.media.tracks import Pictures
from vsearch.media.video import Sampler, probe
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.types import Images

PICTURE, CLIP = "picture.png", "clip.mp4"
SECONDS = 20.0  # to take at most
MEMORY = 2**31  # bytes of address space
PROCESSORS = 4
WRITTEN = 2**26  # bytes of a file that is written
LONGEST = 60.0  # seconds of a clip that are kept
_SIDE = 1024  # pixels of the longer side of a picture
_LINES, _FEWEST = 360, 16  # pixels of the shorter side of a clip
_FPS = 8
_ENOUGH = 0.6  # the part of the time after which a clip is ended as it is
_ANIMATED = ("GIF", "WEBP")
# what `read_picture` reads and no film is taken for
_STILL = (*_ANIMATED, "AVIF", "BMP", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF")


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of a file."""

    kind: str  # image or clip
    width: int
    height: int
    duration: float | None  # seconds, of a clip


def main() -> None:
    """Read the arguments, bound what may be used, and tell what came of it."""
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else SECONDS
    bound(seconds)
    warnings.simplefilter("ignore")  # what is odd about a file is told in JSON, if at all
    try:
        told = asdict(sanitise(path, folder, seconds=seconds))
    except VSearchError as error:
        told = {"error": str(error).removeprefix(f"{path}: ").removeprefix(f"{folder}: ")}
    except MemoryError:
        told = {"error": "needs more memory than a query may take; make it smaller"}
    except (FFmpegError, OSError, ValueError, OverflowError):
        told = {"error": "cannot be read; it is damaged, or too large to be searched with"}
    sys.stdout.write(json.dumps(told) + "\n")


def bound(seconds: float) -> None:
    """Set limits for this process, where the system has them."""
    if sys.platform == "win32":
        return
    import resource  # there is none on Windows

    limits = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_CPU: 4 * math.ceil(seconds),  # several threads may compute
        resource.RLIMIT_FSIZE: WRITTEN,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        with suppress(OSError, ValueError):  # macOS knows some by name only
            _, hard = resource.getrlimit(kind)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))
    if sys.platform == "linux":  # each thread takes memory, and there may be a hundred processors
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:PROCESSORS])


def sanitise(path: Path, folder: Path, *, seconds: float = SECONDS) -> Made:
    """Make a picture or a clip of a file. Raises MediaError, and others where memory lacks."""
    if not _is_still(path):
        return _clip(path, folder / CLIP, seconds)
    picture = Image.fromarray(read_picture(path))
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC, reducing_gap=2)
    picture.save(folder / PICTURE, "PNG", compress_level=1)
    return Made("image", picture.width, picture.height, None)


def _is_still(path: Path) -> bool:
    """Whether it is a picture that does not move, by its content."""
    try:
        with Image.open(path, formats=_STILL) as picture:
            return picture.format not in _ANIMATED or not getattr(picture, "is_animated", False)
    except Image.DecompressionBombError:
        return True  # which says so
    except Exception:  # decoders of damaged pictures raise nearly anything
        return False


def _clip(path: Path, target: Path, seconds: float) -> Made:
    ends = monotonic() + _ENOUGH * seconds
    info = probe(path)
    lines = min(max(min(info.width, info.height), _FEWEST), _LINES) // 2 * 2
    sampler = Sampler(path, fps=_FPS, short_side=lines, batch_size=1, span=Span(0.0, LONGEST))
    images = _images(sampler, ends)
    first, _ = next(images)
    height, width = (side // 2 * 2 for side in first.shape[:2])
    with av.open(f"file:{target.absolute()}", "w", options={"movflags": "faststart"}) as container:
        pictures = Pictures(container, (width, height), Fraction(_FPS))
        pictures.add(_fitted(first, width, height), Fraction(0), first=True)
        for image, time in images:
            pictures.add(_fitted(image, width, height), Fraction(time), first=False)
        end = min(max(sampler.end, 1 / _FPS), LONGEST)
        pictures.close(Fraction(end))
    return Made("clip", width, height, end)


def _images(sampler: Sampler, ends: float) -> Iterator[tuple[Images, float]]:
    """Images, uint8 (H, W, 3), and their times; what is damaged or comes too late is left out."""
    begun = False
    try:
        for batch in sampler:
            yield batch.images[0], float(batch.times[0])
            begun = True
            if monotonic() > ends:
                sampler.stop()
    except (MediaError, FFmpegError, MemoryError):
        if not begun:
            raise


def _fitted(image: Images, width: int, height: int) -> Images:
    """A picture of one size; where the size changes on the way, it is stretched."""
    if image.shape[0] - height in (0, 1) and image.shape[1] - width in (0, 1):
        return np.ascontiguousarray(image[:height, :width])
    return np.asarray(Image.fromarray(image).resize((width, height)))


if __name__ == "__main__":
    main()
