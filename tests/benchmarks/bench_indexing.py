"""Indexing end to end, against what the ffmpeg command line takes to decode and scale the same.

Everything runs as a process of its own, in turn, in one run; the clock on the wall counts, as both
cores are there to be used, and the seconds of processor time are told beside it. Starting and
loading the model are part of ours and of the baseline. The videos are made of the clips, see
`mosaic.py`. With one round it takes about 10 minutes, after making them.

    python -m tests.benchmarks.bench_indexing CLIPS [--seconds 300] [--rounds 2] [--work FOLDER]
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

from tests.benchmarks.mosaic import Film, film_of
from tests.benchmarks.report import Claim, Report, with_json

ROUNDS = 2
SIZES = {"1080p": 3, "360p": 1}  # clips side by side, each way
SECONDS = {"1080p": 300, "360p": 900}  # ffmpeg is through with 5 minutes of 360p in 3 seconds
LIMITS = {  # times as long as the reference
    "1080p": {"exact": 1.3, "fast": 1.0},
    "360p": {"exact": 4.0, "fast": 2.0},
}
REFERENCE = "ffmpeg"
BASELINE = "OpenCV + open_clip"
TIERS = {
    "exact": ["--model", "builtin"],
    "fast": ["--model", "builtin:fast"],
    "exact, key frames": ["--model", "builtin", "--fast"],
    "fast, key frames": ["--model", "builtin:fast", "--fast"],
}


@dataclass(frozen=True, slots=True)
class Took:
    """What a command took, in seconds."""

    wall: float
    cpu: float  # of all cores


def run(command: list[str]) -> Took:
    """Run a command to its end."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began, used = time.perf_counter(), _used()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=env
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr[-2000:]}")
    return Took(time.perf_counter() - began, _used() - used)


def _used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def ours(video: Path, options: list[str], work: Path) -> Took:
    """Index a video into a new library."""
    library = work / "library"
    shutil.rmtree(library, ignore_errors=True)
    vsearch = [sys.executable, "-m", "vsearch", "--library", str(library), "index"]
    return run([*vsearch, *options, str(video)])


def measured(video: Path, rounds: int, work: Path, *, baseline: bool) -> dict[str, Took]:
    """The fastest round of everything, each in turn; the baseline, which is slow, in the first."""
    decode = ["ffmpeg", "-y", "-i", str(video), "-vf", "fps=1,scale=224:224", "-f", "null", "-"]
    plain = [sys.executable, "-m", "tests.benchmarks.straightforward", str(video)]
    taken: dict[str, list[Took]] = {}
    for number in range(rounds):
        taken.setdefault(REFERENCE, []).append(run(decode))
        for name, options in TIERS.items():
            taken.setdefault(name, []).append(ours(video, options, work))
        if baseline and not number:
            taken.setdefault(BASELINE, []).append(run([*plain, str(work / "plain.npz")]))
    return {name: min(each, key=lambda took: took.wall) for name, each in taken.items()}


def rows(size: str, film: Film, taken: dict[str, Took]) -> list[dict[str, object]]:
    """A row for each way to index that film."""
    reference, plain = taken[REFERENCE], taken.get(BASELINE)
    return [
        {
            "size": size,
            "video": f"{size}, {film.megabits:.1f} Mbit/s",
            "how": name,
            "seconds": round(took.wall, 1),
            "CPU-s": round(took.cpu, 1),
            "ratio to ffmpeg": round(took.wall / reference.wall, 2),
            "CPU ratio": round(took.cpu / reference.cpu, 2),
            "times faster than the baseline": round(plain.wall / took.wall, 1) if plain else "",
        }
        for name, took in taken.items()
    ]


def report(clips: Path, seconds: int | None, rounds: int, work: Path, *, baseline: bool) -> Report:
    """Measure both sizes."""
    found = Report("indexing")
    for size, across in SIZES.items():
        film = film_of(clips, across, seconds or SECONDS[size], work)
        found.rows += rows(size, film, measured(film.path, rounds, work, baseline=baseline))
    found.claims = claims(found, seconds, rounds)
    return found


def claims(report: Report, seconds: int | None, rounds: int) -> list[Claim]:
    """What is said in the README: a line for each size."""
    how = "python -m tests.benchmarks.bench_indexing CLIPS"
    how += f" --seconds {seconds}" if seconds else ""
    how += f" --rounds {rounds}" if rounds != ROUNDS else ""
    said = []
    for size in SIZES:
        each = [row for row in report.rows if row["size"] == size]
        told = "; ".join(_told(row) for row in each if row["how"] in TIERS)
        what = (
            f"indexing {seconds or SECONDS[size]} s of H.264, {each[0]['video']}, from nothing to "
            "searchable, against the ffmpeg command line that decodes and scales a frame a second, "
            "on the clock"
        )
        said.append(Claim(what, told, how))
    return said


def _told(row: dict[str, object]) -> str:
    """One way to index."""
    told = f"{row['how']} {row['ratio to ffmpeg']}x"
    limit = LIMITS[str(row["size"])].get(str(row["how"]))
    if limit:
        told += f" (limit {limit:g})"
    faster = row["times faster than the baseline"]
    return f"{told}, {faster} times as fast as {BASELINE} in float32" if faster else told


def main() -> None:
    parser = with_json(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("clips", type=Path)
    parser.add_argument("--seconds", type=int, help="of each video")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
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
