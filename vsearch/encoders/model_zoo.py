"""Known models: recommended ones with published figures, and measured throughput.

Figures of the embedded tiers are those of `weights/MODEL_CARD.md`. ImageNet zero-shot top-1 and
COCO text-to-image R@1 of open_clip's models are published by open_clip (docs/openclip_results.csv
and docs/openclip_retrieval_results.csv in github.com/mlfoundations/open_clip), those of MobileCLIP
and MobileCLIP2 by their authors (github.com/apple/ml-mobileclip, arXiv 2508.20691), those of
SigLIP 2 in arXiv 2502.14786, table 1. Sizes are those of float32 weights, 4 bytes per parameter.

Throughput is measured once per model and machine, and kept in the user's cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import stat
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from vsearch.config import cache_folder
from vsearch.encoders.bundled_weights import read_checksums

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vsearch.protocols import Encoder

    QualityScores: TypeAlias = Mapping[str, tuple[float, ...]]  # metric -> percentages

CACHE_FILENAME = "models.json"
CACHE_TOPIC = "speed"
MEASURE_SECONDS = 2.0  # approximate time of a measurement
MAX_BATCH_IMAGES = 64
RUNTIME_PACKAGES = ("onnxruntime", "openvino", "torch")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Published properties of a recommended model."""

    model_name: str  # as in --model
    vector_dim: int
    million_parameters: float
    quality_scores: QualityScores = field(default_factory=dict)
    supports_text: bool = True

    @property
    def size_bytes(self) -> int:
        """Size on disk, once downloaded."""
        return round(self.million_parameters * 4e6)


BUILTIN_QUALITY: Mapping[str, QualityScores] = {  # by tier; "" is the default one
    "": {"clips R@1": (89.5,), "pictures R@1/5/10": (71.5, 92.5, 95.6)},
    "fast": {"clips R@1": (87.7,), "pictures R@1/5/10": (66.3, 90.8, 94.6)},
}


def _make_clip_card(
    model_name: str,
    vector_dim: int,
    million_parameters: float,
    imagenet_top1: float,
    coco_recall: float | None,
) -> ModelCard:
    quality_scores = {"ImageNet": (imagenet_top1,)} | (
        {"COCO R@1": (coco_recall,)} if coco_recall is not None else {}
    )
    return ModelCard(f"openclip:{model_name}", vector_dim, million_parameters, quality_scores)


RECOMMENDED_MODELS = (  # in order of size and quality
    _make_clip_card("MobileCLIP2-S0/dfndr2b", 512, 74.84, 71.5, None),
    _make_clip_card("MobileCLIP-S1/datacompdr", 512, 84.97, 72.6, None),
    _make_clip_card("MobileCLIP-S2/datacompdr", 512, 99.24, 74.4, None),
    _make_clip_card("MobileCLIP2-S2/dfndr2b", 512, 99.24, 77.2, None),
    _make_clip_card("ViT-B-32/openai", 512, 151.28, 63.3, 30.4),
    _make_clip_card("ViT-B-32/laion2b_s34b_b79k", 512, 151.28, 66.6, 39.3),
    _make_clip_card("ViT-B-16/openai", 512, 149.62, 68.3, 33.1),
    _make_clip_card("ViT-B-16/laion2b_s34b_b88k", 512, 149.62, 70.2, 42.3),
    _make_clip_card("ViT-B-16/datacomp_xl_s13b_b90k", 512, 149.62, 73.5, 40.2),
    _make_clip_card("ViT-B-16-SigLIP/webli", 768, 203.16, 76.0, 47.8),
    _make_clip_card("ViT-B-16-SigLIP2/webli", 768, 375.2, 78.2, 52.1),
    _make_clip_card("ViT-L-14/openai", 768, 427.62, 75.5, 36.5),
    _make_clip_card("ViT-L-14/datacomp_xl_s13b_b90k", 768, 427.62, 79.2, 45.7),
    _make_clip_card("ViT-SO400M-14-SigLIP-384/webli", 1152, 877.96, 83.1, 54.2),
    _make_clip_card("ViT-H-14/laion2b_s32b_b79k", 1024, 986.11, 78.0, 49.5),
    ModelCard("cnn:resnet50", 2048, 25.56, supports_text=False),
)

# Throughput


@dataclass(frozen=True, slots=True)
class Throughput:
    """Measured throughput of a model. The field names are those of the cache file."""

    name: str  # as in --model
    device: str
    rate: float  # images per second
    dim: int
    speaks_text: bool


def measure_throughput(model_name: str, device_name: str, encoder: Encoder) -> Throughput:
    """Measure a model's throughput and cache it.

    Args:
        model_name: Name as in --model.
        device_name: Name as in --device.
        encoder: The model.

    Raises:
        ModelError: The model cannot run.
    """
    vector_space = encoder.space
    throughput = Throughput(
        model_name,
        device_name,
        _measure_rate(encoder),
        vector_space.dim,
        vector_space.supports_text,
    )
    MeasurementCache().put(
        CACHE_TOPIC, _build_cache_key(model_name, device_name), asdict(throughput)
    )
    return throughput


