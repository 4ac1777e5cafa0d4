"""Measure the peak memory of `vsearch index` with each tier: one minute of 4K, and ten hours.

The videos are synthetic: 4K with film grain, encoded by x264 with four reference frames, and ten
hours whose image changes twice a minute, so that everything is decoded, compared and stored while
almost nothing is encoded. Takes about 8 minutes.

    python -m benchmarks.bench_memory [--json FILE] [--work FOLDER]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.mosaic import run_ffmpeg
from benchmarks.report import Claim, Report, add_json_option

MAX_MB = 900
INDEX_SCRIPT = """
from tests.support.peak_memory import measure_peak_memory
from vsearch.cli.main import main

try:
    main()
finally:
    print(measure_peak_memory())
"""
TIER_MODELS = {"default": "builtin", "fast": "builtin:fast"}
GRAIN_SOURCE = "testsrc2=s=3840x2160:r=25,noise=alls=8:allf=t"
SLIDES_SOURCE = "testsrc2=s=320x180:r=1/30,fps=2"
X264_OPTIONS = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "250"]
# ffmpeg's output options, its source filter, and the number of repetitions of each video
VIDEO_RECIPES: dict[str, tuple[list[str], str, int]] = {
    "4K, 60 s": (
        ["-t", "10", *X264_OPTIONS, "-preset", "veryfast", "-refs", "4", "-bf", "3"],
        GRAIN_SOURCE,
        6,
    ),
    "10 hours": (["-t", "3600", *X264_OPTIONS, "-preset", "ultrafast"], SLIDES_SOURCE, 10),
}


def make_video(video_name: str, work_folder: Path) -> Path:
    """Make a video unless it exists."""
    encode_options, source, repeat_count = VIDEO_RECIPES[video_name]
    part_path = work_folder / f"{video_name}.part.mp4"
    video_path = work_folder / f"{video_name}.mp4"
    if not part_path.exists():
        run_ffmpeg(part_path, ["-f", "lavfi", "-i", source, *encode_options])
    if not video_path.exists():
        run_ffmpeg(
            video_path, ["-stream_loop", str(repeat_count - 1), "-i", str(part_path), "-c", "copy"]
        )
    return video_path


def measure_peak(video_path: Path, model_name: str, work_folder: Path) -> float:
    """Measure peak memory in MB of indexing a video into a new library."""
    library = work_folder / "library"
    shutil.rmtree(library, ignore_errors=True)
    arguments = ["--library", str(library), "--model", model_name, "index", str(video_path)]
    process = subprocess.run(
        [sys.executable, "-c", INDEX_SCRIPT, *arguments], capture_output=True, text=True
    )
    if process.returncode:
        raise SystemExit(f"{video_path}: indexing failed\n{process.stderr}")
    return float(process.stdout.splitlines()[-1])


def build_report(work_folder: Path) -> Report:
    """Measure each video with each tier."""
    report = Report("memory")
    for name in VIDEO_RECIPES:
        video = make_video(name, work_folder)
        for tier, model in TIER_MODELS.items():
            report.rows.append(
                {"video": name, "tier": tier, "MB": round(measure_peak(video, model, work_folder))}
            )
    peaks = "; ".join(f"{row['video']} {row['tier']} {row['MB']} MB" for row in report.rows)
    command = "`python -m benchmarks.bench_memory`"
    report.claims.append(Claim(f"peak memory while indexing (limit {MAX_MB} MB)", peaks, command))
    return report


def main() -> None:
    parser = add_json_option(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--work", type=Path, help="folder that keeps the videos")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(exist_ok=True, parents=True)
        build_report(work).print_and_write(options.json)


if __name__ == "__main__":
    main()
