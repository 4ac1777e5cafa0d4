"""Fixtures of tests against real servers, which are started here and stopped at the end."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.ray_cluster import RayCluster
from tests.support.ray_models import NODE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY_FOLDER = Path(__file__).resolve().parents[2]
ENTRY_POINTS = """[vsearch.encoders]
fake = tests.support.fakes:FakeEncoder
slow = tests.support.ray_models:SlowEncoder
poison = tests.support.ray_models:PoisonEncoder
"""


@pytest.fixture(scope="session")
def node_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which the models of tests are plugins, for drivers and nodes."""
    plugin_folder = tmp_path_factory.mktemp("cluster plugin")
    dist_info = plugin_folder / "vsearch_cluster_fakes-1.0.dist-info"
    dist_info.mkdir()
    (dist_info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: vsearch-cluster-fakes\nVersion: 1.0\n"
    )
    (dist_info / "entry_points.txt").write_text(ENTRY_POINTS)
    python_path = os.pathsep.join([str(plugin_folder), str(REPOSITORY_FOLDER)])
    return {**os.environ, "PYTHONPATH": python_path, "VSEARCH_MODEL": "fake"}


@pytest.fixture(scope="module")
def ray_cluster(node_environment: dict[str, str]) -> Iterator[RayCluster]:
    """Yield a cluster of a head and two nodes of two kinds: with and without a GPU (made up)."""
    if find_spec("ray") is None:
        pytest.skip("needs the extra `ray`")
    with RayCluster(node_environment | {NODE_VARIABLE: "1"}) as cluster:
        cluster.add_node(cpus=4)
        cluster.add_node(cpus=4, gpus=1)
        yield cluster
