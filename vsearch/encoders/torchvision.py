"""Convolutional networks of torchvision: image features without a text encoder.

cnn:resnet50                     the default weights, downloaded once
cnn:resnet50/IMAGENET1K_V1       other published weights
cnn:resnet50@FILE                a custom checkpoint, with any number of classes
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torchvision
from torch import nn

from vsearch.encoders.checkpoints import (
    ModelName,
    digest_weights,
    download_error,
    fetch_weights,
    first_line,
    read_tensors,
    silence_libraries,
    slugify_name,
)
from vsearch.encoders.torch_device import Device, ImagePreprocess
from vsearch.errors import NoTextError, UnknownPluginError, WeightsError
from vsearch.types import Images, Matrix, Space

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEFAULT_MODEL = "resnet50"
CACHE_HINT = "torch's cache (~/.cache/torch/hub/checkpoints, or $TORCH_HOME)"


class CnnEncoder:
    """Encoder of images by a classifier's penultimate features.

    Args:
        argument: Model name as described above; "" means `DEFAULT_MODEL`.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UnknownPluginError: There is no such model.
        WeightsError: The weights are damaged or cannot be downloaded.
        SettingsError: The device is not available.
    """

    def __init__(self, argument: str = "", *, device: str = "auto") -> None:
        model_name = ModelName.parse(argument or DEFAULT_MODEL)
        published_weights = _find_published(model_name)
        with silence_libraries():
            named_tensors = read_tensors(
                model_name.checkpoint_path or _download_weights(model_name, published_weights)
            )
            network = torchvision.models.get_model(model_name.architecture, weights=None)
            feature_dim = _remove_head(network)
            _load_weights(network, named_tensors, model_name)
        self._preprocess = _convert_preprocess(published_weights.transforms())
        self._device = Device.from_name(device)
        self._network = network.eval().requires_grad_(False)
        self.space = Space(
            self._build_space_name(model_name.architecture), feature_dim, supports_text=False
        )
        self.image_size = self._preprocess.image_size
        self._device.place_network(self._network.to(memory_format=torch.channels_last))

    def encode_images(self, images: Images) -> Matrix:
        """Encode images.

        Args:
            images: uint8 (N, H, W, 3) RGB of any size.

        Returns:
            float32 (N, D), rows of unit length.
        """
        return self._device.encode_images(
            self._extract_features, self._preprocess, images, self.space.dim
        )

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Raise NoTextError, unless `texts` is empty: the network has no text encoder."""
        if not texts:
            return np.empty((0, self.space.dim), np.float32)
        raise NoTextError(
            f"{self.space.name} encodes images only, not text: search with --image or --clip, or "
            "index with a model that encodes text, such as --model builtin"
        )

    def _extract_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return pooled features: float32 (N, 3, H, W) -> (N, D)."""
        pooled_features: torch.Tensor = self._network(pixels).flatten(1)
        return pooled_features

    def _build_space_name(self, architecture: str) -> str:
        preprocess = self._preprocess
        preprocess_facts = (
            architecture,
            preprocess.image_size,
            preprocess.target_size,
            preprocess.channel_means,
            preprocess.channel_stds,
            preprocess.interpolation,
        )
        digest = digest_weights(self._network.state_dict(), *preprocess_facts)
        return f"cnn-{slugify_name(architecture)}-{digest}"


def _find_published(model_name: ModelName) -> Any:
    """Return torchvision's entry for the weights: URL and preprocessing."""
    known_models = torchvision.models.list_models(module=torchvision.models)
    if model_name.architecture not in known_models:
        raise UnknownPluginError(
            _suggest_names(
                f"is no model 'cnn:{model_name.architecture}'",
                model_name.architecture,
                known_models,
            )
        )
    weight_entries = torchvision.models.get_model_weights(model_name.architecture)
    weight_tags = [weight_entry.name for weight_entry in weight_entries]
    if model_name.weights_tag and model_name.weights_tag not in weight_tags:
        raise UnknownPluginError(
            _suggest_names(
                f"are no weights 'cnn:{model_name}'", model_name.weights_tag, weight_tags
            )
        )
    return (
        weight_entries[model_name.weights_tag] if model_name.weights_tag else weight_entries.DEFAULT
    )


def _suggest_names(missing_thing: str, wanted_name: str, known_names: Sequence[str]) -> str:
    close_matches = difflib.get_close_matches(
        wanted_name.lower(), [known_name.lower() for known_name in known_names], n=3, cutoff=0.4
    )
    suggested_names = [
        known_name for known_name in known_names if known_name.lower() in close_matches
    ] or list(known_names)[:3]
    return f"there {missing_thing}; did you mean {' or '.join(suggested_names)}?"


def _remove_head(network: nn.Module) -> int:
    """Remove the classifier's layers and return the dimension of the remaining features.

    Layers before its first linear layer stay: ConvNeXt's norm belongs to the features.
    """
    for attribute_name in ("fc", "classifier", "heads", "head"):
        head_module = getattr(network, attribute_name, None)
        if not isinstance(head_module, nn.Module):
            continue
        head_layers = list(head_module) if isinstance(head_module, nn.Sequential) else [head_module]
        for i, head_layer in enumerate(head_layers):
            if isinstance(head_layer, nn.Linear):
                setattr(network, attribute_name, nn.Sequential(*head_layers[:i]))
                return head_layer.in_features
    raise UnknownPluginError(
        f"torchvision's {type(network).__name__} has no classifier whose features can be used; "
        f"did you mean cnn:{DEFAULT_MODEL}?"
    )


def _download_weights(model_name: ModelName, published_weights: Any) -> Path:
    try:
        return fetch_weights(published_weights.url)
    except Exception as error:
        raise download_error(f"cnn:{model_name}", error, CACHE_HINT) from error


def _load_weights(
    network: nn.Module, named_tensors: dict[str, torch.Tensor], model_name: ModelName
) -> None:
    """Load weights into a network without a head; those of the head are ignored."""
    weights_source = model_name.checkpoint_path or f"cnn:{model_name}"
    try:
        missing_keys = network.load_state_dict(named_tensors, strict=False).missing_keys
    except RuntimeError as error:  # shapes differ
        error_summary = first_line(error)
        raise WeightsError(
            f"{weights_source}: not the weights of {model_name.architecture} ({error_summary})"
        ) from error
    if missing_keys:
        raise WeightsError(
            f"{weights_source}: not the weights of {model_name.architecture} "
            f"({missing_keys[0]} is missing)"
        )


def _convert_preprocess(torchvision_transform: Any) -> ImagePreprocess:
    """Convert torchvision's preprocessing of published weights."""
    (crop_size,), (resize_short_side,) = (
        torchvision_transform.crop_size,
        torchvision_transform.resize_size,
    )
    return ImagePreprocess(
        target_size=(crop_size, crop_size),
        channel_means=tuple(torchvision_transform.mean),
        channel_stds=tuple(torchvision_transform.std),
        interpolation=torchvision_transform.interpolation.value,
        resize_short_side=resize_short_side,
    )
