"""Measure text → video retrieval on captioned clips.

    python -m benchmarks.bench_retrieval FOLDER [LIBRARY]

FOLDER holds `clips.jsonl`, one {"path": …, "caption": …} per line. Every clip is indexed and every
caption searched. Printed are R@1, R@5 and R@10 of vsearch and, in the same run and on the same
stored frames, of two simpler rankings.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from vsearch import Library
from vsearch.storage.feature_store import FeatureStore

RECALL_AT = (1, 5, 10)


def main(clips_folder: Path, library_path: Path) -> None:
    """Index, search and print a table."""
    rows = [
        json.loads(line) for line in (clips_folder / "clips.jsonl").read_text("utf-8").splitlines()
    ]
    paths = [(clips_folder / row["path"]).resolve() for row in rows]
    captions = [row["caption"] for row in rows]
    with Library.open(library_path) as library:
        for index_result in library.index(paths):
            if index_result.error:
                print(index_result.error, file=sys.stderr)
        ranked = {"vsearch": [search_videos(library, text) for text in captions]}
        ranked |= rank_plainly(library, captions)
        print(f"{len(rows)} clips, model {library.space.name if library.space else '?'}")
    print(f"{'ranking':<28}" + "".join(f"{f'R@{k}':>8}" for k in RECALL_AT))
    for name, rankings in ranked.items():
        shares = [
            np.mean([path in best[:k] for path, best in zip(paths, rankings, strict=True)])
            for k in RECALL_AT
        ]
        print(f"{name:<28}" + "".join(f"{share:8.1%}" for share in shares))


def search_videos(library: Library, query_text: str) -> list[Path]:
    """Return the distinct videos of the first ten moments."""
    return list(dict.fromkeys(moment.video.path for moment in library.search(query_text, k=10)))


def rank_plainly(library: Library, captions: list[str]) -> dict[str, list[list[Path]]]:
    """Rank by the mean of all frames of a video, and by its best frame."""
    store, videos = FeatureStore(library.path / "features"), library.videos()
    frames = [store.load(video.id, library.encoder.space).frame_vectors for video in videos]
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
