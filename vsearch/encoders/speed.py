"""How many pictures a second a model encodes on this machine: measured once, then known."""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.encoders.notes import Notes
from vsearch.encoders.shipped import digests

if TYPE_CHECKING:
    from vsearch.protocols import Encoder

TOPIC = "speed"  # in the notes
SECONDS = 2.0  # that a measurement takes, about
LARGEST = 64  # pictures at once
ENGINES = ("onnxruntime", "openvino", "torch")


@dataclass(frozen=True, slots=True)
class Speed:
    """A model as it turned out to be when it was measured."""

    name: str  # as --model takes it
    device: str
    rate: float  # pictures a second
    dim: int
    speaks_text: bool


def measure(name: str, device: str, encoder: Encoder) -> Speed:
    """Measure a model and note it. Raises ModelError if it cannot run."""
    space = encoder.space
    speed = Speed(name, device, _rate(encoder), space.dim, space.speaks_text)
    Notes().put(TOPIC, _key(name, device), asdict(speed))
    return speed


def noted(device: str) -> dict[str, Speed]:
    """What was measured on this machine on that device and still holds, by name."""
    speeds = [_speed(value) for value in Notes().all(TOPIC).values()]
    asked = [speed for speed in speeds if speed is not None and speed.device == device]
    known = Notes().all(TOPIC).keys()
    return {speed.name: speed for speed in asked if _key(speed.name, device) in known}


def _rate(encoder: Encoder) -> float:
    """Pictures a second of the best batch: what else the machine does disturbs that one least.

    Batches double, so that a slow model is not kept busy for minutes.
    """
    side, random = encoder.image_size, np.random.default_rng(0)
    images = random.integers(0, 256, (LARGEST, side, side, 3), np.uint8)
    encoder.encode_images(images[:2])  # loads it and warms up
    best, spent, count = 0.0, 0.0, 2
    while spent < SECONDS:
        began = time.perf_counter()
        encoder.encode_images(images[:count])
        took = time.perf_counter() - began
        best, spent = max(best, count / took), spent + took
        count = min(2 * count, LARGEST)
    return best


def _key(name: str, device: str) -> str:
    """All that a speed depends on: the model, its weights, the processor and what computes."""
    processor = f"{_processor()} x{os.cpu_count()}"
    return " | ".join([name, device, _weights(name), processor, *map(_version, ENGINES)])


def _weights(name: str) -> str:
    """What changes with the weights of a model and is known without loading it."""
    kind, _, argument = name.partition(":")
    if kind == "builtin":
        return hashlib.sha256(repr(sorted(digests().items())).encode()).hexdigest()[:8]
    state = _checkpoint(argument)
    return f"{state.st_size} {state.st_mtime:.0f}" if state else ""


def size_of(name: str) -> int | None:
    """Bytes of the checkpoint that a name ends in; None for other models."""
    state = _checkpoint(name.partition(":")[2])
    return state.st_size if state and stat.S_ISREG(state.st_mode) else None


def _checkpoint(argument: str) -> os.stat_result | None:
    try:
        return Path(argument.rpartition("@")[2]).expanduser().stat()
    except (OSError, ValueError):  # a published model: its name says which
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not on Linux
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def _speed(value: Any) -> Speed | None:
    """A speed out of the notes; None for what another version noted or someone damaged."""
    try:
        found = Speed(**value)
    except TypeError:
        return None
    kinds = {"name": str, "device": str, "rate": int | float, "dim": int, "speaks_text": bool}
    return found if all(isinstance(getattr(found, n), k) for n, k in kinds.items()) else None
