"""Text in pictures by RapidOCR, whose models lie in its package: nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch.errors import MissingExtraError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Sequence

Image: TypeAlias = npt.NDArray[np.uint8]  # (H, W, 3) RGB

SHORT_SIDE = 720  # pixels of a frame in which text is read: a line of 16 is legible
_LONG_SIDE = 960  # of the same in which it is looked for; twice as fast, and finds as much
_MODELS = {"Det": "*_det_*.onnx", "Rec": "*_rec_*.onnx"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in a picture."""

    text: str
    certainty: float  # in [0, 1]


class Reader(Protocol):
    """Reads what is written in pictures."""

    @property
    def name(self) -> str:
        """The model, as it is kept beside what it read."""

    def read(self, image: Image) -> Sequence[Line]:
        """The lines in a picture, uint8 (H, W, 3) RGB, from top to bottom."""


class RapidReader:
    """A `Reader`."""

    name = "rapidocr"

    def __init__(self) -> None:
        """Raises MissingExtraError, and WeightsError for a package without its models."""
        try:
            from rapidocr import RapidOCR  # deferred: brings OpenCV, of use to who reads only
        except ImportError as error:
            raise MissingExtraError(
                f"reading text needs the package {error.name!r}, which is not installed: "
                "pip install 'vsearch[ocr]'"
            ) from error
        self._engine: Any = RapidOCR(params=_parameters(Path(str(resources.files("rapidocr")))))

    def read(self, image: Image) -> list[Line]:
        """See `Reader`."""
        found = self._engine(np.ascontiguousarray(image[:, :, ::-1]), use_cls=False)
        texts, scores = found.txts or (), found.scores or ()
        return [Line(str(t), float(s)) for t, s in zip(texts, scores, strict=True)]


def _parameters(package: Path) -> dict[str, Any]:
    """RapidOCR's settings; models are named by their files, else it may want to fetch them."""
    found: dict[str, Any] = {
        "Global.log_level": "critical",
        "Global.use_cls": False,  # nobody films text upside down
        "Det.limit_type": "max",
        "Det.limit_side_len": _LONG_SIDE,
    }
    for part, pattern in _MODELS.items():
        files = sorted((package / "models").glob(pattern))
        if not files:
            raise WeightsError(
                f"{package / 'models'}: rapidocr {metadata.version('rapidocr')} has no file "
                f"{pattern}; install it again: pip install --force-reinstall rapidocr"
            )
        if len(files) == 1:  # else some were fetched by a person, who has chosen one in its own way
            found[f"{part}.model_path"] = str(files[0])
    return found
