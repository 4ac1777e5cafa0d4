"""Options of work on a Ray cluster: its address, and the resources of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from vsearch.config import Settings

LOCAL_ADDRESS = "local"  # starts Ray on this machine


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Address of a Ray cluster and the resources that a task reserves."""

    address: str  # `auto`, `local`, `HOST:PORT` or `ray://HOST:PORT`
    task_cpus: float  # processors
    task_gpus: float = 0.0  # GPUs; a share lets several tasks use one


def resolve_cluster(settings: Settings) -> ClusterOptions | None:
    """Return the cluster that settings name.

    Args:
        settings: Settings of a library. A task reserves a share of a GPU only if the model runs
            on CUDA.

    Returns:
        The options, or None if this process does the work.

    Raises:
        SettingsError: A setting cannot be combined with a cluster.
    """
    if not settings.ray:
        return None
    if settings.keep_frames:
        raise SettingsError(
            "ray cannot be combined with keep_frames, because the frames would be on the nodes: "
            "add --no-keep-frames"
        )
    uses_gpu = settings.device == "cuda" or settings.hwaccel == "cuda"
    return ClusterOptions(settings.ray, settings.ray_cpus, settings.ray_gpus if uses_gpu else 0.0)
