"""Models of open_clip: names, checkpoints, preprocessing, identity, and no network."""

from __future__ import annotations

import json
import logging
import pickle
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform, image_transform_v2
from PIL import Image
from safetensors.torch import save_file

from tests.support.tiny_models import TINY_ARCH, TINY_CONFIG, make_tiny_clip
from vsearch.encoders.checkpoints import silence_libraries
from vsearch.encoders.open_clip import OpenClipEncoder
from vsearch.encoders.torch_device import Device, ImagePreprocess
from vsearch.errors import SettingsError, UnknownPluginError, WeightsError

if TYPE_CHECKING:
    from vsearch.types import Images


class Bomb:
    """Object whose unpickling creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def encoder(checkpoint: Path) -> OpenClipEncoder:
    return OpenClipEncoder(f"{TINY_ARCH}@{checkpoint}", device="cpu")


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set an empty cache, and a hub whose port refuses connections."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")


def photo(height: int, width: int) -> Images:
    """Draw shapes with sharp edges, gradients and grain, uint8 (H, W, 3)."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    picture = np.stack([x, y, 1 - x * y], axis=-1) * 200
    picture[((x - 0.6) ** 2 + (y - 0.4) ** 2) < 0.05] = (250, 30, 60)
    picture[(x < 0.3) & (y > 0.5)] = (10, 120, 240)
    grain: Images = np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
    return grain


def test_a_local_checkpoint_gives_the_model_and_its_space(encoder: OpenClipEncoder) -> None:
    assert encoder.space.name.startswith("openclip-vsearch-tiny-")
    assert encoder.space.dim == 16
    assert encoder.space.supports_text
    assert encoder.image_size == 32


def test_vectors_match_open_clips_own(encoder: OpenClipEncoder, checkpoint: Path) -> None:
    with silence_libraries():
        model = open_clip.create_model(TINY_ARCH, pretrained=str(checkpoint)).eval()
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    image = photo(150, 230)
    with torch.no_grad():
        expected = model.encode_image(transform(Image.fromarray(image))[None], normalize=True)
        words = model.encode_text(open_clip.get_tokenizer(TINY_ARCH)(["a dog"]), normalize=True)
    assert float(encoder.encode_images(image[None])[0] @ expected[0].numpy()) > 0.999
    np.testing.assert_allclose(encoder.encode_texts(["a dog"]), words.numpy(), atol=1e-5)


@pytest.mark.parametrize("shape", [(150, 230), (301, 97), (64, 64), (64, 113), (20, 31), (90, 700)])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [64, (48, 80)])
def test_preprocessing_matches_open_clips_own(
    shape: tuple[int, int], mode: Any, size: int | tuple[int, int]
) -> None:
    mean, std = (0.48, 0.45, 0.40), (0.26, 0.25, 0.27)
    theirs = image_transform(size, False, mean, std, resize_mode=mode, fill_color=3)
    ours = ImagePreprocess(
        (size, size) if isinstance(size, int) else size, mean, std, resize_mode=mode, fill_value=3
    )
    image = photo(*shape)
    expected = theirs(Image.fromarray(image)).numpy()
    found = ours.normalize_pixels(ours.crop_images(image[None]))[0].numpy()
    assert found.shape == expected.shape
    off = np.abs(found - expected) * 0.26 * 255  # levels of 255
    assert off.mean() < 0.5
    assert np.quantile(off, 0.999) < 4


def test_frames_of_the_right_size_are_not_resized() -> None:
    image = photo(32, 57)
    seen = (
        ImagePreprocess((32, 32), (0, 0, 0), (1, 1, 1)).crop_images(image[None])[0].permute(1, 2, 0)
    )
    np.testing.assert_array_equal(seen.numpy(), image[:, 12:44])


def test_the_same_weights_are_the_same_space_in_any_file(
    encoder: OpenClipEncoder, checkpoint: Path, tmp_path: Path
) -> None:
    state = torch.load(checkpoint, weights_only=True)
    save_file(state, tmp_path / "other name.safetensors")
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}},
               tmp_path / "training.pt")  # fmt: skip
    for file in ("other name.safetensors", "training.pt"):
        assert OpenClipEncoder(f"{TINY_ARCH}@{tmp_path / file}").space == encoder.space


