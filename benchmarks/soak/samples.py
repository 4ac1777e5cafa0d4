"""Short films, a library of them, and the answers of that library, from which rounds start."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.soak.harness import Answers, check_same_answers, read_answers, run_command
from benchmarks.soak.sample_media import COLORS, FORMATS, MediaFormat, make_film

_FILMS = {
    "red.mp4": ["red", "red"],
    "blue.mkv": ["blue", "blue", "green"],
    "green.mp4": ["green"],
    "mixed.mp4": ["red", "green", "blue"],
    "extra.mp4": ["blue", "red"],
}
EXTRA_FILM = "extra.mp4"  # not in the library
SUBTITLES = "1\n00:00:00,200 --> 00:00:01,400\nthe quick brown fox\n"


@dataclass(frozen=True, slots=True)
class Samples:
    """Films and a library; read-only for the rounds, which copy what they change."""

    folder: Path
    films: Path
    extra_film: Path
    library: Path
    answers: Answers
    media: dict[MediaFormat, Path]  # one short film per format

    def copy_library(self, target: Path) -> Path:
        """Copy the library; its films stay where they are."""
        return Path(shutil.copytree(self.library, target))


def make_samples(folder: Path) -> Samples:
    """Write films in all formats, index some of them, and record the answers."""
    films, media_folder, library = folder / "films", folder / "media", folder / "library"
    films.mkdir()
    media_folder.mkdir()
    for file_name, color_names in _FILMS.items():
        suffix = Path(file_name).suffix[1:]
        media_format = next(each for each in FORMATS if each.suffix == suffix)
        target_folder = folder if file_name == EXTRA_FILM else films
        colors = [COLORS[color_name] for color_name in color_names]
        make_film(target_folder / file_name, media_format, colors)
    (films / "red.srt").write_text(SUBTITLES)
    media = {
        media_format: make_film(
            media_folder / f"{media_format.name}.{media_format.suffix}",
            media_format,
            [COLORS["red"], COLORS["blue"]],
        )
        for media_format in FORMATS
    }
    indexed = run_command(library, "index", films)
    if indexed.exit_code != 0:
        raise RuntimeError(f"the sample films cannot be indexed: {indexed.stderr}")
    answers = read_answers(library)
    check_same_answers(answers, library, "opening the library again")
    return Samples(folder, films, folder / EXTRA_FILM, library, answers, media)
