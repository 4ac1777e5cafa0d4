"""Checkpoint files of torch models: how one is named, read without running it, and identified."""

from __future__ import annotations

import hashlib
import pickle
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vsearch.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

SAMPLE = 4096  # values of a tensor that are hashed one by one


@dataclass(frozen=True, slots=True)
class ModelName:
    """What follows the colon in `--model`: ARCH, ARCH/TAG, ARCH@FILE or ARCH/TAG@FILE."""

    arch: str
    tag: str | None = None  # which published weights
    file: Path | None = None  # a checkpoint to read instead of downloading them

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Split a name; whether there is such a model is for the encoder to say."""
        name, _, file = text.partition("@")
        arch, _, tag = name.partition("/")
        return cls(arch, tag or None, Path(file).expanduser() if file else None)

    def __str__(self) -> str:
        return f"{self.arch}/{self.tag}" if self.tag else self.arch


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .safetensors file or of what torch.save wrote; no code in it is run.

    Raises WeightsError for a file that is missing, damaged, or holds more than tensors and plain
    data: a pickle could run any program.
    """
    if not path.is_file():
        raise WeightsError(f"there is no checkpoint {path}")
    try:
        found = _load(path)
    except Exception as error:  # torch, zipfile and safetensors raise errors of many kinds
        raise WeightsError(f"{path}: {_why_unreadable(error)}") from error
    tensors = {
        re.sub(r"^module\.", "", name): tensor  # what DistributedDataParallel adds
        for name, tensor in _innermost(found).items()
        if isinstance(tensor, torch.Tensor)
    }
    if not tensors:
        raise WeightsError(f"{path}: holds no weights; give a checkpoint with a state dict")
    return tensors


def digest(tensors: Mapping[str, torch.Tensor], *facts: object) -> str:
    """8 hexadecimal digits that identify weights and the facts that steer how they are used.

    Of each tensor go in its name and shape, the exact sum of all its bits as integers, which every
    changed value changes, and 4096 or more evenly spaced values, which tell apart what has the same
    sum. That takes 0.1 s for ViT-B/32, a cryptographic hash of every byte 0.7 s, at each start.
    Values are taken as float32, so that the precision of the file does not matter.
    """
    state = hashlib.blake2b(repr(facts).encode(), digest_size=4)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().reshape(-1)
        tensor = tensor.float() if tensor.is_floating_point() else tensor.long()
        bits = tensor.numpy().view("<u4")
        total = int(np.add.reduce(bits, dtype=np.uint64))
        state.update(f"{name} {tuple(tensors[name].shape)} {total} ".encode())
        state.update(bits[:: max(1, len(bits) // SAMPLE)].tobytes())
    return state.hexdigest()


def slug(name: str) -> str:
    """A name as part of a space's name: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _load(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file  # deferred: few checkpoints need it

        return load_file(path)
    # mmap: what is only looked at is not read; possible for the format that is a zip archive
    return torch.load(path, "cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def _innermost(found: Any) -> dict[str, Any]:
    """The state dict inside what a training script saved."""
    while isinstance(found, dict):
        inner = [found[key] for key in ("state_dict", "model") if isinstance(found.get(key), dict)]
        if not inner:
            return found
        found = inner[0]
    return {}


def _why_unreadable(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        return (
            "holds more than weights and was not loaded, because a pickle can run any program; "
            "convert it to .safetensors where it comes from"
        )
    return f"is damaged or no checkpoint of torch or safetensors ({in_short(error)})"


def in_short(error: BaseException) -> str:
    """The first line of an error, at most 120 characters of it."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if len(line) <= 120 else line[:119] + "…"
