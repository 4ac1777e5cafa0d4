"""What runs the embedded model: chosen by the processor and what is installed, near to float32."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.encoders import engine
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Images

needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="OpenVINO is not installed")


@pytest.fixture
def vnni(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A processor with instructions for int8, whatever this one has."""
    return processor(tmp_path, monkeypatch, "flags\t\t: fpu avx2 avx512_vnni")


def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str) -> Path:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\n{flags}\nbugs\t: none\n")
    monkeypatch.setattr(engine, "PROCESSOR", file)
    return file


def pictures(count: int, side: int = 240) -> Images:
    """uint8 (N, side, side + 80, 3): waves of several colours."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : (side + 80) * 1j]
    waves = random.uniform(-30, 30, (count, 1, 1, 3, 2))
    turn = waves[..., 0] * y[None, :, :, None] + waves[..., 1] * x[None, :, :, None]
    images: Images = (127 + 120 * np.sin(turn)).astype(np.uint8)
    return images


def test_cpu_is_the_plain_float32_reference(vnni: Path) -> None:
    assert engine.choose("cpu") == engine.FLOAT32


def test_openvino_is_used_where_it_is_installed(
    vnni: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: object())
    assert engine.choose("auto") == engine.INT8_OPENVINO
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    assert engine.choose("auto") == engine.INT8_ORT


def test_without_instructions_for_int8_it_is_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(tmp_path, monkeypatch, "flags\t\t: fpu avx2 not_avx512_vnni")
    assert engine.choose("auto") == engine.FLOAT32
    monkeypatch.setattr(engine, "PROCESSOR", tmp_path / "none")
    assert engine.choose("auto") == engine.FLOAT32


@needs_openvino
@pytest.mark.parametrize(("flags", "hint"), [("avx512_vnni", "f32"), ("avx512_bf16", "bf16")])
def test_bfloat16_is_used_where_there_are_instructions_for_it(
    flags: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(tmp_path, monkeypatch, f"flags\t\t: fpu avx512_vnni {flags}")
    asked: list[dict[str, object]] = []

    class Core:
        def read_model(self, data: bytes) -> bytes:
            return data

        def compile_model(self, model: bytes, device: str, settings: dict[str, object]) -> None:
            asked.append(settings)
            raise ValueError("that is enough")

    monkeypatch.setattr("openvino.Core", Core)
    with pytest.raises(ValueError, match="enough"):
        engine.openvino(engine.Graph(b""))
    assert asked[0]["INFERENCE_PRECISION_HINT"] == hint


def test_a_graphics_card_comes_first(vnni: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_providers", lambda: ["CUDAExecutionProvider"])
    assert engine.choose("auto") == engine.choose("cuda") == engine.CUDA
    assert engine.choose("cpu") == engine.FLOAT32


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelError, match=r"'tpu'.*leave --device out"):
        BuiltinEncoder(device="tpu").encode_images(pictures(1))


@pytest.mark.parametrize("tier", ["", "fast"])
@pytest.mark.parametrize(
    "kind", [engine.INT8_ORT, pytest.param(engine.INT8_OPENVINO, marks=needs_openvino)]
)
def test_int8_is_near_to_float32(tier: str, kind: engine.Kind) -> None:
    if not engine.multiplies_int8():
        pytest.skip("this processor has no instructions for int8")
    exact, quick = BuiltinEncoder(tier, device="cpu"), BuiltinEncoder(tier)
    quick._see.kind = kind
    images = pictures(5)
    assert exact.space == quick.space, "an index made by one is good for the other"
    near = exact.encode_images(images) @ quick.encode_images(images).T
    assert near.diagonal().min() > 0.95
    assert (near.argmax(axis=1) == np.arange(5)).all()
    assert (exact.precision[:7], quick.precision[:5]) == ("float32", "int8;")


@pytest.mark.parametrize("tier", ["", "fast"])
def test_neighbours_in_a_batch_change_nothing(tier: str) -> None:
    encoder, images = BuiltinEncoder(tier), pictures(9)
    together = encoder.encode_images(images)
    alone = np.concatenate([encoder.encode_images(images[i : i + 1]) for i in range(9)])
    np.testing.assert_allclose((together * alone).sum(axis=1), 1, atol=2e-3)


def test_threads_that_ask_together_get_what_they_asked_for() -> None:
    encoder, images = BuiltinEncoder("fast"), pictures(12)
    right = encoder.encode_images(images)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(encoder.encode_images, images[i : i + 1]) for i in range(12)]
        found = np.concatenate([job.result() for job in jobs])
    np.testing.assert_allclose((found * right).sum(axis=1), 1, atol=2e-3)


def test_openvino_that_cannot_be_imported_is_done_without(
    vnni: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "openvino", None)  # import raises ImportError
    encoder = BuiltinEncoder("fast")
    with caplog.at_level(logging.WARNING):
        vectors = encoder.encode_images(pictures(2))
    assert vectors.shape == (2, 512)
    assert "OpenVINO" in caplog.text
    assert encoder._see.kind == engine.INT8_ORT


@needs_openvino
def test_openvino_that_cannot_compile_is_done_without(
    vnni: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Core:
        def read_model(self, data: bytes) -> None:
            raise RuntimeError("no such opset\nat some place")

    monkeypatch.setattr("openvino.Core", Core)
    with caplog.at_level(logging.WARNING):
        assert BuiltinEncoder("fast").encode_images(pictures(1)).shape == (1, 512)
    assert "(no such opset)" in caplog.text


def test_words_do_not_load_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert BuiltinEncoder().encode_texts(["a dog"]).shape == (1, 512)


def test_it_runs_on_no_more_threads_than_the_process_may() -> None:
    assert 1 <= engine.threads() <= 4096
