"""CLIP-like models by open_clip: pictures and words in one space.

openclip:ViT-B-16/openai             a published model, downloaded once
openclip:ViT-B-16/openai@FILE        the same from a checkpoint
openclip:ViT-B-16@FILE               a checkpoint of your own
openclip:FOLDER                      open_clip_config.json and weights, as open_clip saves them
"""

from __future__ import annotations

import difflib
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import numpy as np
import open_clip
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

from vsearch.encoders.checkpoint import ModelName, digest, in_short, read_tensors, slug
from vsearch.encoders.device import Device
from vsearch.encoders.download import quiet, reach, refusal
from vsearch.encoders.preprocess import Preprocess
from vsearch.errors import MissingExtraError, UnknownPluginError, WeightsError
from vsearch.types import Images, Matrix, Space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

CACHE = "the Hugging Face cache (~/.cache/huggingface, or $HF_HOME)"
CONFIG = "open_clip_config.json"
PIXELS = ("mean", "std", "interpolation", "resize_mode", "fill_color")  # of a tag's preprocessing
TEXTS = 64  # at once
UNTRUSTED = {"trust_remote_code": False}  # whatever a model's own configuration asks for


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to build one model."""

    label: str  # what the user asked for
    config: str  # as open_clip names it: an architecture, or local-dir:FOLDER
    arch: str  # for the name of the space; one that open_clip knows wherever possible
    file: Path | None  # None: to be downloaded
    published: Mapping[str, Any] = field(default_factory=dict)  # open_clip's entry for the tag
    quick_gelu: bool = False  # the activation the weights were trained with


class OpenClipEncoder:
    """Images and texts in the space of a model that open_clip can build."""

    def __init__(self, argument: str, *, device: str = "auto") -> None:
        """Raises UnknownPluginError for an unknown name, WeightsError for weights it can't have."""
        self._device = Device.choose(device)
        with quiet():
            recipe = _recipe(argument)
            file = recipe.file or _downloaded(recipe)
            self._tokenize = _tokenizer(recipe)
            model = _model(recipe, file)
        self._preprocess = _preprocess(model.visual.preprocess_cfg)
        self._lock = threading.Lock()  # Hugging Face's tokenizers refuse a second thread
        dim = int(open_clip.get_model_config(recipe.config)["embed_dim"])
        self.space = Space(_space_name(recipe, model, self._preprocess), dim, speaks_text=True)
        self.image_size = self._preprocess.image_size
        self._model = model.to(self._device.kind)
        self._device.place(model.visual)  # texts are few: they are encoded in full precision

    def encode_images(self, images: Images) -> Matrix:
        """uint8 (N, H, W, 3) RGB of any size -> float32 (N, D), rows of unit length."""
        return self._device.encode(
            self._model.encode_image, self._preprocess, images, self.space.dim
        )

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """N texts -> float32 (N, D), rows of unit length; too long ones are cut off."""
        found = [np.empty((0, self.space.dim), np.float32)]
        for start in range(0, len(texts), TEXTS):
            with self._lock:
                tokens = self._tokenize(list(texts[start : start + TEXTS]))
            tokens = tokens.to(self._device.kind)
            found.append(self._device.run(self._model.encode_text, tokens, exact=True))
        return np.concatenate(found)


def pretrained() -> list[str]:
    """Every published model, as ARCH/TAG."""
    return [f"{arch}/{tag}" for arch, tag in open_clip.list_pretrained()]


def _recipe(argument: str) -> Recipe:
    """Understand what follows `openclip:`."""
    name = ModelName.parse(argument)
    folder = Path(argument).expanduser()
    known = name.arch in open_clip.list_models()
    if argument and not known and folder.is_dir():
        return _recipe_of_folder(folder)
    if not known or not (name.tag or name.file):
        raise _unknown(argument)
    published = _published(name)
    if name.tag and not published:
        raise _unknown(argument)
    return Recipe(
        label=f"openclip:{name}",
        config=name.arch,
        arch=name.arch.removesuffix("-quickgelu"),
        file=name.file,
        published=published,
        quick_gelu=bool(
            published.get("quick_gelu") or open_clip.get_model_config(name.arch).get("quick_gelu")
        ),
    )


def _published(name: ModelName) -> dict[str, Any]:
    """What open_clip lists for the tag; without one, the preprocessing that all tags share."""
    if name.tag:
        return dict(open_clip.get_pretrained_cfg(name.arch, name.tag) or {})
    tags = open_clip.list_pretrained_tags_by_model(name.arch)
    all_pixels = [_pixels(open_clip.get_pretrained_cfg(name.arch, tag)) for tag in tags]
    agreed = all_pixels and all(pixels == all_pixels[0] for pixels in all_pixels)
    return all_pixels[0] if agreed else {}


def _pixels(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config[key] for key in PIXELS if key in config}


