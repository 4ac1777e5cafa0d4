"""OCR: read on-screen text with RapidOCR, and track text lines over time.

RapidOCR's models are part of its package, so nothing is downloaded. A line that stays on screen
becomes one cue, however often it is read: frames that look like the last one read are skipped,
lines of consecutive frames are the same if they differ only by OCR errors (the reading with the
highest certainty is kept), and lines that appear and disappear together form one cue.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch.errors import MissingExtraError, WeightsError
from vsearch.memory import MemoryNeed, check_memory
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vsearch.types import FrameBatch

RgbImage: TypeAlias = npt.NDArray[np.uint8]  # (H, W, 3) RGB
SHORT_SIDE = 720  # pixels; text of 16 pixels is legible
_DETECTION_LONG_SIDE = 960  # pixels; twice as fast as full size, and finds the same text
_MODEL_PATTERNS = {"Det": "*_det_*.onnx", "Rec": "*_rec_*.onnx"}
OCR_MEMORY_NEED = MemoryNeed("OCR", 800_000_000, 250_000_000)
MAX_OCR_CUES = 50_000  # per video, as for a subtitle file
MAX_OCR_CUE_CHARS = 1_000
_MIN_CERTAINTY = 0.7  # lines below are dropped
_MAX_LINES = 100  # per frame
_MIN_TEXT_SIMILARITY = 0.8  # character similarity of two readings of the same line
_MAX_COMPARED_CHARS = 200
_MAX_GAP_SECONDS = 2.0  # a line that is missing for less was overlooked, not gone
_CELL_PX = 16  # size of the cells in which two frames are compared
_MIN_CHANGE = 6.0  # of 255, in the mean of a cell: thin letters change more, noise less
_LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601


@dataclass(frozen=True, slots=True)
class OcrLine:
    """A line of text in an image."""

    text: str
    certainty: float  # in [0, 1]


class OcrEngine(Protocol):
    """An OCR engine."""

    @property
    def name(self) -> str:
        """Engine name, stored with the transcript."""

    def read(self, image: RgbImage) -> Sequence[OcrLine]:
        """Return the lines of an image, uint8 (H, W, 3) RGB, from top to bottom."""


class RapidOcrEngine:
    """An `OcrEngine` that uses RapidOCR."""

    name = "rapidocr"

    def __init__(self) -> None:
        """Load the models.

        Raises:
            MissingExtraError: RapidOCR is not installed.
            WeightsError: The package lacks its model files.
        """
        check_memory(OCR_MEMORY_NEED)
        try:
            from rapidocr import RapidOCR  # deferred: imports OpenCV
        except ImportError as error:
            raise MissingExtraError(
                f"OCR needs the package {error.name!r}, which is not installed: "
                "pip install 'vsearch[ocr]'"
            ) from error
        package_folder = Path(str(resources.files("rapidocr")))
        self._engine: Any = RapidOCR(params=_engine_parameters(package_folder))

    def read(self, image: RgbImage) -> list[OcrLine]:
        """Return the lines of an image. See `OcrEngine.read`."""
        ocr_output = self._engine(np.ascontiguousarray(image[:, :, ::-1]), use_cls=False)
        texts, scores = ocr_output.txts or (), ocr_output.scores or ()
        return [
            OcrLine(str(line_text), float(line_score))
            for line_text, line_score in zip(texts, scores, strict=True)
        ]


def _engine_parameters(package_folder: Path) -> dict[str, Any]:
    """Return RapidOCR settings, with explicit model files: it might download them otherwise."""
    parameters: dict[str, Any] = {
        "Global.log_level": "critical",
        "Global.use_cls": False,  # upside-down text is rare
        "Det.limit_type": "max",
        "Det.limit_side_len": _DETECTION_LONG_SIDE,
    }
    for model_part, pattern in _MODEL_PATTERNS.items():
        model_files = sorted((package_folder / "models").glob(pattern))
        if not model_files:
            raise WeightsError(
                f"{package_folder / 'models'}: rapidocr {metadata.version('rapidocr')} has no file "
                f"{pattern}; reinstall it: pip install --force-reinstall rapidocr"
            )
        if len(model_files) == 1:  # several: the user added models and configured RapidOCR
            parameters[f"{model_part}.model_path"] = str(model_files[0])
    return parameters


def track_text(
    frame_batches: Iterable[FrameBatch],
    ocr_engine: OcrEngine,
    end_seconds: float,
    on_progress: Callable[[float], None] = lambda _: None,
) -> list[Cue]:
    """Read the text in consecutive frames as cues.

    Args:
        frame_batches: Frames in presentation order.
        ocr_engine: The OCR engine.
        end_seconds: End of the last frame.
        on_progress: Called with the time of each frame in seconds.

    Returns:
        Cues of source "ocr", in order of time, at most `MAX_OCR_CUES`.
    """
    line_tracker, change_detector = LineTracker(), FrameChangeDetector()
    for frame_batch in frame_batches:
        for image, frame_time in zip(
            frame_batch.images, frame_batch.frame_times.tolist(), strict=True
        ):
            if change_detector.has_changed(image):
                line_tracker.update(frame_time, ocr_engine.read(image))
            on_progress(frame_time)
    return line_tracker.finish_cues(end_seconds)


class FrameChangeDetector:
    """Detects frames that differ from the last changed one."""

    def __init__(self) -> None:
        self._last_cells: npt.NDArray[np.float32] | None = None

    def has_changed(self, image: RgbImage) -> bool:
        """Return whether a frame, uint8 (H, W, 3), differs; if so, it is the new reference."""
        cells, last_cells = _cell_means(image), self._last_cells
        if (
            last_cells is not None
            and last_cells.shape == cells.shape
            and np.abs(cells - last_cells).max() < _MIN_CHANGE
        ):
            return False
        self._last_cells = cells
        return True


def _cell_means(image: RgbImage) -> npt.NDArray[np.float32]:
    """Return the mean luma of cells, float32 (H / _CELL_PX, W / _CELL_PX), rounded up."""
    luma = image.astype(np.float32) @ _LUMA_WEIGHTS
    pad_height, pad_width = (-side_length % _CELL_PX for side_length in luma.shape)
    padded_luma = np.pad(luma, ((0, pad_height), (0, pad_width)), mode="edge")
    rows, columns = (side_length // _CELL_PX for side_length in padded_luma.shape)
    cell_means: npt.NDArray[np.float32] = padded_luma.reshape(
        rows, _CELL_PX, columns, _CELL_PX
    ).mean(axis=(1, 3))
    return cell_means


@dataclass(slots=True)
class _TrackedLine:
    """A line that is on screen."""

    ocr_line: OcrLine
    comparison_key: str
    start_seconds: float
    missed_since: float | None = None  # time of the first frame without it, in seconds


@dataclass(slots=True)
class LineTracker:
    """Tracks text lines from frame to frame and turns them into cues."""

    _visible_lines: list[_TrackedLine] = field(default_factory=list)
    # by start and end in seconds
    _finished_texts: dict[tuple[float, float], list[str]] = field(default_factory=dict)
    _finished_count: int = 0

    def update(self, frame_time: float, ocr_lines: Sequence[OcrLine]) -> None:
        """Process the lines of the next frame.

        Args:
            frame_time: Time of the frame in seconds.
            ocr_lines: The lines on screen from then until the next call.
        """
        self._finish_missed(frame_time)
        unmatched_lines, matched_lines = self._visible_lines, []
        for ocr_line in _certain_lines(ocr_lines):
            comparison_key = _comparison_key(ocr_line.text)
            candidates = (
                line
                for line in unmatched_lines
                if _is_same_line(line.comparison_key, comparison_key)
            )
            tracked_line = next(candidates, None)
            if tracked_line is None:
                matched_lines.append(_TrackedLine(ocr_line, comparison_key, frame_time))
                continue
            unmatched_lines = [line for line in unmatched_lines if line is not tracked_line]
            if _is_better_reading(ocr_line, comparison_key, tracked_line):
                tracked_line.ocr_line, tracked_line.comparison_key = ocr_line, comparison_key
            tracked_line.missed_since = None
            matched_lines.append(tracked_line)
        for line in unmatched_lines:
            if line.missed_since is None:
                line.missed_since = frame_time
        self._visible_lines = matched_lines + unmatched_lines

    def finish_cues(self, end_seconds: float) -> list[Cue]:
        """Finish all lines and return the cues.

        Args:
            end_seconds: End of the lines that are still on screen.

        Returns:
            Cues in order of time, at most `MAX_OCR_CUES`.
        """
        for line in self._visible_lines:
            self._finish_line(line, end_seconds if line.missed_since is None else line.missed_since)
        self._visible_lines = []
        return [
            Cue(Span(start, max(start, end)), " ".join(texts)[:MAX_OCR_CUE_CHARS], "ocr")
            for (start, end), texts in sorted(self._finished_texts.items())
        ][:MAX_OCR_CUES]

    def _finish_missed(self, frame_time: float) -> None:
        """Finish lines that have been missing for `_MAX_GAP_SECONDS`."""
        kept_lines = []
        for line in self._visible_lines:
            if line.missed_since is None or frame_time - line.missed_since < _MAX_GAP_SECONDS:
                kept_lines.append(line)
            else:
                self._finish_line(line, line.missed_since)
        self._visible_lines = kept_lines

    def _finish_line(self, tracked_line: _TrackedLine, end_time: float) -> None:
        if self._finished_count < MAX_OCR_CUES:
            texts = self._finished_texts.setdefault((tracked_line.start_seconds, end_time), [])
            texts.append(tracked_line.ocr_line.text.strip())
            self._finished_count += 1


def _is_better_reading(ocr_line: OcrLine, comparison_key: str, tracked_line: _TrackedLine) -> bool:
    """Return whether the new reading is better: OCR drops spaces but does not invent them."""
    extra_spaces = ocr_line.text.strip().count(" ") - tracked_line.ocr_line.text.strip().count(" ")
    if comparison_key == tracked_line.comparison_key and extra_spaces:
        return extra_spaces > 0
    return ocr_line.certainty > tracked_line.ocr_line.certainty


def _certain_lines(ocr_lines: Sequence[OcrLine]) -> list[OcrLine]:
    """Return the lines that are text, not a pattern that resembles a letter."""
    return [
        ocr_line
        for ocr_line in ocr_lines
        if ocr_line.certainty >= _MIN_CERTAINTY and len(_comparison_key(ocr_line.text)) > 1
    ][:_MAX_LINES]


def _comparison_key(line_text: str) -> str:
    """Return the letters and digits: spaces and punctuation are unreliable in OCR."""
    return "".join(char for char in line_text[:_MAX_COMPARED_CHARS].casefold() if char.isalnum())


def _is_same_line(first_key: str, second_key: str) -> bool:
    if first_key == second_key:
        return True
    if abs(len(first_key) - len(second_key)) > (1 - _MIN_TEXT_SIMILARITY) * (
        len(first_key) + len(second_key)
    ):
        return False
    if _extract_digits(first_key) != _extract_digits(second_key):  # e.g. another score or price
        return False
    sequence_matcher = difflib.SequenceMatcher(None, first_key, second_key, autojunk=False)
    return (
        sequence_matcher.quick_ratio() >= _MIN_TEXT_SIMILARITY
        and sequence_matcher.ratio() >= _MIN_TEXT_SIMILARITY
    )


def _extract_digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())
