"""Classifiers of torchvision as image encoders."""

from __future__ import annotations

import hashlib
import time
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

from tests.support.tiny_models import make_small_cnn
from vsearch.encoders import torchvision as torchvision_encoder
from vsearch.encoders.checkpoints import fetch_weights
from vsearch.encoders.torchvision import CnnEncoder
from vsearch.errors import NoTextError, UnknownPluginError, WeightsError


class Bomb:
    """Object whose unpickling creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_small_cnn(tmp_path_factory.mktemp("cnn") / "resnet18.pth")


@pytest.fixture(scope="module")
def encoder(checkpoint: Path) -> CnnEncoder:
    return CnnEncoder(f"resnet18@{checkpoint}", device="cpu")


def test_features_match_torchvisions_own(encoder: CnnEncoder, checkpoint: Path) -> None:
    model = torchvision.models.resnet18().eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True))
    model.fc = nn.Identity()
    transform = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
    image = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    image = image.repeat(40, axis=0).repeat(40, axis=1)  # (360, 480, 3)
    with torch.no_grad():
        expected = nn.functional.normalize(model(transform(Image.fromarray(image))[None]))
    assert float(encoder.encode_images(image[None])[0] @ expected[0].numpy()) > 0.999


def test_texts_are_rejected_with_alternatives(encoder: CnnEncoder) -> None:
    assert encoder.space.name.startswith("cnn-resnet18-")
    assert encoder.space.dim == 512
    assert not encoder.space.supports_text
    assert encoder.image_size == 256
    with pytest.raises(NoTextError, match=r"--image or --clip.*--model builtin"):
        encoder.encode_texts(["a cat"])
    assert encoder.encode_texts([]).shape == (0, 512)


@pytest.mark.parametrize(
    ("arch", "dim"),
    [
        ("resnet50", 2048),
        ("resnext50_32x4d", 2048),
        ("wide_resnet50_2", 2048),
        ("efficientnet_b0", 1280),
        ("mobilenet_v3_large", 960),
        ("mobilenet_v3_small", 576),
        ("convnext_tiny", 768),
        ("regnet_y_400mf", 440),
        ("densenet121", 1024),
    ],
)
def test_the_head_of_every_classifier_family_is_removed(arch: str, dim: int) -> None:
    with torch.device("cpu" if "regnet" in arch else "meta"):  # its widths are computed with torch
        model = torchvision.models.get_model(arch, weights=None).eval()
        assert torchvision_encoder._remove_head(model) == dim
        assert model(torch.zeros(1, 3, 64, 64)).flatten(1).shape == (1, dim)


def test_a_network_without_a_linear_classifier_is_rejected() -> None:
    with torch.device("meta"), pytest.raises(UnknownPluginError, match="cnn:resnet50"):
        torchvision_encoder._remove_head(torchvision.models.squeezenet1_1())


def test_an_empty_argument_means_resnet50(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_small_cnn(tmp_path / "resnet50.pth", "resnet50")
    monkeypatch.setattr(torchvision_encoder, "fetch_weights", lambda url: file)
    encoder = CnnEncoder("", device="cpu")
    assert encoder.space.name.startswith("cnn-resnet50-")
    assert encoder.space.dim == 2048
    assert encoder.image_size == 232
    assert CnnEncoder("resnet50/IMAGENET1K_V1").image_size == 256


def test_a_checkpoint_with_other_classes_has_the_same_features(
    encoder: CnnEncoder, checkpoint: Path, tmp_path: Path
) -> None:
    state = torch.load(checkpoint, weights_only=True)
    state["fc.weight"], state["fc.bias"] = torch.zeros(7, 512), torch.zeros(7)
    torch.save({"model": state, "epoch": 90}, tmp_path / "tuned.pth")
    assert CnnEncoder(f"resnet18@{tmp_path / 'tuned.pth'}").space == encoder.space


def test_other_weights_are_another_space(
    encoder: CnnEncoder, checkpoint: Path, tmp_path: Path
) -> None:
    state = torch.load(checkpoint, weights_only=True)
    state["layer4.1.conv2.weight"][300, 200, 1, 1] += 1e-4
    torch.save(state, tmp_path / "tuned.pth")
    assert CnnEncoder(f"resnet18@{tmp_path / 'tuned.pth'}").space != encoder.space


def test_a_checkpoint_of_another_network_is_rejected(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(WeightsError, match="not the weights of resnet34"):
        CnnEncoder(f"resnet34@{checkpoint}")
    with pytest.raises(WeightsError, match="not the weights of wide_resnet50_2"):
        CnnEncoder(f"wide_resnet50_2@{checkpoint}")
    with pytest.raises(WeightsError, match="no checkpoint"):
        CnnEncoder(f"resnet18@{tmp_path / 'gone.pth'}")


def test_a_malicious_checkpoint_is_rejected_and_not_run(tmp_path: Path) -> None:
    bomb = Bomb(tmp_path / "pwned")
    torch.save({"fc.weight": bomb}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="was not loaded"):
        CnnEncoder(f"resnet18@{tmp_path / 'weights.pth'}")
    assert not bomb.target.exists()


@pytest.mark.parametrize(
    ("argument", "meant"),
    [("resnet5", "resnet50"), ("ResNet-50", "resnet50"), ("resnet50/V2", "IMAGENET1K_V2")],
)
def test_an_unknown_name_gets_suggestions(argument: str, meant: str) -> None:
    with pytest.raises(UnknownPluginError, match=f"did you mean.*{meant}"):
        CnnEncoder(argument)


def test_without_a_network_the_error_names_cause_and_alternatives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    refusing = "http://127.0.0.1:9"
    monkeypatch.setattr(
        torchvision_encoder,
        "fetch_weights",
        lambda url: fetch_weights(f"{refusing}/{url.rsplit('/', 1)[-1]}"),
    )
    start = time.monotonic()
    with pytest.raises(WeightsError, match=r"no connection to 127\.0\.0\.1:9") as caught:
        CnnEncoder("resnet50")
    assert time.monotonic() - start < 10
    message = str(caught.value)
    for part in ("cnn:resnet50@FILE", "torch's cache", "--model builtin"):
        assert part in message
    assert capfd.readouterr() == ("", "")


def test_a_download_is_verified_and_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    digest = hashlib.sha256(b"weights").hexdigest()[:8]
    source = tmp_path / f"net-{digest}.pth"
    source.write_bytes(b"weights")
    kept = fetch_weights(source.as_uri())
    assert kept.read_bytes() == b"weights"
    source.unlink()
    assert fetch_weights(source.as_uri()) == kept


def test_a_download_with_a_wrong_digest_is_discarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    source = tmp_path / "net-0123abcd.pth"
    source.write_bytes(b"something else")
    with pytest.raises((RuntimeError, urllib.error.URLError), match="invalid hash"):
        fetch_weights(source.as_uri())
    assert not list((tmp_path / "cache").rglob("net*"))
