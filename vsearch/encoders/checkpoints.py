"""Checkpoints of torch models: parse their names, load them safely, identify and download them.

Files are loaded without executing code in them. Downloads fail quickly without a network, and
without output of the libraries involved.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import pickle
import re
import urllib.error
import urllib.request
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import torch

from vsearch.encoders.downloads import check_downloads_allowed
from vsearch.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT_TIMEOUT_SECONDS = 8.0  # until a server responds
HASHED_VALUES = 4096  # per tensor
NOISY_LOGGERS = ("huggingface_hub", "transformers", "timm", "httpx")  # open_clip uses the root one


@dataclass(frozen=True, slots=True)
class ModelName:
    """Part of --model after the colon: ARCH, ARCH/TAG, ARCH@FILE or ARCH/TAG@FILE."""

    architecture: str
    weights_tag: str | None = None  # of published weights
    checkpoint_path: Path | None = None  # used instead of downloading weights

    @classmethod
    def parse(cls, name_text: str) -> ModelName:
        """Parse a name, without checking whether such a model exists."""
        model_name, _, file_name = name_text.partition("@")
        architecture, _, weights_tag = model_name.partition("/")
        return cls(
            architecture, weights_tag or None, Path(file_name).expanduser() if file_name else None
        )

    def __str__(self) -> str:
        return f"{self.architecture}/{self.weights_tag}" if self.weights_tag else self.architecture


def read_tensors(checkpoint_path: Path) -> dict[str, torch.Tensor]:
    """Load the tensors of a .safetensors file or a file written by torch.save, running no code.

    Args:
        checkpoint_path: Checkpoint, possibly with the state dict nested in it.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        WeightsError: The file is missing, damaged, or contains more than tensors and plain data: a
            pickle could run any program.
    """
    if not checkpoint_path.is_file():
        raise WeightsError(f"there is no checkpoint {checkpoint_path}")
    try:
        checkpoint_data = _load_checkpoint(checkpoint_path)
    except Exception as error:  # torch, zipfile and safetensors raise errors of many kinds
        raise WeightsError(f"{checkpoint_path}: {_explain_load_error(error)}") from error
    named_tensors = {
        re.sub(r"^module\.", "", tensor_name): tensor  # prefix of DistributedDataParallel
        for tensor_name, tensor in _find_state_dict(checkpoint_data).items()
        if isinstance(tensor, torch.Tensor)
    }
    if not named_tensors:
        raise WeightsError(
            f"{checkpoint_path}: contains no weights; use a checkpoint with a state dict"
        )
    return named_tensors


def digest_weights(named_tensors: Mapping[str, torch.Tensor], *model_facts: object) -> str:
    """Compute 8 hexadecimal digits that identify weights and facts about their use.

    Hashed are each tensor's name and shape, the exact sum of its bits as integers, which any
    changed value changes, and 4096 or more evenly spaced values, which distinguish tensors with the
    same sum. That takes 0.1 s for ViT-B/32, a cryptographic hash of every byte 0.7 s, at each
    start. Values are hashed as float32, so that the precision of the file does not matter.

    Args:
        named_tensors: Tensors by name.
        *model_facts: Facts with a stable `repr`.
    """
    hash_state = hashlib.blake2b(repr(model_facts).encode(), digest_size=4)
    for tensor_name in sorted(named_tensors):
        flat_tensor = named_tensors[tensor_name].detach().cpu().reshape(-1)
        flat_tensor = flat_tensor.float() if flat_tensor.is_floating_point() else flat_tensor.long()
        value_bits = flat_tensor.numpy().view("<u4")
        bit_sum = int(np.add.reduce(value_bits, dtype=np.uint64))
        hash_state.update(
            f"{tensor_name} {tuple(named_tensors[tensor_name].shape)} {bit_sum} ".encode()
        )
        hash_state.update(value_bits[:: max(1, len(value_bits) // HASHED_VALUES)].tobytes())
    return hash_state.hexdigest()


def slugify_name(model_name: str) -> str:
    """Convert a name to lower case words joined by hyphens, for the name of a space."""
    return re.sub(r"[^a-z0-9]+", "-", model_name.lower()).strip("-")


def _load_checkpoint(checkpoint_path: Path) -> Any:
    if checkpoint_path.suffix == ".safetensors":
        from safetensors.torch import load_file  # deferred: few checkpoints need it

        return load_file(checkpoint_path)
    # mmap reads only the tensors that are used; only the zip format supports it.
    return torch.load(
        checkpoint_path, "cpu", weights_only=True, mmap=zipfile.is_zipfile(checkpoint_path)
    )


def _find_state_dict(checkpoint_data: Any) -> dict[str, Any]:
    """Return the state dict nested in what a training script saved."""
    while isinstance(checkpoint_data, dict):
        nested_dicts = [
            checkpoint_data[nested_key]
            for nested_key in ("state_dict", "model")
            if isinstance(checkpoint_data.get(nested_key), dict)
        ]
        if not nested_dicts:
            return checkpoint_data
        checkpoint_data = nested_dicts[0]
    return {}


def _explain_load_error(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        return (
            "contains more than weights and was not loaded, because a pickle can run any program; "
            "convert it to .safetensors on the machine where it was made"
        )
    return f"is damaged or not a checkpoint of torch or safetensors ({first_line(error)})"


def first_line(error: BaseException) -> str:
    """Return the first line of an error message, at most 120 characters of it."""
    error_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return error_line if len(error_line) <= 120 else error_line[:119] + "…"


# Downloads


def check_reachable(server_url: str) -> None:
    """Check that a download is allowed and the server responds: libraries retry for minutes.

    Args:
        server_url: Any URL of the server.

    Raises:
        OSError: There is no connection, or no permission.
    """
    check_downloads_allowed()
    head_request = urllib.request.Request(server_url, method="HEAD")  # noqa: S310 - URL is from a library
    try:
        urllib.request.urlopen(head_request, timeout=CONNECT_TIMEOUT_SECONDS).close()  # noqa: S310
    except urllib.error.HTTPError as http_error:
        http_error.close()  # any response will do
    except OSError as error:
        failure_reason = getattr(error, "reason", error)  # URLError wraps the cause
        failure_reason = getattr(failure_reason, "strerror", None) or failure_reason
        raise OSError(
            f"no connection to {urlsplit(server_url).netloc}: {failure_reason}"
        ) from error


def fetch_weights(weights_url: str) -> Path:
    """Return a file from torch's cache, downloading it if needed.

    Args:
        weights_url: URL whose file name may end in the start of its SHA-256, which is then
            verified.

    Raises:
        OSError: There is no connection.
        RuntimeError: The SHA-256 does not match.
    """
    cached_path = Path(torch.hub.get_dir()) / "checkpoints" / weights_url.rsplit("/", 1)[-1]
    if not cached_path.is_file():
        check_reachable(weights_url)
        cached_path.parent.mkdir(parents=True, exist_ok=True)
        hash_match = re.search(r"-([0-9a-f]{8,})\.", cached_path.name)
        torch.hub.download_url_to_file(
            weights_url, str(cached_path), hash_match[1] if hash_match else None
        )
    return cached_path


def download_error(model_name: str, error: BaseException, cache_hint: str) -> WeightsError:
    """Build the error for weights that cannot be downloaded, with ways out.

    Args:
        model_name: Name as in --model.
        error: Cause.
        cache_hint: Cache that can be copied from another machine.
    """
    return WeightsError(
        f"the weights of {model_name} are not on this machine and cannot be downloaded "
        f"({first_line(error)}). Without a network, use a checkpoint ({model_name}@FILE), copy "
        f"{cache_hint} from a machine that has them, or use the embedded model (--model builtin, "
        "and no --text-model)"
    )


@contextlib.contextmanager
def silence_libraries() -> Iterator[None]:
    """Suppress warnings, log messages and log configuration by libraries that load a model."""
    root_logger, null_handler = logging.getLogger(), logging.NullHandler()
    noisy_loggers = [logging.getLogger(logger_name) for logger_name in NOISY_LOGGERS]
    saved_levels = [noisy_logger.level for noisy_logger in noisy_loggers]
    # Without any handler, logging.info() would install one for stderr.
    root_logger.addHandler(null_handler)
    root_logger.addFilter(_is_not_open_clip)
    for noisy_logger in noisy_loggers:
        noisy_logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root_logger.removeFilter(_is_not_open_clip)
        root_logger.removeHandler(null_handler)
        for noisy_logger, saved_level in zip(noisy_loggers, saved_levels, strict=True):
            noisy_logger.setLevel(saved_level)


def _is_not_open_clip(log_record: logging.LogRecord) -> bool:
    """Filter out "Model initialized randomly", logged just before the weights are loaded."""
    return Path(log_record.pathname).parent.name != "open_clip"
