"""CLIP-like models of open_clip, with images and texts in one space.

openclip:ViT-B-16/openai             a published model, downloaded once
openclip:ViT-B-16/openai@FILE        the same from a checkpoint
openclip:ViT-B-16@FILE               a custom checkpoint
openclip:FOLDER                      open_clip_config.json and weights, as saved by open_clip
"""

from __future__ import annotations

import difflib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import numpy as np
import open_clip
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

from vsearch.encoders.checkpoints import (
    ModelName,
    check_reachable,
    digest_weights,
    download_error,
    first_line,
    read_tensors,
    silence_libraries,
    slugify_name,
)
from vsearch.encoders.downloads import are_downloads_allowed, check_downloads_allowed
from vsearch.encoders.torch_device import Device, ImagePreprocess
from vsearch.errors import MissingExtraError, UnknownPluginError, WeightsError
from vsearch.types import Images, Matrix, Space

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

CACHE_HINT = "the Hugging Face cache (~/.cache/huggingface, or $HF_HOME)"
CONFIG_FILENAME = "open_clip_config.json"
PREPROCESS_KEYS = ("mean", "std", "interpolation", "resize_mode", "fill_color")
TEXT_BATCH = 64
_HUB_PREFIXES = ("hf-hub:", "hf_hub:")  # of names that timm and open_clip download
_OFFLINE_LOCK = threading.Lock()
HF_OPTIONS = {"trust_remote_code": False}  # even if a model's configuration requests it


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Specification of a model: how to build it and where its weights are."""

    display_name: str  # as named by the user
    config_name: str  # open_clip's name: an architecture, or local-dir:FOLDER
    architecture: str  # for the name of the space; known to open_clip where possible
    checkpoint_path: Path | None  # None: download it
    published_config: Mapping[str, Any] = field(default_factory=dict)  # open_clip's, for the tag
    uses_quick_gelu: bool = False  # the activation the weights were trained with


class OpenClipEncoder:
    """Encoder of images and texts by a model that open_clip can build.

    Args:
        argument: Model name as described above.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UnknownPluginError: There is no such model.
        WeightsError: The weights are damaged or cannot be downloaded.
        SettingsError: The device is not available.
    """

    def __init__(self, argument: str, *, device: str = "auto") -> None:
        self._device = Device.from_name(device)
        with silence_libraries(), _limit_hub_access():
            model_spec = _resolve_spec(argument)
            checkpoint_path = model_spec.checkpoint_path or _download_weights(model_spec)
            self._tokenize_texts = _load_tokenizer(model_spec)
            network = _build_model(model_spec, checkpoint_path)
        self._preprocess = _convert_preprocess(network.visual.preprocess_cfg)
        self._tokenizer_lock = threading.Lock()  # Hugging Face's tokenizers are not thread-safe
        vector_dim = int(open_clip.get_model_config(model_spec.config_name)["embed_dim"])
        self.space = Space(
            _build_space_name(model_spec, network, self._preprocess), vector_dim, supports_text=True
        )
        self.image_size = self._preprocess.image_size
        self._network = network.to(self._device.device_name)
        self._device.place_network(network.visual)  # texts are few: encoded in full precision

    def encode_images(self, images: Images) -> Matrix:
        """Encode images.

        Args:
            images: uint8 (N, H, W, 3) RGB of any size.

        Returns:
            float32 (N, D), rows of unit length.
        """
        return self._device.encode_images(
            self._network.encode_image, self._preprocess, images, self.space.dim
        )

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Encode N texts as float32 (N, D), rows of unit length; long texts are truncated."""
        vector_batches = [np.empty((0, self.space.dim), np.float32)]
        for batch_start in range(0, len(texts), TEXT_BATCH):
            with self._tokenizer_lock:
                token_batch = self._tokenize_texts(
                    list(texts[batch_start : batch_start + TEXT_BATCH])
                )
            token_batch = token_batch.to(self._device.device_name)
            vector_batches.append(
                self._device.run_network(
                    self._network.encode_text, token_batch, full_precision=True
                )
            )
        return np.concatenate(vector_batches)


def list_pretrained() -> list[str]:
    """Return the names of all published models, as ARCH/TAG."""
    return [
        f"{architecture}/{weights_tag}" for architecture, weights_tag in open_clip.list_pretrained()
    ]


def _resolve_spec(argument: str) -> ModelSpec:
    """Resolve the part of a model name after `openclip:`."""
    model_name = ModelName.parse(argument)
    model_folder = Path(argument).expanduser()
    is_known = model_name.architecture in open_clip.list_models()
    if argument and not is_known and model_folder.is_dir():
        return _resolve_folder(model_folder)
    if not is_known or not (model_name.weights_tag or model_name.checkpoint_path):
        raise _build_unknown_error(argument)
    published_config = _find_published(model_name)
    if model_name.weights_tag and not published_config:
        raise _build_unknown_error(argument)
    return ModelSpec(
        display_name=f"openclip:{model_name}",
        config_name=model_name.architecture,
        architecture=model_name.architecture.removesuffix("-quickgelu"),
        checkpoint_path=model_name.checkpoint_path,
        published_config=published_config,
        uses_quick_gelu=bool(
            published_config.get("quick_gelu")
            or open_clip.get_model_config(model_name.architecture).get("quick_gelu")
        ),
    )


