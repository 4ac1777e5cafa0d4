"""Convolutional networks by torchvision: features of pictures, no words.

cnn:resnet50                     the default weights, downloaded once
cnn:resnet50/IMAGENET1K_V1       other published weights
cnn:resnet50@FILE                a checkpoint of your own, with any number of classes
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torchvision
from torch import nn

from vsearch.encoders.checkpoint import ModelName, digest, in_short, read_tensors, slug
from vsearch.encoders.device import Device
from vsearch.encoders.download import fetch, quiet, refusal
from vsearch.encoders.preprocess import Preprocess
from vsearch.errors import NoTextError, UnknownPluginError, WeightsError
from vsearch.types import Images, Matrix, Space

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEFAULT = "resnet50"
CACHE = "torch's cache (~/.cache/torch/hub/checkpoints, or $TORCH_HOME)"


class CnnEncoder:
    """Images in the space of a classifier's last features, before its classes."""

    def __init__(self, argument: str = "", *, device: str = "auto") -> None:
        """Raises UnknownPluginError for an unknown name, WeightsError for weights it can't have."""
        name = ModelName.parse(argument or DEFAULT)
        published = _published(name)
        with quiet():
            tensors = read_tensors(name.file or _downloaded(name, published))
            model = torchvision.models.get_model(name.arch, weights=None)
            dim = _behead(model)
            _fill(model, tensors, name)
        self._preprocess = _preprocess(published.transforms())
        self._device = Device.choose(device)
        self._model = model.eval().requires_grad_(False)
        self.space = Space(self._space_name(name.arch), dim, speaks_text=False)
        self.image_size = self._preprocess.image_size
        self._device.place(self._model.to(memory_format=torch.channels_last))

    def encode_images(self, images: Images) -> Matrix:
        """uint8 (N, H, W, 3) RGB of any size -> float32 (N, D), rows of unit length."""
        return self._device.encode(self._features, self._preprocess, images, self.space.dim)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Raises NoTextError: the network has never seen a word."""
        if not texts:
            return np.empty((0, self.space.dim), np.float32)
        raise NoTextError(
            f"{self.space.name} understands pictures only: search with --image or --clip, or index "
            "with a model that understands text, such as --model builtin"
        )

    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        """float32 (N, 3, H, W) -> (N, D), pooled over the picture."""
        features: torch.Tensor = self._model(pixels).flatten(1)
        return features

    def _space_name(self, arch: str) -> str:
        p = self._preprocess
        facts = (arch, p.image_size, p.size, p.mean, p.std, p.interpolation)
        return f"cnn-{slug(arch)}-{digest(self._model.state_dict(), *facts)}"


def _published(name: ModelName) -> Any:
    """torchvision's entry for the weights: their address and their preprocessing."""
    known = torchvision.models.list_models(module=torchvision.models)
    if name.arch not in known:
        raise UnknownPluginError(_not_known(f"is no model 'cnn:{name.arch}'", name.arch, known))
    weights = torchvision.models.get_model_weights(name.arch)
    tags = [weight.name for weight in weights]
    if name.tag and name.tag not in tags:
        raise UnknownPluginError(_not_known(f"are no weights 'cnn:{name}'", name.tag, tags))
    return weights[name.tag] if name.tag else weights.DEFAULT


def _not_known(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower(), [k.lower() for k in known], n=3, cutoff=0.4)
    nearest = [k for k in known if k.lower() in near] or list(known)[:3]
    return f"there {what}; did you mean {' or '.join(nearest)}?"


def _behead(model: nn.Module) -> int:
    """Take off the layers that name classes; returns the dimension of what is left.

    What stands before the first linear layer stays: ConvNeXt's norm belongs to its features.
    """
    for attribute in ("fc", "classifier", "heads", "head"):
        head = getattr(model, attribute, None)
        if not isinstance(head, nn.Module):
            continue
        layers = list(head) if isinstance(head, nn.Sequential) else [head]
        for i, layer in enumerate(layers):
            if isinstance(layer, nn.Linear):
                setattr(model, attribute, nn.Sequential(*layers[:i]))
                return layer.in_features
    raise UnknownPluginError(
        f"{type(model).__name__} of torchvision has no classifier to take features from; "
        f"did you mean cnn:{DEFAULT}?"
    )


def _downloaded(name: ModelName, published: Any) -> Path:
    try:
        return fetch(published.url)
    except Exception as error:
        raise refusal(f"cnn:{name}", error, CACHE) from error


def _fill(model: nn.Module, tensors: dict[str, torch.Tensor], name: ModelName) -> None:
    """Put weights into a model without its head; those of the head are passed over."""
    source = name.file or f"cnn:{name}"
    try:
        missing = model.load_state_dict(tensors, strict=False).missing_keys
    except RuntimeError as error:  # another shape
        reason = in_short(error)
        raise WeightsError(f"{source}: not the weights of {name.arch} ({reason})") from error
    if missing:
        raise WeightsError(f"{source}: not the weights of {name.arch} ({missing[0]} is missing)")


def _preprocess(transform: Any) -> Preprocess:
    """torchvision's transform of published weights as ours."""
    (crop,), (short,) = transform.crop_size, transform.resize_size
    return Preprocess(
        size=(crop, crop),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
        short=short,
    )
