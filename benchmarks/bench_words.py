"""Evaluate speech recognition and OCR on real clips.

    python -m benchmarks.bench_words CLIPS

In each of 20 clips espeak-ng speaks a sentence, over the clip's own sound at a tenth of its volume,
and another sentence is displayed for three seconds, each at a different time. The results of
`transcribe` and `ocr` with default settings are then searched in all videos together. A sentence is
found if the first result is in the right video, within a second of the true time. If no line
contains the quoted sentence, semantic matches are returned, so verbatim matches, which measure
recognition, are counted separately.

Voices and speed were chosen with the first ten sentences, without other sound. With a fourth voice,
en-us+f3, and 140 words per minute, as before, Whisper base found 17 of 20, 11 of them verbatim.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vsearch import Library, Query, Term
from vsearch.media.audio import AUDIO_SAMPLE_RATE, read_mono
from vsearch.media.encoding import AudioTrack, VideoTrack
from vsearch.media.sampler import Sampler
from vsearch.transcripts.whisper import resolve_model

if TYPE_CHECKING:
    from vsearch.media.audio import AudioSamples, MonoSamples
    from vsearch.types import Images

FILM_SECONDS, FILM_FPS = 12, 5
ESPEAK_VOICES = ("en-us", "en-gb", "en-us+m3")
WORDS_PER_MINUTE = "120"  # the default of espeak-ng is 175
TOLERANCE_SECONDS = 1.0
SPOKEN_SENTENCES = (
    "Please remember to buy two bottles of milk tomorrow",
    "The train to London leaves in twenty minutes",
    "My sister has just moved to a new apartment",
    "We should paint the kitchen wall yellow",
    "He forgot his umbrella at the restaurant",
    "The children are playing in the garden",
    "Nobody knows where the treasure is buried",
    "Turn left after the second traffic light",
    "The doctor will see you on Monday morning",
    "This bridge was built a hundred years ago",
    "I would like a cup of coffee without sugar",
    "The museum is closed during the summer",
    "Our neighbors have a very friendly dog",
    "She plays the violin in an orchestra",
    "The weather forecast promises heavy snow",
    "Can you explain how this machine works",
    "They found an old letter under the floor",
    "The price of petrol has gone up again",
    "Welcome to the annual general meeting",
    "Do not forget to water the plants",
)
SCREEN_TEXTS = (
    "Emergency exit", "Opening hours: 9 to 17", "No parking", "Chapter three", "Breaking news",
    "Terms and conditions", "Platform 4", "Fresh bread daily", "Beware of the dog",
    "Subscribe for more", "Quarterly results", "Wet floor", "Made in Italy", "Season finale",
    "Tickets sold out", "Directed by Ann Lee", "Mind the gap", "Golden Gate Bridge",
    "Thank you for watching", "Deep learning lecture",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AnnotatedFilm:
    """The sentences inserted into a clip and their times."""

    path: Path
    spoken_text: str
    spoken_at: float  # seconds: its first sound
    screen_text: str
    screen_text_at: float


class SampleFeeder:
    """Audio for a `SoundTrack`."""

    def __init__(self, samples: MonoSamples) -> None:
        self._samples = samples

    def take(self, count: int) -> AudioSamples:
        """Return the next samples, float32 (2, count)."""
        next_samples, self._samples = self._samples[:count], self._samples[count:]
        return np.tile(np.pad(next_samples, (0, count - len(next_samples))), (2, 1))


def synthesize_speech(text: str, voice: str) -> MonoSamples:
    """Synthesize a sentence with espeak-ng, silence trimmed, float32 (N,) at AUDIO_SAMPLE_RATE."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        command = ["espeak-ng", "-v", voice, "-s", WORDS_PER_MINUTE, "-w", file.name, text]
        subprocess.run(command, check=True)
        with wave.open(file.name) as wave_file:
            rate = wave_file.getframerate()
            samples = np.frombuffer(wave_file.readframes(wave_file.getnframes()), np.int16) / 32768
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[loud[0] : loud[-1] + 1]
    times = np.arange(0, len(samples) / rate, 1 / AUDIO_SAMPLE_RATE)
    return np.interp(times, np.arange(len(samples)) / rate, samples).astype(np.float32)


