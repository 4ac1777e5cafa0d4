"""Worker process for export jobs: `python -m vsearch.server.workers.export`."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import ExportError
from vsearch.export.excerpts import to_safe_stem
from vsearch.export.exporter import (
    CLIPS_KIND,
    EXPORT_FORMATS,
    SUPERCUT_KIND,
    build_excerpts,
    check_targets,
    write_exports,
)
from vsearch.export.mp4 import EXPORT_SUFFIX
from vsearch.export.timeline import RATE_NAMES
from vsearch.query.model import ResultRef
from vsearch.server.jobs.worker_task import run_task, truncate_text
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vsearch.server.jobs.worker_task import EmitEvent

DEFAULT_TITLE = "moments"


def export_moments(task_request: Mapping[str, Any], emit_event: EmitEvent) -> None:
    """Export moments into an existing empty folder.

    Args:
        task_request: `kind`, `output_folder`, `title`, `pad` (seconds), `rate` (name or None) and
            `moments` with `path`, `start`, `end` and `duration` (seconds).
        emit_event: Receives `written`, `failure` and `progress` events.

    Raises:
        ExportError: If nothing could be written.
    """
    export_kind, title = task_request["kind"], task_request["title"]
    output_folder = Path(task_request["output_folder"])
    readable_excerpts, skipped_results = build_excerpts(
        [
            (rank, ResultRef(entry["path"], Span(entry["start"], entry["end"]), math.nan))
            for rank, entry in enumerate(task_request["moments"], 1)
        ],
        durations={Path(entry["path"]): entry["duration"] for entry in task_request["moments"]},
        pad_seconds=task_request["pad"],
        query_note=title,
    )
    for skipped_result in skipped_results:
        emit_event(
            {"event": "failure", **_describe_file(skipped_result.video_path, skipped_result.reason)}
        )
    if not readable_excerpts:
        raise ExportError("nothing to export: none of the videos can be read")
    target_paths = {export_kind: choose_target(export_kind, output_folder, title)}
    check_targets(target_paths, readable_excerpts)
    written_paths: list[Path] = []
    rate = RATE_NAMES[task_request["rate"]] if task_request["rate"] else None
    for written_count, entry in enumerate(
        write_exports(readable_excerpts, target_paths, title, rate=rate), 1
    ):
        if entry.error is None:
            written_paths.append(entry.output_path)
            emit_event({"event": "written", "name": entry.output_path.name})
            for photo_path in entry.left_out_photos:
                reason = "a photo, which only clips and CSV files contain"
                emit_event({"event": "failure", **_describe_file(photo_path, reason)})
        else:
            error_text = entry.error.replace(f"{output_folder}{os.sep}", "")  # hides the path
            emit_event(
                {"event": "failure", **_describe_file(Path(entry.output_path.name), error_text)}
            )
        progress = written_count / len(readable_excerpts) if export_kind == CLIPS_KIND else 1.0
        emit_event(
            {
                "event": "progress",
                "progress": progress,
                "eta_seconds": None,
                "current_file": None,
            }
        )
    if not written_paths:
        raise ExportError("nothing could be written; see the errors")
    if len(written_paths) > 1:
        archive_path = output_folder / f"{to_safe_stem(title or DEFAULT_TITLE)}.zip"
        pack_archive(archive_path, written_paths)
        emit_event({"event": "written", "name": archive_path.name})


def choose_target(export_kind: str, output_folder: Path, title: str) -> Path:
    """Return the output path: the folder itself for clips, else a file in it."""
    if export_kind == CLIPS_KIND:
        return output_folder
    file_suffix = (
        EXPORT_SUFFIX if export_kind == SUPERCUT_KIND else EXPORT_FORMATS[export_kind].suffixes[0]
    )
    return output_folder / f"{to_safe_stem(title or DEFAULT_TITLE)}{file_suffix}"


def pack_archive(archive_path: Path, file_paths: Sequence[Path]) -> None:
    """Store files uncompressed in a new ZIP archive, because video does not compress."""
    with zipfile.ZipFile(
        archive_path, "x", zipfile.ZIP_STORED, strict_timestamps=False
    ) as zip_file:
        for file_path in file_paths:
            zip_file.write(file_path, file_path.name)


def _describe_file(file_path: Path, error_text: str) -> dict[str, str]:
    return {
        "path": truncate_text(file_path),
        "name": truncate_text(file_path.name),
        "error": truncate_text(error_text),
    }


if __name__ == "__main__":
    run_task(export_moments)
