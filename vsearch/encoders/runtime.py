"""Select and run the runtime of the embedded model: ONNX Runtime or OpenVINO, int8 or float32.

int8 takes a third of float32's time on processors with instructions for it (VNNI). On others it is
not used: it would be no faster, and sums of products would overflow.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.encoders.onnx_weights import inline_external_data
from vsearch.errors import ModelError
from vsearch.memory import NEEDED_BY_INDEXING, MemoryNeed

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.types import Images, Matrix

log = logging.getLogger(__name__)
CPUINFO_PATH = Path("/proc/cpuinfo")
INT8_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8"}  # processor flags in /proc/cpuinfo
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True, slots=True)
class Backend:
    """Runtime, precision and batch size, known before anything is loaded."""

    runtime_name: str  # "OpenVINO" or "ONNX Runtime"
    precision: str  # "int8" or "float32"
    batch_size: int  # images: the fastest that does not take much memory


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """ONNX graph and its external data files by name."""

    graph_bytes: bytes
    external_files: dict[str, bytes] = field(default_factory=dict)


FLOAT32_ORT = Backend("ONNX Runtime", "float32", 8)  # the reference
INT8_ORT = Backend("ONNX Runtime", "int8", 8)
INT8_OPENVINO = Backend("OpenVINO", "int8", 32)
CUDA_ORT = Backend("ONNX Runtime on CUDA", "float32", 64)
MEMORY_NEEDS = {  # of the larger tier, with the threads that decode
    backend: MemoryNeed("the embedded model", address_space, resident, NEEDED_BY_INDEXING)
    for backend, address_space, resident in (
        (INT8_OPENVINO, 1_080_000_000, 420_000_000),
        (INT8_ORT, 800_000_000, 330_000_000),
        (FLOAT32_ORT, 1_300_000_000, 700_000_000),
    )
}
# OpenVINO runs parts of a batch in parallel streams, of one thread each on few processors, so that
# no thread waits for one that decoding preempts: 5 to 10 % faster than two threads per stream.
MAX_STREAMS = 4
IMAGES_PER_STREAM = 4
_thread_limit: int | None = None  # of one of several processes that share a machine


def select_backend(device_name: str) -> Backend:
    """Select the fastest backend of a device. Importing ONNX Runtime takes 0.3 s.

    Args:
        device_name: "auto", "cuda", or "cpu" for the float32 reference.

    Raises:
        ModelError: The device is not available.
    """
    if device_name != "cpu" and "CUDAExecutionProvider" in _list_providers():
        return CUDA_ORT
    if device_name not in ("auto", "cpu"):
        raise ModelError(
            f"the embedded model cannot run on {device_name!r} here: ONNX Runtime offers "
            f"{', '.join(_list_providers())}; omit --device, or remove "
            "the setting `device` from vsearch.toml"
        )
    return select_cpu_backend(device_name)


def select_cpu_backend(device_name: str) -> Backend:
    """Select the fastest backend of the CPU, without importing a runtime.

    Args:
        device_name: "cpu" for the float32 reference; anything else for the fastest.
    """
    if device_name == "cpu" or not has_int8_instructions():
        return FLOAT32_ORT
    return INT8_OPENVINO if find_spec("openvino") else INT8_ORT


def has_int8_instructions() -> bool:
    """Return whether the processor is known to multiply-add int8 without overflow."""
    return _has_instructions(INT8_FLAGS)


def _has_instructions(instruction_flags: set[str]) -> bool:
    """Return whether the processor is known to have any of these instructions."""
    try:
        cpuinfo_lines = CPUINFO_PATH.read_text("utf-8").splitlines()
    except OSError:  # not on Linux
        return False
    flag_line = next(
        (cpuinfo_line for cpuinfo_line in cpuinfo_lines if cpuinfo_line.startswith("flags")), ""
    )
    return not instruction_flags.isdisjoint(flag_line.split())


def load_openvino(onnx_model: OnnxModel) -> Callable[[Images], Matrix]:
    """Compile a model for OpenVINO on the CPU; any exception means that it cannot run there.

    Args:
        onnx_model: Model with one input, images, and one output.

    Returns:
        A function from uint8 (N, H, W, 3) to float32 (N, D); thread-safe.
    """
    ov = importlib.import_module("openvino")
    openvino_core = ov.Core()
    model_bytes = inline_external_data(onnx_model.graph_bytes, onnx_model.external_files)
    del onnx_model  # frees 170 MB
    network = openvino_core.read_model(model_bytes)
    del model_bytes
    # bfloat16 between the int8 matrices is as accurate; matrices are not quantized by groups
    stream_count = min(count_threads(), MAX_STREAMS)
    runtime_settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if _has_instructions(BFLOAT16_FLAGS) else "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
        "INFERENCE_NUM_THREADS": count_threads(),
        "NUM_STREAMS": stream_count,
        "ENABLE_CPU_PINNING": False,  # decoding needs the same processors
    }
    infer_queue = ov.AsyncInferQueue(
        openvino_core.compile_model(network, "CPU", runtime_settings), stream_count
    )
    queue_lock, output_parts = threading.Lock(), {}
    infer_queue.set_callback(
        lambda infer_request, at: output_parts.update(
            {at: infer_request.get_output_tensor(0).data.copy()}
        )
    )

    def run_network(images: Images) -> Matrix:
        piece_size = min(IMAGES_PER_STREAM, -(-len(images) // stream_count))
        with queue_lock:
            output_parts.clear()
            for start in range(0, len(images), piece_size):
                infer_queue.start_async({0: images[start : start + piece_size]}, start)
            infer_queue.wait_all()
            return np.concatenate([output_parts[start] for start in sorted(output_parts)])

    return run_network


def load_onnx_runtime(
    onnx_model: OnnxModel, backend: Backend = FLOAT32_ORT
) -> Callable[[dict[str, Any]], Matrix]:
    """Load a model with ONNX Runtime.

    Args:
        onnx_model: Model with one output.
        backend: Precision and device to run it with.

    Returns:
        A function from input arrays by name to float32 (N, D); thread-safe.
    """
    import onnxruntime  # deferred: 300 ms, not needed to know the space

    session_options = onnxruntime.SessionOptions()
    session_options.log_severity_level = 3
    # Idle threads sleep, since decoding needs the other processors.
    session_options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if _thread_limit is not None:
        session_options.intra_op_num_threads = count_threads()
    if backend.precision == "float32":
        # Dequantizes the int8 matrices once, at load.
        session_options.add_session_config_entry("session.disable_quant_qdq", "1")
    if onnx_model.external_files:
        file_names, file_contents = (
            list(onnx_model.external_files),
            list(onnx_model.external_files.values()),
        )
        file_sizes = [len(file_bytes) for file_bytes in file_contents]
        session_options.add_external_initializers_from_files_in_memory(
            file_names, file_contents, file_sizes
        )
    provider_names = ["CUDAExecutionProvider"] if backend is CUDA_ORT else []
    provider_names.append("CPUExecutionProvider")
    session = onnxruntime.InferenceSession(
        onnx_model.graph_bytes, session_options, providers=provider_names
    )

    def run_session(named_inputs: dict[str, Any]) -> Matrix:
        output_rows: Matrix = session.run(None, named_inputs)[0]
        return output_rows

    return run_session


def limit_threads(thread_count: int) -> None:
    """Let models that are loaded from now on use at most this number of threads."""
    global _thread_limit
    _thread_limit = thread_count


def count_threads() -> int:
    """Return the number of threads to use: one for each processor, for example under `taskset`."""
    available_count = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(available_count, _thread_limit or available_count)


def _list_providers() -> list[str]:
    import onnxruntime  # deferred: 300 ms

    provider_names: list[str] = onnxruntime.get_available_providers()
    return provider_names
