"""Libraries of any size without a video: what is in them is made up, how they are kept is not.

The vectors are like those of films: each is a walk through scenes whose pictures are nearly the
same, some scenes come again in other films, and what they show is what texts ask for, so that
queries find something. Rows, vectors and frame features go in by the library's own parts.

    python -m tests.benchmarks.synthetic FOLDER --hours 100
"""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.repository import Catalog
from vsearch.config import Settings
from vsearch.encoders.usual import USUAL
from vsearch.plugins import encoder as make_encoder
from vsearch.pooler import shipped
from vsearch.search.background import Background
from vsearch.search.current import CurrentIndex
from vsearch.search.excess import Excess
from vsearch.search.querybank import Querybank
from vsearch.types import Features, Span
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from vsearch.types import Matrix, Space

SECONDS = 8.0  # of a segment: the longest that sampling makes, unless nothing changes for longer
PER_HOUR = 450  # segments
FILM = PER_HOUR  # segments of a video
SCENE = (1, 12)  # segments
KINDS = 2_000  # of scenes, in all films together
SHOWN = 0.55  # cosine of a scene and one text that asks for it, as of trained models
STEP = 0.06  # from one segment of a scene to the next
MODEL = "builtin"


class World:
    """What films show: scenes that are near to texts, in the space of a model."""

    def __init__(self, space: Space, texts: Matrix, seed: int = 0) -> None:
        """`texts` float32 (B, D) of unit length."""
        self.space = space
        random = np.random.default_rng(seed)
        asked = unit(texts[random.integers(len(texts), size=KINDS)])
        other = unit(random.normal(size=(KINDS, space.dim)).astype(np.float32))
        self._scenes = unit(SHOWN * asked + (1 - SHOWN**2) ** 0.5 * other)

    @classmethod
    def of(cls, model: str = MODEL) -> World:
        """That of a model with a querybank."""
        encoder = make_encoder(model, "cpu")
        return cls(encoder.space, np.asarray(encoder.querybank))  # type: ignore[attr-defined]

    def film(self, seed: int, segments: int = FILM) -> Matrix:
        """The vectors of one video, float32 (segments, D) of unit length."""
        random = np.random.default_rng((1, seed))
        rows: list[Matrix] = []
        while sum(map(len, rows)) < segments:
            length = int(random.integers(*SCENE))
            scene = self._scenes[random.integers(len(self._scenes))]
            size = (length, self.space.dim)
            steps = random.normal(scale=STEP / self.space.dim**0.5, size=size)
            start = random.normal(scale=0.3 / self.space.dim**0.5, size=self.space.dim)
            rows.append(unit((scene + start + steps.cumsum(axis=0)).astype(np.float32)))
        return np.concatenate(rows)[:segments]


def unit(rows: Matrix) -> Matrix:
    """Rows of length 1."""
    scaled: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def queries(count: int) -> list[str]:
    """Texts to ask for, all different."""
    step = max(1, len(USUAL) // count)
    return list(USUAL[::step][:count])


class Shop:
    """Puts films into the library in a folder."""

    def __init__(self, folder: Path, world: World) -> None:
        self._world = world
        self._features = FeatureStore(folder / "features")
        self._catalog = Catalog.open(folder / "catalog.sqlite3", create=True)
        self._pooler = shipped(world.space).name
        self._spans = [Span(SECONDS * i, SECONDS * (i + 1)) for i in range(FILM)]

    def __len__(self) -> int:
        return self._catalog.counts().videos

    def put(self, number: int, vectors: Matrix) -> None:
        """Store a film, whose segments have these vectors, float32 (FILM, D)."""
        space = self._world.space
        with self._catalog.begin() as change:
            video = change.add_video(
                path=Path(f"/films/{number // 100:03}/film {number:05}.mp4"),
                fingerprint=f"synthetic-{number}",
                size=1_000_000,
                modified=0,
                duration=SECONDS * FILM,
                fps=25.0,
                width=1920,
                height=1080,
                codec="h264",
                frames=FILM,
                sampled_at=1 / SECONDS,
            )
            times = np.array([span.start + SECONDS / 2 for span in self._spans])
            self._features.save(video.id, Features(space, vectors, times))
            change.add_features(video.id, space, MODEL)
            change.add_segments(video.id, self._spans, vectors, space)
            change.set_space(space, self._pooler, MODEL)

    def close(self) -> None:
        """Let go of the files."""
        self._catalog.close()


def save_index(folder: Path) -> None:
    """Write the index of the library, and what fits every query, as indexing does in the end."""
    bank = Querybank.of(make_encoder(MODEL, "cpu"))
    with Catalog.open(folder / "catalog.sqlite3") as catalog:
        index = CurrentIndex(catalog, folder / "vectors", Settings().index)
        index.save()
        if (current := index.get()) is not None:
            Background(catalog, current, bank, Excess(folder / "excess")).keep()


def build(folder: Path, segments: int, world: World | None = None) -> None:
    """A library of about so many segments, unless it is there already."""
    done = folder / f"{segments}.done"
    if done.exists():
        return
    world = world or World.of()
    with closing(Shop(folder, world)) as shop:
        for number in range(len(shop), -(-segments // FILM)):
            shop.put(number, world.film(number))
    save_index(folder)
    done.touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=100)
    given = parser.parse_args()
    build(given.folder, int(given.hours * PER_HOUR))


if __name__ == "__main__":
    main()
