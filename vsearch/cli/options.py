"""Options and parameter types shared by several commands."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.client.remote import Remote
    from vsearch.library import Library

F = TypeVar("F")
NICE_LEVEL = 10  # of 19; the default of `nice`
PAGE_MARKER = b"<!doctype html><!-- made by vsearch -->"  # first line of every HTML page
TOKEN_ENV_VAR = "VSEARCH_TOKEN"  # noqa: S105 - the name of a variable
MAX_TOKEN_FILE_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """Options that every command accepts, before or after its name."""

    library: str | None = None
    model: str | None = None
    text_model: str | None = None
    device: str | None = None

    def open_library(
        self,
        *,
        create: bool | None = False,
        fps: float | None = None,
        keep_frames: bool | None = None,
        photos: bool | None = None,
        transcribe: bool | None = None,
        ocr: bool | None = None,
        audio_track: str | None = None,
        keyframes_only: bool | None = None,
        workers: int | None = None,
        hwaccel: str | None = None,
        ray: str | None = None,
        ignore_invalid_settings: bool = False,
    ) -> Library:
        """Open the library that the options name; see `Library.open` for the arguments."""
        from vsearch.library import Library  # deferred: --help needs no library

        return Library.open(
            self.library,
            create=create,
            model=self.model,
            text_model=self.text_model,
            device=self.device,
            fps=fps,
            keep_frames=keep_frames,
            photos=photos,
            transcribe=transcribe,
            ocr=ocr,
            audio_track=audio_track,
            keyframes_only=keyframes_only,
            workers=workers,
            hwaccel=hwaccel,
            ray=ray,
            ignore_invalid_settings=ignore_invalid_settings,
        )

    def library_exists(self) -> bool:
        """Return whether there is a library in the folder that the options name.

        One in a database must exist, since no command but `vsearch library create` creates it.
        """
        from vsearch.library_location import (  # deferred: --help needs none of it
            CATALOG_FILE,
            locate_library,
        )

        place = locate_library(self.library)[0]
        return not isinstance(place, Path) or (place / CATALOG_FILE).exists()


def library_options(command: F) -> F:
    """Add --library, --model, --text-model and --device to a command."""
    for option in reversed(LIBRARY_OPTIONS):
        command = option(command)
    return command


def library_path_option(command: F) -> F:
    """Add --library to a command that loads no encoder."""
    decorated_command: F = LIBRARY_OPTIONS[0](command)
    return decorated_command


def device_option(command: F) -> F:
    """Add --device to a command."""
    decorated_command: F = LIBRARY_OPTIONS[-1](command)
    return decorated_command


def decoding_options(command: F) -> F:
    """Add --keyframes-only, --workers and --hwaccel to a command."""
    for option in reversed(DECODING_OPTIONS):
        command = option(command)
    return command


def discovery_options(command: F) -> F:
    """Add --exclude, --default-excludes and --follow to a command."""
    for option in reversed(DISCOVERY_OPTIONS):
        command = option(command)
    return command


def limit_blas_threads() -> None:
    """Limit NumPy to one BLAS thread; must run before NumPy is imported.

    The matrices that indexing multiplies are small: several threads would spend more time waiting
    for each other than computing, the more so on a busy machine.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def lower_priority() -> None:
    """Lower the priority of this process, so that indexing does not slow down other programs."""
    if hasattr(os, "setpriority"):  # not on Windows
        current_nice = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, max(current_nice, NICE_LEVEL))


def _store_option(
    context: click.Context, parameter: click.Parameter, option_value: str | None
) -> None:
    """Store a common option in the context; the one closest to the command wins."""
    common_options = context.obj or CommonOptions()
    if option_value is not None and parameter.name is not None:
        common_options = replace(common_options, **{parameter.name: option_value})
    context.obj = common_options


def _make_option(*flag_names: str, **option_settings: Any) -> Any:
    return click.option(*flag_names, expose_value=False, callback=_store_option, **option_settings)


