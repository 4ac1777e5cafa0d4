"""What runs the networks of the embedded model: OpenVINO or ONNX Runtime, in int8 or float32.

int8 takes a third of float32's time where the processor has instructions for it (VNNI), and is
left alone where it has not: there it is no faster, and sums of products overflow.
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

from vsearch.encoders.borrowed import whole
from vsearch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.types import Images, Matrix

log = logging.getLogger(__name__)

PROCESSOR = Path("/proc/cpuinfo")
INT8 = {"avx512_vnni", "avx_vnni", "amx_int8"}  # instructions, as Linux names them
BFLOAT16 = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to run a network, known before anything is loaded."""

    name: str  # "OpenVINO" or "ONNX Runtime"
    precision: str  # "int8" or "float32"
    batch: int  # images at once: what is fastest without much memory


@dataclass(frozen=True, slots=True)
class Graph:
    """An ONNX graph, and the files that it borrows arrays from, by name."""

    data: bytes
    lenders: dict[str, bytes] = field(default_factory=dict)


FLOAT32 = Kind("ONNX Runtime", "float32", 8)  # the reference
INT8_ORT = Kind("ONNX Runtime", "int8", 8)
INT8_OPENVINO = Kind("OpenVINO", "int8", 32)
CUDA = Kind("ONNX Runtime on CUDA", "float32", 64)

# OpenVINO runs a few pieces of a batch side by side, on a thread each where there are few: none
# waits for another that decoding keeps off its processor. 5 to 10 % faster than two threads each.
STREAMS = 4
PIECE = 4  # images


def choose(device: str) -> Kind:
    """The fastest way on that device; "cpu" is the plain reference. Raises ModelError for others.

    Asks ONNX Runtime what it was built for, which takes 0.3 s.
    """
    if device != "cpu" and "CUDAExecutionProvider" in _providers():
        return CUDA
    if device not in ("auto", "cpu"):
        raise ModelError(
            f"the embedded model cannot run on {device!r} here: ONNX Runtime offers "
            f"{', '.join(_providers())}; leave --device out"
        )
    if device == "cpu" or not multiplies_int8():
        return FLOAT32
    return INT8_OPENVINO if find_spec("openvino") else INT8_ORT


def multiplies_int8() -> bool:
    """Whether this processor is known to multiply and add bytes in one step, without overflow."""
    return _has(INT8)


def _has(instructions: set[str]) -> bool:
    """Whether this processor is known to have any of these."""
    try:
        lines = PROCESSOR.read_text("utf-8").splitlines()
    except OSError:  # not on Linux
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not instructions.isdisjoint(flags.split())


def openvino(graph: Graph) -> Callable[[Images], Matrix]:
    """A network ready to run. Raises whatever OpenVINO does where it cannot run it."""
    ov = importlib.import_module("openvino")
    core = ov.Core()
    data = whole(graph.data, graph.lenders)
    del graph  # 170 MB that nobody needs any more
    model = core.read_model(data)
    del data
    # between the int8 matrices bfloat16 is as good; no matrices by groups
    streams = min(threads(), STREAMS)
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if _has(BFLOAT16) else "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
        "INFERENCE_NUM_THREADS": threads(),
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,  # what decodes needs the same processors
    }
    jobs = ov.AsyncInferQueue(core.compile_model(model, "CPU", settings), streams)
    lock, parts = threading.Lock(), {}
    jobs.set_callback(lambda job, at: parts.update({at: job.get_output_tensor(0).data.copy()}))

    def run(images: Images) -> Matrix:
        each = min(PIECE, -(-len(images) // streams))
        with lock:
            parts.clear()
            for start in range(0, len(images), each):
                jobs.start_async({0: images[start : start + each]}, start)
            jobs.wait_all()
            return np.concatenate([parts[start] for start in sorted(parts)])

    return run


def onnx_runtime(graph: Graph, kind: Kind = FLOAT32) -> Callable[[dict[str, Any]], Matrix]:
    """A network ready to run."""
    import onnxruntime  # deferred: asking for the space must not cost 300 ms

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # idle threads sleep: the other core is decoding
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if kind.precision == "float32":
        # int8 matrices become float32 ones once, at load, and nothing is computed in int8
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    if graph.lenders:
        names, lent = list(graph.lenders), list(graph.lenders.values())
        sizes = [len(data) for data in lent]
        options.add_external_initializers_from_files_in_memory(names, lent, sizes)
    providers = ["CUDAExecutionProvider"] if kind is CUDA else []
    providers.append("CPUExecutionProvider")
    session = onnxruntime.InferenceSession(graph.data, options, providers=providers)

    def run(inputs: dict[str, Any]) -> Matrix:
        found: Matrix = session.run(None, inputs)[0]
        return found

    return run


def threads() -> int:
    """Processors that this process may use; `taskset` bounds them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _providers() -> list[str]:
    import onnxruntime  # deferred: 300 ms

    found: list[str] = onnxruntime.get_available_providers()
    return found
