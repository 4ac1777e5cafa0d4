"""Scenario: damaged media files in all formats are indexed or reported, with times that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.soak.harness import Round, run_command
from benchmarks.soak.sample_media import MUTATIONS
from vsearch.library import Library

if TYPE_CHECKING:
    from benchmarks.soak.samples import Samples

FILES_PER_ROUND = 12
_MAX_GROWTH = 3.0  # of the duration; repeated parts and damaged timestamps may extend a film


def check_mutated_media(round_: Round, samples: Samples) -> None:
    """Index damaged films; each must be in the library or in the messages."""
    films, library_path = round_.folder / "films", round_.folder / "library"
    films.mkdir()
    media_formats = round_.rng.sample(sorted(samples.media, key=str), FILES_PER_ROUND)
    for file_number, media_format in enumerate(media_formats):
        content = bytearray(samples.media[media_format].read_bytes())
        for mutate in round_.rng.choices(MUTATIONS, k=round_.rng.randint(1, 3)):
            if content:
                mutate(content, round_.rng)
        (films / f"{file_number}-{media_format.name}.{media_format.suffix}").write_bytes(content)
        round_.counts[f"{media_format.suffix} files"] += 1
    indexed = run_command(library_path, "index", films)
    round_.expect(indexed.exit_code in (0, 1), f"exit code {indexed.exit_code}: {indexed.stderr}")
    listed = run_command(library_path, "list", "--json")
    known_names = {Path(video["path"]).name for video in json.loads(listed.stdout)["videos"]}
    for film in sorted(films.iterdir()):
        is_reported = film.name in indexed.stdout + indexed.stderr
        round_.counts["indexed" if film.name in known_names else "reported"] += 1
        round_.expect(film.name in known_names or is_reported, f"{film.name} is skipped silently")
    _check_times(round_, library_path)


def _check_times(round_: Round, library_path: Path) -> None:
    """Check that nothing begins or ends outside of its film."""
    with Library.open(library_path) as library:
        videos = library.videos()
        longest = max((video.duration for video in videos), default=0.0)
        round_.expect(longest < 3.0 * _MAX_GROWTH, f"a film of 3 s takes {longest:.1f} s")
        for video in videos:
            segments, _ = library.segments_with_vectors(video)
            for segment in segments:
                round_.expect(
                    0 <= segment.span.start <= segment.span.end <= video.duration + 1e-3,
                    f"{video.path.name} ({video.duration} s) has a segment {segment.span}",
                )
        for moment in library.search("a red screen", k=50) if videos else ():
            round_.expect(
                moment.span.end <= moment.video.duration + 1e-3,
                f"{moment.video.path.name} has a moment {moment.span}",
            )
