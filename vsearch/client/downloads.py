"""Index and export jobs on a server: follow their progress and download the files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from vsearch.client.queries import quote_path, resolve_folder_ids
from vsearch.client.responses import job_from_dict
from vsearch.errors import ExportError, LibraryError, ServerError, VSearchError
from vsearch.storage.atomic_files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from vsearch.client.connection import ServerConnection
    from vsearch.client.responses import Job, JobFile

MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.1, 1.0  # between polls: first, and later
UNSAFE_CHARS = set('/\\:*?"<>|')  # in file names


def run_indexing(
    connection: ServerConnection, folder_names: Sequence[str], index_options: Mapping[str, Any]
) -> Iterator[Job]:
    """Index folders on the server, yielding the job after each change until it finishes.

    Args:
        connection: The server.
        folder_names: Paths, names or ids of offered folders; empty means all.
        index_options: Further fields of the request.

    Yields:
        States of the job; the last one is final.

    Raises:
        LibraryError: If a folder is not offered or the job fails.
    """
    job_request = {
        "kind": "index",
        "folder_ids": resolve_folder_ids(connection, folder_names),
        **index_options,
    }
    for job in _follow_job(connection, connection.request_json("POST", "/jobs", json=job_request)):
        yield job
        if job.state == "failed":
            raise LibraryError(job.error or "indexing failed; see the log of the server")


def run_export(
    connection: ServerConnection, export_request: Mapping[str, Any], output_folder: Path
) -> list[Path]:
    """Export moments on the server and download the files.

    Args:
        connection: The server.
        export_request: Body of `POST /exports`.
        output_folder: Local folder, created if necessary; files are not overwritten.

    Returns:
        Paths of the downloaded files.

    Raises:
        ExportError: If the export fails or a file exists already.
    """
    if output_folder.exists() and not output_folder.is_dir():
        raise ExportError(f"{output_folder}: is a file; choose a folder")
    job_payload = connection.request_json("POST", "/exports", json=dict(export_request))
    try:
        *_, job = _follow_job(connection, job_payload)
    except BaseException:  # do not leave it running
        _cancel_job(connection, job_payload)
        raise
    if job.state != "done" or not job.files:
        error_texts = "; ".join(failure.error for failure in job.errors[:3])
        raise ExportError(job.error or error_texts or f"the export was {job.state}")
    film_files = [job_file for job_file in job.files if not job_file.name.endswith(".zip")]
    files_by_target = {
        output_folder / _validate_file_name(job_file): job_file
        for job_file in film_files or job.files
    }
    for target_path in files_by_target:
        if target_path.exists():
            raise ExportError(f"{target_path}: already exists; choose another folder")
    for target_path, job_file in files_by_target.items():
        _download_file(connection, job, job_file, target_path)
    return list(files_by_target)


def _follow_job(connection: ServerConnection, payload: Any) -> Iterator[Job]:
    """Poll a job and yield it after each change until it finishes."""
    poll_seconds, previous_job = MIN_POLL_SECONDS, None
    while True:
        with connection.validate_response():
            job = job_from_dict(payload)
        if job != previous_job:
            yield job
        if job.is_finished:
            return
        poll_seconds, previous_job = min(poll_seconds * 1.5, MAX_POLL_SECONDS), job
        time.sleep(poll_seconds)
        payload = connection.request_json("GET", f"/jobs/{quote_path(job.job_id)}")


def _cancel_job(connection: ServerConnection, job_payload: Any) -> None:
    try:
        connection.request_json("DELETE", f"/jobs/{quote_path(str(job_payload['job_id']))}")
    except (VSearchError, KeyError, TypeError):
        return


def _validate_file_name(job_file: JobFile) -> str:
    """Return the file name chosen by the server; raise ServerError if it is unsafe."""
    file_name = job_file.name
    if (
        not file_name
        or file_name[0] in ".-"
        or set(file_name) & UNSAFE_CHARS
        or not file_name.isprintable()
        or len(file_name) > 200
    ):
        raise ServerError(
            f"{file_name[:40]!r}: unsafe file name from the server; the file was not downloaded"
        )
    return file_name


def _download_file(
    connection: ServerConnection, job: Job, job_file: JobFile, target_path: Path
) -> None:
    try:
        target_path.parent.mkdir(exist_ok=True)
        with atomic_write(target_path) as target_file:
            api_path = f"/exports/{quote_path(job.job_id)}/{quote_path(job_file.name)}"
            connection.download_file(api_path, target_file, job_file.size_bytes)
    except OSError as error:
        raise ExportError(f"{target_path}: cannot be written ({error.strerror})") from error
