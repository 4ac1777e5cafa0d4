"""The most memory that `vsearch index` takes with each tier: a minute of 4K, and ten hours.

The videos are synthesised: 4K with film grain, as x264 codes it with four reference frames, and ten
hours whose picture changes twice a minute, so that all of it is decoded, compared and stored while
next to nothing is encoded. About 8 minutes.

    python -m tests.benchmarks.bench_memory [--json FILE] [--work FOLDER]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.mosaic import whole
from tests.benchmarks.report import Claim, Report, with_json

ALLOWED = 900  # MB
INDEX = """
from tests.peak import peak
from vsearch.cli.main import main

try:
    main()
finally:
    print(peak())
"""
MODELS = {"default": "builtin", "fast": "builtin:fast"}
GRAIN = "testsrc2=s=3840x2160:r=25,noise=alls=8:allf=t"
SLIDES = "testsrc2=s=320x180:r=1/30,fps=2"
X264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "250"]
VIDEOS: dict[str, tuple[list[str], str, int]] = {  # how each is coded, of what, how often repeated
    "4K, 60 s": (["-t", "10", *X264, "-preset", "veryfast", "-refs", "4", "-bf", "3"], GRAIN, 6),
    "10 hours": (["-t", "3600", *X264, "-preset", "ultrafast"], SLIDES, 10),
}


def video_of(name: str, work: Path) -> Path:
    """The video of that name, made if it is not there."""
    coded, picture, repeated = VIDEOS[name]
    part = work / f"{name}.part.mp4"
    made = work / f"{name}.mp4"
    if not part.exists():
        whole(part, ["-f", "lavfi", "-i", picture, *coded])
    if not made.exists():
        whole(made, ["-stream_loop", str(repeated - 1), "-i", str(part), "-c", "copy"])
    return made


def peak(video: Path, model: str, work: Path) -> float:
    """MB that indexing a video into a new library took at most."""
    library = work / "library"
    shutil.rmtree(library, ignore_errors=True)
    arguments = ["--library", str(library), "--model", model, "index", str(video)]
    done = subprocess.run([sys.executable, "-c", INDEX, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{video}: could not be indexed\n{done.stderr}")
    return float(done.stdout.splitlines()[-1])


def report(work: Path) -> Report:
    """Measure each video with each tier."""
    found = Report("memory")
    for name in VIDEOS:
        video = video_of(name, work)
        for tier, model in MODELS.items():
            found.rows.append({"video": name, "tier": tier, "MB": round(peak(video, model, work))})
    told = "; ".join(f"{row['video']} {row['tier']} {row['MB']} MB" for row in found.rows)
    how = "`python -m tests.benchmarks.bench_memory`"
    found.claims.append(Claim(f"the most memory while indexing (limit {ALLOWED} MB)", told, how))
    return found


def main() -> None:
    parser = with_json(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--work", type=Path, help="where made videos are kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        work.mkdir(exist_ok=True, parents=True)
        report(work).write(given.json)


if __name__ == "__main__":
    main()
