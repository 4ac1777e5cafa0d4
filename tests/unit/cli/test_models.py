"""`vsearch models`: list, benchmark and JSON."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.tiny_models import make_small_cnn
from vsearch.encoders import model_zoo
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER

if TYPE_CHECKING:
    from tests.support.processes import CommandRunner
    from vsearch.encoders.model_zoo import Throughput
    from vsearch.protocols import Encoder

TIERS = ["builtin", "builtin:fast"]
pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of measured models; each has a fake throughput of 12.5 images/s."""
    names: list[str] = []
    whole = model_zoo.measure_throughput

    def measure(name: str, device: str, encoder: Encoder) -> Throughput:
        names.append(name)
        return whole(name, device, encoder)

    monkeypatch.setattr(model_zoo, "measure_throughput", measure)
    monkeypatch.setattr(model_zoo, "_measure_rate", lambda _: 12.5)
    return names


def listed(vsearch: CommandRunner, *words: str) -> dict[str, dict[str, Any]]:
    found = json.loads(vsearch("models", "--json", *words).stdout)
    return {row["model"]: row for row in found["models"]}


def test_models_are_listed(run_vsearch: CommandRunner, measured: list[str]) -> None:
    shown = run_vsearch("models").stdout
    for name in ("builtin", "openclip", "cnn", "fake", "openclip:ViT-B-16/openai"):
        assert re.search(rf"^{name} ", shown, re.MULTILINE)


def test_builtin_models_are_measured_once(run_vsearch: CommandRunner, measured: list[str]) -> None:
    first, second = run_vsearch("models"), run_vsearch("models")
    assert measured == TIERS
    assert [len(run.stderr.splitlines()) for run in (first, second)] == [2, 0]
    assert first.stdout == second.stdout
    assert re.search(r"^builtin +text, images, clips +512 +\d+\.\d MB +12\.5 ", first.stdout, re.M)
    assert re.search(
        r"^openclip:ViT-B-32/openai .* 605\.1 MB +– +ImageNet 63\.3", first.stdout, re.M
    )


def test_json_lists_every_field(run_vsearch: CommandRunner, measured: list[str]) -> None:
    rows = listed(run_vsearch)
    files = [
        f
        for f in WEIGHTS_FOLDER.iterdir()
        if f.suffix not in (".md", "") and not f.stem.startswith("fast")
    ]
    size = sum(file.stat().st_size for file in files)
    assert rows["builtin"] == {
        "model": "builtin",
        "modalities": ["text", "images", "clips"],
        "dim": 512,
        "bytes": size,
        "images_per_second": 12.5,
        "quality": {"clips R@1": [89.5], "pictures R@1/5/10": [71.5, 92.5, 95.6]},
    }
    assert rows["cnn:resnet50"]["modalities"] == ["images", "clips"]
    assert rows["cnn:resnet50"]["images_per_second"] is None
    assert rows["fake"]["dim"] is None


def test_benchmarked_model_is_listed_from_then_on(
    run_vsearch: CommandRunner, measured: list[str], tmp_path: Path
) -> None:
    mine = f"cnn:resnet18@{make_small_cnn(tmp_path / 'resnet18.pth')}"
    assert list(listed(run_vsearch, "--benchmark", mine, "fake")) == ["fake", mine]
    assert measured == [mine, "fake"]
    rows = listed(run_vsearch)
    assert measured == [mine, "fake", *TIERS], "and nothing twice"
    assert (rows[mine]["dim"], rows[mine]["modalities"]) == (512, ["images", "clips"])
    assert rows[mine]["bytes"] == (tmp_path / "resnet18.pth").stat().st_size
    assert (rows["fake"]["dim"], rows["fake"]["images_per_second"]) == (16, 12.5)
    listed(run_vsearch, "--benchmark")
    assert measured[4:] == TIERS, "again, on request"


def test_throughput_is_stored_per_device(run_vsearch: CommandRunner, measured: list[str]) -> None:
    listed(run_vsearch)
    listed(run_vsearch, "--device", "cpu")
    assert measured == TIERS * 2


def test_unknown_model_does_not_stop_others(
    run_vsearch: CommandRunner, measured: list[str]
) -> None:
    done = run_vsearch("models", "--benchmark", "nonsense", "fake", exit_code=1)
    assert "nonsense" in done.stderr
    assert re.search(r"^fake +text", done.stdout, re.MULTILINE)
    done = run_vsearch("models", "fake:other", exit_code=1)
    assert "vsearch models --benchmark fake:other" in done.stderr


def test_builtin_variants_are_listed(
    run_vsearch: CommandRunner, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tiered(BuiltinEncoder):
        variants = {"": ("image.onnx", "text.npz"), "fast": ("text.npz",)}  # noqa: RUF012

        def __init__(self, argument: str = "", *, device: str = "auto") -> None:
            super().__init__(device=device)

    monkeypatch.setattr("vsearch.encoders.builtin.BuiltinEncoder", Tiered)
    rows = listed(run_vsearch)
    assert list(rows)[:2] == ["builtin", "builtin:fast"]
    assert rows["builtin:fast"]["bytes"] == (WEIGHTS_FOLDER / "text.npz").stat().st_size
    assert measured == ["builtin", "builtin:fast"]


def test_listing_open_clip_models_without_the_package_names_the_extra(
    run_vsearch: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    monkeypatch.delitem(sys.modules, "vsearch.encoders.open_clip", raising=False)
    done = run_vsearch("models", "--all", exit_code=1)
    assert "--all needs the package 'open_clip'" in done.stderr


def test_the_quality_of_the_embedded_model_is_what_the_benchmarks_say() -> None:
    from vsearch.encoders.model_zoo import BUILTIN_QUALITY

    docs_text = (Path(__file__).parents[3] / "docs" / "benchmarks.md").read_text("utf-8")
    [evaluate_row] = [
        row for row in docs_text.splitlines() if row.startswith("| 57 real clips, one caption each")
    ]
    assert f"correct clip first {BUILTIN_QUALITY['']['clips R@1'][0]:.1f} %" in evaluate_row
    assert "vsearch evaluate clips.jsonl" in evaluate_row
