"""Long videos of any size out of short clips, with as much detail as they really have.

Clips that are scaled up have none, and decode faster than what people own. So a large picture is a
mosaic of different clips, 640 x 360 pixels each: three by three are 1080p, six by six are 4K. x264
runs with its own settings (CRF 23, a key frame every 250); a third is coded and then repeated.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, HEIGHT, RATE = 640, 360, 25  # of one clip in the mosaic
REPEATED = 3
CLIPS = 200  # one after the other; the last ones are not reached


@dataclass(frozen=True, slots=True)
class Film:
    """A video that was made."""

    path: Path
    seconds: float
    megabits: float  # a second


def film_of(clips: Path, across: int, seconds: int, work: Path) -> Film:
    """A mosaic of `across` x `across` clips, kept in `work`."""
    made = work / f"{across}x{across}-{seconds}.mp4"
    if not made.exists():
        part = whole(made.with_suffix(".third.mp4"), _coded(clips, across, work, seconds))
        again = ["-stream_loop", str(REPEATED - 1), "-i", str(part), "-c", "copy"]
        whole(made, [*again, "-t", str(seconds)])
    found = Film(made, length := _length(made), made.stat().st_size * 8 / length / 1e6)
    if abs(found.seconds - seconds) > 1:
        raise SystemExit(f"{made}: lasts {found.seconds:.1f} s instead of {seconds} s; delete it")
    return found


def _coded(clips: Path, across: int, work: Path, seconds: int) -> list[str]:
    """What makes a third of the film."""
    parts = [_plain(path, work) for path in sorted(clips.iterdir()) if path.suffix == ".mp4"]
    inputs: list[str] = []
    for number in range(across * across):
        listed = work / f"list-{number}.txt"
        first = number * len(parts) // (across * across)
        many = [parts[(first + i) % len(parts)] for i in range(CLIPS)]
        listed.write_text("".join(f"file '{path.absolute()}'\n" for path in many))
        inputs += ["-f", "concat", "-safe", "0", "-i", str(listed)]
    layout = "|".join(f"{x * WIDTH}_{y * HEIGHT}" for y in range(across) for x in range(across))
    tiled = f"xstack=inputs={across * across}:layout={layout}" if across > 1 else "null"
    length = ["-t", str(-(-seconds // REPEATED))]
    return [*inputs, "-an", "-filter_complex", tiled, *length, "-c:v", "libx264"]


def _plain(clip: Path, work: Path) -> Path:
    """The clip in one size and rate, as what is joined has to be."""
    made = work / f"{clip.stem}.part.mp4"
    shape = f"{WIDTH}:{HEIGHT}:force_original_aspect_ratio=decrease,pad={WIDTH}:{HEIGHT}:-1:-1"
    how = f"scale={shape},fps={RATE},setsar=1,format=yuv420p"
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "12"]
    return made if made.exists() else whole(made, ["-i", str(clip), "-an", "-vf", how, *coded])


def whole(made: Path, command: list[str]) -> Path:
    """Let ffmpeg make a file, which is there only when it is done."""
    begun = made.with_suffix(".begun.mp4")
    ffmpeg = ["ffmpeg", "-v", "error", "-y", *command, str(begun)]
    done = subprocess.run(
        ffmpeg, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(ffmpeg)}:\n{done.stderr[-2000:]}")
    begun.replace(made)
    return made


def _length(video: Path) -> float:
    """Seconds of pictures."""
    asked = ["-select_streams", "v", "-show_entries", "stream=duration", "-of", "csv=p=0"]
    told = subprocess.run(
        ["ffprobe", "-v", "error", *asked, str(video)], capture_output=True, text=True, check=True
    )
    return float(told.stdout)
