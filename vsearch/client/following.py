"""Jobs of a server, followed until they have ended; and what exports made, brought here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from vsearch.client.answers import read_job
from vsearch.client.naming import folder_ids, path_of
from vsearch.errors import ExportError, LibraryError, ServerError, VSearchError
from vsearch.files import replaced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from vsearch.client.answers import Job, Made
    from vsearch.client.connection import Connection

SOON, LATER = 0.1, 1.0  # seconds between two looks: at first, and in the end
ODD = set('/\\:*?"<>|')  # in names of files


def indexed(
    connection: Connection, folders: Sequence[str], wish: Mapping[str, Any]
) -> Iterator[Job]:
    """Index folders; the job whenever it has changed, until it has ended."""
    asked = {"kind": "index", "folders": folder_ids(connection, folders), **wish}
    for job in _followed(connection, connection.json("POST", "/jobs", json=asked)):
        yield job
        if job.state == "failed":
            raise LibraryError(job.error or "indexing failed; the log of the server tells why")


def exported(connection: Connection, wish: Mapping[str, Any], folder: Path) -> list[Path]:
    """Export, and bring the files here."""
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder}: is a file; name a folder")
    begun = connection.json("POST", "/exports", json=dict(wish))
    try:
        *_, job = _followed(connection, begun)
    except BaseException:  # nobody waits for it any more
        _stop(connection, begun)
        raise
    if job.state != "done" or not job.files:
        reasons = "; ".join(one.error for one in job.errors[:3])
        raise ExportError(job.error or reasons or f"the export was {job.state}")
    films = [file for file in job.files if not file.name.endswith(".zip")]
    targets = {folder / _checked(file): file for file in films or job.files}
    for target in targets:
        if target.exists():
            raise ExportError(f"{target}: is there already; name another folder")
    for target, file in targets.items():
        _download(connection, job, file, target)
    return list(targets)


def _followed(connection: Connection, told: Any) -> Iterator[Job]:
    """A job whenever it has changed, until it has ended."""
    wait, before = SOON, None
    while True:
        with connection.understood():
            job = read_job(told)
        if job != before:
            yield job
        if job.ended:
            return
        wait, before = min(wait * 1.5, LATER), job
        time.sleep(wait)
        told = connection.json("GET", f"/jobs/{path_of(job.id)}")


def _stop(connection: Connection, told: Any) -> None:
    try:
        connection.json("DELETE", f"/jobs/{path_of(str(told['id']))}")
    except (VSearchError, KeyError, TypeError):
        return


def _checked(file: Made) -> str:
    """The name of a file, which the server chose, if it stays in its folder."""
    name = file.name
    if not name or name[0] in ".-" or set(name) & ODD or not name.isprintable() or len(name) > 200:
        raise ServerError(f"{name[:40]!r}: the server names a file that is not written here")
    return name


def _download(connection: Connection, job: Job, file: Made, target: Path) -> None:
    try:
        target.parent.mkdir(exist_ok=True)
        with replaced(target) as out:
            address = f"/exports/{path_of(job.id)}/{path_of(file.name)}"
            connection.download(address, out, file.size)
    except OSError as error:
        raise ExportError(f"{target}: cannot be written ({error.strerror})") from error
