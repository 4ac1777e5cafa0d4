"""How figures were made: enough to make them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.library import Library
    from vsearch.types import Video

SCORES = "cosine, less the querybank's if there is one; best segment of a video; 95 % bootstrap"


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is told beside every table of figures."""

    model: str
    space: str  # model and digest of the weights that see
    text_model: str | None  # where another one than that reads
    text_digest: str | None  # of the weights that read, where the model tells it
    adapter: str | None  # what the words were adapted to; on those rows figures are too good
    precision: str
    prompt: str  # what is put around the words of a query
    fps: float
    frames: int  # sampled of all the videos
    pooling: str  # of the frames of a segment
    split: str
    scores: str
    version: str  # of vsearch


def protocol(library: Library, videos: Sequence[Video], split: str) -> Protocol:
    """How these videos of a library are searched."""
    encoder, info, adapter = library.encoder, library.info(), library.adapter
    return Protocol(
        model=library.settings.model,
        space=encoder.space.name,
        text_model=getattr(library.settings, "text_model", None) or None,
        text_digest=getattr(encoder, "text_digest", None),
        adapter=str(adapter) if adapter else None,
        precision=getattr(encoder, "precision", "float32"),
        prompt=getattr(encoder, "prompt", "as written"),
        fps=library.settings.fps,
        frames=sum(video.frames for video in videos),
        pooling=info.pooler or library.settings.pooler,
        split=split,
        scores=SCORES,
        version=__version__,
    )
