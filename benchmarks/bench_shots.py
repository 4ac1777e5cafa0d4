"""Compare shot detectors on concatenations of real clips.

    python -m benchmarks.bench_shots CLIPS

The cuts are known by construction; flashes, fades to black and whip pans are inserted as
distractors. The clips are split in two: constants may be tuned on the first half, the second half
is for evaluation. Then the same films are encoded, and cuts are detected while decoding every
frame, or only the frames that sampling at one frame per second needs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from PIL import Image

from vsearch.errors import MediaError
from vsearch.media.reader import AvVideoReader
from vsearch.media.sampler import Sampler
from vsearch.media.shot_detection import ContentDetector
from vsearch.types import Images, Span, Times

FRAME_SIZE = (128, 72)  # width, height of the films
LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
CUT_TOLERANCE_SECONDS = 0.25
MIN_SCENE_FRAMES = 5  # for PySceneDetect: its default of 15 misses shots at 10 frames a second
CLIPS_WITH_CUTS = ("bikes", "demo_demo", "sample_demo_3", "media_cat", "opossum", "vggsound_3")


@dataclass(frozen=True, slots=True)
class CutFilm:
    """A concatenation with its true cuts."""

    images: Images  # uint8 (N, 72, 128, 3)
    frame_times: Times  # float64 (N,) seconds
    cut_times: Times  # float64 (C,) seconds


DetectFunction = Callable[[CutFilm], Times]


def load_clips(clips_folder: Path) -> Iterator[CutFilm]:
    """Load the first 8 seconds of each clip without a cut."""
    for path in sorted(clips_folder.iterdir()):
        if any(name in path.name for name in CLIPS_WITH_CUTS):
            continue
        try:
            batches = list(Sampler(path, fps=500, short_side=FRAME_SIZE[1], span=Span(0, 8)))
        except MediaError:
            continue
        images = np.stack([resize_image(image) for batch in batches for image in batch.images])
        times = np.concatenate([batch.frame_times for batch in batches])
        if len(times) > 20:
            yield CutFilm(images, times - times[0], np.empty(0))


def resize_image(image: Images) -> Images:
    """Resize to the common size, ignoring the aspect ratio."""
    return np.asarray(Image.fromarray(image).resize(FRAME_SIZE))


def downscale_frames(film: CutFilm) -> Images:
    """Downscale to the input of a detector, in color: uint8 (N, 36, 64, 3)."""
    blocks = film.images.reshape(
        len(film.frame_times), 36, FRAME_SIZE[1] // 36, 64, FRAME_SIZE[0] // 64, 3
    )
    return np.asarray(blocks.mean(axis=(2, 4)), np.uint8)


def add_flash(images: Images, frame_index: int, rng: np.random.Generator) -> None:
    """Brighten one to three frames."""
    lit = images[frame_index : frame_index + rng.integers(1, 4)]
    lit[:] = np.minimum(lit.astype(int) + 150, 255)


def add_dip_to_black(images: Images, frame_index: int, rng: np.random.Generator) -> None:
    """Fade to black and back within about a second."""
    light = np.abs(np.linspace(-1, 1, len(images[frame_index - 12 : frame_index + 12])))[
        :, None, None, None
    ]
    images[frame_index - 12 : frame_index + 12] = (
        images[frame_index - 12 : frame_index + 12] * light
    ).astype(np.uint8)


def add_whip_pan(images: Images, frame_index: int, rng: np.random.Generator) -> None:
    """Simulate a fast pan to the right."""
    speed = int(rng.integers(2, 6)) * FRAME_SIZE[0] // 64  # pixels a frame
    for index in range(frame_index, len(images)):
        shift = speed * min(index - frame_index, 10)
        images[index] = np.roll(images[index], -shift, axis=1)


def make_film(clip_pool: list[CutFilm], rng: np.random.Generator, shot_count: int = 12) -> CutFilm:
    """Concatenate parts of different clips, every other one with a distractor."""
    images: list[Images] = []
    times: list[Times] = []
    cuts: list[float] = []
    now = 0.0
    for index in rng.permutation(len(clip_pool))[:shot_count]:
        clip = clip_pool[index]
        part_start = rng.uniform(0, max(clip.frame_times[-1] - 1.5, 0.01))
        part_mask = (clip.frame_times >= part_start) & (
            clip.frame_times < part_start + rng.uniform(1.0, 4.0)
        )
        part_images, part_times = (
            clip.images[part_mask].copy(),
            clip.frame_times[part_mask] - clip.frame_times[part_mask][0],
        )
        if len(part_images) > 40 and rng.random() < 0.5:
            add_distractor = (add_flash, add_dip_to_black, add_whip_pan)[rng.integers(3)]
            add_distractor(part_images, int(rng.integers(14, len(part_images) - 14)), rng)
        images.append(part_images)
        times.append(now + part_times)
        now = float(times[-1][-1]) + float(np.median(np.diff(part_times)))
        cuts.append(now)
    return CutFilm(np.concatenate(images), np.concatenate(times), np.array(cuts[:-1]))


def detect_cuts(film: CutFilm) -> Times:
    """Detect cuts with vsearch."""
    detector = ContentDetector()
    detector.process((downscale_frames(film) @ LUMA_WEIGHTS).astype(np.uint8), film.frame_times)
    return detector.cuts()


def encode_film(film: CutFilm, video_path: Path, gop_size: int) -> None:
    """Encode with x264 defaults except for the keyframe interval."""
    with av.open(str(video_path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *FRAME_SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = gop_size
        stream.codec_context.options = {"preset": "fast"}
        for image, time_ in zip(film.images, film.frame_times.tolist(), strict=True):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = round(time_ * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def detect_while_decoding(video_path: Path, *, every_frame: bool, fps: float) -> Times:
    """Detect cuts while decoding a file."""
    detector = ContentDetector()
    list_decode_plans = AvVideoReader._list_decode_plans
    if every_frame:
        AvVideoReader._list_decode_plans = lambda *_: []  # type: ignore[method-assign]
    try:
        for _ in Sampler(video_path, fps=fps, short_side=16, shot_detector=detector):
            pass
    finally:
        AvVideoReader._list_decode_plans = list_decode_plans  # type: ignore[method-assign]
    return detector.cuts()


def compare_decoding(films: list[CutFilm]) -> None:
    """Print the effect of skipping frames."""
    with TemporaryDirectory() as folder:
        for gop in (250, 48):
            paths = [Path(folder) / f"{number}.mkv" for number in range(len(films))]
            for film, path in zip(films, paths, strict=True):
                encode_film(film, path, gop)
            for title, every_frame, fps in (
                ("every frame", True, 1.0), ("1 frame/s", False, 1.0), ("0.5 frames/s", False, 0.5),
                ("2 frames/s", False, 2.0),
            ):  # fmt: skip
                cuts = [
                    detect_while_decoding(path, every_frame=every_frame, fps=fps) for path in paths
                ]
                print(
                    f"GOP {gop}, {title:19} {format_accuracy(cuts, films)} "
                    f"{mean_cut_error(cuts, films):7.3f}"
                )


def mean_cut_error(found_cuts: list[Times], films: list[CutFilm]) -> float:
    """Return the mean distance in seconds of detected cuts from the true ones."""
    distances = [
        np.abs(cuts[:, None] - film.cut_times[None]).min(axis=0)
        for cuts, film in zip(found_cuts, films, strict=True)
        if len(cuts)
    ]
    cut_errors = np.concatenate(distances)
    return float(cut_errors[cut_errors < 2].mean())


def wrap_scenedetect(make_detector: Callable[[], Any]) -> DetectFunction:
    """Wrap a detector of PySceneDetect."""
    FrameTimecode = import_module("scenedetect").FrameTimecode  # noqa: N806

    def detect_film(film: CutFilm) -> Times:
        detector = make_detector()
        detected = []
        for index, image in enumerate(downscale_frames(film)[..., ::-1]):
            detected += detector.process_frame(
                FrameTimecode(index, 30.0), np.ascontiguousarray(image)
            )
        detected += detector.post_process(FrameTimecode(len(film.frame_times) - 1, 30.0))
        return film.frame_times[[code.frame_num for code in detected]]

    return detect_film


def build_detectors() -> dict[str, DetectFunction]:
    """Build the detectors to compare."""
    rows: dict[str, DetectFunction] = {"vsearch": detect_cuts}
    try:
        library = import_module("scenedetect.detectors")
    except ImportError:
        return rows
    for level in (20, 27, 35, 45, 55):
        rows[f"PySceneDetect content {level}"] = wrap_scenedetect(
            partial(library.ContentDetector, threshold=level, min_scene_len=MIN_SCENE_FRAMES)
        )
    for ratio, min_content in ((2, 15), (3, 15), (4, 15), (3, 25), (5, 25)):
        rows[f"PySceneDetect adaptive {ratio} {min_content}"] = wrap_scenedetect(
            partial(
                library.AdaptiveDetector,
                adaptive_threshold=ratio,
                min_content_val=min_content,
                min_scene_len=MIN_SCENE_FRAMES,
            )
        )
    return rows


def count_hits(found_cuts: Times, true_cuts: Times) -> int:
    """Count true cuts matched one-to-one with detected ones within the tolerance."""
    unmatched = list(found_cuts)
    count = 0
    for cut in true_cuts:
        candidates = [
            cut_time for cut_time in unmatched if abs(cut_time - cut) <= CUT_TOLERANCE_SECONDS
        ]
        if candidates:
            unmatched.remove(min(candidates, key=lambda cut_time: abs(cut_time - cut)))
            count += 1
    return count


def score_detector(detect: DetectFunction, films: list[CutFilm]) -> str:
    """Format precision, recall, F1 and CPU time of a detector."""
    start_time = time.process_time()
    cuts = [detect(film) for film in films]
    spent = time.process_time() - start_time
    frames = sum(len(film.frame_times) for film in films)
    return f"{format_accuracy(cuts, films)} {spent / frames * 1e6:7.0f}"


def format_accuracy(found_cuts: list[Times], films: list[CutFilm]) -> str:
    """Format precision, recall and F1."""
    right = sum(
        count_hits(cuts, film.cut_times) for cuts, film in zip(found_cuts, films, strict=True)
    )
    precision = right / max(sum(map(len, found_cuts)), 1)
    recall = right / sum(len(film.cut_times) for film in films)
    f1 = 2 * right / max(sum(map(len, found_cuts)) + sum(len(film.cut_times) for film in films), 1)
    return f"{precision:.3f} {recall:.3f} {f1:.3f}"


def main(clips_folder: str) -> None:
    """Print the table."""
    pool = list(load_clips(Path(clips_folder)))
    halves = {"tuning": pool[::2], "evaluation": pool[1::2]}
    for name, clips in halves.items():
        rng = np.random.default_rng(7)
        films = [make_film(clips, rng) for _ in range(25)]
        assert all(a < b for film in films for a, b in pairwise(film.frame_times.tolist()))
        cuts = sum(len(film.cut_times) for film in films)
        print(f"\n{name}: {len(clips)} clips, {cuts} cuts   precision recall F1 CPU-us/frame")
        for title, detect in build_detectors().items():
            print(f"{title:28} {score_detector(detect, films)}")
        print("while decoding:              precision recall F1 error-s")
        compare_decoding(films)


if __name__ == "__main__":
    main(sys.argv[1])
