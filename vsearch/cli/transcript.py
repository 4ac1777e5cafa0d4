"""`vsearch transcript`: print the transcript of a video or write it to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import library_path_option
from vsearch.cli.render import escape_unprintable, format_count, format_path, format_time

if TYPE_CHECKING:
    from vsearch.cli.options import CommonOptions
    from vsearch.types import CueSource

OUTPUT_SUFFIXES = (".srt", ".vtt", ".txt", ".json")


class TranscriptPathParam(click.ParamType[Path]):
    """Path of a new transcript file with a known suffix; existing files are never replaced."""

    name = "file"

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Convert `value` to a path that may be written."""
        output_path = Path(value)
        if output_path.suffix.lower() not in OUTPUT_SUFFIXES:
            self.fail(
                f"{output_path}: the name must end in one of {', '.join(OUTPUT_SUFFIXES)}",
                param,
                ctx,
            )
        if output_path.exists():
            self.fail(f"{output_path}: already exists; choose another file", param, ctx)
        if not output_path.parent.is_dir():
            self.fail(f"{output_path}: there is no folder {output_path.parent}", param, ctx)
        return output_path


@click.command()
@click.argument("video", metavar="VIDEO")
@click.option(
    "-o",
    "--output",
    type=TranscriptPathParam(),
    help="Write a new file: .srt, .vtt, .txt or .json.",
)
@click.option(
    "--source",
    type=click.Choice(["subtitles", "speech", "ocr"]),
    help="Source of the text.  [default: the first of these that the video has]",
)
@library_path_option
@click.pass_obj
def transcript(
    options: CommonOptions, video: str, output: Path | None, source: CueSource | None
) -> None:
    """Print the transcript of a video, or write it to a file.

    Indexing reads subtitles; `vsearch transcribe` adds speech and `vsearch ocr` on-screen text.

    \b
    vsearch transcript holiday.mp4
    vsearch transcript holiday.mp4 -o holiday.srt
    """
    with options.open_library(ignore_invalid_settings=True) as library:
        video_transcript = library.transcripts.get(video, source)
    if output is None:
        for cue in video_transcript.cues:
            click.echo(f"{format_time(cue.span.start)}  {escape_unprintable(cue.text)}")
        return
    from vsearch.storage.atomic_files import atomic_write  # deferred: --help needs none of it
    from vsearch.transcripts.formats import TRANSCRIPT_FORMATS

    format_cues = TRANSCRIPT_FORMATS[output.suffix.lower()]
    with atomic_write(output) as output_file:
        output_file.write(format_cues(video_transcript.cues).encode())
    line_count = format_count(len(video_transcript.cues), "line")
    click.echo(
        f"{line_count} of {video_transcript.source} written to {format_path(output.absolute())}"
    )
