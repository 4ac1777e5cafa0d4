from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vsearch.errors import MissingExtraError, WeightsError
from vsearch.transcripts.ocr import RapidOcrEngine, _engine_parameters

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Images


def written(*lines: str, size: tuple[int, int] = (640, 360), pixels: int = 28) -> Images:
    """Return white text on a gray image, uint8 (H, W, 3)."""
    picture = Image.new("RGB", size, (70, 80, 90))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(pixels)
    for row, line in enumerate(lines):
        draw.text((40, 40 + 3 * row * pixels), line, font=font, fill="white")
    return np.asarray(picture)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vsearch\[ocr\]'"):
        RapidOcrEngine()


def test_real_text_is_read_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rapidocr")

    def refuse(*_: object) -> None:
        raise OSError("there is no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    reader = RapidOcrEngine()
    lines = reader.read(written("Emergency exit", "on the left"))
    assert [line.text for line in lines] == ["Emergency exit", "on the left"]
    assert all(line.certainty > 0.9 for line in lines)
    assert reader.read(written()) == []
    assert reader.read(np.zeros((1, 1, 3), np.uint8)) == []


def test_colors_are_not_swapped(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr")
    picture = written("Red", pixels=60)
    picture = np.where(picture > 200, np.array([255, 0, 0]), np.array([0, 0, 90])).astype(np.uint8)
    assert [line.text for line in RapidOcrEngine().read(picture)] == ["Red"]


def test_model_files_are_passed_explicitly(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx", "x_cls_mobile.onnx"):
        (models / name).touch()
    found = _engine_parameters(tmp_path)
    assert found["Det.model_path"] == str(models / "PP-OCRv6_det_small.onnx")
    assert found["Rec.model_path"] == str(models / "PP-OCRv6_rec_small.onnx")


def test_a_package_without_models_downloads_nothing(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr")
    with pytest.raises(WeightsError, match="--force-reinstall rapidocr"):
        _engine_parameters(tmp_path)
