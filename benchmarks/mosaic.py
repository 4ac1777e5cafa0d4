"""Long videos of any resolution from short clips, with realistic detail.

Upscaled clips lack detail and decode faster than real videos. So a large frame is a mosaic of
different clips of 640 x 360 pixels each: 3 x 3 for 1080p, 6 x 6 for 4K. x264 runs with its default
settings (CRF 23, a keyframe every 250 frames); a third of the film is encoded and then repeated.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CLIP_WIDTH, CLIP_HEIGHT, FRAME_RATE = 640, 360, 25  # of one clip in the mosaic
REPEAT_COUNT = 3
CLIPS_PER_TILE = 200  # one after the other; the last ones are not reached


@dataclass(frozen=True, slots=True)
class MosaicFilm:
    """A mosaic video."""

    path: Path
    seconds: float
    megabits: float  # a second


def make_mosaic(
    clips_folder: Path, clips_across: int, film_seconds: int, work_folder: Path
) -> MosaicFilm:
    """Make a mosaic of N x N clips in the work folder."""
    made = work_folder / f"{clips_across}x{clips_across}-{film_seconds}.mp4"
    if not made.exists():
        part = run_ffmpeg(
            made.with_suffix(".third.mp4"),
            _mosaic_arguments(clips_folder, clips_across, work_folder, film_seconds),
        )
        again = ["-stream_loop", str(REPEAT_COUNT - 1), "-i", str(part), "-c", "copy"]
        run_ffmpeg(made, [*again, "-t", str(film_seconds)])
    found = MosaicFilm(made, length := _video_seconds(made), made.stat().st_size * 8 / length / 1e6)
    if abs(found.seconds - film_seconds) > 1:
        raise SystemExit(
            f"{made}: lasts {found.seconds:.1f} s instead of {film_seconds} s; delete it"
        )
    return found


def _mosaic_arguments(
    clips_folder: Path, clips_across: int, work_folder: Path, film_seconds: int
) -> list[str]:
    """Return the ffmpeg arguments of a third of the film."""
    parts = [
        _normalize_clip(path, work_folder)
        for path in sorted(clips_folder.iterdir())
        if path.suffix == ".mp4"
    ]
    inputs: list[str] = []
    for number in range(clips_across * clips_across):
        listed = work_folder / f"list-{number}.txt"
        first = number * len(parts) // (clips_across * clips_across)
        many = [parts[(first + i) % len(parts)] for i in range(CLIPS_PER_TILE)]
        listed.write_text("".join(f"file '{path.absolute()}'\n" for path in many))
        inputs += ["-f", "concat", "-safe", "0", "-i", str(listed)]
    layout = "|".join(
        f"{x * CLIP_WIDTH}_{y * CLIP_HEIGHT}"
        for y in range(clips_across)
        for x in range(clips_across)
    )
    tiled = (
        f"xstack=inputs={clips_across * clips_across}:layout={layout}"
        if clips_across > 1
        else "null"
    )
    length = ["-t", str(-(-film_seconds // REPEAT_COUNT))]
    return [*inputs, "-an", "-filter_complex", tiled, *length, "-c:v", "libx264"]


def _normalize_clip(clip_path: Path, work_folder: Path) -> Path:
    """Convert a clip to the common size and rate."""
    made = work_folder / f"{clip_path.stem}.part.mp4"
    size = f"{CLIP_WIDTH}:{CLIP_HEIGHT}"
    shape = f"{size}:force_original_aspect_ratio=decrease,pad={size}:-1:-1"
    how = f"scale={shape},fps={FRAME_RATE},setsar=1,format=yuv420p"
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "12"]
    return (
        made
        if made.exists()
        else run_ffmpeg(made, ["-i", str(clip_path), "-an", "-vf", how, *coded])
    )


def run_ffmpeg(output_path: Path, command: list[str]) -> Path:
    """Run ffmpeg and move the output into place when it is complete."""
    partial_path = output_path.with_suffix(".begun.mp4")
    ffmpeg = ["ffmpeg", "-v", "error", "-y", *command, str(partial_path)]
    done = subprocess.run(
        ffmpeg, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(ffmpeg)}:\n{done.stderr[-2000:]}")
    partial_path.replace(output_path)
    return output_path


def _video_seconds(video_path: Path) -> float:
    """Return the duration of the video stream in seconds."""
    asked = ["-select_streams", "v", "-show_entries", "stream=duration", "-of", "csv=p=0"]
    told = subprocess.run(
        ["ffprobe", "-v", "error", *asked, str(video_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(told.stdout)
