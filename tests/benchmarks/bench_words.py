"""What is said and shown in real clips: python -m tests.benchmarks.bench_words CLIPS

Into each of 20 clips espeak-ng says a sentence, over a tenth of the clip's own sound, and another
sentence is written on its pictures for three seconds, each at a time of its own. What `transcribe`
and `read` find by default is then searched for in all videos together: found is what comes first,
in the right video, within a second of the time. Where nothing says what is asked in quotes, what
means the same answers, so it is told how many were found verbatim: that is what was understood.

The voices and their speed were chosen by the first ten of these very sentences, without other
sound. With a fourth voice, en-us+f3, and 140 words a minute, as they were before, Whisper base
had 17 of 20 found, 11 verbatim.
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
from vsearch.media.sound import RATE, mono
from vsearch.media.tracks import Pictures, SoundTrack
from vsearch.media.video import Sampler
from vsearch.words.whisper import named

if TYPE_CHECKING:
    from vsearch.media.sound import Mono, Samples
    from vsearch.types import Images

SECONDS, FPS = 12, 5  # of a film, and of its pictures
VOICES = ("en-us", "en-gb", "en-us+m3")
SPEED = "120"  # words a minute; espeak-ng's own is 175
TOLERANCE = 1.0  # seconds
SAID = (
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
SHOWN = (
    "Emergency exit", "Opening hours: 9 to 17", "No parking", "Chapter three", "Breaking news",
    "Terms and conditions", "Platform 4", "Fresh bread daily", "Beware of the dog",
    "Subscribe for more", "Quarterly results", "Wet floor", "Made in Italy", "Season finale",
    "Tickets sold out", "Directed by nobody", "Mind the gap", "Golden Gate Bridge",
    "Thank you for watching", "Deep learning lecture",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Film:
    """What was put into a clip, and when."""

    path: Path
    said: str
    said_at: float  # seconds: the first sound of it
    shown: str
    shown_at: float


class Mix:
    """Sound for a `SoundTrack`."""

    def __init__(self, samples: Mono) -> None:
        self._samples = samples

    def take(self, count: int) -> Samples:
        """The next samples, float32 (2, count)."""
        taken, self._samples = self._samples[:count], self._samples[count:]
        return np.tile(np.pad(taken, (0, count - len(taken))), (2, 1))


def spoken(text: str, voice: str) -> Mono:
    """A sentence by espeak-ng without the silence around it, float32 (N,) at RATE."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        command = ["espeak-ng", "-v", voice, "-s", SPEED, "-w", file.name, text]
        subprocess.run(command, check=True)
        with wave.open(file.name) as heard:
            rate = heard.getframerate()
            samples = np.frombuffer(heard.readframes(heard.getnframes()), np.int16) / 32768
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[loud[0] : loud[-1] + 1]
    times = np.arange(0, len(samples) / rate, 1 / RATE)
    return np.interp(times, np.arange(len(samples)) / rate, samples).astype(np.float32)


