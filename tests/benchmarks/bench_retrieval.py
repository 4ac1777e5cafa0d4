"""Text to video on captioned clips: python -m tests.benchmarks.bench_retrieval FOLDER [LIBRARY]

FOLDER holds `clips.jsonl`, one {"path": …, "caption": …} a line. Every clip is indexed, every
caption asked; printed is how often its clip comes first, in the first five and in the first ten,
for vsearch and, in the same run and on the same stored frames, for two plainer ways to rank.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from vsearch import Library
from vsearch.vectors.features import FeatureStore

AT = (1, 5, 10)


def main(folder: Path, where: Path) -> None:
    """Index, ask, print a table."""
    rows = [json.loads(line) for line in (folder / "clips.jsonl").read_text("utf-8").splitlines()]
    paths = [(folder / row["path"]).resolve() for row in rows]
    captions = [row["caption"] for row in rows]
    with Library.open(where) as library:
        for one in library.index(paths):
            if one.error:
                print(one.error, file=sys.stderr)
        ranked = {"vsearch": [searched(library, text) for text in captions]}
        ranked |= plain(library, captions)
        print(f"{len(rows)} clips, model {library.space.name if library.space else '?'}")
    print(f"{'ranking':<28}" + "".join(f"{f'R@{k}':>8}" for k in AT))
    for name, found in ranked.items():
        shares = [
            np.mean([path in best[:k] for path, best in zip(paths, found, strict=True)]) for k in AT
        ]
        print(f"{name:<28}" + "".join(f"{share:8.1%}" for share in shares))


def searched(library: Library, text: str) -> list[Path]:
    """The videos of the first ten moments, as the command line shows them, each once."""
    return list(dict.fromkeys(moment.video.path for moment in library.search(text, k=10)))


def plain(library: Library, captions: list[str]) -> dict[str, list[list[Path]]]:
    """References: the mean of all frames of a video, and its best single frame."""
    store, videos = FeatureStore(library.path / "features"), library.videos()
    frames = [store.load(video.id, library.encoder.space).matrix for video in videos]
    means = np.stack([matrix.mean(axis=0) for matrix in frames])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    queries = library.encoder.encode_texts(captions)
    best = np.stack([(queries @ matrix.T).max(axis=1) for matrix in frames], axis=1)
    return {
        name: [[videos[i].path for i in np.argsort(-row)] for row in scores]
        for name, scores in (("mean of all frames", queries @ means.T), ("best frame", best))
    }


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else scratch))
