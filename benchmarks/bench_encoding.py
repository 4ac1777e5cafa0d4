"""Measure images per CPU second of each engine, and the retrieval loss of int8.

    python -m benchmarks.bench_encoding [--json FILE]
    python -m benchmarks.bench_encoding --pairs PAIRS [--count N] [--json FILE]

The first form measures both tiers on every available engine, and open_clip's ViT-B-16 in float32 on
torch with random weights. They alternate, so that other load on the machine affects all alike. With
PAIRS, as for `tools.build_encoder.build align`, the second form measures text → image retrieval
among N images of the validation split (400 seeded ones; 0: all), with all of their texts, for each
engine, with a querybank, and the advantage of float32. 400 images take about 4 minutes on two
cores, most of it for float32.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tools.build_encoder.build import iter_images, read_pair_rows
from vsearch.encoders import runtime
from vsearch.encoders.builtin import MODEL_TIERS, BuiltinEncoder, crop_to_square
from vsearch.search.hubness import Querybank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vsearch.types import Images, Matrix

ROUND_COUNT, IMAGES_PER_ROUND = 3, 8
MEASURED_BACKENDS = (runtime.FLOAT32_ORT, runtime.INT8_ORT, runtime.INT8_OPENVINO)
REFERENCE_NAME = "torch float32, open_clip ViT-B-16"


def make_encoder(tier: str, backend: runtime.Backend) -> BuiltinEncoder:
    """Create the built-in model with a given engine."""
    encoder = BuiltinEncoder(tier)
    encoder._image_tower.backend = backend
    return encoder


def make_reference() -> Callable[[Images], Any]:
    """Create the same architecture in open_clip."""
    import open_clip
    import torch

    model: Any = open_clip.create_model("ViT-B-16", pretrained=None).eval()

    def encode_reference(images: Images) -> Any:
        with torch.no_grad():
            pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255)
            return [model.encode_image(pixels[i : i + 8]) for i in range(0, len(pixels), 8)]

    return encode_reference


def measure_speeds(json_rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return images per CPU second, the best round of each."""
    random = np.random.default_rng(0)
    runs: dict[str, tuple[Callable[[Images], Any], int]] = {REFERENCE_NAME: (make_reference(), 224)}
    for tier in ("", "fast"):
        for kind in MEASURED_BACKENDS:
            model = make_encoder(tier, kind)
            name = f"{tier or 'default'}, {kind.runtime_name} {kind.precision}"
            runs[name] = (model.encode_images, model.image_size)
    best = dict.fromkeys(runs, 0.0)
    for round_index in range(ROUND_COUNT + 1):  # the first loads and warms up
        for name, (encode, side) in runs.items():
            images = random.integers(0, 256, (IMAGES_PER_ROUND, side, side, 3), np.uint8)
            start_time = time.process_time()
            encode(images)
            if round_index:
                best[name] = max(best[name], IMAGES_PER_ROUND / (time.process_time() - start_time))
    print(f"{'engine':44} images/CPU-s     x torch")
    for name, rate in best.items():
        ratio = rate / best[REFERENCE_NAME]
        print(f"{name:44} {rate:14.1f} {ratio:9.1f}")
        json_rows.append({"engine": name, "rate": round(rate, 2), "ratio": round(ratio, 2)})
    return best


