"""Plugin lookup by name. Built-ins are entry points in pyproject.toml, as third-party plugins are.

Entry point groups: `vsearch.encoders`, `vsearch.poolers`, `vsearch.indexes` and `vsearch.shots`;
the protocols are in `vsearch.protocols`.
"""

from __future__ import annotations

import difflib
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vsearch.errors import MissingExtraError, UnknownPluginError
from vsearch.memory import MemoryNeed, check_memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoints

    from vsearch.protocols import Encoder

PluginGroup: TypeAlias = Literal["encoders", "poolers", "indexes", "shots"]
GROUP_LABELS = {
    "encoders": "model",
    "poolers": "pooler",
    "indexes": "index",
    "shots": "shot detector",
}
# of PyTorch and a network of the size of ViT-B/32; PyTorch alone aborts with less
TORCH_ENCODERS = ("openclip", "cnn")
TORCH_ADDRESS_SPACE, TORCH_RESIDENT = 4_400_000_000, 1_000_000_000  # bytes


def plugin_names(group: PluginGroup) -> list[str]:
    """Return the names registered in a plugin group, sorted."""
    return sorted(entry_points(group=f"vsearch.{group}").names)


def resolve_plugin(group: PluginGroup, plugin_name: str) -> type[Any]:
    """Import the class of a plugin.

    Args:
        group: Plugin group.
        plugin_name: Name of the entry point.

    Returns:
        The class, not instantiated.

    Raises:
        UnknownPluginError: If no plugin has that name.
        MissingExtraError: If the module of the plugin needs a package that is not installed.
    """
    plugin_entries = _find_bundled(group, plugin_name) or entry_points(
        group=f"vsearch.{group}", name=plugin_name
    )
    if not plugin_entries:
        known_names = plugin_names(group)
        close_matches = difflib.get_close_matches(plugin_name, known_names, n=1)
        suggestion = f"; did you mean {close_matches[0]!r}?" if close_matches else "."
        raise UnknownPluginError(
            f"no {GROUP_LABELS[group]} named {plugin_name!r}{suggestion} "
            f"Known: {', '.join(known_names)}."
        )
    with require_models_extra(repr(plugin_name)):
        plugin_class: type[Any] = next(iter(plugin_entries)).load()
    return plugin_class


@contextmanager
def require_models_extra(requester: str) -> Iterator[None]:
    """Context in which modules of the extra `models` are imported.

    Args:
        requester: Feature that needs them, for the error message.

    Raises:
        MissingExtraError: If an import in the block fails.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            f"{requester} needs the package {exc.name!r}, which is not installed: "
            "pip install 'vsearch[models]'"
        ) from exc


def _find_bundled(group: PluginGroup, plugin_name: str) -> EntryPoints | None:
    """Find a built-in plugin without scanning all installed packages."""
    try:
        return distribution("vsearch").entry_points.select(
            group=f"vsearch.{group}", name=plugin_name
        )
    except PackageNotFoundError:  # a checkout that is not installed
        return None


def create_encoder(model_name: str, device: str) -> Encoder:
    """Create an encoder.

    Args:
        model_name: `name` or `name:argument`, e.g. "openclip:ViT-L-14/openai".
        device: "auto", "cpu", "cuda" or "mps".

    Returns:
        The encoder, with its weights loaded.

    Raises:
        ModelError: If there is no such model or it cannot be loaded.
    """
    plugin_name, _, model_argument = model_name.partition(":")
    if plugin_name in TORCH_ENCODERS:
        check_memory(MemoryNeed(f"the model {model_name}", TORCH_ADDRESS_SPACE, TORCH_RESIDENT))
    created_encoder: Encoder = resolve_plugin("encoders", plugin_name)(
        model_argument, device=device
    )
    return created_encoder