LIBRARY_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _make_option(
        "--library",
        metavar="DIR|URL",
        help="Library folder, or postgresql://USER@HOST/DATABASE.  [default: $VSEARCH_LIBRARY, or "
        "indexes/default if it is there, or one in your data folder; see `vsearch config`]",
    ),
    _make_option(
        "--model",
        metavar="NAME",
        help="Encoder: builtin, openclip:ARCH/TAG or cnn:NAME; see `vsearch models`.  "
        "[default: from the library]",
    ),
    _make_option(
        "--text-model",
        metavar="NAME",
        help="Encode query text with this model instead of --model. Both must share an embedding "
        "space, e.g. openclip:ViT-B-16/openai with builtin.  "
        "[default: from the library, or none]",
    ),
    _make_option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda", "mps"]),
        help="Device to run the model on.  [default: from the library, or auto]",
    ),
)
DECODING_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--keyframes-only/--full",
        default=None,
        help="Decode key frames only, or every sampled frame. --full refines videos that were "
        "indexed by key frames.  [default: from the library, or --full]",
    ),
    click.option(
        "--workers",
        type=click.IntRange(0, 64),
        metavar="N",
        help="Number of videos to process in parallel; 0 chooses by the number of cores.  "
        "[default: from the library, or 0]",
    ),
    click.option(
        "--hwaccel",
        metavar="NAME",
        help="Decode with this FFmpeg hardware device (cuda, vaapi, …), or auto for any; streams "
        "it cannot decode are decoded in software.  [default: from the library, or none]",
    ),
)


DISCOVERY_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--exclude",
        "excludes",
        multiple=True,
        metavar="GLOB",
        help="Leave out files and folders, as in .gitignore: 'raw/', '*.proxy.mp4'. Repeatable; "
        ".vsearchignore files are honored, too.",
    ),
    click.option(
        "--default-excludes/--no-default-excludes",
        default=True,
        help="Leave out hidden files, trash, and folders of NAS devices and code.  "
        "[default: --default-excludes]",
    ),
    click.option(
        "--follow", "follow_links", is_flag=True, help="Follow symbolic links in folders."
    ),
)


photos_option: Callable[[Any], Any] = click.option(
    "--photos/--no-photos",
    default=None,
    help="Index the photos in folders, too.  [default: from the library, or --photos]",
)


class FiniteRange(click.FloatRange):
    """A float range that rejects `nan` and `inf`, which click accepts."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Convert `value` to a finite float in the range."""
        finite_value: float = super().convert(value, param, ctx)
        if not math.isfinite(finite_value):
            self.fail(f"{value} is not a finite number", param, ctx)
        return finite_value


class SizeParam(click.ParamType[int]):
    """A number of bytes such as `500MB` or `2.5 GB`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Convert `value` to bytes."""
        size_match = re.fullmatch(r"(?i)\s*(\d{1,9}(?:\.\d{1,9})?)\s*([kmgt]?)b?\s*", str(value))
        size_bytes = 0
        if size_match is not None:
            power = " kmgt".index(size_match[2].lower() or " ")
            size_bytes = round(float(size_match[1]) * 1000**power)
        if size_bytes < 1:
            self.fail(f"{value!r} is not a size such as 500MB or 2.5GB", param, ctx)
        return size_bytes


class AudioTrackParam(click.ParamType[str]):
    """The audio track to transcribe."""

    name = "track"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check `value`."""
        from vsearch.config import check_audio_track  # deferred, as for all commands
        from vsearch.errors import SettingsError

        try:
            check_audio_track(value)
        except SettingsError as error:
            self.fail(str(error).removeprefix("audio_track "), param, ctx)
        return str(value)


audio_track_option: Callable[[Any], Any] = click.option(
    "--audio-track",
    metavar="N|LANG|auto",
    type=AudioTrackParam(),
    help="Audio track to transcribe: a number from 1, a language such as en, or auto: the first "
    "one in which somebody speaks, commentaries last.  [default: from the library, or auto]",
)


class RayAddressParam(click.ParamType[str]):
    """Address of a Ray cluster."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check `value`."""
        from vsearch.config import check_ray_address  # deferred, as for all commands

        try:
            check_ray_address(value)
        except SettingsError as error:
            self.fail(str(error).removeprefix("ray "), param, ctx)
        return str(value)


