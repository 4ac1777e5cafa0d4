"""The embedded model: intact, verified, and able to match texts with images."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vsearch.encoders.builtin import BuiltinEncoder, mix_towers
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER, read_checksums, read_verified_file
from vsearch.encoders.multilingual import EMBEDDING_FILE
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
        if file.suffix == ".onnx" or file.name == EMBEDDING_FILE:
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


@pytest.mark.parametrize("name", ["alignment.npz", "tokenizer.json", "text.npz"])
def test_a_damaged_text_tower_is_rejected_on_first_use(weights: Path, name: str) -> None:
    (weights / name).unlink()  # may be a link to the real file
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


@pytest.mark.parametrize("name", ["multilingual.npz", EMBEDDING_FILE, "multilingual-alignment.npz"])
def test_damaged_weights_of_other_languages_are_rejected_on_first_use(
    weights: Path, name: str
) -> None:
    (weights / name).unlink()
    (weights / name).write_bytes(b"damaged")
    encoder = BuiltinEncoder(weights_folder=weights)
    assert encoder.read_text("a dog on a beach").is_supported
    with pytest.raises(WeightsError, match=name):
        encoder.encode_texts(["ein Hund am Strand"])


def test_text_is_encoded_without_onnx_runtime() -> None:
    code = (
        "import sys; from vsearch.encoders.builtin import BuiltinEncoder; "
        "BuiltinEncoder().encode_texts(['a dog', 'ein Hund']); "
        "raise SystemExit('onnxruntime' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_common_english_is_identified_without_the_multilingual_vocabulary(weights: Path) -> None:
    for name in ("multilingual.npz", "languages.npz"):
        (weights / name).unlink()
    assert BuiltinEncoder(weights_folder=weights).read_text("a red car").language == "English"


def test_a_text_has_the_same_vector_alone_and_in_company() -> None:
    encoder = BuiltinEncoder()
    texts = ["a red car", "", "ein Hund am Strand", "a brown dog that runs on a beach", "koala"]
    together = encoder.encode_texts(texts)
    for text, vector in zip(texts, together, strict=True):
        assert encoder.encode_texts([text])[0] @ vector > 0.99999
    assert encoder.encode_texts([]).shape == (0, 512)


def test_both_towers_share_the_vector_of_an_english_text() -> None:
    sentence, multilingual = np.eye(2, 512, dtype=np.float32)[:, None]
    mixed = mix_towers(sentence, multilingual)
    assert mixed.dtype == np.float32
    assert mixed[0, :2] == pytest.approx(np.array([0.6, 0.4]) / np.hypot(0.6, 0.4), abs=1e-6)