def _recipe_of_folder(folder: Path) -> Recipe:
    """A folder as open_clip's `push_to_hf_hub` and a snapshot in the Hugging Face cache have it."""
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))["model_cfg"]
        quick_gelu = bool(config.get("quick_gelu"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"{folder}: no usable {CONFIG} in it ({in_short(error)})") from error
    files = [path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin", ".pt")]
    if not files:
        raise WeightsError(f"{folder}: no weights (*.safetensors, *.bin, *.pt) beside {CONFIG}")
    best = min(files, key=lambda path: (path.suffix != ".safetensors", path.name))
    known = (arch for arch in open_clip.list_models() if open_clip.get_model_config(arch) == config)
    custom = f"custom {json.dumps(config, sort_keys=True)}"
    return Recipe(
        label=f"openclip:{folder}",
        config=f"local-dir:{folder}",
        arch=next(known, custom).removesuffix("-quickgelu"),
        file=best,
        quick_gelu=quick_gelu,
    )


def _unknown(argument: str) -> UnknownPluginError:
    """What to say about a name that is neither in open_clip's list nor a folder."""
    known = {f"{arch}/{tag}".lower(): f"{arch}/{tag}" for arch, tag in open_clip.list_pretrained()}
    near = difflib.get_close_matches(argument.lower(), known, n=3, cutoff=0.4)
    hint = " or ".join(f"openclip:{known[name]}" for name in near) or "openclip:ViT-B-16/openai"
    return UnknownPluginError(
        f"there is no model 'openclip:{argument}'; did you mean {hint}? "
        "A checkpoint of your own is named openclip:ARCH@FILE, a folder openclip:FOLDER"
    )


def _model(recipe: Recipe, file: Path) -> Any:
    """The model in float32 on the CPU, with its weights, ready to run."""
    read_tensors(file)  # refuses what is no plain checkpoint before open_clip opens it
    try:
        model = open_clip.create_model(
            recipe.config,
            load_weights=False,
            pretrained_text=False,
            force_quick_gelu=recipe.quick_gelu,
            force_preprocess_cfg=_pixels(recipe.published),
        )
    except Exception as error:  # a text tower whose configuration has to be fetched, for one
        raise refusal(recipe.label, error, CACHE) from error
    try:
        open_clip.load_checkpoint(model, str(file))
    except Exception as error:
        raise WeightsError(
            f"{file}: these are not the weights of {recipe.label} ({in_short(error)})"
        ) from error
    return model.eval().requires_grad_(False)


def _downloaded(recipe: Recipe) -> Path:
    """The published weights, out of the Hugging Face cache or, once, from the network."""
    repository, _, name = str(recipe.published.get("hf_hub", "")).rpartition("/")
    for file in _file_names(name):
        cached = huggingface_hub.try_to_load_from_cache(repository, file) if repository else None
        if isinstance(cached, str):
            return Path(cached)
    try:
        _reach_hub()
        return Path(open_clip.download_pretrained(dict(recipe.published)))
    except Exception as error:
        raise refusal(recipe.label, error, CACHE) from error


def _file_names(name: str) -> tuple[str, ...]:
    """What a published file may be called, as open_clip tries it: safetensors first."""
    if not name:
        return HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
    return str(Path(name).with_suffix(".safetensors")), name


def _reach_hub() -> None:
    """Fail at once without a network: the hub's own client tries for half a minute."""
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    reach(huggingface_hub.constants.ENDPOINT)


def _tokenizer(recipe: Recipe) -> Any:
    """What turns texts into token ids, int64 (N, L); some are files of their own to download."""
    text = open_clip.get_model_config(recipe.config)["text_cfg"]
    if not text.get("hf_tokenizer_name"):
        return open_clip.get_tokenizer(recipe.config)
    try:
        try:
            return open_clip.get_tokenizer(recipe.config, local_files_only=True, **UNTRUSTED)
        except (OSError, ValueError):
            _reach_hub()
            return open_clip.get_tokenizer(recipe.config, **UNTRUSTED)
    except ImportError as error:
        raise MissingExtraError(
            f"the tokenizer of {recipe.label} needs a package that is not installed "
            f"({in_short(error)}): pip install transformers sentencepiece"
        ) from error
    except Exception as error:
        raise WeightsError(
            f"the tokenizer of {recipe.label} ({text['hf_tokenizer_name']}) is not on this machine "
            f"and cannot be downloaded ({in_short(error)}). Copy {CACHE} from a machine that has "
            "it, or use the embedded model (--model builtin)"
        ) from error


def _preprocess(config: Mapping[str, Any]) -> Preprocess:
    """open_clip's description of its transform as ours."""
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    square = height == width  # open_clip resizes for others with bicubic whatever they say
    bilinear = config["interpolation"] == "bilinear" and (
        square or config["resize_mode"] != "shortest"
    )
    return Preprocess(
        size=(int(height), int(width)),
        mean=tuple(map(float, config["mean"])),
        std=tuple(map(float, config["std"])),
        interpolation="bilinear" if bilinear else "bicubic",
        mode=config["resize_mode"],
        fill=int(config["fill_color"]),
    )


def _space_name(recipe: Recipe, model: torch.nn.Module, preprocess: Preprocess) -> str:
    """The architecture and a digest of the weights and of all else that shapes a vector.

    The tag is not in it: the same weights under another tag or in a file are the same space.
    """
    p = preprocess
    facts = (recipe.arch, recipe.quick_gelu, p.size, p.mean, p.std, p.interpolation, p.mode, p.fill)
    arch = slug(recipe.arch.split(" ", 1)[0])
    return f"openclip-{arch}-{digest(model.state_dict(), *facts)}"