def _find_published(model_name: ModelName) -> dict[str, Any]:
    """Return open_clip's entry for the tag; without a tag, the preprocessing common to all."""
    if model_name.weights_tag:
        return dict(
            open_clip.get_pretrained_cfg(model_name.architecture, model_name.weights_tag) or {}
        )
    weight_tags = open_clip.list_pretrained_tags_by_model(model_name.architecture)
    tag_configs = [
        _select_preprocess_options(
            open_clip.get_pretrained_cfg(model_name.architecture, weights_tag)
        )
        for weights_tag in weight_tags
    ]
    all_agree = tag_configs and all(tag_config == tag_configs[0] for tag_config in tag_configs)
    return tag_configs[0] if all_agree else {}


def _select_preprocess_options(tag_config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        option_key: tag_config[option_key]
        for option_key in PREPROCESS_KEYS
        if option_key in tag_config
    }


def _resolve_folder(model_folder: Path) -> ModelSpec:
    """Resolve a folder written by open_clip's `push_to_hf_hub`, or a Hugging Face snapshot."""
    try:
        model_config = json.loads((model_folder / CONFIG_FILENAME).read_text("utf-8"))["model_cfg"]
        uses_quick_gelu = bool(model_config.get("quick_gelu"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{model_folder}: no valid {CONFIG_FILENAME} in this folder ({first_line(error)})"
        ) from error
    if _refers_to_hub(model_config):
        raise WeightsError(
            f"{model_folder}: {CONFIG_FILENAME} refers to a repository on a hub (hf-hub:), which "
            "vsearch does not download; use a folder that contains the whole model"
        )
    weight_files = [
        file_path
        for file_path in model_folder.iterdir()
        if file_path.suffix in (".safetensors", ".bin", ".pt")
    ]
    if not weight_files:
        raise WeightsError(
            f"{model_folder}: no weights (*.safetensors, *.bin, *.pt) next to {CONFIG_FILENAME}"
        )
    best_file = min(
        weight_files, key=lambda file_path: (file_path.suffix != ".safetensors", file_path.name)
    )
    matching_architectures = (
        architecture
        for architecture in open_clip.list_models()
        if open_clip.get_model_config(architecture) == model_config
    )
    custom_name = f"custom {json.dumps(model_config, sort_keys=True)}"
    return ModelSpec(
        display_name=f"openclip:{model_folder}",
        config_name=f"local-dir:{model_folder}",
        architecture=next(matching_architectures, custom_name).removesuffix("-quickgelu"),
        checkpoint_path=best_file,
        uses_quick_gelu=uses_quick_gelu,
    )


def _refers_to_hub(config_value: object) -> bool:
    """Return True if a value of a configuration names a repository to download."""
    if isinstance(config_value, dict):
        return any(map(_refers_to_hub, config_value.values()))
    if isinstance(config_value, list):
        return any(map(_refers_to_hub, config_value))
    return isinstance(config_value, str) and config_value.lower().startswith(_HUB_PREFIXES)


def _build_unknown_error(argument: str) -> UnknownPluginError:
    """Build the error for an unknown model, with suggestions."""
    known_models = {
        f"{architecture}/{weights_tag}".lower(): f"{architecture}/{weights_tag}"
        for architecture, weights_tag in open_clip.list_pretrained()
    }
    close_matches = difflib.get_close_matches(argument.lower(), known_models, n=3, cutoff=0.4)
    suggestion = (
        " or ".join(f"openclip:{known_models[model_name]}" for model_name in close_matches)
        or "openclip:ViT-B-16/openai"
    )
    return UnknownPluginError(
        f"there is no model 'openclip:{argument}'; did you mean {suggestion}? "
        "For a custom checkpoint use openclip:ARCH@FILE, for a folder openclip:FOLDER"
    )


def _build_model(model_spec: ModelSpec, checkpoint_path: Path) -> Any:
    """Build the model with its weights, in float32 on the CPU, in evaluation mode."""
    read_tensors(checkpoint_path)  # rejects unsafe files before open_clip opens them
    try:
        network = open_clip.create_model(
            model_spec.config_name,
            load_weights=False,
            pretrained_text=False,
            force_quick_gelu=model_spec.uses_quick_gelu,
            force_preprocess_cfg=_select_preprocess_options(model_spec.published_config),
        )
    except Exception as error:  # e.g. a text tower whose configuration cannot be downloaded
        raise download_error(model_spec.display_name, error, CACHE_HINT) from error
    try:
        open_clip.load_checkpoint(network, str(checkpoint_path))
    except Exception as error:
        raise WeightsError(
            f"{checkpoint_path}: not the weights of {model_spec.display_name} ({first_line(error)})"
        ) from error
    return network.eval().requires_grad_(False)


def _download_weights(model_spec: ModelSpec) -> Path:
    """Return the published weights from the Hugging Face cache, downloading them if needed."""
    repository_name, _, weights_filename = str(
        model_spec.published_config.get("hf_hub", "")
    ).rpartition("/")
    for candidate_name in _list_candidate_filenames(weights_filename):
        cached_path = (
            huggingface_hub.try_to_load_from_cache(repository_name, candidate_name)
            if repository_name
            else None
        )
        if isinstance(cached_path, str):
            return Path(cached_path)
    try:
        _check_hub_reachable()
        return Path(open_clip.download_pretrained(dict(model_spec.published_config)))
    except Exception as error:
        raise download_error(model_spec.display_name, error, CACHE_HINT) from error


def _list_candidate_filenames(weights_filename: str) -> tuple[str, ...]:
    """Return the names a published file may have, in open_clip's order."""
    if not weights_filename:
        return HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
    return str(Path(weights_filename).with_suffix(".safetensors")), weights_filename


@contextmanager
def _limit_hub_access() -> Iterator[None]:
    """Keep open_clip, timm and transformers offline where downloads are not allowed."""
    if are_downloads_allowed():
        yield
        return
    with _OFFLINE_LOCK:
        was_offline = huggingface_hub.constants.HF_HUB_OFFLINE
        huggingface_hub.constants.HF_HUB_OFFLINE = True  # its client checks it for each request
        try:
            yield
        finally:
            huggingface_hub.constants.HF_HUB_OFFLINE = was_offline


def _check_hub_reachable() -> None:
    """Fail at once without a network: the hub's own client retries for half a minute."""
    check_downloads_allowed()
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    check_reachable(huggingface_hub.constants.ENDPOINT)


def _load_tokenizer(model_spec: ModelSpec) -> Any:
    """Load the tokenizer, texts to int64 (N, L); some tokenizers have to be downloaded."""
    text_config = open_clip.get_model_config(model_spec.config_name)["text_cfg"]
    if not text_config.get("hf_tokenizer_name"):
        return open_clip.get_tokenizer(model_spec.config_name)
    try:
        try:
            return open_clip.get_tokenizer(
                model_spec.config_name, local_files_only=True, **HF_OPTIONS
            )
        except (OSError, ValueError):
            _check_hub_reachable()
            return open_clip.get_tokenizer(model_spec.config_name, **HF_OPTIONS)
    except ImportError as error:
        raise MissingExtraError(
            f"the tokenizer of {model_spec.display_name} needs a package that is not installed "
            f"({first_line(error)}): pip install transformers sentencepiece"
        ) from error
    except Exception as error:
        raise WeightsError(
            f"the tokenizer of {model_spec.display_name} ({text_config['hf_tokenizer_name']}) is "
            f"not on this machine and cannot be downloaded ({first_line(error)}). Copy "
            f"{CACHE_HINT} from a machine that has it, or use the embedded model (--model builtin)"
        ) from error


def _convert_preprocess(preprocess_config: Mapping[str, Any]) -> ImagePreprocess:
    """Convert open_clip's preprocessing configuration."""
    image_size = preprocess_config["size"]
    image_height, image_width = (
        (image_size, image_size) if isinstance(image_size, int) else image_size
    )
    # open_clip always resizes to other shapes with bicubic interpolation.
    is_square = image_height == image_width
    is_bilinear = preprocess_config["interpolation"] == "bilinear" and (
        is_square or preprocess_config["resize_mode"] != "shortest"
    )
    return ImagePreprocess(
        target_size=(int(image_height), int(image_width)),
        channel_means=tuple(map(float, preprocess_config["mean"])),
        channel_stds=tuple(map(float, preprocess_config["std"])),
        interpolation="bilinear" if is_bilinear else "bicubic",
        resize_mode=preprocess_config["resize_mode"],
        fill_value=int(preprocess_config["fill_color"]),
    )


def _build_space_name(
    model_spec: ModelSpec, network: torch.nn.Module, preprocess: ImagePreprocess
) -> str:
    """Name the space by the architecture and a digest of all that determines a vector.

    The tag is not part of it: the same weights under another tag or in a file are the same space.
    """
    space_facts = (
        model_spec.architecture,
        model_spec.uses_quick_gelu,
        preprocess.target_size,
        preprocess.channel_means,
        preprocess.channel_stds,
        preprocess.interpolation,
        preprocess.resize_mode,
        preprocess.fill_value,
    )
    architecture_slug = slugify_name(model_spec.architecture.split(" ", 1)[0])
    return f"openclip-{architecture_slug}-{digest_weights(network.state_dict(), *space_facts)}"
