"""CPU seconds an hour of video that decoding takes, beside the ffmpeg command line in the same run.

    python -m tests.benchmarks.bench_decode CLIPS [--work FOLDER] [--json FILE] [--rounds N]

Films of half a minute are made of the clips, with the ffmpeg command line. About 6 minutes.
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

from vsearch.media.shots import ContentDetector
from vsearch.media.video import Sampler, probe

if TYPE_CHECKING:
    from collections.abc import Callable

SHOT = 4  # seconds of each clip
LENGTH = 32  # seconds of a film
SIDE = 224
ROUNDS = 3
LIMIT, FASTER = 0.7, 8  # of ffmpeg's time at most; times less by key frames at least


@dataclass(frozen=True)
class Film:
    """How a film is encoded."""

    name: str
    file: str
    size: tuple[int, int]
    options: str


FILMS = (
    Film("H.264 1080p, GOP 250", "h264.mp4", (1920, 1080), "libx264 -preset veryfast -refs 3"),
    Film(
        "H.264 1080p, GOP 48", "gop48.mp4", (1920, 1080), "libx264 -preset veryfast -refs 3 -g 48"
    ),
    Film("H.264 360p, GOP 250", "h264_360.mp4", (640, 360), "libx264 -preset veryfast -refs 3"),
    Film(
        "HEVC 720p",
        "hevc.mp4",
        (1280, 720),
        "libx265 -preset ultrafast -x265-params log-level=none",
    ),
    Film("VP9 720p", "vp9.webm", (1280, 720), "libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M"),
)


def make(film: Film, clips: Path, folder: Path) -> Path:
    """Encode shots of the clips, at 25 frames a second with a little grain, if not done yet."""
    path = folder / film.file
    if path.exists():
        return path
    films = (clip for clip in clips.iterdir() if clip.suffix == ".mp4")
    names = sorted(clip for clip in films if probe(clip).duration > SHOT)
    chosen = list(islice(cycle(names), LENGTH // SHOT))
    width, height = film.size
    fit = (
        f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height},"
        f"fps=25,setsar=1,trim=0:{SHOT},setpts=PTS-STARTPTS,noise=alls=3:allf=t,format=yuv420p"
    )
    parts = ";".join(f"[{n}:v:0]{fit}[v{n}]" for n in range(len(chosen)))
    joined = "".join(f"[v{n}]" for n in range(len(chosen))) + f"concat=n={len(chosen)}[v]"
    inputs = [word for clip in chosen for word in ("-i", str(clip))]
    unfinished = path.with_stem(f"{path.stem}.part")
    command = ["ffmpeg", "-v", "error", "-y", *inputs, "-filter_complex", f"{parts};{joined}"]
    command += ["-map", "[v]", "-c:v", *film.options.split(), str(unfinished)]
    subprocess.run(command, check=True)
    return unfinished.rename(path)


def ffmpeg(path: Path, fps: float) -> None:
    """What everybody would do."""
    scale = f"fps={fps},scale={SIDE}:{SIDE}"
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", scale, "-f", "null", "-"]
    subprocess.run(command, check=True)


def pyav(path: Path, fps: float) -> None:
    """Decode every frame, scale one at each instant."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        stream.thread_type = "AUTO"
        due = 0
        for frame in container.decode(stream):
            if frame.pts is not None and float(frame.time) * fps >= due:
                frame.to_ndarray(width=SIDE, height=SIDE, format="rgb24")
                due += 1


def ours(path: Path, fps: float) -> None:
    """The same frames, and the cuts."""
    detector = ContentDetector()
    for _ in Sampler(path, fps=fps, short_side=SIDE, detector=detector):
        pass
    detector.cuts()


def blind(path: Path, fps: float) -> None:
    """The same frames without the cuts."""
    for _ in Sampler(path, fps=fps, short_side=SIDE):
        pass


def fast(path: Path, fps: float) -> None:
    """Key frames only."""
    for _ in Sampler(path, fps=fps, short_side=SIDE, keyframes=True):
        pass


WAYS: dict[str, Callable[[Path, float], None]] = {
    "ffmpeg": ffmpeg,
    "PyAV, everything": pyav,
    "vsearch with shots": ours,
    "vsearch without shots": blind,
    "vsearch, key frames": fast,
}


def spent(way: Callable[[Path, float], None], path: Path, fps: float) -> float:
    """CPU seconds of this process and of those that it started."""
    began = time.process_time(), getrusage(RUSAGE_CHILDREN)
    way(path, fps)
    children = getrusage(RUSAGE_CHILDREN)
    own = time.process_time() - began[0]
    return own + sum(  # type: ignore[no-any-return]
        getattr(children, kind) - getattr(began[1], kind) for kind in ("ru_utime", "ru_stime")
    )


def measured(path: Path, fps: float, rounds: int) -> dict[str, float]:
    """CPU seconds an hour of each way, all of them taking turns: the median."""
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            found[name].append(spent(way, path, fps))
    hours = probe(path).duration / 3600
    return {name: median(times) / hours for name, times in found.items()}


def main() -> None:
    """Print the table, and write it where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("clips", type=Path)
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="where made films are kept")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="part of a film's name")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        films = [film for film in FILMS if options.only in film.name]
        rows = compared(films, options.clips, work, options.rounds)
    if options.json:
        options.json.write_text(json.dumps(report(rows, options.rounds), indent=1) + "\n", "utf-8")


def compared(
    films: list[Film], clips: Path, work: Path, rounds: int
) -> list[dict[str, str | float]]:
    """A row for each film and rate, printed as it comes."""
    rows: list[dict[str, str | float]] = []
    print(f"{'CPU seconds an hour':28}" + "".join(f"{name:>24}" for name in WAYS))
    for film in films:
        path = make(film, clips, work)
        for fps in (1, 0.1):
            took = measured(path, fps, rounds)
            cells = (f"{value:15.1f} ({value / took['ffmpeg']:4.2f}x)" for value in took.values())
            print(f"{film.name + f', {fps}/s':28}" + "".join(f"{cell:>24}" for cell in cells))
            rows.append({"film": film.name, "fps": fps, **took})
    return rows


def report(rows: list[dict[str, str | float]], rounds: int) -> dict[str, object]:
    """Rows and what they show."""
    how = "python -m tests.benchmarks.bench_decode CLIPS"
    how += f" --rounds {rounds}" if rounds != ROUNDS else ""
    claims = []
    for row in (row for row in rows if row["fps"] == 1):
        share = float(row["vsearch with shots"]) / float(row["ffmpeg"])
        exact = float(row["vsearch with shots"]) / float(row["vsearch, key frames"])
        faster = float(row["vsearch without shots"]) / float(row["vsearch, key frames"])
        blind = float(row["vsearch without shots"]) / float(row["ffmpeg"])
        found = f"{share:.2f}x of ffmpeg's CPU time (limit {LIMIT}) for the same frames and the "
        found += f"cuts, {blind:.2f}x without the cuts; key frames only {exact:.1f}x less than "
        found += f"with the cuts, {faster:.1f}x less than without (at least {FASTER})"
        claims.append({"what": f"decoding {row['film']}, 1 frame/s", "found": found, "how": how})
    return {"name": "decode", "rows": rows, "claims": claims}


if __name__ == "__main__":
    main()
