"""Make torch models small enough for tests, with random weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import open_clip
import torch
import torchvision

from vsearch.encoders.checkpoints import silence_libraries

if TYPE_CHECKING:
    from pathlib import Path

TINY_ARCH = "vsearch-tiny"
TINY_CONFIG = {
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


def make_tiny_clip(folder: Path, *, seed: int = 0) -> Path:
    """Register the architecture `vsearch-tiny` with open_clip and save a checkpoint of it."""
    config_path = folder / f"{TINY_ARCH}.json"
    config_path.write_text(json.dumps(TINY_CONFIG))
    if TINY_ARCH not in open_clip.list_models():
        open_clip.add_model_config(config_path)
    torch.manual_seed(seed)
    with silence_libraries():
        model = open_clip.create_model(TINY_ARCH)
    checkpoint_path = folder / f"tiny{seed}.pt"
    torch.save(model.state_dict(), checkpoint_path)
    return checkpoint_path


def make_small_cnn(checkpoint_path: Path, arch: str = "resnet18", **options: Any) -> Path:
    """Save a checkpoint of a torchvision classifier."""
    torch.manual_seed(0)
    torch.save(
        torchvision.models.get_model(arch, weights=None, **options).state_dict(), checkpoint_path
    )
    return checkpoint_path