ray_option: Callable[[Any], Any] = click.option(
    "--ray",
    metavar="auto|local|ADDRESS",
    type=RayAddressParam(),
    help="Do the work on a Ray cluster: auto (the one of this machine), local (started here), "
    "HOST:PORT or ray://HOST:PORT.  [default: from the library, or none]",
)


class HtmlPathParam(click.ParamType[Path]):
    """Path of an HTML page to write, checked before the work starts.

    An existing file may be replaced only if it is empty or was created by vsearch.
    """

    name = "file"

    def convert(
        self,
        value: str | Path,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        """Convert `value` to a path that may be written."""
        page_path = Path(value)
        if page_path.is_dir():
            self.fail(f"{page_path}: is a folder; name a file", param, ctx)
        if not page_path.parent.is_dir():
            self.fail(f"{page_path}: there is no folder {page_path.parent}", param, ctx)
        if page_path.exists() and not _is_replaceable_page(page_path):
            self.fail(
                f"{page_path}: already exists and was not created by vsearch; choose another file",
                param,
                ctx,
            )
        return page_path


def _is_replaceable_page(page_path: Path) -> bool:
    """Return whether a file is empty or a page that vsearch created."""
    try:
        with page_path.open("rb") as page_file:
            first_bytes = page_file.read(len(PAGE_MARKER) + 1)
    except OSError:
        return False
    return first_bytes in (b"", PAGE_MARKER + b"\n")


# --- searching the library of a server

SERVER_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--server",
        metavar="URL",
        envvar="VSEARCH_SERVER",
        help="Search the library of a running `vsearch serve`, e.g. http://127.0.0.1:8765.  "
        "[default: $VSEARCH_SERVER, unless --library is given]",
    ),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"File that contains the server's token.  [default: ${TOKEN_ENV_VAR}, if set]",
    ),
)


def server_options(command: F) -> F:
    """Add --server and --token-file to a command."""
    for option in reversed(SERVER_OPTIONS):
        command = option(command)
    return command


def resolve_server(
    options: CommonOptions, server_url: str | None, token_file: Path | None
) -> str | None:
    """Return the URL of the server to search, or None for a local library.

    Flags for a local library take precedence over the environment variable VSEARCH_SERVER.

    Args:
        options: The common options of the command.
        server_url: Value of --server or VSEARCH_SERVER.
        token_file: Value of --token-file.

    Returns:
        The URL, or None.

    Raises:
        click.UsageError: The options cannot be combined.
    """
    context = click.get_current_context()
    is_explicit = context.get_parameter_source("server") is not ParameterSource.ENVIRONMENT
    local_options = {
        "--library": options.library,
        "--model": options.model,
        "--text-model": options.text_model,
        "--device": options.device,
    }
    given_flags = [flag_name for flag_name, value in local_options.items() if value is not None]
    if server_url and given_flags and is_explicit:
        raise click.UsageError(f"{given_flags[0]} cannot be combined with --server")
    server_url = None if given_flags else server_url or None
    if token_file is not None and server_url is None:
        raise click.UsageError("--token-file needs --server URL")
    return server_url


def connect_remote(server_url: str, token_file: Path | None) -> Remote:
    """Create a client for a server; no request is sent yet.

    Args:
        server_url: Address of the server.
        token_file: File with its token; None reads the environment variable.

    Returns:
        The client, to be used as a context manager.

    Raises:
        ServerError: The address is invalid.
        SettingsError: The token cannot be read.
    """
    from vsearch.client.connection import ServerConnection
    from vsearch.client.remote import Remote  # deferred: --help needs no numpy

    return Remote(ServerConnection(server_url, _read_token(token_file)))


def _read_token(token_file: Path | None) -> str | None:
    """Read the token from a file, or from the environment if no file is given."""
    if token_file is None:
        return os.environ.get(TOKEN_ENV_VAR) or None
    try:
        with token_file.open("rb") as token_stream:
            token = token_stream.read(MAX_TOKEN_FILE_BYTES).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        failure_reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise SettingsError(f"{token_file}: cannot read the token ({failure_reason})") from error
    if not token:
        raise SettingsError(f"{token_file}: is empty; it must contain the server's token")
    return token
