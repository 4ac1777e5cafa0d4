"""`vsearch transcript`: the words of a video, on the terminal or as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import library_only
from vsearch.cli.render import clock, plural, printable, short

if TYPE_CHECKING:
    from vsearch.cli.options import Options
    from vsearch.types import CueSource

FORMATS = (".srt", ".vtt", ".txt", ".json")


class TranscriptPath(click.ParamType[Path]):
    """A file to be written, of a kind that is known; nothing is replaced."""

    name = "file"

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        path = Path(value)
        if path.suffix.lower() not in FORMATS:
            self.fail(f"{path}: its name should end in {', '.join(FORMATS)}", param, ctx)
        if path.exists():
            self.fail(f"{path}: is there already; name another", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"{path}: there is no folder {path.parent}", param, ctx)
        return path


@click.command()
@click.argument("video", metavar="VIDEO")
@click.option(
    "-o", "--output", type=TranscriptPath(), help="A new file: .srt, .vtt, .txt or .json."
)
@click.option(
    "--source",
    type=click.Choice(["subtitles", "speech", "screen"]),
    help="Which words.  [default: the first of these that there are]",
)
@library_only
@click.pass_obj
def transcript(options: Options, video: str, output: Path | None, source: CueSource | None) -> None:
    """Print or write down what is said in a video, or shown as text.

    Subtitles are in the library since the video was indexed; `vsearch transcribe` adds speech, and
    `vsearch read` what the pictures show.

    \b
    vsearch transcript holiday.mp4
    vsearch transcript holiday.mp4 -o holiday.srt
    """
    with options.open() as library:
        words = library.transcript(video, source)
    if output is None:
        for cue in words.cues:
            click.echo(f"{clock(cue.span.start)}  {printable(cue.text)}")
        return
    from vsearch.files import replaced  # deferred: --help needs none of it
    from vsearch.words.writing import FORMATS as WRITERS

    with replaced(output) as file:
        file.write(WRITERS[output.suffix.lower()](words.cues).encode())
    count = plural(len(words.cues), "line")
    click.echo(f"{count} of {words.source} written to {short(output.absolute())}")
