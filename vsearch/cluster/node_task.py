"""Execution of tasks in a worker process of a Ray node.

A job is loaded once per worker process, for example its model; each task is one call of it.
"""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from vsearch import __version__
from vsearch.errors import ClusterError, UnreadableError, VSearchError

if TYPE_CHECKING:
    from collections.abc import Callable

    # argument, on_progress(processed seconds, duration) -> result; all of them can be pickled
    JobFunction: TypeAlias = Callable[[Any, Callable[[float, float], None]], Any]

REPORT_INTERVAL_SECONDS = 0.5  # minimum between two reports of progress
SHORT_ID_LENGTH = 8  # characters of a node's id in messages


class NodeJob(Protocol):
    """A job whose tasks run on nodes; it can be pickled."""

    def load(self) -> JobFunction:
        """Return the function that does one task; called once per worker process."""


class NodeFileError(UnreadableError):
    """Raised if a node cannot read a file that the machine of the command can."""


@dataclass(frozen=True, slots=True)
class NodeReply:
    """The result of a task on a node, or its error."""

    node_id: str
    value: Any = None
    error: Exception | None = None
    elapsed_seconds: float = 0.0


class ProgressBoard:
    """Progress of the running tasks; an actor."""

    def __init__(self) -> None:
        self._latest: dict[int, tuple[float, float]] = {}

    def report(self, task_key: int, processed_seconds: float, duration: float) -> None:
        """Record the progress of a task."""
        self._latest[task_key] = processed_seconds, duration

    def take(self) -> dict[int, tuple[float, float]]:
        """Return what was recorded since the last call."""
        latest, self._latest = self._latest, {}
        return latest


_loaded_jobs: dict[str, JobFunction] = {}  # of this process: at most one


def run_task(
    version: str,
    job_id: str,
    job_reference: list[Any],
    task_key: int,
    argument: Any,
    progress_board: Any,
) -> NodeReply:
    """Run one task. Executed in a worker process of a node.

    Args:
        version: Version of vsearch of the machine of the command.
        job_id: Identifies the job.
        job_reference: Reference to the job in the object store, in a list, so that the job is
            fetched only when it is loaded.
        task_key: Number of the task.
        argument: Argument of the job's function.
        progress_board: Handle of a `ProgressBoard`.

    Returns:
        The result, or the error of this task.
    """
    import ray  # deferred: this module is also imported where Ray is not installed

    node_id, started_at = ray.get_runtime_context().get_node_id(), time.monotonic()
    try:
        if version != __version__:
            raise ClusterError(
                f"the node has vsearch {__version__}, this machine {version}; install the same "
                "version on all of them"
            )
        if job_id not in _loaded_jobs:
            _loaded_jobs.clear()  # frees the model of the previous job
            job: NodeJob = ray.get(job_reference[0])
            _loaded_jobs[job_id] = job.load()
        value = _loaded_jobs[job_id](argument, _create_reporter(task_key, progress_board))
    except Exception as error:
        return NodeReply(node_id, error=_make_portable(error))
    return NodeReply(node_id, value, elapsed_seconds=time.monotonic() - started_at)


def _create_reporter(task_key: int, progress_board: Any) -> Callable[[float, float], None]:
    reported_at = 0.0

    def report_progress(processed_seconds: float, duration: float) -> None:
        nonlocal reported_at
        if time.monotonic() - reported_at >= REPORT_INTERVAL_SECONDS:
            reported_at = time.monotonic()
            progress_board.report.remote(task_key, processed_seconds, duration)

    return report_progress


def _make_portable(error: Exception) -> Exception:
    """Return an error that can be sent: itself, or one with its type in the text."""
    try:
        copied_error = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this process
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    is_same = type(copied_error) is type(error) and str(copied_error) == str(error)
    return error if is_same else RuntimeError(f"{type(error).__name__}: {error}")


def name_node(node_id: str, error: VSearchError) -> VSearchError:
    """Return an error that would affect every task, with the node on which it occurred.

    Args:
        node_id: Id of the node.
        error: The error.

    Returns:
        An error of the same class.
    """
    return type(error)(f"{error} (on node {node_id[:SHORT_ID_LENGTH]} of the cluster)")
