"""Pictures a second of processor time, by engine, and what int8 costs in retrieval:

    python -m tests.benchmarks.bench_encoding [--json FILE]
    python -m tests.benchmarks.bench_encoding --pairs PAIRS [--count N] [--json FILE]

The first measures both tiers on every engine there is, and open_clip's ViT-B-16 in float32 on torch
with weights drawn by lot; they take turns, so that what else the machine does disturbs all alike.
With PAIRS, as for `vsearch.encoders.build_builtin align`, text → picture among N pictures of the
validation split (400, drawn by a seed; 0 is all of them), all of their texts, by each engine, with
a querybank, and what float32 finds more. 400 take about 4 minutes on two cores, most of it float32.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.encoders import engine
from vsearch.encoders.build_builtin import read_lines, read_pictures
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.pictures import crop_to_square
from vsearch.encoders.towers import TIERS
from vsearch.search.querybank import Querybank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vsearch.types import Images, Matrix

ROUNDS, PICTURES = 3, 8  # a turn: so many pictures
ENGINES = (engine.FLOAT32, engine.INT8_ORT, engine.INT8_OPENVINO)
REFERENCE = "torch float32, open_clip ViT-B-16"


def encoder(tier: str, kind: engine.Kind) -> BuiltinEncoder:
    """The embedded model on one engine, whatever it would choose itself."""
    found = BuiltinEncoder(tier)
    found._see.kind = kind
    return found


def open_clip_reference() -> Callable[[Images], Any]:
    """The same architecture as people usually run it."""
    import open_clip
    import torch

    model: Any = open_clip.create_model("ViT-B-16", pretrained=None).eval()

    def run(images: Images) -> Any:
        with torch.no_grad():
            pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255)
            return [model.encode_image(pixels[i : i + 8]) for i in range(0, len(pixels), 8)]

    return run


def speeds(json_rows: list[dict[str, Any]]) -> dict[str, float]:
    """Pictures a second of processor time, the best turn of each."""
    random = np.random.default_rng(0)
    runs: dict[str, tuple[Callable[[Images], Any], int]] = {REFERENCE: (open_clip_reference(), 224)}
    for tier in ("", "fast"):
        for kind in ENGINES:
            model = encoder(tier, kind)
            name = f"{tier or 'default'}, {kind.name} {kind.precision}"
            runs[name] = (model.encode_images, model.image_size)
    best = dict.fromkeys(runs, 0.0)
    for turn in range(ROUNDS + 1):  # the first loads and warms up
        for name, (run, side) in runs.items():
            images = random.integers(0, 256, (PICTURES, side, side, 3), np.uint8)
            began = time.process_time()
            run(images)
            if turn:
                best[name] = max(best[name], PICTURES / (time.process_time() - began))
    print(f"{'engine':44} pictures/CPU-s   x torch")
    for name, rate in best.items():
        ratio = rate / best[REFERENCE]
        print(f"{name:44} {rate:14.1f} {ratio:9.1f}")
        json_rows.append({"engine": name, "rate": round(rate, 2), "ratio": round(ratio, 2)})
    return best


def quality(pairs: Path, count: int, json_rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Recall of each engine, and the cosine of its vectors to float32's; what follows from it."""
    rows = held_out(pairs, count)
    pictures = list(read_pictures(pairs, rows))
    asked = [(text, i) for i, row in enumerate(rows) for text in texts_of(row)]
    reader = BuiltinEncoder()
    queries = reader.encode_texts([text for text, _ in asked])
    groups = {name: i for i, name in enumerate(dict.fromkeys(row["group"] for row in rows))}
    group = np.array([groups[row["group"]] for row in rows])
    right = group[[i for _, i in asked]][:, None] == group[None]
    bank = Querybank.of(reader)
    print(f"{len(asked)} texts, {len(rows)} pictures; in brackets what float32 has more")
    print(f"{'engine':36} cosine  5 %     R@1    R@5   R@10    MRR")
    for tier in ("", "fast"):
        small = np.concatenate([crop_to_square(p, TIERS[tier].size) for p in pictures])
        exact: tuple[Matrix, list[float]] | None = None
        for kind in ENGINES:
            seen = encoder(tier, kind).encode_images(small)
            found = recall(queries @ seen.T - bank.excess(seen), right)
            exact = exact or (seen, found)
            cosine = (seen * exact[0]).sum(axis=1)
            name = f"{tier or 'default'}, {kind.name} {kind.precision}"
            low = float(np.quantile(cosine, 0.05))
            told = (f"{x:6.2f} ({y - x:+.2f})" for x, y in zip(found, exact[1], strict=True))
            print(f"{name:36} {cosine.mean():.4f} {low:.4f} ", *told, flush=True)
            row = dict(zip(("R@1", "R@5", "R@10", "MRR"), found, strict=True))
            mean = round(float(cosine.mean()), 4)
            json_rows.append({"engine": name, "cosine": mean, "5 %": round(low, 4), **row})
    told_of = "; ".join(
        f"{row['engine']} {row['R@1']} / {row['R@5']} / {row['R@10']}" for row in json_rows
    )
    what = f"text → picture by engine, {len(asked)} texts, {len(rows)} pictures: R@1 / R@5 / R@10"
    how = "python -m tests.benchmarks.bench_encoding --pairs PAIRS"
    return [{"what": what, "found": told_of, "how": how}]


def held_out(pairs: Path, count: int) -> list[dict[str, Any]]:
    """So many rows of the validation split, always the same; all of them for 0."""
    rows = [row for row in read_lines(pairs) if row["split"] == "val"]
    if not 0 < count < len(rows):
        return rows
    chosen = np.random.default_rng(0).choice(len(rows), count, replace=False)
    return [rows[i] for i in sorted(chosen)]


def texts_of(row: dict[str, Any]) -> Sequence[str]:
    return [row["text"], *row.get("alt_texts", [])]


def recall(scores: Matrix, right: Any) -> list[float]:
    """R@1, R@5, R@10 and MRR in per cent."""
    best = np.where(right, scores, -np.inf).max(axis=1)
    rank = (np.where(right, -np.inf, scores) > best[:, None]).sum(axis=1)
    shares = [(rank < k).mean() for k in (1, 5, 10)]
    return [round(100 * float(x), 2) for x in [*shares, (1 / (rank + 1)).mean()]]


def claims(best: dict[str, float]) -> list[dict[str, str]]:
    """What the README says of it."""
    plain = best["default, ONNX Runtime float32"]
    found = [
        f"{best[f'{tier}, {kind.name} int8'] / best[f'{tier}, ONNX Runtime float32']:.1f}×"
        for kind in (engine.INT8_OPENVINO, engine.INT8_ORT)
        for tier in ("default", "fast")
    ]
    return [
        {
            "what": "pictures a second of processor time against float32: OpenVINO, default and "
            "fast tier; without it",
            "found": f"{found[0]} and {found[1]}; {found[2]} and {found[3]}; float32 is itself "
            f"{plain / best[REFERENCE]:.1f}× torch with open_clip's ViT-B-16",
            "how": "python -m tests.benchmarks.bench_encoding",
        }
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    said = quality(asked.pairs, asked.count, rows) if asked.pairs else claims(speeds(rows))
    if asked.json:
        report = {"name": "encoding", "rows": rows, "claims": said}
        asked.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