def test_one_changed_value_is_another_space(
    encoder: OpenClipEncoder, checkpoint: Path, tmp_path: Path
) -> None:
    state = torch.load(checkpoint, weights_only=True)
    state["token_embedding.weight"][12345, 7] += 1e-3
    torch.save(state, tmp_path / "tuned.pt")
    other = OpenClipEncoder(f"{TINY_ARCH}@{tmp_path / 'tuned.pt'}")
    assert other.space.name != encoder.space.name
    assert other.space.dim == encoder.space.dim


def test_a_folder_with_a_configuration_and_weights_is_a_model(
    encoder: OpenClipEncoder, checkpoint: Path, tmp_path: Path
) -> None:
    pixels = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"}
    config = tmp_path / "open_clip_config.json"
    state = torch.load(checkpoint, weights_only=True)
    save_file(state, tmp_path / "open_clip_model.safetensors")

    config.write_text(json.dumps({"model_cfg": TINY_CONFIG}))
    assert OpenClipEncoder(str(tmp_path)).space == encoder.space
    config.write_text(json.dumps({"model_cfg": TINY_CONFIG, "preprocess_cfg": pixels}))
    other = OpenClipEncoder(str(tmp_path))
    assert other.space.name != encoder.space.name
    assert other._preprocess.resize_mode == "squash"
    assert other._preprocess.channel_means == (0.5, 0.5, 0.5)
    config.write_text(json.dumps({"model_cfg": {**TINY_CONFIG, "quick_gelu": True}}))
    assert OpenClipEncoder(str(tmp_path)).space.name.startswith("openclip-custom-")


@pytest.mark.parametrize("content", [None, "not json", "[]", '{"model_cfg": 3}'])
def test_a_folder_without_a_valid_configuration_is_rejected(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(WeightsError, match=r"open_clip_config\.json"):
        OpenClipEncoder(str(tmp_path))


def test_a_folder_without_weights_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY_CONFIG}))
    with pytest.raises(WeightsError, match="no weights"):
        OpenClipEncoder(str(tmp_path))


@pytest.mark.slow
def test_code_in_a_model_folder_is_not_run(checkpoint: Path, tmp_path: Path) -> None:
    folder, proof = tmp_path / "model", tmp_path / "proof"
    folder.mkdir()
    text = {"hf_tokenizer_name": "any", "tokenizer_kwargs": {"trust_remote_code": True}}
    config: dict[str, Any] = {**TINY_CONFIG}
    config["text_cfg"] = {**config["text_cfg"], **text}
    tokenizer = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    for name, content in {
        "open_clip_config.json": {"model_cfg": config, "preprocess_cfg": {}},
        "tokenizer_config.json": tokenizer,
        "config.json": {"model_type": "bert"},
    }.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "evil.py").write_text(f"open({str(proof)!r}, 'w')\nclass Evil: pass\n")
    save_file(torch.load(checkpoint, weights_only=True), folder / "open_clip_model.safetensors")
    with pytest.raises(WeightsError):
        OpenClipEncoder(str(folder)).encode_texts(["words"])
    assert not proof.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_checkpoint_is_rejected_and_not_run(
    tmp_path: Path, encoder: OpenClipEncoder, protocol: int, zipped: bool
) -> None:
    bomb = Bomb(tmp_path / "pwned")
    path = tmp_path / "weights.pt"
    if zipped:
        torch.save({"state_dict": bomb}, path, pickle_protocol=protocol)
    else:
        path.write_bytes(pickle.dumps(bomb, protocol))
    with pytest.raises(WeightsError, match=r"weights\.pt"):
        OpenClipEncoder(f"{TINY_ARCH}@{path}")
    assert not bomb.target.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 no archive", b"\x80\x04."])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".bin"])
def test_a_damaged_checkpoint_is_rejected(
    tmp_path: Path, encoder: OpenClipEncoder, content: bytes, suffix: str
) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="weights"):
        OpenClipEncoder(f"{TINY_ARCH}@{path}")


def test_a_missing_checkpoint_is_named(encoder: OpenClipEncoder) -> None:
    with pytest.raises(WeightsError, match=r"no checkpoint .*gone\.pt"):
        OpenClipEncoder(f"{TINY_ARCH}@gone.pt")


