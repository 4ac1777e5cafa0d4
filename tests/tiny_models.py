"""Torch models small enough to make in a test, with random weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import open_clip
import torch
import torchvision

from vsearch.encoders.download import quiet

if TYPE_CHECKING:
    from pathlib import Path

ARCH = "vsearch-tiny"
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32,
        "layers": 1,
        "width": 32,
        "patch_size": 8,
        "head_width": 16,
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 1,
    },
}


def tiny_clip(folder: Path, *, seed: int = 0) -> Path:
    """Make the architecture `vsearch-tiny` known to open_clip and save a checkpoint of it."""
    config = folder / f"{ARCH}.json"
    config.write_text(json.dumps(CONFIG))
    if ARCH not in open_clip.list_models():
        open_clip.add_model_config(config)
    torch.manual_seed(seed)
    with quiet():
        model = open_clip.create_model(ARCH)
    path = folder / f"tiny{seed}.pt"
    torch.save(model.state_dict(), path)
    return path


def small_cnn(path: Path, arch: str = "resnet18", **options: Any) -> Path:
    """Save a checkpoint of a classifier of torchvision."""
    torch.manual_seed(0)
    torch.save(torchvision.models.get_model(arch, weights=None, **options).state_dict(), path)
    return path
