"""The options that every subcommand takes."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.library import Library


F = TypeVar("F")
NICE = 10  # of 19, as `nice` counts by default
PAGE_BEGINS = b"<!doctype html><!-- made by vsearch -->"


@dataclass(frozen=True, slots=True)
class Options:
    """What every command takes, before or after its name."""

    library: str | None = None
    model: str | None = None
    text_model: str | None = None
    device: str | None = None

    def open(
        self,
        *,
        create: bool = False,
        fps: float | None = None,
        keep_frames: bool | None = None,
        transcribe: bool | None = None,
        read_text: bool | None = None,
        fast: bool | None = None,
        workers: int | None = None,
        hwaccel: str | None = None,
    ) -> Library:
        """The library that the options mean."""
        from vsearch.library import Library  # deferred: --help needs no library

        return Library.open(
            self.library,
            create=create,
            model=self.model,
            text_model=self.text_model,
            device=self.device,
            fps=fps,
            keep_frames=keep_frames,
            transcribe=transcribe,
            read_text=read_text,
            fast=fast,
            workers=workers,
            hwaccel=hwaccel,
        )


def shared(command: F) -> F:
    """Give a command --library, --model and so on; what stands before it holds as well."""
    for option in reversed(SHARED):
        command = option(command)
    return command


def library_only(command: F) -> F:
    """Give a command --library alone: it needs no model of pictures."""
    wrapped: F = SHARED[0](command)
    return wrapped


def device(command: F) -> F:
    """Give a command --device."""
    wrapped: F = SHARED[-1](command)
    return wrapped


def hurried(command: F) -> F:
    """Give a command --fast, --workers and --hwaccel: how videos are looked at."""
    for option in reversed(HURRIED):
        command = option(command)
    return command


def small_matrices() -> None:
    """Let NumPy, which must not be loaded yet, multiply by one thread.

    Nearly all that are multiplied to index are small: several threads would wait for each other
    longer than they work, the more so the busier the machine is.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def give_way() -> None:
    """Let what else runs on this machine go first, such as a search: this takes long anyway."""
    if hasattr(os, "setpriority"):  # not on Windows
        own = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, max(own, NICE))


def _put(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Keep what is named; the later one, closer to the command, wins."""
    known = context.obj or Options()
    if value is not None and parameter.name is not None:
        known = replace(known, **{parameter.name: value})
    context.obj = known


def _option(*names: str, **more: Any) -> Any:
    return click.option(*names, expose_value=False, callback=_put, **more)


SHARED: tuple[Callable[[Any], Any], ...] = (
    _option(
        "--library",
        metavar="DIR",
        help="Where the library lives.  [default: $VSEARCH_LIBRARY or indexes/default]",
    ),
    _option(
        "--model",
        metavar="NAME",
        help="builtin, openclip:ARCH/TAG or cnn:NAME; see `vsearch models`.  "
        "[default: the library's]",
    ),
    _option(
        "--text-model",
        metavar="NAME",
        help="Take words as this model does, pictures as --model does: openclip:ViT-B-16/openai "
        "goes with builtin.  [default: the library's, or none]",
    ),
    _option(
        "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Where the model runs."
    ),
)


HURRIED: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--fast/--exact",
        default=None,
        help="Look at key frames only, and tell how far they are apart, or at every instant; "
        "--exact fills in what is known by key frames.  [default: the library's, or --exact]",
    ),
    click.option(
        "--workers",
        type=click.IntRange(0, 64),
        metavar="N",
        help="Videos that are looked at side by side.  [default: 0, as suits the machine]",
    ),
    click.option(
        "--hwaccel",
        metavar="NAME",
        help="A device that decodes, as FFmpeg names it (cuda, vaapi, …), or auto for any; "
        "what it cannot decode is decoded as usual.  [default: none]",
    ),
)


class FiniteRange(click.FloatRange):
    """A number in a range; `nan`, which is in every one, and `inf` are refused."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number to go by", param, ctx)
        return number


class SheetPath(click.ParamType[Path]):
    """A file to be written, refused before an hour of work and not after."""

    name = "file"

    def convert(
        self,
        value: str | Path,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        path = Path(value)
        if path.is_dir() or not path.parent.is_dir():
            self.fail(f"{path}: there is no folder {path.parent} to write a page in", param, ctx)
        if path.exists() and not _is_page(path):
            self.fail(f"{path}: is there already and no page of vsearch; name another", param, ctx)
        return path


def _is_page(path: Path) -> bool:
    """Whether a file may be replaced: an earlier page, or nothing yet."""
    try:
        with path.open("rb") as file:
            head = file.read(len(PAGE_BEGINS) + 1)
    except OSError:
        return False
    return head in (b"", PAGE_BEGINS + b"\n")
