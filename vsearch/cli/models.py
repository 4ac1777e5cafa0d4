"""`vsearch models`: list encoders with their size, speed on this machine and known quality."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note, print_problem
from vsearch.cli.options import library_options
from vsearch.cli.render import escape_unprintable, format_bytes, print_json, print_table
from vsearch.errors import VSearchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vsearch.cli.options import CommonOptions
    from vsearch.encoders.model_zoo import QualityScores, Throughput

TABLE_LEGEND = """\
images/s: throughput on this machine; `vsearch models --benchmark NAME` measures models that show –.
clips, pictures: own measurement, text → clip or image (see the model card).
ImageNet: zero-shot top-1; COCO: text → image; both as published."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model of the list."""

    name: str
    supports_text: bool | None  # None: not known before it is loaded
    dim: int | None
    size_bytes: int | None  # on disk
    images_per_second: float | None  # None: not measured
    quality: QualityScores


@click.command()
@click.argument("model_names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--benchmark",
    is_flag=True,
    help="Measure the throughput of the named models, or of all built-in ones.",
)
@click.option("--all", "all_models", is_flag=True, help="List every pretrained open_clip model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def models(
    options: CommonOptions,
    model_names: tuple[str, ...],
    benchmark: bool,
    all_models: bool,
    as_json: bool,
) -> None:
    """List models with their size, throughput and quality.

    Throughput is measured on this machine.

    \b
    vsearch models
    vsearch models --benchmark openclip:ViT-B-32/openai cnn:resnet50
    """
    if all_models:
        from vsearch.plugins import require_models_extra

        with require_models_extra("--all"):
            from vsearch.encoders.open_clip import list_pretrained  # deferred: brings torch
        for model_name in list_pretrained():
            click.echo(f"openclip:{model_name}")
        return
    device_name = options.device or "auto"
    has_failed = _benchmark_models(model_names, device_name, force=benchmark)
    model_rows = [
        model_row
        for model_row in _collect_rows(device_name)
        if not model_names or model_row.name in model_names
    ]
    if as_json:
        model_entries = [_row_to_dict(model_row) for model_row in model_rows]
        print_json({"models": model_entries, "prefixes": _describe_prefixes()})
    elif model_rows:
        _print_models(model_rows, with_legend=not model_names)
    unknown_names = set(model_names) - {model_row.name for model_row in model_rows}
    if not benchmark:
        for model_name in sorted(map(escape_unprintable, unknown_names)):
            print_problem(
                f"{model_name} is not listed; run `vsearch models --benchmark {model_name}` to "
                "add it"
            )
    if has_failed or unknown_names:
        sys.exit(1)


def list_builtin_models() -> dict[str, Sequence[str]]:
    """Return the weight files of each tier of the built-in encoder, by model name."""
    from vsearch.encoders.builtin import BuiltinEncoder  # deferred: --help needs no numpy

    return {
        f"builtin:{tier_name}".rstrip(":"): weight_files
        for tier_name, weight_files in BuiltinEncoder.variants.items()
    }


def _benchmark_models(model_names: Sequence[str], device_name: str, *, force: bool) -> bool:
    """Measure the named models, or built-in ones without a measurement; return if one failed."""
    from vsearch.encoders import model_zoo  # deferred: --help needs no numpy
    from vsearch.plugins import create_encoder

    measurements, has_failed = model_zoo.load_measurements(device_name), False
    selected_names = model_names if force and model_names else tuple(list_builtin_models())
    for model_name in selected_names:
        if not force and (
            model_name in measurements or (model_names and model_name not in model_names)
        ):
            continue
        print_note(f"Measuring {escape_unprintable(model_name)} on this machine, a few seconds …")
        try:
            model_zoo.measure_throughput(
                model_name, device_name, create_encoder(model_name, device_name)
            )
        except VSearchError as error:
            print_problem(f"vsearch: {escape_unprintable(str(error))}")
            has_failed = True
    return has_failed


