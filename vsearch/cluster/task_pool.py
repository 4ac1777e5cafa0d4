"""Tasks of one job on a Ray cluster: bounded in number, repeated if a worker or node dies.

Ray itself repeats nothing (`max_retries=0`): the driver decides, since only it knows how often a
file has killed a worker. A result arrives once for each task, whatever happens to the nodes.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pickle import PicklingError
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from vsearch import __version__
from vsearch.cluster.connection import connect_cluster
from vsearch.cluster.node_task import (
    SHORT_ID_LENGTH,
    NodeFileError,
    NodeReply,
    ProgressBoard,
    name_node,
    run_task,
)
from vsearch.errors import ClusterError, LibraryError, MediaError, ModelError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from vsearch.cluster.node_task import NodeJob
    from vsearch.cluster.options import ClusterOptions

    TaskEvent: TypeAlias = "TaskProgress | TaskResult"

log = logging.getLogger(__name__)
MAX_WORKER_DEATHS = 2  # of one task: after that, its file is considered the cause
MAX_NODE_DEATHS = 5  # of one task: nodes die for reasons of their own
TASKS_PER_SLOT = 2  # so that no node waits for the next task
POLL_SECONDS = 0.5  # between two requests for progress
SLOTS_SECONDS = 5.0  # between two counts of the slots: nodes come and go
PATIENCE_SECONDS = 10.0  # between two checks that there is a suitable node


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """Progress of a task, in seconds of its video."""

    key: int
    processed_seconds: float
    duration: float


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The value that a task returned, or its error."""

    key: int
    value: Any = None
    error: Exception | None = None
    elapsed_seconds: float = 0.0  # on the node


@dataclass(slots=True)
class _RunningTask:
    key: int
    label: str
    argument: Any
    worker_deaths: int = 0
    node_deaths: int = 0
    unreadable_node: str = ""  # id of a node that cannot read the file


