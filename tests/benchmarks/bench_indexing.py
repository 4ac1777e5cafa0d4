"""Indexing end to end, against what the ffmpeg command line takes to decode and scale the same.

Everything runs as a process of its own, in turn, in one run; the clock on the wall counts, as both
cores are there to be used. Starting and loading the model are part of ours and of the baseline.

    python -m tests.benchmarks.bench_indexing CLIPS [--seconds 180] [--rounds 3] [--work FOLDER]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.benchmarks.report import Claim, Report, with_json

SIZES = {"1080p": "1920:1080", "360p": "640:360"}
REFERENCE = "ffmpeg"
BASELINE = "OpenCV + open_clip"
TIERS = {
    "exact": ["--model", "builtin"],
    "fast": ["--model", "builtin:fast"],
    "exact, key frames": ["--model", "builtin", "--fast"],
    "fast, key frames": ["--model", "builtin:fast", "--fast"],
}


def video_of(clips: Path, size: str, seconds: int, work: Path) -> Path:
    """Clips one after the other, again and again, as H.264 of x264's own settings."""
    made = work / f"{size}-{seconds}.mp4"
    if made.exists():
        return made
    found = sorted(path for path in clips.iterdir() if path.suffix == ".mp4")
    many = [path for _ in range(100) for path in found][:200]
    listed = work / "list.txt"
    shape = f"scale={SIZES[size]}:force_original_aspect_ratio=decrease,pad={SIZES[size]}:-1:-1"
    listed.write_text("".join(f"file '{_plain(path, work)}'\n" for path in many))
    joined = ["-f", "concat", "-safe", "0", "-i", str(listed), "-an", "-t", str(seconds)]
    coded = ["-vf", f"{shape},fps=25", "-c:v", "libx264", "-pix_fmt", "yuv420p"]
    run(["ffmpeg", "-y", *joined, *coded, str(made)])
    return made


def _plain(clip: Path, work: Path) -> Path:
    """The clip in one size and rate, as what is joined has to be."""
    made = work / f"{clip.stem}.part.mp4"
    if not made.exists():
        run(["ffmpeg", "-y", "-i", str(clip), "-an", "-vf",
             "scale=640:360:force_original_aspect_ratio=decrease,pad=640:360:-1:-1,fps=25,setsar=1",
             "-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p",
             str(made)])  # fmt: skip
    return made


def run(command: list[str]) -> float:
    """Seconds on the clock that a command takes."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=env
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr[-2000:]}")
    return time.perf_counter() - began


def ours(video: Path, options: list[str], work: Path) -> float:
    """Index a video into a new library."""
    library = work / "library"
    shutil.rmtree(library, ignore_errors=True)
    vsearch = [sys.executable, "-m", "vsearch", "--library", str(library), "index"]
    return run([*vsearch, *options, str(video)])


def measured(video: Path, rounds: int, work: Path, *, baseline: bool) -> dict[str, float]:
    """Medians in seconds of everything, each in turn."""
    decode = ["ffmpeg", "-y", "-i", str(video), "-vf", "fps=1,scale=224:224", "-f", "null", "-"]
    plain = [sys.executable, "-m", "tests.benchmarks.straightforward", str(video)]
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        taken.setdefault(REFERENCE, []).append(run(decode))
        for name, options in TIERS.items():
            taken.setdefault(name, []).append(ours(video, options, work))
        if baseline:
            taken.setdefault(BASELINE, []).append(run([*plain, str(work / "plain.npz")]))
    return {name: median(seconds) for name, seconds in taken.items()}


def report(clips: Path, seconds: int, rounds: int, work: Path, *, baseline: bool) -> Report:
    found = Report("indexing")
    for size in SIZES:
        taken = measured(video_of(clips, size, seconds, work), rounds, work, baseline=baseline)
        plain = taken.get(BASELINE)
        for name, wall in taken.items():
            row = {"video": size, "how": name, "seconds": round(wall, 1)}
            row["ratio to ffmpeg"] = round(wall / taken[REFERENCE], 2)
            row["times faster than the baseline"] = round(plain / wall, 1) if plain else ""
            found.rows.append(row)
    told = "; ".join(
        f"{row['video']} {row['how']} {row['ratio to ffmpeg']}x"
        + (f" ({row['times faster than the baseline']} times faster than OpenCV + open_clip)"
           if plain else "")
        for row in found.rows if row["how"] in TIERS
    )  # fmt: skip
    found.claims.append(
        Claim(
            f"indexing {seconds} s of H.264, all of it, against the ffmpeg command line that "
            "decodes and scales a frame a second, on the clock",
            told,
            "`python -m tests.benchmarks.bench_indexing CLIPS`",
        )
    )
    return found


def main() -> None:
    parser = with_json(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("clips", type=Path)
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-baseline", action="store_true")
    parser.add_argument("--work", type=Path, help="where made videos are kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        work.mkdir(exist_ok=True, parents=True)
        asked = given.clips, given.seconds, given.rounds, work
        report(*asked, baseline=not given.no_baseline).write(given.json)


if __name__ == "__main__":
    main()
