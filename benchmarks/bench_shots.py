"""Compare shot detectors on films whose boundaries are known, one kind of difficulty at a time.

    python -m benchmarks.bench_shots CLIPS [--half evaluation] [--films 3] [--seed 3]

Films are made of parts of real clips (see `benchmarks/shot_films.py`), encoded, and decoded the way
indexing does: the detector sees the frames that sampling one frame per second decodes. The
detectors of PySceneDetect see every frame in color. The clips are split in two: the weights of the
detector are fitted to the first half (`benchmarks/fit_shots.py`), the second one is for evaluation.
A boundary is found if a detection touches its span, give or take a quarter of a second.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from benchmarks.shot_films import KINDS, Clip, Film, load_clips, make_film
from benchmarks.shot_reference import StepDetector
from vsearch.media.sampler import Sampler
from vsearch.media.shot_detection import ContentDetector
from vsearch.protocols import ShotDetector, TransitionDetector
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOLERANCE_SECONDS = 0.25
SCENEDETECT_CLASSES = (
    "ContentDetector", "AdaptiveDetector", "HashDetector", "HistogramDetector", "ThresholdDetector",
)  # fmt: skip
# PySceneDetect's default of 15 misses shots below 0.6 seconds; the better one counts.
MIN_SCENE_FRAMES = (5, 15)


@dataclass(slots=True)
class Accuracy:
    """Counts of boundaries and detections."""

    hits: int = 0
    false_alarms: int = 0
    misses: int = 0

    def add(self, detections: list[Span], boundaries: list[Span]) -> None:
        """Match detections with boundaries one to one; others within a boundary do not count."""
        free_detections = list(detections)
        for boundary in boundaries:
            touching = [found for found in free_detections if _touches(found, boundary)]
            if touching:
                middle = (boundary.start + boundary.end) / 2
                free_detections.remove(
                    min(touching, key=lambda found: abs((found.start + found.end) / 2 - middle))
                )
                self.hits += 1
            else:
                self.misses += 1
        self.false_alarms += sum(
            not any(_touches(found, boundary) for boundary in boundaries)
            for found in free_detections
        )

    @property
    def precision(self) -> float:
        """Share of the detections that are right."""
        return self.hits / max(self.hits + self.false_alarms, 1)

    @property
    def recall(self) -> float:
        """Share of the boundaries that are found."""
        return self.hits / max(self.hits + self.misses, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.hits / max(2 * self.hits + self.false_alarms + self.misses, 1)


def _touches(found: Span, boundary: Span) -> bool:
    return (
        found.end >= boundary.start - TOLERANCE_SECONDS
        and found.start <= boundary.end + TOLERANCE_SECONDS
    )


def split_clips(clips: list[Clip]) -> dict[str, list[Clip]]:
    """Split clips by name into those for fitting and those for evaluation."""
    return {"tuning": clips[::2], "evaluation": clips[1::2]}


def iter_films(clips: list[Clip], kind_name: str, film_count: int, seed: int) -> Iterator[Film]:
    """Yield films of one kind; the same ones for the same seed."""
    for number in range(film_count):
        yield make_film(
            KINDS[kind_name],
            clips,
            np.random.default_rng((seed, list(KINDS).index(kind_name), number)),
        )


def encode_film(film: Film, video_path: Path) -> None:
    """Encode with x264, default keyframe interval."""
    with av.open(str(video_path), "w") as container:
        stream = container.add_stream("libx264", rate=film.fps)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = film.images.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.options = {"preset": "fast", "threads": "1"}
        for image in film.images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image))))
        container.mux(stream.encode(None))


def detect_while_decoding(video_path: Path, detector: ShotDetector) -> tuple[list[Span], float]:
    """Return the boundaries that a detector finds while a file is sampled, and its CPU seconds."""
    sampler = Sampler(video_path, fps=1, short_side=64, shot_detector=detector)
    for _ in sampler:
        pass
    started_at = time.thread_time()
    cuts = detector.cuts()
    spans = [Span(cut, cut) for cut in cuts.tolist()]
    if isinstance(detector, TransitionDetector):
        transitions = {end: Span(start, end) for start, end in detector.transitions().tolist()}
        spans = [transitions.get(span.end, span) for span in spans]
    return spans, sampler.shot_seconds + time.thread_time() - started_at


def detect_with_scenedetect(video_path: Path) -> dict[str, list[Span]]:
    """Return the cuts that each detector of PySceneDetect finds, by its name."""
    library, make_timecode = (
        import_module("scenedetect.detectors"),
        import_module("scenedetect").FrameTimecode,
    )
    detectors: dict[str, Any] = {
        f"{name.removesuffix('Detector').lower()} {min_frames}": getattr(library, name)(
            min_scene_len=min_frames
        )
        for name in SCENEDETECT_CLASSES
        for min_frames in MIN_SCENE_FRAMES
    }
    found_cuts: dict[str, list[Any]] = {name: [] for name in detectors}
    with av.open(str(video_path)) as container:
        fps = float(container.streams.video[0].average_rate or 25)
        frame_count = 0
        for video_frame in container.decode(video=0):
            image = video_frame.to_ndarray(format="bgr24")
            for name, detector in detectors.items():
                found_cuts[name] += detector.process_frame(make_timecode(frame_count, fps), image)
            frame_count += 1
    for name, detector in detectors.items():
        found_cuts[name] += detector.post_process(make_timecode(frame_count - 1, fps))
    return {
        name: [Span(code.frame_num / fps, code.frame_num / fps) for code in codes]
        for name, codes in found_cuts.items()
    }


def run_kind(
    films: Iterator[Film], scenedetect: Callable[[Path], dict[str, list[Span]]]
) -> tuple[dict[str, Accuracy], dict[str, float]]:
    """Run all detectors on films of one kind.

    Returns:
        Accuracy of each detector, and CPU seconds of vsearch's: today's and the reference.
    """
    accuracies: dict[str, Accuracy] = {}
    cpu_seconds = {"vsearch": 0.0, "reference": 0.0}
    with TemporaryDirectory() as folder:
        for film in films:
            video_path = Path(folder) / "film.mkv"
            encode_film(film, video_path)
            detections = scenedetect(video_path)
            for name, detector_class in (("vsearch", ContentDetector), ("reference", StepDetector)):
                detections[name], seconds = detect_while_decoding(video_path, detector_class())
                cpu_seconds[name] += seconds
            for name, found in detections.items():
                accuracies.setdefault(name, Accuracy()).add(found, film.transitions)
    return accuracies, cpu_seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path)
    parser.add_argument("--half", choices=("tuning", "evaluation"), default="evaluation")
    parser.add_argument("--films", type=int, default=3)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--kind", choices=list(KINDS), action="append")
    arguments = parser.parse_args()
    clips = split_clips(list(load_clips(arguments.clips)))[arguments.half]
    print(f"{len(clips)} clips, seed {arguments.seed}")
    print(f"{'kind':33} {'P':>5} {'R':>5} {'F1':>5}   before   PySceneDetect's best   CPU ratio")
    total_seconds = {"vsearch": 0.0, "reference": 0.0}
    for kind_name in arguments.kind or KINDS:
        accuracies, cpu_seconds = run_kind(
            iter_films(clips, kind_name, arguments.films, arguments.seed), detect_with_scenedetect
        )
        found, reference = accuracies.pop("vsearch"), accuracies.pop("reference")
        best_name = max(accuracies, key=lambda name: accuracies[name].f1)
        for name, seconds in cpu_seconds.items():
            total_seconds[name] += seconds
        print(
            f"{kind_name:33} {found.precision:.3f} {found.recall:.3f} {found.f1:.3f}   "
            f"{reference.f1:.3f}    {accuracies[best_name].f1:.3f} {best_name:15} "
            f"{cpu_seconds['vsearch'] / cpu_seconds['reference']:9.2f}"
            f"{'' if found.f1 >= accuracies[best_name].f1 else '  worse'}",
            flush=True,
        )
    print(f"CPU ratio of all films: {total_seconds['vsearch'] / total_seconds['reference']:.2f}")


if __name__ == "__main__":
    main()
