"""`vsearch transcribe` and `vsearch read`: words in videos that are indexed."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import replace
from importlib import util
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import FiniteRange, device, library_only
from vsearch.cli.render import length, plural, printable, short
from vsearch.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vsearch.cli.options import Options
    from vsearch.hearing import Worded
    from vsearch.library import Library
    from vsearch.types import Progress, Video

_TOLD = 60  # characters of what was found
_SAID = {"words": "with speech", "nothing": "without speech"}
_SHOWN = {"words": "with text", "nothing": "without text"}


@click.command()
@click.argument("paths", nargs=-1, metavar="[VIDEO]...")
@click.option(
    "--model",
    metavar="NAME",
    help="tiny, base, small … (downloaded once), a folder with a model for CTranslate2, or "
    "package:NAME for one that an installed package carries.  [default: the library's "
    "speech_model, else the best that is installed, else base]",
)
@click.option(
    "--language", metavar="CODE", help="en, de, fr …  [default: detected, for each video]"
)
@click.option("--again", is_flag=True, help="Even what is done.")
@device
@library_only
@click.pass_obj
def transcribe(
    options: Options, paths: tuple[str, ...], model: str | None, language: str | None, again: bool
) -> None:
    """Write down what is spoken in indexed videos: all, or by path, folder or glob.

    Needs the extra `speech`. What is done is passed over, so an interrupted run goes on where it
    stopped; with --model, what another one did is done anew. That nobody speaks is kept, too.

    \b
    vsearch transcribe
    vsearch transcribe holiday.mp4 --model small --language fr
    """
    with options.open() as library:
        _end(
            _run(
                library.videos(paths),
                lambda told: library.transcribe(
                    paths, model=model, language=language, again=again, progress=told
                ),
                _SAID,
            ),
            paths,
        )


@click.command()
@click.argument("paths", nargs=-1, metavar="[VIDEO]...")
@click.option(
    "--fps",
    type=FiniteRange(0.01, 60),
    default=1.0,
    show_default=True,
    help="Frames looked at in a second; those that show nothing new are not read.",
)
@click.option("--again", is_flag=True, help="Even what is done.")
@library_only
@click.pass_obj
def read(options: Options, paths: tuple[str, ...], fps: float, again: bool) -> None:
    """Read text that indexed videos show: all, or by path, folder or glob.

    Needs the extra `ocr`. What is done is passed over, so an interrupted run goes on where it
    stopped. That there is no text is kept, too.

    \b
    vsearch read
    vsearch read lectures/ --fps 0.5
    """
    with options.open() as library:
        _end(
            _run(
                library.videos(paths),
                lambda told: library.read_screen(paths, fps=fps, again=again, progress=told),
                _SHOWN,
            ),
            paths,
        )


def check_extras(library: Library) -> None:
    """Raise MissingExtraError now, not after an hour of indexing."""
    settings = library.settings
    for wanted, package, extra in (
        (settings.transcribe, "faster_whisper", "speech"),
        (settings.read_text, "rapidocr", "ocr"),
    ):
        if wanted and util.find_spec(package) is None:
            raise MissingExtraError(
                f"{package} is not installed, which this library's settings ask for: "
                f"pip install 'vsearch[{extra}]'"
            )


def add_words(library: Library, videos: Sequence[Video]) -> bool:
    """Transcribe and read what was just indexed, as the settings say; whether all went well."""
    paths, settings, done = [video.path for video in videos], library.settings, []
    if paths and settings.transcribe:
        done += _run(videos, lambda told: library.transcribe(paths, progress=told), _SAID)
    if paths and settings.read_text:
        done += _run(videos, lambda told: library.read_screen(paths, progress=told), _SHOWN)
    return all(one.found != "failed" for one in done)


def _end(done: Sequence[Worded], paths: Sequence[str]) -> None:
    if not done:
        click.echo("No video matches." if paths else "No videos.", err=True)
    if any(one.found == "failed" for one in done) or (paths and not done):
        sys.exit(1)


def _run(
    videos: Sequence[Video],
    work: Callable[[Callable[[Progress], None]], Iterable[Worded]],
    verbs: dict[str, str],
) -> list[Worded]:
    """Do it with progress on stderr, tell of each video, and sum up on stdout."""
    from vsearch.cli.progress import ProgressLine  # deferred: brings rich

    began = time.monotonic()
    done: list[Worded] = []
    try:
        with ProgressLine() as line:
            for one in work(line.update):
                done.append(replace(one, cues=()))  # of many videos they would fill memory
                if one.found != "known":
                    line.passed(one.video)
                for message in _messages(one):
                    line.say(message)
    except KeyboardInterrupt:
        _sum_up(done, verbs, time.monotonic() - began)
        left = plural(len(videos) - len(done), "video")
        click.echo(f"Stopped, {left} left. Run the same command again to go on.", err=True)
        sys.exit(130)
    _sum_up(done, verbs, time.monotonic() - began)
    return done


def _messages(one: Worded) -> Iterator[str]:
    """What was found in one video, a line; nothing for what was known."""
    if one.found == "failed":
        yield f"failed     {printable(one.error or '')}"
    elif one.found == "words":
        text = printable(" · ".join(cue.text for cue in one.cues[:10]))
        text = text if len(text) <= _TOLD else f"{text[: _TOLD - 1]}…"
        language = f" ({printable(one.language)})" if one.language else ""
        yield f"{plural(len(one.cues), 'cue'):<9}  {short(one.video.path)}{language}: {text}"


def _sum_up(done: Sequence[Worded], verbs: dict[str, str], took: float) -> None:
    counts = Counter(str(one.found) for one in done)
    words = verbs | {"known": "done before", "failed": "failed"}
    line = " · ".join(f"{counts[name]} {said}" for name, said in words.items() if counts[name])
    seconds = sum(one.video.duration for one in done if one.found in ("words", "nothing"))
    if seconds:
        rate = seconds / max(took, 1e-3)
        line += f"   ({length(seconds)} of video in {length(took)}, {rate:.1f}× real time)"
    if line:
        click.echo(line)