def draw_subtitle(image: Images, text: str) -> Images:
    """Draw an image with an outlined line of text at the bottom."""
    picture = Image.fromarray(image)
    font = ImageFont.load_default(max(12, image.shape[0] // 14))
    width = font.getlength(text)
    position = ((image.shape[1] - width) / 2, 0.8 * image.shape[0])
    ImageDraw.Draw(picture).text(
        position, text, font=font, fill="white", stroke_width=2, stroke_fill="black"
    )
    return np.asarray(picture)


def make_film(
    clip_path: Path, film_path: Path, film_number: int, rng: np.random.Generator
) -> AnnotatedFilm:
    """Loop the clip with one sentence spoken and another displayed."""
    voice = synthesize_speech(
        SPOKEN_SENTENCES[film_number], ESPEAK_VOICES[film_number % len(ESPEAK_VOICES)]
    )
    spoken_at = float(rng.uniform(1, FILM_SECONDS - len(voice) / AUDIO_SAMPLE_RATE - 1))
    screen_text_at = float(rng.uniform(1, FILM_SECONDS - 4))
    images = [
        image
        for batch in Sampler(clip_path, fps=FILM_FPS, short_side=360)
        for image in batch.images[:, : batch.images.shape[1] // 2 * 2]
    ]
    images = [image[:, : image.shape[1] // 2 * 2] for image in images[: FILM_SECONDS * FILM_FPS]]
    clip_sound = np.concatenate([np.zeros(1, np.float32), *read_mono(clip_path, AUDIO_SAMPLE_RATE)])
    mixed_sound = 0.1 * np.resize(clip_sound, FILM_SECONDS * AUDIO_SAMPLE_RATE)
    speech_start = round(spoken_at * AUDIO_SAMPLE_RATE)
    mixed_sound[speech_start : speech_start + len(voice)] += voice
    with av.open(str(film_path), "w") as container:
        height, width = images[0].shape[:2]
        pictures = VideoTrack(container, (width, height), Fraction(FILM_FPS))
        track = AudioTrack(container)
        for index in range(FILM_SECONDS * FILM_FPS):
            image, now = images[index % len(images)], index / FILM_FPS
            shows_text = screen_text_at <= now < screen_text_at + 3
            image = draw_subtitle(image, SCREEN_TEXTS[film_number]) if shows_text else image
            pictures.add_image(image, Fraction(index, FILM_FPS), is_first=index == 0)
        track.fill_until(Fraction(FILM_SECONDS), SampleFeeder(mixed_sound))  # type: ignore[arg-type]
        pictures.finish_track(Fraction(FILM_SECONDS))
        track.finish_track()
    return AnnotatedFilm(
        film_path,
        SPOKEN_SENTENCES[film_number],
        spoken_at,
        SCREEN_TEXTS[film_number],
        screen_text_at,
    )


def measure_offset(
    library: Library, film: AnnotatedFilm, term_kind: Literal["said", "shown"], *, is_exact: bool
) -> tuple[float, bool]:
    """Return the time error of the first result in seconds, and whether it is verbatim.

    The error is infinite for a result in another video.
    """
    text, at = (
        (film.spoken_text, film.spoken_at)
        if term_kind == "said"
        else (film.screen_text, film.screen_text_at)
    )
    moments = library.search(Query((Term(term_kind, text, is_phrase=is_exact),)), k=1)
    if not moments or moments[0].video.path != film.path or not moments[0].explanation.quotes:
        return float("inf"), False
    quote = moments[0].explanation.quotes[0]
    return quote.span.start - at, normalize_words(text) in normalize_words(quote.text)


def normalize_words(text: str) -> str:
    """Return the words without punctuation."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def print_report(
    library: Library, films: list[AnnotatedFilm], term_kind: Literal["said", "shown"]
) -> None:
    for exact in (True, False):
        measurements = [measure_offset(library, film, term_kind, is_exact=exact) for film in films]
        offsets = np.array([offset for offset, _ in measurements])
        is_found = np.abs(offsets) <= TOLERANCE_SECONDS
        verbatim = int(is_found[[is_verbatim for _, is_verbatim in measurements]].sum())
        error = np.abs(offsets[np.isfinite(offsets)])
        query_form = f'{term_kind}:"…"' if exact else f"{term_kind}: most words"
        count = f"{is_found.sum():>2} of {len(films)} within {TOLERANCE_SECONDS:g} s, "
        count += f"{verbatim} verbatim"
        print(
            f"{query_form:<20} {count}; start off by {error.mean():.2f} s on average, "
            f"{error.max():.2f} s at most"
        )
        for film, is_missed in zip(films, ~is_found, strict=True):
            if is_missed and not exact:
                print(
                    f"  missed: {film.spoken_text if term_kind == 'said' else film.screen_text} "
                    f"({film.path.name})"
                )


def main(clips_folder: str) -> None:
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is not installed. Run apt-get install espeak-ng.")
    rng = np.random.default_rng(0)
    clips = sorted(path for path in Path(clips_folder).iterdir() if path.suffix in (".mp4", ".mkv"))
    with tempfile.TemporaryDirectory() as work_folder:
        films = [
            make_film(clip, Path(work_folder) / f"{number:02}-{clip.stem}.mp4", number, rng)
            for number, clip in enumerate(
                clips[:: len(clips) // len(SPOKEN_SENTENCES)][: len(SPOKEN_SENTENCES)]
            )
        ]
        with Library.open(Path(work_folder) / "library", model="builtin:fast") as library:
            for _ in library.index([film.path for film in films]):
                pass
            start_time = time.process_time()
            transcribed = [outcome_row.outcome for outcome_row in library.transcripts.transcribe()]
            print_cpu_time(start_time, "transcribed", len(transcribed))
            print_report(library, films, "said")
            start_time = time.process_time()
            ocr_outcomes = [outcome_row.outcome for outcome_row in library.transcripts.ocr()]
            print_cpu_time(start_time, "OCR", len(ocr_outcomes))
            print_report(library, films, "shown")
    print(
        f"voices {', '.join(ESPEAK_VOICES)} at {WORDS_PER_MINUTE} words a minute; transcribed by "
        f"{resolve_model('').model_name}"
    )


def print_cpu_time(start_time: float, action: str, video_count: int) -> None:
    cpu_per_second = (time.process_time() - start_time) / (video_count * FILM_SECONDS)
    print(f"{action}: {cpu_per_second:.2f} CPU-s per second of video")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
