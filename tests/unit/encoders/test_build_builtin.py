"""The embedded model is built from pairs as its card says."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from PIL import Image
from random_tower import some_weights

from vsearch.encoders import build_builtin, graphs
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.shipped import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 40  # more than a batch of `distil`
COLOURS = ("red", "green", "blue", "yellow")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A folder of plain pictures, one in five for validation."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    lines = []
    with tarfile.open(folder / "images.tar", "w") as archive:
        for number in range(COUNT):
            colour, name = COLOURS[number % len(COLOURS)], f"{number}.png"
            data = io.BytesIO()
            Image.new("RGB", (40 + number, 60), colour).save(data, "PNG")
            member = tarfile.TarInfo(name)
            member.size = len(data.getvalue())
            archive.addfile(member, io.BytesIO(data.getvalue()))
            split = "val" if number % 5 == 0 else "train"
            row = {"image": name, "shard": "images.tar", "text": f"{colour} {number}"}
            lines.append(json.dumps(row | {"group": colour, "split": split, "license": "CC0"}))
    (folder / "pairs.jsonl").write_text("\n".join(lines))
    return folder


@pytest.mark.slow
def test_both_tiers_are_built_from_pairs(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, into, cache = some_weights(), tmp_path / "weights", tmp_path / "vectors.npy"
    into.mkdir()
    for name in ("text.onnx", "tokenizer.json"):
        shutil.copy(FOLDER / name, into)
    onnx.save(graphs.image_tower(dict(weights)), str(into / "image.onnx"))
    build_builtin.record(into, "image.onnx", "text.onnx", "tokenizer.json")
    build_builtin.align(pairs, into, cache, open_licences=True)
    assert np.load(cache).shape == (COUNT, 512)
    monkeypatch.setattr(graphs, "clip_weights", lambda _: weights)
    build_builtin.fast(pairs, tmp_path / "no file is read", into, cache)
    assert "val R@1" in capsys.readouterr().out
    monkeypatch.setattr(build_builtin, "OBSERVED", 4)
    build_builtin.int8(pairs, into)
    assert (into / "fast.onnx").stat().st_size < (into / "image.onnx").stat().st_size / 20
    default, fast = (BuiltinEncoder(tier, weights=into) for tier in ("", "fast"))
    assert default.space == fast.space
    assert len(default.querybank) == COUNT * 4 // 5
    pictures = np.random.default_rng(0).integers(0, 255, (2, 240, 320, 3), np.uint8)
    assert np.isfinite(fast.encode_images(pictures)).all()
    assert default.encode_texts(["red"]).shape == (1, 512)
