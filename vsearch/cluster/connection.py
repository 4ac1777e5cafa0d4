"""Connection of this process to a Ray cluster. Ray is imported only here and by its tasks."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vsearch.cluster.options import LOCAL_ADDRESS
from vsearch.errors import ClusterError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.cluster.options import ClusterOptions

log = logging.getLogger(__name__)
CLIENT_SCHEME = "ray"  # ray://HOST:PORT: this machine is not a node of the cluster
DEFAULT_CLIENT_PORT, DEFAULT_PORT = 10_001, 6_379
CONNECT_SECONDS = 10.0  # to open a TCP connection
LOCAL_STORE_BYTES = 256 * 2**20  # object store of a local cluster: results are a few megabytes
_ENVIRONMENT = {  # read when Ray is imported or started
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextmanager
def connect_cluster(options: ClusterOptions, *, local_tasks: int) -> Iterator[Any]:
    """Connect to a cluster; an existing connection of this process is used and kept.

    Args:
        options: Address of the cluster, and the processors of a task.
        local_tasks: Tasks at a time, if Ray is started on this machine.

    Yields:
        The module `ray`.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: The cluster cannot be reached, or runs other versions of Python or Ray.
    """
    if find_spec("ray") is None:
        raise MissingExtraError(
            "the setting `ray` needs the package 'ray', which is not installed: "
            "pip install 'vsearch[ray]'"
        )
    for variable_name, variable_value in _ENVIRONMENT.items():
        os.environ.setdefault(variable_name, variable_value)
    import ray  # deferred: takes a second, and only a cluster needs it

    if ray.is_initialized():
        yield ray
        return
    _check_reachable(options.address)
    with _redirect_messages():
        try:
            with _keep_signal_handler():
                _start_session(ray, options, local_tasks)
            yield ray
        finally:
            ray.shutdown()


def _start_session(ray: Any, options: ClusterOptions, local_tasks: int) -> None:
    """Connect; raise ClusterError without addresses if that fails."""
    is_debugging = log.isEnabledFor(logging.DEBUG)
    logging.getLogger("ray").setLevel(logging.INFO if is_debugging else logging.CRITICAL)
    session_settings: dict[str, Any] = {
        "address": options.address,
        "log_to_driver": is_debugging,
        "configure_logging": False,
    }
    if options.address == LOCAL_ADDRESS:
        session_settings |= {
            "num_cpus": max(1, round(local_tasks * options.task_cpus)),
            "include_dashboard": False,
            "object_store_memory": LOCAL_STORE_BYTES,
        }
    try:
        ray.init(**session_settings)
    except Exception as error:
        log.debug("connecting to Ray failed", exc_info=error)
        raise ClusterError(_explain_failure(options.address, error)) from error


def _explain_failure(address: str, error: Exception) -> str:
    """Return a message about a failed connection, without addresses of machines."""
    version_lines = [
        line.strip()
        for line in str(error).splitlines()
        if line.strip().startswith(("Ray:", "Python:"))
    ]
    if "ersion mismatch" in str(error):
        versions_text = f" ({'; '.join(version_lines)})" if version_lines else ""
        return (
            f"the Ray cluster runs another version of Ray or Python{versions_text}; install the "
            "same versions on this machine and on all nodes"
        )
    if "Authentication" in type(error).__name__:
        return (
            "the Ray cluster requires its token: copy the file ~/.ray/auth_token of its head, or "
            "set RAY_AUTH_TOKEN"
        )
    if address == "auto":
        return (
            "no running Ray cluster was found on this machine; start one with `ray start --head`, "
            "or name another one: --ray ray://HOST:10001, or --ray local to start it here"
        )
    if address == LOCAL_ADDRESS:
        return f"Ray cannot be started on this machine ({type(error).__name__}); see its logs"
    return (
        f"the Ray cluster at {address} cannot be used ({type(error).__name__}); check `ray status` "
        "there. HOST:PORT needs a Ray node on this machine, ray://HOST:10001 does not"
    )


def _check_reachable(address: str) -> None:
    """Raise ClusterError if nothing listens at an address; Ray itself would try for minutes."""
    if address in ("auto", LOCAL_ADDRESS):
        return
    url = urlsplit(address if "://" in address else f"//{address}")
    default_port = DEFAULT_CLIENT_PORT if url.scheme == CLIENT_SCHEME else DEFAULT_PORT
    try:
        with socket.create_connection(
            (url.hostname or "", url.port or default_port), timeout=CONNECT_SECONDS
        ):
            pass
    except OSError as error:
        raise ClusterError(
            f"the Ray cluster at {address} cannot be reached ({error.strerror or error}); check "
            "the address, and that the cluster runs"
        ) from error


@contextmanager
def _keep_signal_handler() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous_handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous_handler)


@contextmanager
def _redirect_messages() -> Iterator[None]:
    """Log what Ray would print to this process's stdout, where results go."""
    from ray._private import worker as ray_worker  # deferred, as Ray itself

    original_print = getattr(ray_worker, "print_to_stdstream", None)  # internal to Ray
    if original_print is None:
        yield
        return

    def log_lines(data: dict[str, Any], *_: Any, **__: Any) -> None:
        log.debug("%s", "\n".join(map(str, data.get("lines", ()))))

    ray_worker.print_to_stdstream = log_lines
    try:
        yield
    finally:
        ray_worker.print_to_stdstream = original_print