def test_a_checkpoint_of_another_model_is_rejected_in_one_line(
    encoder: OpenClipEncoder, tmp_path: Path
) -> None:
    torch.save({"fc.weight": torch.zeros(3, 4)}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="not the weights") as caught:
        OpenClipEncoder(f"{TINY_ARCH}@{tmp_path / 'other.pt'}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "meant"),
    [
        ("ViT-B-16/opnai", "ViT-B-16/openai"),
        ("vit-b-16/openai", "ViT-B-16/openai"),
        ("ViT-B-32", "ViT-B-32/"),
        ("", "ViT-B-16/openai"),
        ("ViT-B16@weights.pt", "ViT-B-16"),
    ],
)
def test_an_unknown_model_gets_suggestions(argument: str, meant: str) -> None:
    with pytest.raises(UnknownPluginError, match="did you mean") as caught:
        OpenClipEncoder(argument)
    assert meant in str(caught.value)


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("argument", ["ViT-B-32/laion2b_s34b_b79k", "ViT-B-16-SigLIP/webli"])
def test_without_a_network_the_error_names_cause_and_alternatives(
    argument: str, capfd: pytest.CaptureFixture[str]
) -> None:
    start = time.monotonic()
    with pytest.raises(WeightsError, match="no connection to 127") as caught:
        OpenClipEncoder(argument)
    assert time.monotonic() - start < 10
    message = str(caught.value)
    for part in (argument, f"{argument}@FILE", "Hugging Face cache", "--model builtin"):
        assert part in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("_no_network")
def test_the_hubs_offline_switch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        OpenClipEncoder("ViT-B-32/laion2b_s34b_b79k")


@pytest.mark.usefixtures("_no_network")
def test_cached_models_need_no_network(
    checkpoint: Path, encoder: OpenClipEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = {"hf_hub": "someone/tiny/", "quick_gelu": True, "mean": (0.5, 0.5, 0.5)}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, TINY_ARCH, {"mine": published})
    folder = tmp_path / "models--someone--tiny"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    state = torch.load(checkpoint, weights_only=True)
    save_file(state, folder / "snapshots" / "abc" / "open_clip_model.safetensors")

    tagged = OpenClipEncoder(f"{TINY_ARCH}/mine")
    assert tagged.space == OpenClipEncoder(f"{TINY_ARCH}/mine@{checkpoint}").space
    assert tagged.space != encoder.space, "other activations and colors are another space"
    assert tagged._preprocess.channel_means == (0.5, 0.5, 0.5)
    assert type(tagged._network.visual.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"


def test_loading_is_silent_and_restores_logging(
    checkpoint: Path, encoder: OpenClipEncoder, capfd: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = list(root.handlers), list(root.filters), root.level
    OpenClipEncoder(f"{TINY_ARCH}@{checkpoint}")
    assert (root.handlers, root.filters, root.level) == before
    assert capfd.readouterr() == ("", "")


def test_half_precision_agrees_with_full(encoder: OpenClipEncoder, checkpoint: Path) -> None:
    halved = OpenClipEncoder(f"{TINY_ARCH}@{checkpoint}", device="cpu")
    halved._device = Device("cpu", torch.bfloat16)
    halved._device.place_network(halved._network.visual)
    images = np.stack([photo(32, 40)] * 2)
    exact = OpenClipEncoder(f"{TINY_ARCH}@{checkpoint}", device="cpu")
    exact._network.float()
    exact._device = Device("cpu", torch.float32)
    assert (exact.encode_images(images) * halved.encode_images(images)).sum(1).min() > 0.999


def test_an_unknown_or_absent_device_is_rejected() -> None:
    with pytest.raises(SettingsError, match="no device 'gpu'"):
        Device.from_name("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="torch finds no cuda device"):
            Device.from_name("cuda")
    assert Device.from_name("cpu").device_name == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(encoder: OpenClipEncoder, checkpoint: Path) -> None:
    other = OpenClipEncoder(f"{TINY_ARCH}@{checkpoint}", device="cuda")
    assert other.space == encoder.space
    images = photo(150, 230)[None]
    assert float(other.encode_images(images)[0] @ encoder.encode_images(images)[0]) > 0.999
    assert float(other.encode_texts(["a"])[0] @ encoder.encode_texts(["a"])[0]) > 0.999
