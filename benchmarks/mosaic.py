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
CLIPS_PER_TILE = 200  # more than the film needs


@dataclass(frozen=True, slots=True)
class MosaicFilm:
    """A mosaic video."""

    path: Path
    seconds: float
    megabits: float  # per second


def make_mosaic(
    clips_folder: Path, clips_across: int, film_seconds: int, work_folder: Path
) -> MosaicFilm:
    """Make a mosaic of N x N clips in the work folder."""
    film_path = work_folder / f"{clips_across}x{clips_across}-{film_seconds}.mp4"
    if not film_path.exists():
        part_path = run_ffmpeg(
            film_path.with_suffix(".third.mp4"),
            _mosaic_arguments(clips_folder, clips_across, work_folder, film_seconds),
        )
        repeat_arguments = [
            "-stream_loop",
            str(REPEAT_COUNT - 1),
            "-i",
            str(part_path),
            "-c",
            "copy",
        ]
        run_ffmpeg(film_path, [*repeat_arguments, "-t", str(film_seconds)])
    film = MosaicFilm(
        film_path, length := _video_seconds(film_path), film_path.stat().st_size * 8 / length / 1e6
    )
    if abs(film.seconds - film_seconds) > 1:
        raise SystemExit(
            f"{film_path}: lasts {film.seconds:.1f} s instead of {film_seconds} s; delete it"
        )
    return film


def _mosaic_arguments(
    clips_folder: Path, clips_across: int, work_folder: Path, film_seconds: int
) -> list[str]:
    """Return the ffmpeg arguments of a third of the film."""
    normalized_clips = [
        _normalize_clip(path, work_folder)
        for path in sorted(clips_folder.iterdir())
        if path.suffix == ".mp4"
    ]
    inputs: list[str] = []
    for number in range(clips_across * clips_across):
        list_path = work_folder / f"list-{number}.txt"
        first_clip = number * len(normalized_clips) // (clips_across * clips_across)
        tile_clips = [
            normalized_clips[(first_clip + i) % len(normalized_clips)]
            for i in range(CLIPS_PER_TILE)
        ]
        list_path.write_text("".join(f"file '{path.absolute()}'\n" for path in tile_clips))
        inputs += ["-f", "concat", "-safe", "0", "-i", str(list_path)]
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
    normalized_path = work_folder / f"{clip_path.stem}.part.mp4"
    size = f"{CLIP_WIDTH}:{CLIP_HEIGHT}"
    shape = f"{size}:force_original_aspect_ratio=decrease,pad={size}:-1:-1"
    filters = f"scale={shape},fps={FRAME_RATE},setsar=1,format=yuv420p"
    encode_arguments = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "12"]
    return (
        normalized_path
        if normalized_path.exists()
        else run_ffmpeg(
            normalized_path, ["-i", str(clip_path), "-an", "-vf", filters, *encode_arguments]
        )
    )


def run_ffmpeg(output_path: Path, command: list[str]) -> Path:
    """Run ffmpeg and move the output into place when it is complete."""
    partial_path = output_path.with_suffix(".begun.mp4")
    ffmpeg = ["ffmpeg", "-v", "error", "-y", *command, str(partial_path)]
    process = subprocess.run(
        ffmpeg, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if process.returncode:
        raise SystemExit(f"{' '.join(ffmpeg)}:\n{process.stderr[-2000:]}")
    partial_path.replace(output_path)
    return output_path


def _video_seconds(video_path: Path) -> float:
    """Return the duration of the video stream in seconds."""
    arguments = ["-select_streams", "v", "-show_entries", "stream=duration", "-of", "csv=p=0"]
    process = subprocess.run(
        ["ffprobe", "-v", "error", *arguments, str(video_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(process.stdout)
