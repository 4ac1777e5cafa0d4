"""The embedded model is built from pairs as described in its card."""

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

from tests.support.random_tower import make_tower_weights
from tools.build_encoder import build, onnx_graphs
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER
from vsearch.encoders.english_vocabulary import VOCABULARY_FILE
from vsearch.encoders.multilingual import EMBEDDING_FILE, NETWORK_FILE
from vsearch.encoders.sentence_tower import SENTENCE_FILE, TOKENIZER_FILE

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 40  # more than a batch of `distill`
TEXT_TOWER_FILES = (SENTENCE_FILE, TOKENIZER_FILE, VOCABULARY_FILE, NETWORK_FILE, EMBEDDING_FILE)
COLOURS = ("red", "green", "blue", "yellow")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Write a folder of plain images, one in five for validation."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    lines = []
    with tarfile.open(folder / "images.tar", "w") as archive:
        for number in range(COUNT):
            color, name = COLOURS[number % len(COLOURS)], f"{number}.png"
            data = io.BytesIO()
            Image.new("RGB", (40 + number, 60), color).save(data, "PNG")
            member = tarfile.TarInfo(name)
            member.size = len(data.getvalue())
            archive.addfile(member, io.BytesIO(data.getvalue()))
            split = "val" if number % 5 == 0 else "train"
            row = {"image": name, "shard": "images.tar", "text": f"{color} {number}"}
            lines.append(json.dumps(row | {"group": color, "split": split, "license": "CC0"}))
    (folder / "pairs.jsonl").write_text("\n".join(lines))
    return folder


@pytest.mark.slow
def test_both_tiers_are_built_from_pairs(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, into, cache = make_tower_weights(), tmp_path / "weights", tmp_path / "vectors.npy"
    into.mkdir()
    for name in TEXT_TOWER_FILES:
        shutil.copy(WEIGHTS_FOLDER / name, into)
    onnx.save(onnx_graphs.build_image_tower(dict(weights)), str(into / "image.onnx"))
    build.update_checksums(into, "image.onnx", *TEXT_TOWER_FILES)
    build.build_alignment(pairs, into, cache, open_licenses=True)
    assert np.load(cache).shape == (COUNT, 512)
    monkeypatch.setattr(onnx_graphs, "read_clip_weights", lambda _: weights)
    build.build_fast_tier(pairs, tmp_path / "no file is read", into, cache)
    assert "English, validation: R@1" in capsys.readouterr().out
    monkeypatch.setattr(build, "CALIBRATION_IMAGES", 4)
    build.build_int8_tiers(pairs, into)
    assert (into / "fast.onnx").stat().st_size < (into / "image.onnx").stat().st_size / 20
    default, fast = (BuiltinEncoder(tier, weights_folder=into) for tier in ("", "fast"))
    assert default.space == fast.space
    assert len(default.querybank) == COUNT * 4 // 5
    pictures = np.random.default_rng(0).integers(0, 255, (2, 240, 320, 3), np.uint8)
    assert np.isfinite(fast.encode_images(pictures)).all()
    assert default.encode_texts(["red"]).shape == (1, 512)


def test_only_texts_of_the_training_split_are_read(tmp_path: Path) -> None:
    rows = [
        {"split": "train", "text": "a dog", "alt_texts": ["a puppy"]},
        {"split": "val", "text": "a cat"},
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert build.read_training_texts(tmp_path) == ["a dog", "a puppy"]
    (tmp_path / "more.jsonl").write_text(json.dumps({"split": "train", "texts": ["a tram"]}))
    assert build.read_training_texts(tmp_path) == ["a dog", "a puppy", "a tram"]
