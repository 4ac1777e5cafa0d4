"""Measure how well a clip finds its source video.

    python -m benchmarks.bench_clips CLIPS [--count N] [--duplicates]

Clips of 3-20 s are cut at random from the videos in the folder CLIPS, and from concatenations of
them, re-encoded at half the size, cropped by 10 % and converted to another frame rate. The baseline
in the same run is the nearest moments to the pooled clip.

`--duplicates` measures `vsearch duplicates` instead, on copies of each kind and the originals.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.support.copies import (
    CopyOptions,
    copied_frames,
    drifting_colors,
    join_parts,
    make_copy,
    write_video,
)
from vsearch import Library
from vsearch.media.discovery import find_videos
from vsearch.media.sampler import probe_video
from vsearch.types import Span

if TYPE_CHECKING:
    from vsearch.search.result import SearchResult

COPY_RATES = (10, 12, 15, 20, 24, 30)  # frames a second of the copies
MIN_CLIP_SECONDS, MAX_CLIP_SECONDS = 3.0, 20.0  # of a clip
JOINED_COUNT = 5  # films joined from the videos


@dataclass(frozen=True, slots=True)
class ClipTrial:
    """One clip and the results of two searches."""

    source_kind: str  # "single" or "joined"
    clip_seconds: float
    is_first: tuple[
        bool, bool
    ]  # whether the source is first, by moments alone and with copy detection
    overlap: tuple[float, float]  # tIoU of the first moment and the true span
    search_seconds: float  # including the encoding of the clip
    encode_seconds: float  # of the search by moments alone, about the time to encode the clip


def collect_videos(
    clips_folder: Path, joined_folder: Path, rng: np.random.Generator
) -> dict[str, list[Path]]:
    """Collect the videos by kind: original and concatenated."""
    single = [
        discovered.path for discovered in find_videos([clips_folder]) if discovered.error is None
    ]
    joined_folder.mkdir()
    order = rng.permutation(len(single))
    for number in range(min(JOINED_COUNT, len(single))):
        paths = [single[i] for i in order[number::JOINED_COUNT]]
        parts = [
            (path, Span(0, min(probe_video(path).duration, MAX_CLIP_SECONDS))) for path in paths
        ]
        join_parts(joined_folder / f"{number}.mp4", parts)
    return {"single": single, "joined": sorted(joined_folder.iterdir())}


def search_moments_only(library: Library, clip: Path) -> SearchResult:
    """Search the nearest moments to the pooled clip, without copy detection."""
    from unittest.mock import patch

    with patch("vsearch.search.copy_search.CopyFinder.find_copies", return_value=[]):
        return library.search(clip=clip, k=1)


def try_clip(
    library: Library, source_kind: str, source_path: Path, true_span: Span, clip_path: Path
) -> ClipTrial:
    """Search a clip both ways."""
    start_time = time.perf_counter()
    plain_moment = search_moments_only(library, clip_path)[0]
    middle_time = time.perf_counter()
    copy_moment = library.search(clip=clip_path, k=1)[0]
    search_seconds = time.perf_counter() - middle_time
    is_first = plain_moment.video.path == source_path, copy_moment.video.path == source_path
    overlaps = [
        moment.span.iou(true_span) if is_right else 0.0
        for moment, is_right in zip((plain_moment, copy_moment), is_first, strict=True)
    ]
    return ClipTrial(
        source_kind,
        true_span.duration,
        is_first,
        (overlaps[0], overlaps[1]),
        search_seconds,
        middle_time - start_time,
    )


def run_trials(clips_folder: Path, clip_count: int, work_folder: Path) -> list[ClipTrial]:
    """Cut clips and search them."""
    rng = np.random.default_rng(7)
    results = []
    for kind, paths in collect_videos(clips_folder, work_folder / "joined", rng).items():
        with Library.open(work_folder / kind) as library:
            videos = [
                index_result.video
                for index_result in library.index(paths)
                if index_result.video is not None
            ]
            long = [video for video in videos if video.duration >= MIN_CLIP_SECONDS]
            for number in range(clip_count):
                video = long[rng.integers(len(long))]
                length = rng.uniform(MIN_CLIP_SECONDS, min(MAX_CLIP_SECONDS, video.duration))
                start = rng.uniform(0, video.duration - length)
                true_span = Span(start, start + length)
                copy_options = CopyOptions(fps=float(rng.choice(COPY_RATES)))
                clip = make_copy(
                    video.path, true_span, work_folder / f"{kind}{number}.mp4", copy_options, rng
                )
                results.append(try_clip(library, kind, video.path, true_span, clip))
    return results


def print_trials(clip_trials: list[ClipTrial]) -> None:
    """Print recall by kind and by length."""
    print(
        "kind    seconds   clips | moments alone: first  tIoU>=0.7  mean | now: first  ...", end=""
    )
    print("  | seconds per search, of these after encoding")
    groups = {
        "all": clip_trials,
        **{
            kind: [trial for trial in clip_trials if trial.source_kind == kind]
            for kind in ("single", "joined")
        },
        "3-6 s": [trial for trial in clip_trials if trial.clip_seconds < 6],
        "6-12 s": [trial for trial in clip_trials if 6 <= trial.clip_seconds < 12],
        "12-20 s": [trial for trial in clip_trials if trial.clip_seconds >= 12],
    }
    for name, group in groups.items():
        if not group:
            continue
        row = [f"{name:8} {len(group):4}"]
        for method_index in (0, 1):
            overlaps = np.array([trial.overlap[method_index] for trial in group])
            recall = np.mean([trial.is_first[method_index] for trial in group])
            row.append(f"{recall:6.1%} {(overlaps >= 0.7).mean():6.1%} {overlaps.mean():.3f}")
        search_seconds = np.mean([trial.search_seconds for trial in group])
        extra_seconds = search_seconds - np.mean([trial.encode_seconds for trial in group])
        row.append(f"{search_seconds:.1f} {extra_seconds:+.1f}")
        print(" | ".join(row))


COPY_KINDS = {
    "re-encoded": CopyOptions(fps=25, crop=0, quality=32),
    "cropped": CopyOptions(fps=25),
    "other rate": CopyOptions(fps=12, crop=0),
    "part": CopyOptions(fps=20, crop=0.05),
    "with intro": CopyOptions(fps=25, crop=0, scale=1),
}


def make_twin(
    source_path: Path, copy_kind: str, target_path: Path, rng: np.random.Generator
) -> None:
    """Make a copy of one kind."""
    copy_options, length = COPY_KINDS[copy_kind], probe_video(source_path).duration
    copied_span = Span(0, min(length, MAX_CLIP_SECONDS))
    if copy_kind == "part":
        half = length / 2
        start = rng.uniform(0, length - half)
        copied_span = Span(start, start + half)
    images = copied_frames(source_path, copied_span, copy_options, rng)
    if copy_kind != "with intro":
        write_video(target_path, images, copy_options.fps, copy_options.quality)
        return
    body = list(images)
    rows, columns = (np.arange(length) * 72 // length for length in body[0].shape[:2])
    first = drifting_colors(4, int(rng.integers(10**6)), fps=copy_options.fps)
    opening = [image[rows][:, columns] for image in first]
    write_video(target_path, [*opening, *body], copy_options.fps, copy_options.quality)


def measure_duplicates(clips_folder: Path, copy_count: int, work_folder: Path) -> None:
    """Measure recall and precision of duplicate detection by kind of copy."""
    rng = np.random.default_rng(11)
    paths = [found.path for found in find_videos([clips_folder]) if found.error is None]
    long = [path for path in paths if probe_video(path).duration >= 2 * MIN_CLIP_SECONDS]
    chosen = [long[i] for i in rng.permutation(len(long))[: min(copy_count, len(long))]]
    truth: dict[frozenset[str], str] = {}
    for number, path in enumerate(chosen):
        kind = list(COPY_KINDS)[number % len(COPY_KINDS)]
        target = work_folder / f"twin{number}.mp4"
        make_twin(path, kind, target, rng)
        truth[frozenset((path.name, target.name))] = kind
    with Library.open(work_folder / "library") as library:
        for _ in library.index([clips_folder, *sorted(work_folder.glob("twin*.mp4"))]):
            pass
        began = time.perf_counter()
        found = {
            frozenset((one.first_path.name, one.second_path.name)) for one in library.duplicates()
        }
        took = time.perf_counter() - began
    made, right = Counter(truth.values()), Counter(truth[pair] for pair in found & set(truth))
    for kind in COPY_KINDS:
        print(f"{kind:12} {right[kind]} of {made[kind]}")
    print(f"recall {right.total() / len(truth):.1%}", end="")
    print(f"  precision {right.total() / max(1, len(found)):.1%}  in {took:.0f} s")
    for pair in sorted(map(sorted, found - set(truth))):
        print("false positive:", *pair)
    for pair in sorted(map(sorted, set(truth) - found)):
        print("missed:", *pair)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--count", type=int, default=50, help="clips or copies of each kind")
    parser.add_argument("--duplicates", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.duplicates:
            measure_duplicates(options.clips, options.count, Path(folder))
        else:
            print_trials(run_trials(options.clips, options.count, Path(folder)))


if __name__ == "__main__":
    main()
