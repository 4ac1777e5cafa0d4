"""The desk: everything that the routes of one server work with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from vsearch.errors import QueryError
from vsearch.web.problems import Problem

if TYPE_CHECKING:
    from vsearch.library import Library
    from vsearch.types import Video
    from vsearch.web.folders import Folders
    from vsearch.web.jobs import Jobs
    from vsearch.web.metrics import Metrics
    from vsearch.web.recent import Recent
    from vsearch.web.stills import Stills
    from vsearch.web.turns import Turns
    from vsearch.web.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Desk:
    """One library that is served, and what is kept beside it while it is."""

    library: Library
    uploads: Uploads
    stills: Stills
    folders: Folders
    jobs: Jobs
    recent: Recent  # searches of late, so that their results can be named
    searching: Turns
    metrics: Metrics

    def video(self, number: int) -> Video:
        """The video with that id. Raises Problem."""
        found = self.library.video(number)
        if found is None:
            raise Problem(404, "not-found", f"there is no video {number} in the library")
        return found

    def upload(self, id_: str) -> Path:
        """The file of an upload that a query names. Raises QueryError."""
        try:
            return Path(self.uploads.get(id_).path)
        except Problem as problem:
            raise QueryError(problem.detail) from problem

    def close(self) -> None:
        """End what is running, and forget what was uploaded; the library stays open."""
        self.jobs.close()
        self.uploads.close()


def on_desk(request: Request) -> Desk:
    """The desk of the server that got a request."""
    desk: Desk = request.app.state.desk
    return desk


OnDesk = Annotated[Desk, Depends(on_desk)]
