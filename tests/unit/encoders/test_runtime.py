"""The backend is selected by processor and installed runtimes, and is close to float32."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.encoders import runtime
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Images

needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="OpenVINO is not installed")


@pytest.fixture
def vnni(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulate a processor with int8 instructions."""
    return processor(tmp_path, monkeypatch, "flags\t\t: fpu avx2 avx512_vnni")


def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str) -> Path:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\n{flags}\nbugs\t: none\n")
    monkeypatch.setattr(runtime, "CPUINFO_PATH", file)
    return file


def pictures(count: int, side: int = 240) -> Images:
    """Draw waves of several colors, uint8 (N, side, side + 80, 3)."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : (side + 80) * 1j]
    waves = random.uniform(-30, 30, (count, 1, 1, 3, 2))
    turn = waves[..., 0] * y[None, :, :, None] + waves[..., 1] * x[None, :, :, None]
    images: Images = (127 + 120 * np.sin(turn)).astype(np.uint8)
    return images


def test_cpu_is_the_plain_float32_reference(vnni: Path) -> None:
    assert runtime.select_backend("cpu") == runtime.FLOAT32_ORT


def test_openvino_is_used_if_installed(vnni: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "find_spec", lambda name: object())
    assert runtime.select_backend("auto") == runtime.INT8_OPENVINO
    monkeypatch.setattr(runtime, "find_spec", lambda name: None)
    assert runtime.select_backend("auto") == runtime.INT8_ORT


def test_float32_is_used_without_int8_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(tmp_path, monkeypatch, "flags\t\t: fpu avx2 not_avx512_vnni")
    assert runtime.select_backend("auto") == runtime.FLOAT32_ORT
    monkeypatch.setattr(runtime, "CPUINFO_PATH", tmp_path / "none")
    assert runtime.select_backend("auto") == runtime.FLOAT32_ORT


@needs_openvino
@pytest.mark.parametrize(("flags", "hint"), [("avx512_vnni", "f32"), ("avx512_bf16", "bf16")])
def test_bfloat16_is_used_with_bfloat16_instructions(
    flags: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(tmp_path, monkeypatch, f"flags\t\t: fpu avx512_vnni {flags}")
    compiled_settings: list[dict[str, object]] = []

    class Core:
        def read_model(self, data: bytes) -> bytes:
            return data

        def compile_model(self, model: bytes, device: str, settings: dict[str, object]) -> None:
            compiled_settings.append(settings)
            raise ValueError("that is enough")

    monkeypatch.setattr("openvino.Core", Core)
    with pytest.raises(ValueError, match="enough"):
        runtime.load_openvino(runtime.OnnxModel(b""))
    assert compiled_settings[0]["INFERENCE_PRECISION_HINT"] == hint


def test_cuda_is_preferred(vnni: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_list_providers", lambda: ["CUDAExecutionProvider"])
    assert runtime.select_backend("auto") == runtime.select_backend("cuda") == runtime.CUDA_ORT
    assert runtime.select_backend("cpu") == runtime.FLOAT32_ORT


def test_an_absent_device_is_rejected() -> None:
    with pytest.raises(ModelError, match=r"'tpu'.*omit --device"):
        BuiltinEncoder(device="tpu").encode_images(pictures(1))


@pytest.mark.parametrize("tier", ["", "fast"])
@pytest.mark.parametrize(
    "kind", [runtime.INT8_ORT, pytest.param(runtime.INT8_OPENVINO, marks=needs_openvino)]
)
def test_int8_is_close_to_float32(tier: str, kind: runtime.Backend) -> None:
    if not runtime.has_int8_instructions():
        pytest.skip("this processor has no instructions for int8")
    exact, quick = BuiltinEncoder(tier, device="cpu"), BuiltinEncoder(tier)
    quick._image_tower.backend = kind
    images = pictures(5)
    assert exact.space == quick.space, "an index made by one is good for the other"
    near = exact.encode_images(images) @ quick.encode_images(images).T
    assert near.diagonal().min() > 0.95
    assert (near.argmax(axis=1) == np.arange(5)).all()
    assert (exact.precision[:7], quick.precision[:5]) == ("float32", "int8;")


@pytest.mark.parametrize("tier", ["", "fast"])
def test_an_image_vector_does_not_depend_on_its_batch(tier: str) -> None:
    encoder, images = BuiltinEncoder(tier), pictures(9)
    together = encoder.encode_images(images)
    alone = np.concatenate([encoder.encode_images(images[i : i + 1]) for i in range(9)])
    np.testing.assert_allclose((together * alone).sum(axis=1), 1, atol=2e-3)


def test_concurrent_threads_get_their_own_results() -> None:
    encoder, images = BuiltinEncoder("fast"), pictures(12)
    right = encoder.encode_images(images)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(encoder.encode_images, images[i : i + 1]) for i in range(12)]
        found = np.concatenate([job.result() for job in jobs])
    np.testing.assert_allclose((found * right).sum(axis=1), 1, atol=2e-3)


def test_an_openvino_that_cannot_be_imported_is_skipped(
    vnni: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "openvino", None)  # import raises ImportError
    encoder = BuiltinEncoder("fast")
    with caplog.at_level(logging.WARNING):
        vectors = encoder.encode_images(pictures(2))
    assert vectors.shape == (2, 512)
    assert "OpenVINO" in caplog.text
    assert encoder._image_tower.backend == runtime.INT8_ORT


@needs_openvino
def test_an_openvino_that_cannot_compile_is_skipped(
    vnni: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Core:
        def read_model(self, data: bytes) -> None:
            raise RuntimeError("no such opset\nat some place")

    monkeypatch.setattr("openvino.Core", Core)
    with caplog.at_level(logging.WARNING):
        assert BuiltinEncoder("fast").encode_images(pictures(1)).shape == (1, 512)
    assert "(no such opset)" in caplog.text


def test_texts_do_not_load_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert BuiltinEncoder().encode_texts(["a dog"]).shape == (1, 512)


def test_it_uses_no_more_threads_than_the_process_may() -> None:
    assert 1 <= runtime.count_threads() <= 4096
