"""The embedded model: intact, verified, and able to match texts with images."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER, read_checksums, read_verified_file
from vsearch.errors import UnknownPluginError, WeightsError

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Images

RED, GREEN, BLUE = (220, 30, 30), (30, 170, 60), (30, 60, 220)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Copy the weights folder so that a test may damage it; large files are links."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for file in WEIGHTS_FOLDER.iterdir():
        if file.suffix == ".onnx":
            (folder / file.name).symlink_to(file)
        else:
            shutil.copy(file, folder)
    return folder


def disc(color: tuple[int, int, int]) -> Images:
    """Draw a disc on white, uint8 (240, 320, 3)."""
    picture = Image.new("RGB", (320, 240), "white")
    ImageDraw.Draw(picture).ellipse((90, 50, 230, 190), fill=color)
    return np.asarray(picture)


def test_texts_find_the_image_they_describe() -> None:
    encoder = BuiltinEncoder()
    pictures = encoder.encode_images(np.stack([disc(RED), disc(GREEN), disc(BLUE)]))
    words = encoder.encode_texts(["a red circle", "a green circle", "a blue circle"])
    assert (words @ pictures.T).argmax(axis=1).tolist() == [0, 1, 2]


def test_unrelated_images_are_far_apart() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    pictures = BuiltinEncoder().encode_images(np.stack([disc(RED), noise]))
    assert pictures[0] @ pictures[1] < 0.5  # CLIP's own features: above 0.5 for any images


def test_every_bundled_file_matches_its_checksum() -> None:
    shipped = {file.name for file in WEIGHTS_FOLDER.iterdir()} - {"SHA256SUMS", "MODEL_CARD.md"}
    assert shipped == set(read_checksums())
    for name in shipped:
        assert read_verified_file(name)


def test_the_model_card_names_every_digest() -> None:
    card = (WEIGHTS_FOLDER / "MODEL_CARD.md").read_text("utf-8")
    for name, digest in read_checksums().items():
        assert f"`{name}`" in card
        assert digest in card


@pytest.mark.parametrize("name", ["alignment.npz", "tokenizer.json"])
def test_a_damaged_text_tower_is_rejected_on_first_use(weights: Path, name: str) -> None:
    (weights / name).write_bytes(b"damaged")
    encoder = BuiltinEncoder(weights_folder=weights)
    assert encoder.encode_images(disc(RED)[None]).shape == (1, 512), "pictures do not need it"
    with pytest.raises(WeightsError, match=rf"{name}.*reinstall"):
        encoder.encode_texts(["a red circle"])


def test_a_damaged_image_tower_is_rejected(weights: Path) -> None:
    (weights / "image.onnx").unlink()
    (weights / "image.onnx").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"image\.onnx.*SHA-256"):
        BuiltinEncoder(weights_folder=weights).encode_images(disc(RED)[None])


def test_missing_weights_are_named(weights: Path) -> None:
    (weights / "centre.npy").unlink()
    with pytest.raises(WeightsError, match=r"centre\.npy"):
        BuiltinEncoder(weights_folder=weights).encode_images(disc(RED)[None])
    (weights / "SHA256SUMS").unlink()
    with pytest.raises(WeightsError, match="reinstall"):
        BuiltinEncoder(weights_folder=weights)


def test_better_text_weights_keep_the_space(weights: Path) -> None:
    sums = (weights / "SHA256SUMS").read_text()
    known = read_checksums()
    (weights / "SHA256SUMS").write_text(sums.replace(known["alignment.npz"], "0" * 64))
    assert BuiltinEncoder(weights_folder=weights).space == BuiltinEncoder().space
    (weights / "SHA256SUMS").write_text(sums.replace(known["centre.npy"], "0" * 64))
    assert BuiltinEncoder(weights_folder=weights).space != BuiltinEncoder().space


def test_both_tiers_share_a_space_and_nearly_agree() -> None:
    default, fast = BuiltinEncoder(), BuiltinEncoder("fast")
    assert default.space == fast.space
    assert (default.image_size, fast.image_size) == (224, 128)
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    pictures = np.stack([disc(RED), disc(GREEN), noise])
    near = fast.encode_images(pictures) @ default.encode_images(pictures).T
    assert near.argmax(axis=1).tolist() == [0, 1, 2]
    assert near.diagonal().min() > 0.6


def test_texts_find_images_encoded_by_the_fast_tier() -> None:
    encoder = BuiltinEncoder("fast")
    pictures = encoder.encode_images(np.stack([disc(RED), disc(GREEN), disc(BLUE)]))
    words = encoder.encode_texts(["a red circle", "a green circle", "a blue circle"])
    assert (words @ pictures.T).argmax(axis=1).tolist() == [0, 1, 2]


def test_the_fast_tier_is_rejected_with_damaged_shared_matrices(weights: Path) -> None:
    (weights / "image.onnx").unlink()
    (weights / "image.onnx").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"image\.onnx.*SHA-256"):
        BuiltinEncoder("fast", weights_folder=weights).encode_images(disc(RED)[None])


def test_the_generic_queries_are_unit_vectors_of_the_space() -> None:
    bank = BuiltinEncoder().querybank
    assert bank.dtype == np.float32
    assert bank.shape[1] == 512
    np.testing.assert_allclose(np.linalg.norm(bank, axis=1), 1, atol=1e-2)


def test_an_unknown_tier_is_rejected() -> None:
    with pytest.raises(UnknownPluginError, match="large"):
        BuiltinEncoder("large")
