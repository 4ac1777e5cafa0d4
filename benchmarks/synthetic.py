"""Libraries of any size with synthetic videos, stored by the library's own code.

    python -m benchmarks.synthetic FOLDER --hours 100

The vectors resemble those of films: each film is a walk through scenes of near-duplicate frames,
some scenes recur in other films, and the scenes are near the vectors of texts, so that queries find
something. Catalog rows, vectors and frame features are written by the library's own code.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.catalog import Catalog
from vsearch.config import Settings
from vsearch.encoders.generic_prompts import GENERIC_PROMPTS
from vsearch.plugins import create_encoder as make_encoder
from vsearch.pooling.selection import default_pooler
from vsearch.search.hubness import HubnessCache, HubnessModel, Querybank
from vsearch.search.live_index import LiveIndex
from vsearch.storage.feature_store import FeatureStore
from vsearch.types import Features, Span

if TYPE_CHECKING:
    from vsearch.types import Matrix, Space

SEGMENT_SECONDS = 8.0  # the longest that sampling makes, unless the picture is still
SEGMENTS_PER_HOUR = 450
SEGMENTS_PER_FILM = SEGMENTS_PER_HOUR
SCENE_SEGMENTS = (1, 12)  # range of the length of a scene
SCENE_KINDS = 2_000  # distinct scenes in all films together
TEXT_COSINE = 0.55  # of a scene and a text that describes it, as in trained models
STEP_NORM = 0.06  # of the change from one segment of a scene to the next
DEFAULT_MODEL = "builtin"


class SceneWorld:
    """Scenes of films, near texts in a model's space."""

    def __init__(self, space: Space, texts: Matrix, seed: int = 0) -> None:
        """Use text vectors, float32 (B, D) of unit length."""
        self.space = space
        random = np.random.default_rng(seed)
        scene_texts = normalize_rows(texts[random.integers(len(texts), size=SCENE_KINDS)])
        random_directions = normalize_rows(
            random.normal(size=(SCENE_KINDS, space.dim)).astype(np.float32)
        )
        self._scene_vectors = normalize_rows(
            TEXT_COSINE * scene_texts + (1 - TEXT_COSINE**2) ** 0.5 * random_directions
        )

    @classmethod
    def for_model(cls, model_name: str = DEFAULT_MODEL) -> SceneWorld:
        """Use the querybank of a model."""
        encoder = make_encoder(model_name, "cpu")
        return cls(encoder.space, np.asarray(encoder.querybank))  # type: ignore[attr-defined]

    def film_vectors(self, seed: int, segment_count: int = SEGMENTS_PER_FILM) -> Matrix:
        """Return the vectors of one film, float32 (segments, D) of unit length."""
        random = np.random.default_rng((1, seed))
        rows: list[Matrix] = []
        while sum(map(len, rows)) < segment_count:
            length = int(random.integers(*SCENE_SEGMENTS))
            scene = self._scene_vectors[random.integers(len(self._scene_vectors))]
            size = (length, self.space.dim)
            steps = random.normal(scale=STEP_NORM / self.space.dim**0.5, size=size)
            start = random.normal(scale=0.3 / self.space.dim**0.5, size=self.space.dim)
            rows.append(normalize_rows((scene + start + steps.cumsum(axis=0)).astype(np.float32)))
        return np.concatenate(rows)[:segment_count]


def normalize_rows(rows: Matrix) -> Matrix:
    """Normalize rows to unit length."""
    unit_rows: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit_rows


def make_queries(query_count: int) -> list[str]:
    """Return distinct query texts."""
    step = max(1, len(GENERIC_PROMPTS) // query_count)
    return list(GENERIC_PROMPTS[::step][:query_count])


class FilmWriter:
    """Writes films to a library folder."""

    def __init__(self, library_folder: Path, world: SceneWorld) -> None:
        self._world = world
        self._features = FeatureStore(library_folder / "features")
        self._catalog = Catalog.open(library_folder / "catalog.sqlite3", create=True)
        self._pooler = default_pooler(world.space).name
        self._spans = [
            Span(SEGMENT_SECONDS * i, SEGMENT_SECONDS * (i + 1)) for i in range(SEGMENTS_PER_FILM)
        ]

    def __len__(self) -> int:
        return self._catalog.library_counts().video_count

    def add_film(self, film_number: int, vectors: Matrix) -> None:
        """Add a film with the given segment vectors."""
        space = self._world.space
        with self._catalog.begin() as change:
            video = change.add_video(
                video_path=Path(f"/films/{film_number // 100:03}/film {film_number:05}.mp4"),
                fingerprint=f"synthetic-{film_number}",
                size_bytes=1_000_000,
                mtime_ns=0,
                duration=SEGMENT_SECONDS * SEGMENTS_PER_FILM,
                fps=25.0,
                width=1920,
                height=1080,
                codec="h264",
                sampled_frames=SEGMENTS_PER_FILM,
                sample_fps=1 / SEGMENT_SECONDS,
            )
            times = np.array([span.start + SEGMENT_SECONDS / 2 for span in self._spans])
            self._features.save(video.id, Features(space, vectors, times))
            change.add_features(video.id, space, DEFAULT_MODEL)
            change.add_segments(video.id, self._spans, vectors, space)
            change.set_space(space, self._pooler, DEFAULT_MODEL)

    def close(self) -> None:
        """Close the catalog."""
        self._catalog.close()


def save_index(library_folder: Path) -> None:
    """Write the vector index and the hubness cache, as indexing does."""
    bank = Querybank.from_encoder(make_encoder(DEFAULT_MODEL, "cpu"))
    with Catalog.open(library_folder / "catalog.sqlite3") as catalog:
        index = LiveIndex(catalog, library_folder / "index", Settings().index)
        index.save()
        if (snapshot := index.take_snapshot()) is not None:
            HubnessModel(
                catalog, snapshot, bank, HubnessCache(library_folder / "hubness")
            ).save_hubness()


def build_library(
    library_folder: Path, segment_count: int, world: SceneWorld | None = None
) -> None:
    """Build a library of about `segment_count` segments unless it exists."""
    marker_path = library_folder / f"{segment_count}.done"
    if marker_path.exists():
        return
    world = world or SceneWorld.for_model()
    with closing(FilmWriter(library_folder, world)) as writer:
        for number in range(len(writer), -(-segment_count // SEGMENTS_PER_FILM)):
            writer.add_film(number, world.film_vectors(number))
    save_index(library_folder)
    marker_path.touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=100)
    options = parser.parse_args()
    build_library(options.folder, int(options.hours * SEGMENTS_PER_HOUR))


if __name__ == "__main__":
    main()
