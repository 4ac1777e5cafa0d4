"""`vsearch models`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tiny_models import small_cnn
from vsearch.encoders import speed
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.shipped import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch
    from vsearch.encoders.speed import Speed
    from vsearch.protocols import Encoder

TIERS = ["builtin", "builtin:fast"]

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were measured, in no time: each encodes 12.5 pictures a second."""
    names: list[str] = []
    whole = speed.measure

    def measure(name: str, device: str, encoder: Encoder) -> Speed:
        names.append(name)
        return whole(name, device, encoder)

    monkeypatch.setattr(speed, "measure", measure)
    monkeypatch.setattr(speed, "_rate", lambda _: 12.5)
    return names


def listed(vsearch: Vsearch, *words: str) -> dict[str, dict[str, Any]]:
    found = json.loads(vsearch("models", "--json", *words).stdout)
    return {row["model"]: row for row in found["models"]}


def test_models_are_named(vsearch: Vsearch, measured: list[str]) -> None:
    shown = vsearch("models").stdout
    for name in ("builtin", "openclip", "cnn", "fake", "openclip:ViT-B-16/openai"):
        assert re.search(rf"^{name} ", shown, re.MULTILINE)


def test_the_embedded_ones_are_measured_once_and_that_is_said(
    vsearch: Vsearch, measured: list[str]
) -> None:
    first, second = vsearch("models"), vsearch("models")
    assert measured == TIERS
    assert [len(run.stderr.splitlines()) for run in (first, second)] == [2, 0]
    assert first.stdout == second.stdout
    assert re.search(
        r"^builtin +words, pictures, clips +512 +\d+\.\d MB +12\.5 ", first.stdout, re.M
    )
    assert re.search(
        r"^openclip:ViT-B-32/openai .* 605\.1 MB +– +ImageNet 63\.3", first.stdout, re.M
    )


def test_for_a_program(vsearch: Vsearch, measured: list[str]) -> None:
    rows = listed(vsearch)
    files = [
        f for f in FOLDER.iterdir() if f.suffix not in (".md", "") and not f.stem.startswith("fast")
    ]
    size = sum(file.stat().st_size for file in files)
    assert rows["builtin"] == {
        "model": "builtin",
        "understands": ["words", "pictures", "clips"],
        "dim": 512,
        "bytes": size,
        "pictures_per_second": 12.5,
        "quality": {"clips R@1": [89.5], "pictures R@1/5/10": [71.5, 92.5, 95.6]},
    }
    assert rows["cnn:resnet50"]["understands"] == ["pictures", "clips"]
    assert rows["cnn:resnet50"]["pictures_per_second"] is None
    assert rows["fake"]["dim"] is None


def test_a_model_that_is_named_is_measured_and_listed_from_then_on(
    vsearch: Vsearch, measured: list[str], tmp_path: Path
) -> None:
    mine = f"cnn:resnet18@{small_cnn(tmp_path / 'resnet18.pth')}"
    assert list(listed(vsearch, "--measure", mine, "fake")) == ["fake", mine]
    assert measured == [mine, "fake"]
    rows = listed(vsearch)
    assert measured == [mine, "fake", *TIERS], "and nothing twice"
    assert (rows[mine]["dim"], rows[mine]["understands"]) == (512, ["pictures", "clips"])
    assert rows[mine]["bytes"] == (tmp_path / "resnet18.pth").stat().st_size
    assert (rows["fake"]["dim"], rows["fake"]["pictures_per_second"]) == (16, 12.5)
    listed(vsearch, "--measure")
    assert measured[4:] == TIERS, "again, on request"


def test_the_speed_is_of_a_device(vsearch: Vsearch, measured: list[str]) -> None:
    listed(vsearch)
    listed(vsearch, "--device", "cpu")
    assert measured == TIERS * 2


def test_a_model_that_cannot_be_had_stops_no_other(vsearch: Vsearch, measured: list[str]) -> None:
    done = vsearch("models", "--measure", "nonsense", "fake", code=1)
    assert "nonsense" in done.stderr
    assert re.search(r"^fake +words", done.stdout, re.MULTILINE)
    done = vsearch("models", "fake:other", code=1)
    assert "vsearch models --measure fake:other" in done.stderr


def test_tiers_show_up_by_themselves(
    vsearch: Vsearch, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tiered(BuiltinEncoder):
        variants = {"": ("image.onnx", "text.onnx"), "fast": ("text.onnx",)}  # noqa: RUF012

        def __init__(self, argument: str = "", *, device: str = "auto") -> None:
            super().__init__(device=device)

    monkeypatch.setattr("vsearch.encoders.builtin.BuiltinEncoder", Tiered)
    rows = listed(vsearch)
    assert list(rows)[:2] == ["builtin", "builtin:fast"]
    assert rows["builtin:fast"]["bytes"] == (FOLDER / "text.onnx").stat().st_size
    assert measured == ["builtin", "builtin:fast"]
