"""Measure the CPU seconds of decoding per hour of video, compared with the ffmpeg command line.

    python -m benchmarks.bench_decode CLIPS [--work FOLDER] [--json FILE] [--rounds N]

Films of half a minute are made of the clips with the ffmpeg command line. Takes about 6 minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import TYPE_CHECKING

import av

from vsearch.media.sampler import Sampler, probe_video
from vsearch.media.shot_detection import ContentDetector

if TYPE_CHECKING:
    from collections.abc import Callable

SHOT_SECONDS = 4  # of each clip
FILM_SECONDS = 32
IMAGE_SIDE_PX = 224
DEFAULT_ROUNDS = 3
MAX_FFMPEG_RATIO, MIN_KEYFRAME_SPEEDUP = 0.7, 8


@dataclass(frozen=True)
class FilmSpec:
    """Encoding of a film."""

    name: str
    file_name: str
    frame_size: tuple[int, int]
    options: str


FILM_SPECS = (
    FilmSpec("H.264 1080p, GOP 250", "h264.mp4", (1920, 1080), "libx264 -preset veryfast -refs 3"),
    FilmSpec(
        "H.264 1080p, GOP 48", "gop48.mp4", (1920, 1080), "libx264 -preset veryfast -refs 3 -g 48"
    ),
    FilmSpec("H.264 360p, GOP 250", "h264_360.mp4", (640, 360), "libx264 -preset veryfast -refs 3"),
    FilmSpec(
        "HEVC 720p",
        "hevc.mp4",
        (1280, 720),
        "libx265 -preset ultrafast -x265-params log-level=none",
    ),
    FilmSpec(
        "VP9 720p", "vp9.webm", (1280, 720), "libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M"
    ),
)


def make_film(film: FilmSpec, clips_folder: Path, work_folder: Path) -> Path:
    """Encode shots of the clips at 25 fps with a little grain, unless the film exists."""
    path = work_folder / film.file_name
    if path.exists():
        return path
    films = (clip for clip in clips_folder.iterdir() if clip.suffix == ".mp4")
    long_clips = sorted(clip for clip in films if probe_video(clip).duration > SHOT_SECONDS)
    chosen_clips = list(islice(cycle(long_clips), FILM_SECONDS // SHOT_SECONDS))
    width, height = film.frame_size
    fit = (
        f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height},"
        f"fps=25,setsar=1,trim=0:{SHOT_SECONDS},setpts=PTS-STARTPTS,noise=alls=3:allf=t,format=yuv420p"
    )
    clip_filters = ";".join(f"[{n}:v:0]{fit}[v{n}]" for n in range(len(chosen_clips)))
    concat_filter = (
        "".join(f"[v{n}]" for n in range(len(chosen_clips))) + f"concat=n={len(chosen_clips)}[v]"
    )
    inputs = [argument for clip in chosen_clips for argument in ("-i", str(clip))]
    unfinished = path.with_stem(f"{path.stem}.part")
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        *inputs,
        "-filter_complex",
        f"{clip_filters};{concat_filter}",
    ]
    command += ["-map", "[v]", "-c:v", *film.options.split(), str(unfinished)]
    subprocess.run(command, check=True)
    return unfinished.rename(path)


def decode_with_ffmpeg(video_path: Path, fps: float) -> None:
    """Decode and scale with the ffmpeg command line."""
    scale = f"fps={fps},scale={IMAGE_SIDE_PX}:{IMAGE_SIDE_PX}"
    command = ["ffmpeg", "-v", "error", "-i", str(video_path), "-vf", scale, "-f", "null", "-"]
    subprocess.run(command, check=True)


def decode_with_pyav(video_path: Path, fps: float) -> None:
    """Decode every frame and scale one per sample time."""
    with av.open(str(video_path)) as container:
        (stream,) = container.streams.video
        stream.thread_type = "AUTO"
        due = 0
        for frame in container.decode(stream):
            if frame.pts is not None and float(frame.time) * fps >= due:
                frame.to_ndarray(width=IMAGE_SIDE_PX, height=IMAGE_SIDE_PX, format="rgb24")
                due += 1


def sample_with_shots(video_path: Path, fps: float) -> None:
    """Sample frames and detect shots."""
    detector = ContentDetector()
    for _ in Sampler(video_path, fps=fps, short_side=IMAGE_SIDE_PX, shot_detector=detector):
        pass
    detector.cuts()


def sample_without_shots(video_path: Path, fps: float) -> None:
    """Sample frames only."""
    for _ in Sampler(video_path, fps=fps, short_side=IMAGE_SIDE_PX):
        pass


def sample_keyframes(video_path: Path, fps: float) -> None:
    """Sample keyframes only."""
    for _ in Sampler(video_path, fps=fps, short_side=IMAGE_SIDE_PX, keyframes_only=True):
        pass


DECODE_METHODS: dict[str, Callable[[Path, float], None]] = {
    "ffmpeg": decode_with_ffmpeg,
    "PyAV, everything": decode_with_pyav,
    "vsearch with shots": sample_with_shots,
    "vsearch without shots": sample_without_shots,
    "vsearch, keyframes": sample_keyframes,
}


def measure_cpu(
    decode_method: Callable[[Path, float], None], video_path: Path, fps: float
) -> float:
    """Return the CPU seconds of this process and its children."""
    start_times = time.process_time(), getrusage(RUSAGE_CHILDREN)
    decode_method(video_path, fps)
    children = getrusage(RUSAGE_CHILDREN)
    own_seconds = time.process_time() - start_times[0]
    return own_seconds + sum(  # type: ignore[no-any-return]
        getattr(children, kind) - getattr(start_times[1], kind) for kind in ("ru_utime", "ru_stime")
    )


def measure_methods(video_path: Path, fps: float, round_count: int) -> dict[str, float]:
    """Return the median CPU seconds per hour of each method, alternating."""
    seconds_by_method: dict[str, list[float]] = {name: [] for name in DECODE_METHODS}
    for _ in range(round_count):
        for name, decode_method in DECODE_METHODS.items():
            seconds_by_method[name].append(measure_cpu(decode_method, video_path, fps))
    hours = probe_video(video_path).duration / 3600
    return {name: median(times) / hours for name, times in seconds_by_method.items()}


def main() -> None:
    """Print the table, and write it if a file is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("clips", type=Path)
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="folder that keeps the films")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS)
    parser.add_argument("--only", default="", help="only films whose name contains this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        films = [film for film in FILM_SPECS if options.only in film.name]
        rows = compare_films(films, options.clips, work, options.rounds)
    if options.json:
        options.json.write_text(
            json.dumps(build_report(rows, options.rounds), indent=1) + "\n", "utf-8"
        )


def compare_films(
    films: list[FilmSpec], clips_folder: Path, work_folder: Path, round_count: int
) -> list[dict[str, str | float]]:
    """Measure and print a row per film and rate."""
    rows: list[dict[str, str | float]] = []
    print(f"{'CPU seconds per hour':28}" + "".join(f"{name:>24}" for name in DECODE_METHODS))
    for film in films:
        path = make_film(film, clips_folder, work_folder)
        for fps in (1, 0.1):
            seconds_by_method = measure_methods(path, fps, round_count)
            cells = (
                f"{value:15.1f} ({value / seconds_by_method['ffmpeg']:4.2f}x)"
                for value in seconds_by_method.values()
            )
            print(f"{film.name + f', {fps}/s':28}" + "".join(f"{cell:>24}" for cell in cells))
            rows.append({"film": film.name, "fps": fps, **seconds_by_method})
    return rows


def build_report(rows: list[dict[str, str | float]], round_count: int) -> dict[str, object]:
    """Return the rows and the claims."""
    command = "python -m benchmarks.bench_decode CLIPS"
    command += f" --rounds {round_count}" if round_count != DEFAULT_ROUNDS else ""
    claims = []
    for row in (row for row in rows if row["fps"] == 1):
        ratio = float(row["vsearch with shots"]) / float(row["ffmpeg"])
        speedup_with_shots = float(row["vsearch with shots"]) / float(row["vsearch, keyframes"])
        speedup = float(row["vsearch without shots"]) / float(row["vsearch, keyframes"])
        ratio_without_shots = float(row["vsearch without shots"]) / float(row["ffmpeg"])
        result = (
            f"{ratio:.2f}x of ffmpeg's CPU time (limit {MAX_FFMPEG_RATIO}) for the same frames "
            f"with shot detection, {ratio_without_shots:.2f}x without; keyframes only are "
            f"{speedup_with_shots:.1f}x faster than all frames with shot detection, "
            f"{speedup:.1f}x faster than without (at least {MIN_KEYFRAME_SPEEDUP})"
        )
        claims.append(
            {"what": f"decoding {row['film']}, 1 frame/s", "found": result, "how": command}
        )
    return {"name": "decode", "rows": rows, "claims": claims}


if __name__ == "__main__":
    main()
