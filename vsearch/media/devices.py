"""Devices that decode, such as a graphics card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from av.codec.hwaccel import HWAccel, hwdevices_available

from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer

    from vsearch.media.container import Opener

AUTO = "auto"


def names() -> tuple[str, ...]:
    """What this build of FFmpeg can decode with, whether or not the machine has it."""
    return tuple(hwdevices_available())


def check(name: str) -> None:
    """Raise SettingsError for a device that cannot be meant; "" is none, "auto" any."""
    if name not in ("", AUTO, *names()):
        offered = ", ".join([AUTO, *names()])
        raise SettingsError(f"no device of the name {name!r} decodes here; there is: {offered}")


def opened_with(name: str, path: Path, opener: Opener) -> InputContainer:
    """Open `path` with the device, or without where it can't be had or can't decode the codec."""
    for kind in names() if name == AUTO else (name,) * bool(name):
        try:
            container = opener(path, HWAccel(kind, allow_software_fallback=True))
        except (OSError, NotImplementedError, RuntimeError):
            continue
        if any(stream.codec_context.is_hwaccel for stream in container.streams.video):
            return container
        container.close()
    return opener(path, None)