def _collect_rows(device_name: str) -> Iterator[ModelRow]:
    """Yield built-in models, recommended ones, plugins, and other models measured here."""
    from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER
    from vsearch.encoders.model_zoo import (
        BUILTIN_QUALITY,
        RECOMMENDED_MODELS,
        find_checkpoint_size,
        load_measurements,
    )

    measurements = load_measurements(device_name)
    for model_name, weight_files in list_builtin_models().items():
        size_bytes = sum((WEIGHTS_FOLDER / name).stat().st_size for name in weight_files)
        quality = BUILTIN_QUALITY.get(model_name.partition(":")[2], {})
        yield _build_row(model_name, measurements.pop(model_name, None), size_bytes, quality)
    for model_card in RECOMMENDED_MODELS:
        measurement = measurements.pop(model_card.model_name, None)
        yield ModelRow(
            model_card.model_name,
            model_card.supports_text,
            model_card.vector_dim,
            model_card.size_bytes,
            measurement.rate if measurement else None,
            model_card.quality_scores,
        )
    for model_name in dict.fromkeys([*_list_plugins(), *measurements]):
        checkpoint_bytes = find_checkpoint_size(model_name)
        yield _build_row(model_name, measurements.get(model_name), checkpoint_bytes, {})


def _build_row(
    model_name: str, measurement: Throughput | None, size_bytes: int | None, quality: QualityScores
) -> ModelRow:
    if measurement is None:
        return ModelRow(model_name, None, None, size_bytes, None, quality)
    return ModelRow(
        model_name, measurement.speaks_text, measurement.dim, size_bytes, measurement.rate, quality
    )


def _list_plugins() -> list[str]:
    from vsearch.plugins import plugin_names

    return [
        plugin_name
        for plugin_name in plugin_names("encoders")
        if plugin_name not in ("builtin", "openclip", "cnn")
    ]


def _print_models(model_rows: Iterable[ModelRow], *, with_legend: bool) -> None:
    table_rows = [("model", "modalities", "dim", "size", "images/s", "known quality")]
    for model_row in model_rows:
        quality_texts = [
            f"{metric_name} {'/'.join(f'{metric_value:.1f}' for metric_value in metric_values)}"
            for metric_name, metric_values in model_row.quality.items()
        ]
        table_rows.append(
            (
                escape_unprintable(model_row.name),
                ", ".join(_list_modalities(model_row)) or "–",
                str(model_row.dim or "–"),
                format_bytes(model_row.size_bytes) if model_row.size_bytes else "–",
                f"{model_row.images_per_second:.1f}" if model_row.images_per_second else "–",
                ", ".join(quality_texts) or "–",
            )
        )
    print_table(table_rows, alignments="llrrr")
    if with_legend:
        click.echo(f"\n{TABLE_LEGEND}\n")
        print_table([("--model", "description"), *_describe_prefixes().items()])


def _list_modalities(model_row: ModelRow) -> list[str]:
    if model_row.supports_text is None:
        return []
    return [*(["text"] if model_row.supports_text else []), "images", "clips"]


def _describe_prefixes() -> dict[str, str]:
    """Describe what follows each prefix of --model, and whether it is installed."""
    availability = "ready" if find_spec("open_clip") else "requires pip install 'vsearch[models]'"
    return {
        "builtin": "included in the package, works offline",
        "openclip": f"openclip:ARCH/TAG (--all lists them) or openclip:ARCH@FILE; {availability}",
        "cnn": f"cnn:NAME or cnn:NAME@FILE, from torchvision; {availability}",
        **dict.fromkeys(_list_plugins(), "a plugin"),
    }


def _row_to_dict(model_row: ModelRow) -> dict[str, Any]:
    """Return the entry of a model in `models --json`."""
    images_per_second = model_row.images_per_second
    return {
        "model": model_row.name,
        "modalities": _list_modalities(model_row),
        "dim": model_row.dim,
        "bytes": model_row.size_bytes,
        "images_per_second": round(images_per_second, 2) if images_per_second else None,
        "quality": {
            metric_name: list(metric_values)
            for metric_name, metric_values in model_row.quality.items()
        },
    }
