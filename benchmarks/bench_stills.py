"""Measure savings and loss of encoding near-duplicate frames once.

    python -m benchmarks.bench_stills CLIPS.jsonl [--json FILE]

CLIPS.jsonl has a `path` and a `caption` per line. Printed are the share of frames saved, the lowest
cosine between stored and exact vectors, and caption recall, at several thresholds; and the savings
on a synthetic screen recording and a synthetic noisy camera.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.frame_dedup import MAX_LUMA_DIFF, DedupEncoder
from vsearch.encoders.network_layers import normalize_rows
from vsearch.media.sampler import Sampler
from vsearch.search.hubness import Querybank
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Images, Matrix

DIFF_THRESHOLDS = (0.0, 2.0, 3.0, MAX_LUMA_DIFF, 6.0, 8.0, 16.0)
CLIP_KINDS = {
    "talking heads": ("face", "head-pose", "obama", "carphone", "silence_girl", "demographics"),
    "cameras": ("intel_", "vtest", "store-aisle", "worker-zone", "classroom", "fruit-and"),
}


class FrameNumberEncoder:
    """An `Encoder` that encodes each frame as its number."""

    space, image_size = Space("numbered", 1, supports_text=False), 224

    def __init__(self, images: Images) -> None:
        self._frame_numbers = {image.tobytes(): i for i, image in enumerate(images)}
        self.encoded_count = 0

    def encode_images(self, images: Images) -> Matrix:
        self.encoded_count += len(images)
        frame_numbers = [self._frame_numbers[image.tobytes()] for image in images]
        return np.array(frame_numbers, np.float32).reshape(-1, 1)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        raise NotImplementedError


def encoded_frame_of(images: Images, max_difference: float) -> Any:
    """Return for each frame the frame whose vector it gets."""
    frames = DedupEncoder(FrameNumberEncoder(images), max_luma_diff=max_difference)
    encoded_batches = [
        frames.encode_frames(images[i : i + 8])[:, 0] for i in range(0, len(images), 8)
    ]
    return np.concatenate(encoded_batches).astype(int)


def make_screen_recording() -> Images:
    """Make a minute of typing with a blinking cursor, a line of text per ten seconds."""
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


def make_camera_recording() -> Images:
    """Make a minute of a noisy camera in which a person passes for ten seconds."""
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
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.clips.read_text("utf-8").splitlines()]
    encoder = BuiltinEncoder("fast")
    videos = [
        np.concatenate([batch.images for batch in Sampler(path, fps=1.0, short_side=224)])
        for path in (options.clips.parent / row["path"] for row in rows)
    ]
    vectors = [encoder.encode_images(images) for images in videos]
    queries = encoder.encode_texts([row["caption"] for row in rows])
    bank = Querybank.from_encoder(encoder)
    synthetic_videos = {"screen": make_screen_recording(), "noisy camera": make_camera_recording()}
    table: list[dict[str, Any]] = []
    for threshold in DIFF_THRESHOLDS:
        start_time = time.process_time()
        encoded_frames = [encoded_frame_of(images, threshold) for images in videos]
        milliseconds = 1e3 * (time.process_time() - start_time) / sum(map(len, videos))
        stored_vectors = [v[k] for v, k in zip(vectors, encoded_frames, strict=True)]
        cosine = min(
            float((s * v).sum(axis=1).min()) for s, v in zip(stored_vectors, vectors, strict=True)
        )
        means = normalize_rows(np.stack([s.mean(axis=0) for s in stored_vectors]))
        scores = queries @ means.T - bank.hubness_penalty(means)
        recall = float((scores.argmax(axis=1) == np.arange(len(rows))).mean())
        saved = {
            name: saved_share(encoded_frame_of(images, threshold))
            for name, images in synthetic_videos.items()
        }
        for name, name_parts in CLIP_KINDS.items():
            kind_frames = [
                k
                for k, r in zip(encoded_frames, rows, strict=True)
                if any(w in r["path"] for w in name_parts)
            ]
            saved[name] = (
                float(np.mean([saved_share(k) for k in kind_frames])) if kind_frames else 0.0
            )
        saved["all clips"] = 1 - sum(len(set(k)) for k in encoded_frames) / sum(
            map(len, encoded_frames)
        )
        saved_cells = "  ".join(f"{name} {100 * value:.1f} %" for name, value in saved.items())
        print(
            f"{threshold:4.1f}  R@1 {100 * recall:.1f}  cosine ≥ {cosine:.3f}  "
            f"{milliseconds:.2f} ms  {saved_cells}"
        )
        table.append(
            {"threshold": threshold, "R@1": recall, "cosine": cosine, "ms": milliseconds, **saved}
        )
    if options.json:
        default_row = next(row for row in table if row["threshold"] == MAX_LUMA_DIFF)
        recall_loss = 100 * (table[0]["R@1"] - default_row["R@1"])
        savings = ", ".join(f"{name} {100 * default_row[name]:.0f} %" for name in saved)
        claim = {
            "what": "share of frames that need no encoding, and the loss of recall (R@1)",
            "found": f"{savings}; {recall_loss:.1f} points",
            "how": "python -m benchmarks.bench_stills clips.jsonl",
        }
        report = {"name": "stills", "rows": table, "claims": [claim]}
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")


def saved_share(encoded_frames: Any) -> float:
    """Return the share of frames that need no encoding."""
    return 1 - len(set(encoded_frames.tolist())) / len(encoded_frames)


if __name__ == "__main__":
    main()