def written(image: Images, text: str) -> Images:
    """A picture with a line of text at its foot, edged as subtitles are."""
    picture = Image.fromarray(image)
    font = ImageFont.load_default(max(12, image.shape[0] // 14))
    width = font.getlength(text)
    place = ((image.shape[1] - width) / 2, 0.8 * image.shape[0])
    ImageDraw.Draw(picture).text(
        place, text, font=font, fill="white", stroke_width=2, stroke_fill="black"
    )
    return np.asarray(picture)


def make(clip: Path, path: Path, number: int, rng: np.random.Generator) -> Film:
    """The clip, over and over, with a sentence said and another one shown."""
    voice = spoken(SAID[number], VOICES[number % len(VOICES)])
    said_at = float(rng.uniform(1, SECONDS - len(voice) / RATE - 1))
    shown_at = float(rng.uniform(1, SECONDS - 4))
    images = [
        image
        for batch in Sampler(clip, fps=FPS, short_side=360)
        for image in batch.images[:, : batch.images.shape[1] // 2 * 2]
    ]
    images = [image[:, : image.shape[1] // 2 * 2] for image in images[: SECONDS * FPS]]
    own = np.concatenate([np.zeros(1, np.float32), *mono(clip, RATE)])
    sound = 0.1 * np.resize(own, SECONDS * RATE)
    begin = round(said_at * RATE)
    sound[begin : begin + len(voice)] += voice
    with av.open(str(path), "w") as container:
        height, width = images[0].shape[:2]
        pictures = Pictures(container, (width, height), Fraction(FPS))
        track = SoundTrack(container)
        for index in range(SECONDS * FPS):
            image, now = images[index % len(images)], index / FPS
            shows = shown_at <= now < shown_at + 3
            image = written(image, SHOWN[number]) if shows else image
            pictures.add(image, Fraction(index, FPS), first=index == 0)
        track.fill(Fraction(SECONDS), Mix(sound))  # type: ignore[arg-type] # has what it takes
        pictures.close(Fraction(SECONDS))
        track.close()
    return Film(path, SAID[number], said_at, SHOWN[number], shown_at)


def off(
    library: Library, film: Film, kind: Literal["said", "shown"], *, exact: bool
) -> tuple[float, bool]:
    """Seconds between what comes first and what was put in, infinite for another video.

    And whether all of it is there, word by word.
    """
    text, at = (film.said, film.said_at) if kind == "said" else (film.shown, film.shown_at)
    found = library.search(Query((Term(kind, text, exact=exact),)), k=1)
    if not found or found[0].video.path != film.path or not found[0].why.quotes:
        return float("inf"), False
    quote = found[0].why.quotes[0]
    return quote.span.start - at, plain(text) in plain(quote.text)


def plain(text: str) -> str:
    """Words alone, whatever is between them."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def report(library: Library, films: list[Film], kind: Literal["said", "shown"]) -> None:
    for exact in (True, False):
        told = [off(library, film, kind, exact=exact) for film in films]
        offs = np.array([each for each, _ in told])
        found = np.abs(offs) <= TOLERANCE
        verbatim = int(found[[whole for _, whole in told]].sum())
        error = np.abs(offs[np.isfinite(offs)])
        how = f'{kind}:"…"' if exact else f"{kind}: most of it"
        count = f"{found.sum():>2} of {len(films)} within {TOLERANCE:g} s, {verbatim} verbatim"
        print(
            f"{how:<20} {count}; start off by {error.mean():.2f} s on average, "
            f"{error.max():.2f} s at most"
        )
        for film, miss in zip(films, ~found, strict=True):
            if miss and not exact:
                print(f"  missed: {film.said if kind == 'said' else film.shown} ({film.path.name})")


def main(folder: str) -> None:
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is not there: apt-get install espeak-ng")
    rng = np.random.default_rng(0)
    clips = sorted(path for path in Path(folder).iterdir() if path.suffix in (".mp4", ".mkv"))
    with tempfile.TemporaryDirectory() as made:
        films = [
            make(clip, Path(made) / f"{number:02}-{clip.stem}.mp4", number, rng)
            for number, clip in enumerate(clips[:: len(clips) // len(SAID)][: len(SAID)])
        ]
        with Library.open(Path(made) / "library", model="builtin:fast") as library:
            for _ in library.index([film.path for film in films]):
                pass
            began = time.process_time()
            heard = [one.found for one in library.transcribe()]
            took(began, "transcribed", len(heard))
            report(library, films, "said")
            began = time.process_time()
            read = [one.found for one in library.read_screen()]
            took(began, "read", len(read))
            report(library, films, "shown")
    print(f"voices {', '.join(VOICES)} at {SPEED} words a minute; heard by {named('').name}")


def took(began: float, what: str, videos: int) -> None:
    spent = (time.process_time() - began) / (videos * SECONDS)
    print(f"{what}: {spent:.2f} CPU-s for a second of video")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
