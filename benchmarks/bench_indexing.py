"""Measure indexing end to end, compared with ffmpeg decoding and scaling the same video.

Each command runs as a separate process, alternating in one run. Times are wall-clock times, as both
cores are available; CPU times are printed next to them. Startup and model loading are included, in
the baseline too. The videos are made of the clips, see `mosaic.py`. One round takes about 10
minutes after that.

    python -m benchmarks.bench_indexing CLIPS [--seconds 300] [--rounds 2] [--work FOLDER]
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mosaic import MosaicFilm, make_mosaic
from benchmarks.report import Claim, Report, add_json_option

DEFAULT_ROUNDS = 2
CLIPS_ACROSS = {"1080p": 3, "360p": 1}  # clips side by side, each way
# ffmpeg decodes 5 minutes of 360p in 3 seconds, too short a time to compare with
DEFAULT_SECONDS = {"1080p": 300, "360p": 900}
MAX_RATIOS = {  # to the time of the reference
    "1080p": {"exact": 1.3, "fast": 1.0},
    "360p": {"exact": 4.0, "fast": 2.0},
}
REFERENCE_NAME = "ffmpeg"
BASELINE_NAME = "OpenCV + open_clip"
TIER_OPTIONS = {
    "exact": ["--model", "builtin"],
    "fast": ["--model", "builtin:fast"],
    "exact, keyframes": ["--model", "builtin", "--keyframes-only"],
    "fast, keyframes": ["--model", "builtin:fast", "--keyframes-only"],
}


@dataclass(frozen=True, slots=True)
class CommandTimes:
    """Times of a command in seconds."""

    wall_seconds: float
    cpu_seconds: float  # of all cores


def run_command(command: list[str]) -> CommandTimes:
    """Run a command and measure its times."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start_time, start_cpu = time.perf_counter(), _children_cpu_seconds()
    process = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=env
    )
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{process.stderr[-2000:]}")
    return CommandTimes(time.perf_counter() - start_time, _children_cpu_seconds() - start_cpu)


def _children_cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def index_video(video_path: Path, options: list[str], work_folder: Path) -> CommandTimes:
    """Index a video into a new library."""
    library = work_folder / "library"
    shutil.rmtree(library, ignore_errors=True)
    vsearch = [sys.executable, "-m", "vsearch", "--library", str(library), "index"]
    return run_command([*vsearch, *options, str(video_path)])


def measure_methods(
    video_path: Path, round_count: int, work_folder: Path, *, with_baseline: bool
) -> dict[str, CommandTimes]:
    """Return the fastest round of each method; the slow baseline only runs once."""
    decode = [
        "ffmpeg",
        "-y",
        "-i",
        str(video_path),
        "-vf",
        "fps=1,scale=224:224",
        "-f",
        "null",
        "-",
    ]
    plain = [sys.executable, "-m", "benchmarks.straightforward", str(video_path)]
    command_times: dict[str, list[CommandTimes]] = {}
    for number in range(round_count):
        command_times.setdefault(REFERENCE_NAME, []).append(run_command(decode))
        for name, options in TIER_OPTIONS.items():
            command_times.setdefault(name, []).append(index_video(video_path, options, work_folder))
        if with_baseline and not number:
            command_times.setdefault(BASELINE_NAME, []).append(
                run_command([*plain, str(work_folder / "plain.npz")])
            )
    return {
        name: min(times_of_method, key=lambda times: times.wall_seconds)
        for name, times_of_method in command_times.items()
    }


def build_rows(
    size_name: str, film: MosaicFilm, command_times: dict[str, CommandTimes]
) -> list[dict[str, object]]:
    """Build a row per method for one film."""
    reference, plain = command_times[REFERENCE_NAME], command_times.get(BASELINE_NAME)
    return [
        {
            "size": size_name,
            "video": f"{size_name}, {film.megabits:.1f} Mbit/s",
            "how": name,
            "seconds": round(times.wall_seconds, 1),
            "CPU-s": round(times.cpu_seconds, 1),
            "ratio to ffmpeg": round(times.wall_seconds / reference.wall_seconds, 2),
            "CPU ratio": round(times.cpu_seconds / reference.cpu_seconds, 2),
            "times faster than the baseline": round(plain.wall_seconds / times.wall_seconds, 1)
            if plain
            else "",
        }
        for name, times in command_times.items()
    ]


def build_report(
    clips_folder: Path,
    film_seconds: int | None,
    round_count: int,
    work_folder: Path,
    *,
    with_baseline: bool,
) -> Report:
    """Measure both sizes."""
    report = Report("indexing")
    for size, across in CLIPS_ACROSS.items():
        film = make_mosaic(clips_folder, across, film_seconds or DEFAULT_SECONDS[size], work_folder)
        report.rows += build_rows(
            size,
            film,
            measure_methods(film.path, round_count, work_folder, with_baseline=with_baseline),
        )
    report.claims = build_claims(report, film_seconds, round_count)
    return report


def build_claims(report: Report, film_seconds: int | None, round_count: int) -> list[Claim]:
    """Build the claims of the speed table, one per size."""
    command = "python -m benchmarks.bench_indexing CLIPS"
    command += f" --seconds {film_seconds}" if film_seconds else ""
    command += f" --rounds {round_count}" if round_count != DEFAULT_ROUNDS else ""
    claims = []
    for size in CLIPS_ACROSS:
        size_rows = [row for row in report.rows if row["size"] == size]
        summary = "; ".join(_describe_row(row) for row in size_rows if row["how"] in TIER_OPTIONS)
        what = (
            f"indexing {film_seconds or DEFAULT_SECONDS[size]} s of H.264, "
            f"{size_rows[0]['video']}, end to end, compared with ffmpeg decoding and scaling one "
            "frame per second, wall-clock time"
        )
        claims.append(Claim(what, summary, command))
    return claims


def _describe_row(report_row: dict[str, object]) -> str:
    """Describe one method."""
    summary = f"{report_row['how']} {report_row['ratio to ffmpeg']}x"
    limit = MAX_RATIOS[str(report_row["size"])].get(str(report_row["how"]))
    if limit:
        summary += f" (limit {limit:g})"
    speedup = report_row["times faster than the baseline"]
    return (
        f"{summary}, {speedup} times as fast as {BASELINE_NAME} in float32" if speedup else summary
    )


def main() -> None:
    parser = add_json_option(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("clips", type=Path)
    parser.add_argument("--seconds", type=int, help="of each video")
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS)
    parser.add_argument("--no-baseline", action="store_true")
    parser.add_argument("--work", type=Path, help="folder that keeps the videos")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(exist_ok=True, parents=True)
        arguments = options.clips, options.seconds, options.rounds, work
        build_report(*arguments, with_baseline=not options.no_baseline).print_and_write(
            options.json
        )


if __name__ == "__main__":
    main()