def load_measurements(device_name: str) -> dict[str, Throughput]:
    """Return the cached measurements that still apply to this machine, by model name.

    Args:
        device_name: Name as in --device.
    """
    cached_speeds = [
        _parse_throughput(cache_entry)
        for cache_entry in MeasurementCache().load_topic(CACHE_TOPIC).values()
    ]
    device_speeds = [
        throughput
        for throughput in cached_speeds
        if throughput is not None and throughput.device == device_name
    ]
    known_keys = MeasurementCache().load_topic(CACHE_TOPIC).keys()
    return {
        throughput.name: throughput
        for throughput in device_speeds
        if _build_cache_key(throughput.name, device_name) in known_keys
    }


def _measure_rate(encoder: Encoder) -> float:
    """Return the images per second of the fastest batch, the one least disturbed by other load.

    Batch sizes double, so that a slow model is not kept busy for minutes.
    """
    image_side, rng = encoder.image_size, np.random.default_rng(0)
    image_batch = rng.integers(0, 256, (MAX_BATCH_IMAGES, image_side, image_side, 3), np.uint8)
    encoder.encode_images(image_batch[:2])  # loads the model and warms up
    best_rate, spent_seconds, batch_size = 0.0, 0.0, 2
    while spent_seconds < MEASURE_SECONDS:
        started_at = time.perf_counter()
        encoder.encode_images(image_batch[:batch_size])
        elapsed_seconds = time.perf_counter() - started_at
        best_rate, spent_seconds = (
            max(best_rate, batch_size / elapsed_seconds),
            spent_seconds + elapsed_seconds,
        )
        batch_size = min(2 * batch_size, MAX_BATCH_IMAGES)
    return best_rate


def _build_cache_key(model_name: str, device_name: str) -> str:
    """Return all that throughput depends on: model, weights, processor and runtimes."""
    processor_label = f"{_read_processor_name()} x{os.cpu_count()}"
    return " | ".join(
        [
            model_name,
            device_name,
            _describe_weights(model_name),
            processor_label,
            *map(_describe_package, RUNTIME_PACKAGES),
        ]
    )


def _describe_weights(model_name: str) -> str:
    """Describe a model's weights without loading them."""
    encoder_name, _, model_argument = model_name.partition(":")
    if encoder_name == "builtin":
        return hashlib.sha256(repr(sorted(read_checksums().items())).encode()).hexdigest()[:8]
    checkpoint_stat = _stat_checkpoint(model_argument)
    return f"{checkpoint_stat.st_size} {checkpoint_stat.st_mtime:.0f}" if checkpoint_stat else ""


def find_checkpoint_size(model_name: str) -> int | None:
    """Return the size in bytes of the checkpoint in a model name; None if it has none."""
    checkpoint_stat = _stat_checkpoint(model_name.partition(":")[2])
    return (
        checkpoint_stat.st_size
        if checkpoint_stat and stat.S_ISREG(checkpoint_stat.st_mode)
        else None
    )


def _stat_checkpoint(model_argument: str) -> os.stat_result | None:
    try:
        return Path(model_argument.rpartition("@")[2]).expanduser().stat()
    except (OSError, ValueError):  # a published model, identified by its name
        return None


def _read_processor_name() -> str:
    try:
        cpuinfo_lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not on Linux
        return platform.processor() or platform.machine()
    processor_names = [
        cpuinfo_line.partition(":")[2].strip()
        for cpuinfo_line in cpuinfo_lines
        if cpuinfo_line.startswith("model name")
    ]
    return processor_names[0] if processor_names else platform.machine()


def _describe_package(package_name: str) -> str:
    try:
        return f"{package_name} {version(package_name)}"
    except PackageNotFoundError:
        return f"no {package_name}"


def _parse_throughput(cache_entry: Any) -> Throughput | None:
    """Parse a cached measurement; None if it is damaged or from another version."""
    try:
        throughput = Throughput(**cache_entry)
    except TypeError:
        return None
    field_types = {"name": str, "device": str, "rate": int | float, "dim": int, "speaks_text": bool}
    return (
        throughput
        if all(
            isinstance(getattr(throughput, field_name), field_type)
            for field_name, field_type in field_types.items()
        )
        else None
    )


class MeasurementCache:
    """JSON values in the user's cache folder, by topic and key.

    A damaged cache counts as empty; failures to write are ignored.

    Args:
        cache_path: Cache file; None means the user's.
    """

    def __init__(self, cache_path: Path | None = None) -> None:
        self._cache_path = cache_path or cache_folder() / CACHE_FILENAME

    def load_topic(self, topic_name: str) -> dict[str, Any]:
        """Return all entries of a topic."""
        topic_entries = self._read_all().get(topic_name)
        return topic_entries if isinstance(topic_entries, dict) else {}

    def get(self, topic_name: str, entry_key: str) -> Any:
        """Return the cached value, or None."""
        return self.load_topic(topic_name).get(entry_key)

    def put(self, topic_name: str, entry_key: str, entry_value: Any) -> None:
        """Cache a value; of concurrent writes the last one wins."""
        all_topics = self._read_all() | {
            topic_name: self.load_topic(topic_name) | {entry_key: entry_value}
        }
        temporary_path = self._cache_path.with_name(f"{self._cache_path.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            self._cache_path.parent.mkdir(parents=True, exist_ok=True)
            temporary_path.write_text(json.dumps(all_topics, indent=1), encoding="utf-8")
            temporary_path.replace(self._cache_path)

    def _read_all(self) -> dict[str, Any]:
        try:
            cache_content = json.loads(self._cache_path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return cache_content if isinstance(cache_content, dict) else {}