def measure_quality(
    pairs_path: Path, picture_count: int, json_rows: list[dict[str, Any]]
) -> list[dict[str, str]]:
    """Measure recall of each engine and the cosine of its vectors to float32."""
    rows = load_held_out(pairs_path, picture_count)
    pictures = list(iter_images(pairs_path, rows))
    captions = [(text, i) for i, row in enumerate(rows) for text in list_texts(row)]
    reader = BuiltinEncoder()
    queries = reader.encode_texts([text for text, _ in captions])
    groups = {name: i for i, name in enumerate(dict.fromkeys(row["group"] for row in rows))}
    group = np.array([groups[row["group"]] for row in rows])
    is_relevant = group[[i for _, i in captions]][:, None] == group[None]
    bank = Querybank.from_encoder(reader)
    print(f"{len(captions)} texts, {len(rows)} images; in brackets the advantage of float32")
    print(f"{'engine':36} cosine  5 %     R@1    R@5   R@10    MRR")
    for tier in ("", "fast"):
        small = np.concatenate([crop_to_square(p, MODEL_TIERS[tier].image_size) for p in pictures])
        float32_result: tuple[Matrix, list[float]] | None = None
        for kind in MEASURED_BACKENDS:
            image_vectors = make_encoder(tier, kind).encode_images(small)
            metrics = measure_recall(
                queries @ image_vectors.T - bank.hubness_penalty(image_vectors), is_relevant
            )
            float32_result = float32_result or (image_vectors, metrics)
            cosine = (image_vectors * float32_result[0]).sum(axis=1)
            name = f"{tier or 'default'}, {kind.runtime_name} {kind.precision}"
            low = float(np.quantile(cosine, 0.05))
            metric_cells = (
                f"{x:6.2f} ({y - x:+.2f})" for x, y in zip(metrics, float32_result[1], strict=True)
            )
            print(f"{name:36} {cosine.mean():.4f} {low:.4f} ", *metric_cells, flush=True)
            row = dict(zip(("R@1", "R@5", "R@10", "MRR"), metrics, strict=True))
            mean = round(float(cosine.mean()), 4)
            json_rows.append({"engine": name, "cosine": mean, "5 %": round(low, 4), **row})
    recalls = "; ".join(
        f"{row['engine']} {row['R@1']} / {row['R@5']} / {row['R@10']}" for row in json_rows
    )
    what = f"text → image by engine, {len(captions)} texts, {len(rows)} images: R@1 / R@5 / R@10"
    how = "python -m benchmarks.bench_encoding --pairs PAIRS"
    return [{"what": what, "found": recalls, "how": how}]


def load_held_out(pairs_path: Path, picture_count: int) -> list[dict[str, Any]]:
    """Load seeded rows of the validation split; all for 0."""
    rows = [row for row in read_pair_rows(pairs_path) if row["split"] == "val"]
    if not 0 < picture_count < len(rows):
        return rows
    chosen = np.random.default_rng(0).choice(len(rows), picture_count, replace=False)
    return [rows[i] for i in sorted(chosen)]


def list_texts(caption_row: dict[str, Any]) -> Sequence[str]:
    return [caption_row["text"], *caption_row.get("alt_texts", [])]


def measure_recall(scores: Matrix, is_relevant: Any) -> list[float]:
    """Return R@1, R@5, R@10 and MRR in percent."""
    best = np.where(is_relevant, scores, -np.inf).max(axis=1)
    rank = (np.where(is_relevant, -np.inf, scores) > best[:, None]).sum(axis=1)
    shares = [(rank < k).mean() for k in (1, 5, 10)]
    return [round(100 * float(x), 2) for x in [*shares, (1 / (rank + 1)).mean()]]


def build_claims(best_rates: dict[str, float]) -> list[dict[str, str]]:
    """Build the claims of the speed table."""
    float32_rates = {
        tier: best_rates[f"{tier}, ONNX Runtime float32"] for tier in ("default", "fast")
    }
    speedups = [
        f"{best_rates[f'{tier}, {kind.runtime_name} int8'] / float32_rates[tier]:.1f}×"
        for kind in (runtime.INT8_OPENVINO, runtime.INT8_ORT)
        for tier in ("default", "fast")
    ]
    return [
        {
            "what": "images per CPU second of int8 relative to float32, default and fast tier: "
            "with OpenVINO; without",
            "found": f"{speedups[0]} and {speedups[1]}; {speedups[2]} and {speedups[3]}; float32 "
            f"is {float32_rates['default'] / best_rates[REFERENCE_NAME]:.1f}× torch with "
            "open_clip's ViT-B-16",
            "how": "python -m benchmarks.bench_encoding",
        }
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    claims = (
        measure_quality(options.pairs, options.count, rows)
        if options.pairs
        else build_claims(measure_speeds(rows))
    )
    if options.json:
        report = {"name": "encoding", "rows": rows, "claims": claims}
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
