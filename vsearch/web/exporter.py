"""Writes exports in a process of its own: `python -m vsearch.web.exporter`, asked on stdin."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import ExportError
from vsearch.export.names import plain
from vsearch.exporting import CLIPS, FORMATS, SUPERCUT, check, excerpts, write
from vsearch.media.export import SUFFIX
from vsearch.results import Result
from vsearch.types import Span
from vsearch.web.errand import run, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vsearch.web.errand import Tell

UNTITLED = "moments"


def export(asked: Mapping[str, Any], tell: Tell) -> None:
    """Write what is asked for into a folder that is there and empty. Raises ExportError."""
    kind, folder, title = asked["kind"], Path(asked["folder"]), asked["title"]
    found, left = excerpts(
        [
            (rank, Result(one["path"], Span(one["start"], one["end"]), math.nan))
            for rank, one in enumerate(asked["moments"], 1)
        ],
        durations={Path(one["path"]): one["duration"] for one in asked["moments"]},
        pad=asked["pad"],
        note=title,
    )
    for gone in left:
        tell({"told": "failure", **_of(gone.path, gone.error)})
    if not found:
        raise ExportError("there is nothing to write: none of the moments can be read any more")
    targets = {kind: target(kind, folder, title)}
    check(targets, found)
    made: list[Path] = []
    for number, one in enumerate(write(found, targets, title), 1):
        if one.error is None:
            made.append(one.path)
            tell({"told": "made", "name": one.path.name})
        else:
            error = one.error.replace(f"{folder}{os.sep}", "")  # where it lies is nobody's business
            tell({"told": "failure", **_of(Path(one.path.name), error)})
        share = number / len(found) if kind == CLIPS else 1.0
        tell({"told": "progress", "share": share, "left": None, "name": None})
    if not made:
        raise ExportError("nothing could be written; the errors say why")
    if len(made) > 1:
        archive = folder / f"{plain(title or UNTITLED)}.zip"
        pack(archive, made)
        tell({"told": "made", "name": archive.name})


def target(kind: str, folder: Path, title: str) -> Path:
    """Where it is written: clips right into the folder, all else into a file of its own."""
    if kind == CLIPS:
        return folder
    suffix = SUFFIX if kind == SUPERCUT else FORMATS[kind].suffixes[0]
    return folder / f"{plain(title or UNTITLED)}{suffix}"


def pack(archive: Path, files: Sequence[Path]) -> None:
    """All files in one, as they are: films do not get smaller."""
    with zipfile.ZipFile(archive, "x", zipfile.ZIP_STORED, strict_timestamps=False) as out:
        for file in files:
            out.write(file, file.name)


def _of(path: Path, error: str) -> dict[str, str]:
    return {"path": text(path), "name": text(path.name), "error": text(error)}


if __name__ == "__main__":
    run(export)