class TaskPool:
    """Runs tasks of one job on a cluster, as a context manager."""

    def __init__(self, options: ClusterOptions, job: NodeJob, *, local_tasks: int) -> None:
        """Configure the pool; `__enter__` connects.

        Args:
            options: The cluster and the resources of a task.
            job: The job.
            local_tasks: Tasks at a time, if Ray is started on this machine.
        """
        self._options, self._job, self._local_tasks = options, job, local_tasks
        self._job_id, self._exit_stack = uuid4().hex, ExitStack()
        self._running: dict[Any, _RunningTask] = {}  # by reference to the result
        self._progress_events: deque[TaskProgress] = deque()
        self._board_request: Any = None
        self._polled_at = self._counted_at = -math.inf
        self._slot_count, self._is_warned = 0, False

    def __enter__(self) -> Self:
        self._ray = self._exit_stack.enter_context(
            connect_cluster(self._options, local_tasks=self._local_tasks)
        )
        self._exit_stack.callback(self._cancel_tasks)
        ray = self._ray
        self._checked_at = time.monotonic()
        with self._translate_errors():
            try:
                self._job_reference = ray.put(self._job)
            except (TypeError, PicklingError) as error:
                raise ClusterError(
                    "the given model cannot be sent to other machines; name it instead of passing "
                    "an object"
                ) from error
            self._run_task = ray.remote(run_task).options(
                num_cpus=self._options.task_cpus, num_gpus=self._options.task_gpus, max_retries=0
            )
            self._board = ray.remote(ProgressBoard).options(num_cpus=0, max_restarts=-1).remote()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit_stack.close()

    @property
    def is_full(self) -> bool:
        """True if enough tasks are submitted: twice as many as the cluster can run at a time."""
        if time.monotonic() - self._counted_at >= SLOTS_SECONDS:
            self._slot_count, self._counted_at = self._count_slots(), time.monotonic()
        return len(self._running) >= TASKS_PER_SLOT * max(1, self._slot_count)

    def submit(self, task_key: int, label: str, argument: Any) -> None:
        """Submit a task.

        Args:
            task_key: Number of the task, unique among those that run.
            label: Its file, for messages.
            argument: Argument of the job's function.

        Raises:
            ClusterError: The cluster is lost.
        """
        self._start(_RunningTask(task_key, label, argument))

    def next_event(self) -> TaskEvent:
        """Return the next progress or result of a task; waits for it.

        Returns:
            The event. Each task has one result.

        Raises:
            ClusterError: The cluster is lost, or its nodes have another version of vsearch.
        """
        while not self._progress_events:
            references = list(self._running)
            if self._board_request is None and time.monotonic() - self._polled_at >= POLL_SECONDS:
                self._polled_at, self._board_request = time.monotonic(), self._board.take.remote()
            if self._board_request is not None:
                references.append(self._board_request)
            with self._translate_errors():
                ready_references, _ = self._ray.wait(references, timeout=POLL_SECONDS)
            for reference in ready_references:
                if reference == self._board_request:
                    self._read_board()
                elif task_result := self._finish(reference, self._running.pop(reference)):
                    return task_result
            self._warn_without_node()
        return self._progress_events.popleft()

    def _start(self, task: _RunningTask) -> None:
        remote_function = self._run_task
        if task.unreadable_node:
            remote_function = self._ray.remote(run_task).options(
                num_cpus=self._options.task_cpus,
                num_gpus=self._options.task_gpus,
                max_retries=0,
                label_selector={"ray.io/node-id": f"!{task.unreadable_node}"},
            )
        with self._translate_errors():
            reference = remote_function.remote(
                __version__,
                self._job_id,
                [self._job_reference],
                task.key,
                task.argument,
                self._board,
            )
        self._running[reference] = task

    def _finish(self, reference: Any, task: _RunningTask) -> TaskResult | None:
        """Return the result of a task, or None if it was started once more."""
        exceptions = self._ray.exceptions
        try:
            reply: NodeReply = self._ray.get(reference)
        except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
            task.worker_deaths += 1
            reason = (
                "ran out of memory"
                if isinstance(error, exceptions.OutOfMemoryError)
                else "crashed or was killed, for example for lack of memory"
            )
            return self._repeat(task, f"its worker process {reason}")
        except (
            exceptions.NodeDiedError,
            exceptions.ObjectLostError,
            exceptions.TaskCancelledError,
        ):
            task.node_deaths += 1
            return self._repeat(task, "its node died")
        except exceptions.RayError as error:
            raise ClusterError(_explain_ray_error(error)) from error
        if isinstance(reply.error, NodeFileError):
            return self._try_other_node(task, reply)
        if isinstance(reply.error, ClusterError | ModelError | LibraryError):
            raise name_node(reply.node_id, reply.error)
        return TaskResult(task.key, reply.value, reply.error, reply.elapsed_seconds)

    def _repeat(self, task: _RunningTask, reason: str) -> TaskResult | None:
        """Start a task once more, unless that has been tried often enough."""
        log.info("%s: %s", task.label, reason)
        death_count = task.worker_deaths + task.node_deaths
        if task.worker_deaths < MAX_WORKER_DEATHS and task.node_deaths < MAX_NODE_DEATHS:
            self._start(task)
            return None
        message = f"{task.label}: given up after {death_count} tries: each time, {reason}"
        return TaskResult(task.key, error=MediaError(message))

    def _try_other_node(self, task: _RunningTask, reply: NodeReply) -> TaskResult | None:
        """Start a task on another node, once, if there is one."""
        if not task.unreadable_node and self._count_slots(without_node=reply.node_id):
            task.unreadable_node = reply.node_id
            self._start(task)
            return None
        node_names = " and ".join(
            node_id[:SHORT_ID_LENGTH]
            for node_id in (task.unreadable_node, reply.node_id)
            if node_id
        )
        message = (
            f"{task.label}: not readable on node {node_names} of the cluster ({reply.error}); all "
            "nodes must have the file at this path"
        )
        return TaskResult(task.key, error=UnreadableError(message))

    def _read_board(self) -> None:
        """Queue the progress of the running tasks; the loss of the board loses nothing else."""
        request, self._board_request = self._board_request, None
        with suppress(self._ray.exceptions.RayError):
            running_keys = {task.key for task in self._running.values()}
            for task_key, (processed_seconds, duration) in self._ray.get(request).items():
                if task_key in running_keys:
                    self._progress_events.append(
                        TaskProgress(task_key, processed_seconds, duration)
                    )

    def _count_slots(self, without_node: str = "") -> int:
        """Return the number of tasks that the cluster can run at a time."""
        with self._translate_errors():
            nodes = self._ray.nodes()
        return sum(
            self._count_node_slots(node["Resources"])
            for node in nodes
            if node["Alive"] and node["NodeID"] != without_node
        )

    def _count_node_slots(self, resources: dict[str, float]) -> int:
        slots = resources.get("CPU", 0.0) / self._options.task_cpus
        if self._options.task_gpus:
            slots = min(slots, resources.get("GPU", 0.0) / self._options.task_gpus)
        return math.floor(slots + 1e-9)

    def _warn_without_node(self) -> None:
        """Log once that no node has what a task needs; one may still be started."""
        if time.monotonic() - self._checked_at < PATIENCE_SECONDS:
            return
        self._checked_at = time.monotonic()
        was_warned, self._is_warned = self._is_warned, not self._count_slots()
        if self._is_warned and not was_warned:
            gpus_text = f" and {self._options.task_gpus:g} GPU" if self._options.task_gpus else ""
            log.warning(
                "no node of the cluster has %g CPU%s, as a task needs; waiting for one (settings "
                "ray_cpus and ray_gpus)",
                self._options.task_cpus,
                gpus_text,
            )

    def _cancel_tasks(self) -> None:
        """Kill the worker processes of the tasks that run; they store nothing."""
        for reference in self._running:
            with suppress(Exception):  # the cluster may be gone
                self._ray.cancel(reference, force=True, recursive=False)
        self._running.clear()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise the loss of the cluster as ClusterError."""
        try:
            yield
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise ClusterError(_explain_ray_error(error)) from error


def _explain_ray_error(error: Exception) -> str:
    log.debug("error of Ray", exc_info=error)
    if "ModuleNotFoundError" in str(error) or "ImportError" in str(error):
        return (
            f"a node of the cluster cannot import this version of vsearch or one of its packages; "
            f"install vsearch {__version__} with the same extras on all nodes"
        )
    return (
        f"the connection to the Ray cluster was lost ({type(error).__name__}); what is complete is "
        "kept, run the same command again to continue"
    )
