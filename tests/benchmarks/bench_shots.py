"""Shot detectors on concatenations of real clips: python tests/benchmarks/bench_shots.py CLIPS

Cuts are known because we make them; flashes, dips to black and whip pans are put in as traps. The
clips are split in two: constants may be tuned on the first half, the second half is for judging.
Then the same films are encoded, and the cuts are found while they are decoded: every frame, or only
what a frame a second needs.
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
from vsearch.media.film import ContainerFilm
from vsearch.media.shots import ContentDetector
from vsearch.media.video import Sampler
from vsearch.types import Images, Span, Times

SIZE = (128, 72)  # width, height of the films
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
TOLERANCE = 0.25  # seconds
SHORTEST = 5  # frames, for PySceneDetect: its 15 would miss shots of clips at 10 frames a second
CUT_INSIDE = ("bikes", "demo_demo", "sample_demo_3", "media_cat", "opossum", "vggsound_3")


@dataclass(frozen=True, slots=True)
class Film:
    """A concatenation with its true cuts."""

    images: Images  # uint8 (N, 72, 128, 3)
    times: Times  # float64 (N,) seconds
    cuts: Times  # float64 (C,) seconds


Detector = Callable[[Film], Times]


def clips(folder: Path) -> Iterator[Film]:
    """The first 8 seconds of each clip that has no cut inside."""
    for path in sorted(folder.iterdir()):
        if any(name in path.name for name in CUT_INSIDE):
            continue
        try:
            batches = list(Sampler(path, fps=500, short_side=SIZE[1], span=Span(0, 8)))
        except MediaError:
            continue
        images = np.stack([resized(image) for batch in batches for image in batch.images])
        times = np.concatenate([batch.times for batch in batches])
        if len(times) > 20:
            yield Film(images, times - times[0], np.empty(0))


def resized(image: Images) -> Images:
    """Squeezed to the size of all."""
    return np.asarray(Image.fromarray(image).resize(SIZE))


def tiny(film: Film) -> Images:
    """What a detector sees of it, but in colour: uint8 (N, 36, 64, 3)."""
    blocks = film.images.reshape(len(film.times), 36, SIZE[1] // 36, 64, SIZE[0] // 64, 3)
    return np.asarray(blocks.mean(axis=(2, 4)), np.uint8)


def flashed(images: Images, at: int, rng: np.random.Generator) -> None:
    """One to three frames much brighter."""
    lit = images[at : at + rng.integers(1, 4)]
    lit[:] = np.minimum(lit.astype(int) + 150, 255)


def dipped(images: Images, at: int, rng: np.random.Generator) -> None:
    """To black and back within about a second."""
    light = np.abs(np.linspace(-1, 1, len(images[at - 12 : at + 12])))[:, None, None, None]
    images[at - 12 : at + 12] = (images[at - 12 : at + 12] * light).astype(np.uint8)


def panned(images: Images, at: int, rng: np.random.Generator) -> None:
    """A fast turn of the camera to the right and on."""
    speed = int(rng.integers(2, 6)) * SIZE[0] // 64  # pixels a frame
    for index in range(at, len(images)):
        shift = speed * min(index - at, 10)
        images[index] = np.roll(images[index], -shift, axis=1)


def film(pool: list[Film], rng: np.random.Generator, shots: int = 12) -> Film:
    """`shots` stretches of different clips, every other one with a trap in it."""
    images: list[Images] = []
    times: list[Times] = []
    cuts: list[float] = []
    now = 0.0
    for index in rng.permutation(len(pool))[:shots]:
        clip = pool[index]
        first = rng.uniform(0, max(clip.times[-1] - 1.5, 0.01))
        part = (clip.times >= first) & (clip.times < first + rng.uniform(1.0, 4.0))
        picked, step = clip.images[part].copy(), clip.times[part] - clip.times[part][0]
        if len(picked) > 40 and rng.random() < 0.5:
            trap = (flashed, dipped, panned)[rng.integers(3)]
            trap(picked, int(rng.integers(14, len(picked) - 14)), rng)
        images.append(picked)
        times.append(now + step)
        now = float(times[-1][-1]) + float(np.median(np.diff(step)))
        cuts.append(now)
    return Film(np.concatenate(images), np.concatenate(times), np.array(cuts[:-1]))


def ours(film: Film) -> Times:
    """The detector of vsearch."""
    detector = ContentDetector()
    detector.see((tiny(film) @ LUMA).astype(np.uint8), film.times)
    return detector.cuts()


def encoded(film: Film, path: Path, gop: int) -> None:
    """Write it as x264 does unless told otherwise, all but the distance of key frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = gop
        stream.codec_context.options = {"preset": "fast"}
        for image, time_ in zip(film.images, film.times.tolist(), strict=True):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = round(time_ * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def decoded(path: Path, *, whole: bool, fps: float) -> Times:
    """The cuts found while a file is decoded."""
    detector = ContentDetector()
    ways = ContainerFilm._ways
    if whole:
        ContainerFilm._ways = lambda *_: []  # type: ignore[method-assign]
    try:
        for _ in Sampler(path, fps=fps, short_side=16, detector=detector):
            pass
    finally:
        ContainerFilm._ways = ways  # type: ignore[method-assign]
    return detector.cuts()


def compare(films: list[Film]) -> None:
    """Print what leaving frames out costs."""
    with TemporaryDirectory() as folder:
        for gop in (250, 48):
            paths = [Path(folder) / f"{number}.mkv" for number in range(len(films))]
            for film, path in zip(films, paths, strict=True):
                encoded(film, path, gop)
            for title, whole, fps in (
                ("every frame", True, 1.0), ("1 frame/s", False, 1.0), ("0.5 frames/s", False, 0.5),
                ("2 frames/s", False, 2.0),
            ):  # fmt: skip
                found = [decoded(path, whole=whole, fps=fps) for path in paths]
                print(f"GOP {gop}, {title:19} {accuracy(found, films)} {error(found, films):7.3f}")


def error(found: list[Times], films: list[Film]) -> float:
    """How far the cuts that were found are from the true ones, in seconds, on average."""
    distances = [
        np.abs(cuts[:, None] - film.cuts[None]).min(axis=0)
        for cuts, film in zip(found, films, strict=True)
        if len(cuts)
    ]
    near = np.concatenate(distances)
    return float(near[near < 2].mean())


def scenedetect(make: Callable[[], Any]) -> Detector:
    """A detector of PySceneDetect, fed frame by frame."""
    FrameTimecode = import_module("scenedetect").FrameTimecode  # noqa: N806

    def detect(film: Film) -> Times:
        detector = make()
        found = []
        for index, image in enumerate(tiny(film)[..., ::-1]):
            found += detector.process_frame(FrameTimecode(index, 30.0), np.ascontiguousarray(image))
        found += detector.post_process(FrameTimecode(len(film.times) - 1, 30.0))
        return film.times[[code.frame_num for code in found]]

    return detect


def detectors() -> dict[str, Detector]:
    """What is compared."""
    rows: dict[str, Detector] = {"vsearch": ours}
    try:
        library = import_module("scenedetect.detectors")
    except ImportError:
        return rows
    for level in (20, 27, 35, 45, 55):
        rows[f"PySceneDetect content {level}"] = scenedetect(
            partial(library.ContentDetector, threshold=level, min_scene_len=SHORTEST)
        )
    for ratio, least in ((2, 15), (3, 15), (4, 15), (3, 25), (5, 25)):
        rows[f"PySceneDetect adaptive {ratio} {least}"] = scenedetect(
            partial(
                library.AdaptiveDetector,
                adaptive_threshold=ratio,
                min_content_val=least,
                min_scene_len=SHORTEST,
            )
        )
    return rows


def hits(found: Times, true: Times) -> int:
    """How many true cuts have a found one of their own within the tolerance."""
    left = list(found)
    count = 0
    for cut in true:
        near = [at for at in left if abs(at - cut) <= TOLERANCE]
        if near:
            left.remove(min(near, key=lambda at: abs(at - cut)))
            count += 1
    return count


def score(detect: Detector, films: list[Film]) -> str:
    """Precision, recall, F1 and CPU time of one detector, as a row."""
    begin = time.process_time()
    found = [detect(film) for film in films]
    spent = time.process_time() - begin
    frames = sum(len(film.times) for film in films)
    return f"{accuracy(found, films)} {spent / frames * 1e6:7.0f}"


def accuracy(found: list[Times], films: list[Film]) -> str:
    """Precision, recall and F1."""
    right = sum(hits(cuts, film.cuts) for cuts, film in zip(found, films, strict=True))
    precision = right / max(sum(map(len, found)), 1)
    recall = right / sum(len(film.cuts) for film in films)
    f1 = 2 * right / max(sum(map(len, found)) + sum(len(film.cuts) for film in films), 1)
    return f"{precision:.3f} {recall:.3f} {f1:.3f}"


def main(folder: str) -> None:
    """Print the table."""
    pool = list(clips(Path(folder)))
    halves = {"tuning": pool[::2], "judging": pool[1::2]}
    for name, half in halves.items():
        rng = np.random.default_rng(7)
        films = [film(half, rng) for _ in range(25)]
        assert all(a < b for one in films for a, b in pairwise(one.times.tolist()))
        cuts = sum(len(one.cuts) for one in films)
        print(f"\n{name}: {len(half)} clips, {cuts} cuts   precision recall F1 CPU-us/frame")
        for title, detect in detectors().items():
            print(f"{title:28} {score(detect, films)}")
        print("found while decoding:        precision recall F1 error-s")
        compare(films)


if __name__ == "__main__":
    main(sys.argv[1])
