"""`vsearch models`: what --model takes, how large, how fast here, how good."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.options import shared
from vsearch.cli.render import print_json, printable, size, table
from vsearch.errors import VSearchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vsearch.cli.options import Options
    from vsearch.encoders.known import Quality
    from vsearch.encoders.speed import Speed

LEGEND = """\
Pictures a second on this machine; what shows – is measured by `vsearch models --measure NAME`.
clips and pictures: own measurement, words → clip or picture (see the model card). ImageNet:
zero-shot top-1; COCO: words → picture; both as published."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model of the listing."""

    name: str
    speaks_text: bool | None  # None: not known before it is loaded
    dim: int | None
    size: int | None  # bytes on disk
    rate: float | None  # pictures a second; None: not measured
    quality: Quality


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--measure", is_flag=True, help="Measure the speed of those named, or the embedded.")
@click.option("--all", "every", is_flag=True, help="Name every pretrained open_clip model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def models(
    options: Options, names: tuple[str, ...], measure: bool, every: bool, as_json: bool
) -> None:
    """List the models that --model takes: size, speed on this machine, known quality.

    \b
    vsearch models
    vsearch models --measure openclip:ViT-B-32/openai cnn:resnet50
    """
    if every:
        from vsearch.encoders.openclip import pretrained  # deferred: brings torch

        for name in pretrained():
            click.echo(f"openclip:{name}")
        return
    device = options.device or "auto"
    failed = _measure(names, device, again=measure)
    rows = [row for row in _rows(device) if not names or row.name in names]
    if as_json:
        print_json({"models": [_row_json(row) for row in rows], "takes": _takes()})
    elif rows:
        _show(rows, whole=not names)
    unknown = set(names) - {row.name for row in rows}
    for name in sorted(unknown) if not measure else ():
        click.echo(
            f"{printable(name)} is not in the list; `vsearch models --measure {printable(name)}` "
            "adds it",
            err=True,
        )
    if failed or unknown:
        sys.exit(1)


def embedded() -> dict[str, Sequence[str] | None]:
    """The tiers in the package and their files; None: all of them."""
    from vsearch.encoders.builtin import BuiltinEncoder  # deferred: --help needs no numpy

    variants = getattr(BuiltinEncoder, "variants", ("",))
    files = variants if isinstance(variants, dict) else dict.fromkeys(variants)
    return {f"builtin:{name}".rstrip(":"): files[name] for name in files}


def _measure(names: Sequence[str], device: str, *, again: bool) -> bool:
    """Measure the models that are named, or those embedded that never were; whether one failed."""
    from vsearch.encoders import speed  # deferred: --help needs no numpy
    from vsearch.plugins import encoder

    known, failed = speed.noted(device), False
    wanted = names if again and names else tuple(embedded())
    for name in wanted:
        if not again and (name in known or (names and name not in names)):
            continue
        click.echo(f"Measuring {printable(name)} on this machine, a few seconds …", err=True)
        try:
            speed.measure(name, device, encoder(name, device))
        except VSearchError as error:
            click.echo(f"vsearch: {printable(str(error))}", err=True)
            failed = True
    return failed


def _rows(device: str) -> Iterator[Row]:
    """The embedded tiers, then what can be recommended, then plugins and what was measured here."""
    from vsearch.encoders.known import EMBEDDED, PUBLISHED
    from vsearch.encoders.shipped import FOLDER, digests
    from vsearch.encoders.speed import noted, size_of

    speeds = noted(device)
    for name, files in embedded().items():
        total = sum((FOLDER / file).stat().st_size for file in files or digests())
        yield _row(name, speeds.pop(name, None), total, EMBEDDED.get(name.partition(":")[2], {}))
    for known in PUBLISHED:
        speed = speeds.pop(known.name, None)
        rate = speed.rate if speed else None
        yield Row(known.name, known.speaks_text, known.dim, known.size, rate, known.quality)
    for name in dict.fromkeys([*_plugins(), *speeds]):
        yield _row(name, speeds.get(name), size_of(name), {})


def _row(name: str, speed: Speed | None, total: int | None, quality: Quality) -> Row:
    if speed is None:
        return Row(name, None, None, total, None, quality)
    return Row(name, speed.speaks_text, speed.dim, total, speed.rate, quality)


def _plugins() -> list[str]:
    from vsearch.plugins import names

    return [name for name in names("encoders") if name not in ("builtin", "openclip", "cnn")]


def _show(rows: Iterable[Row], *, whole: bool) -> None:
    shown = [("model", "understands", "dim", "size", "pictures/s", "known quality")]
    for row in rows:
        figures = [
            f"{what} {'/'.join(f'{value:.1f}' for value in values)}"
            for what, values in row.quality.items()
        ]
        shown.append(
            (
                printable(row.name),
                ", ".join(_understands(row)) or "–",
                str(row.dim or "–"),
                size(row.size) if row.size else "–",
                f"{row.rate:.1f}" if row.rate else "–",
                ", ".join(figures) or "–",
            )
        )
    table(shown, right="llrrr")
    if whole:
        click.echo(f"\n{LEGEND}\n")
        table([("--model", "is"), *_takes().items()])


def _understands(row: Row) -> list[str]:
    if row.speaks_text is None:
        return []
    return [*(["words"] if row.speaks_text else []), "pictures", "clips"]


def _takes() -> dict[str, str]:
    """What may follow each name, and whether it can be used here."""
    ready = "ready" if find_spec("open_clip") else "needs: pip install 'vsearch[models]'"
    return {
        "builtin": "in the package, offline",
        "openclip": f"openclip:ARCH/TAG (--all names them) or openclip:ARCH@FILE; {ready}",
        "cnn": f"cnn:NAME or cnn:NAME@FILE, torchvision's; {ready}",
        **dict.fromkeys(_plugins(), "a plugin"),
    }


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "model": row.name,
        "understands": _understands(row),
        "dim": row.dim,
        "bytes": row.size,
        "pictures_per_second": round(row.rate, 2) if row.rate else None,
        "quality": {what: list(values) for what, values in row.quality.items()},
    }
