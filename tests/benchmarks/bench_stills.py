"""What it saves to encode still frames once, and what it costs:

    python -m tests.benchmarks.bench_stills CLIPS.jsonl [--json FILE]

CLIPS.jsonl has a `path` and a `caption` a line. Frames saved, the least cosine of what is stored to
what would have been, and the recall of captions, at several thresholds; and what is saved on a
recording of a screen and before a noisy camera, both made here.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.changes import STILL, ChangedFrames
from vsearch.encoders.towers import unit
from vsearch.media.video import Sampler
from vsearch.search.querybank import Querybank
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Images, Matrix

LEVELS = (0.0, 2.0, 3.0, STILL, 6.0, 8.0, 16.0)
KINDS = {
    "talking heads": ("face", "head-pose", "obama", "carphone", "silence_girl", "demographics"),
    "cameras": ("intel_", "vtest", "store-aisle", "worker-zone", "classroom", "fruit-and"),
}


class Numbered:
    """An `Encoder` that gives each frame it sees the number it came with."""

    space, image_size = Space("numbered", 1, speaks_text=False), 224

    def __init__(self, images: Images) -> None:
        self._place = {image.tobytes(): i for i, image in enumerate(images)}
        self.seen = 0

    def encode_images(self, images: Images) -> Matrix:
        self.seen += len(images)
        places = [self._place[image.tobytes()] for image in images]
        return np.array(places, np.float32).reshape(-1, 1)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        raise NotImplementedError


def stands_for(images: Images, still: float) -> Any:
    """For each frame the one whose vector it gets."""
    frames = ChangedFrames(Numbered(images), still=still)
    parts = [frames.encode(images[i : i + 8])[:, 0] for i in range(0, len(images), 8)]
    return np.concatenate(parts).astype(int)


def screen() -> Images:
    """A minute of typing with a blinking cursor: a line of ten each ten seconds."""
    random = np.random.default_rng(0)
    frames = np.full((60, 224, 398, 3), 245, np.uint8)
    for second in range(60):
        for line in range(second // 10 + 1):
            ink = np.random.default_rng(line).integers(0, 2, (8, 260, 1), np.uint8)
            frames[second, 20 + 16 * line : 28 + 16 * line, 20:280] -= 200 * ink
        if second % 2:
            frames[second, 180:192, 30:34] = 0
    noise = random.integers(-1, 2, frames.shape)
    return (frames.astype(int) + noise).clip(0, 255).astype(np.uint8)


def camera() -> Images:
    """A minute before a noisy camera; somebody passes for ten seconds."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[0:224, 0:398]
    scene = 90 + 40 * np.sin(x / 40) + 30 * np.cos(y / 25)
    frames = np.repeat(scene[None, :, :, None], 60, axis=0).repeat(3, axis=3)
    for second in range(20, 30):
        frames[second, 90:180, 30 * (second - 20) : 30 * (second - 20) + 40] = 30
    noise = random.normal(0, 5, frames.shape)
    return (frames + noise).clip(0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("clips", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = [json.loads(line) for line in asked.clips.read_text("utf-8").splitlines()]
    encoder = BuiltinEncoder("fast")
    videos = [
        np.concatenate([batch.images for batch in Sampler(path, fps=1.0, short_side=224)])
        for path in (asked.clips.parent / row["path"] for row in rows)
    ]
    vectors = [encoder.encode_images(images) for images in videos]
    queries = encoder.encode_texts([row["caption"] for row in rows])
    bank = Querybank.of(encoder)
    made = {"screen": screen(), "noisy camera": camera()}
    table: list[dict[str, Any]] = []
    for still in LEVELS:
        began = time.process_time()
        kept = [stands_for(images, still) for images in videos]
        took = 1e3 * (time.process_time() - began) / sum(map(len, videos))
        seen = [v[k] for v, k in zip(vectors, kept, strict=True)]
        cosine = min(float((s * v).sum(axis=1).min()) for s, v in zip(seen, vectors, strict=True))
        means = unit(np.stack([s.mean(axis=0) for s in seen]))
        scores = queries @ means.T - bank.excess(means)
        first = float((scores.argmax(axis=1) == np.arange(len(rows))).mean())
        saved = {name: share(stands_for(images, still)) for name, images in made.items()}
        for name, words in KINDS.items():
            some = [
                k for k, r in zip(kept, rows, strict=True) if any(w in r["path"] for w in words)
            ]
            saved[name] = float(np.mean([share(k) for k in some])) if some else 0.0
        saved["all clips"] = 1 - sum(len(set(k)) for k in kept) / sum(map(len, kept))
        shown = "  ".join(f"{name} {100 * value:.1f} %" for name, value in saved.items())
        print(f"{still:4.1f}  R@1 {100 * first:.1f}  cosine ≥ {cosine:.3f}  {took:.2f} ms  {shown}")
        table.append({"still": still, "R@1": first, "cosine": cosine, "ms": took, **saved})
    if asked.json:
        chosen = next(row for row in table if row["still"] == STILL)
        lost = 100 * (table[0]["R@1"] - chosen["R@1"])
        found = ", ".join(f"{name} {100 * chosen[name]:.0f} %" for name in saved)
        claim = {
            "what": "frames not encoded again, and the recall (R@1) that this costs",
            "found": f"{found}; {lost:.1f} points",
            "how": "python -m tests.benchmarks.bench_stills clips.jsonl",
        }
        report = {"name": "stills", "rows": table, "claims": [claim]}
        asked.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")


def share(kept: Any) -> float:
    """How many frames of a video need no encoding."""
    return 1 - len(set(kept.tolist())) / len(kept)


if __name__ == "__main__":
    main()
