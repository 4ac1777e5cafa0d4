"""Settings of work on a Ray cluster, and the messages where it cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vsearch.cluster import connection
from vsearch.cluster.node_task import NodeFileError, name_node
from vsearch.cluster.options import ClusterOptions, resolve_cluster
from vsearch.config import Settings
from vsearch.errors import ClusterError, MissingExtraError, ModelError, SettingsError
from vsearch.indexing.node_jobs import check_node_file, compact_features, expand_features
from vsearch.types import Features, Space

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner


@pytest.mark.parametrize(
    "address",
    ["auto", "local", "head:6379", "ray://head.example.org:10001", "[::1]:6379", "10.0.0.1"],
)
def test_an_address_of_a_cluster_is_accepted(address: str) -> None:
    options = resolve_cluster(Settings(ray=address))
    assert options == ClusterOptions(address, 2.0, 0.0)


@pytest.mark.parametrize(
    "address", ["http://head:1", "a b", "ray://", "head:port", "user@head:1", 3]
)
def test_another_address_is_refused(address: object) -> None:
    with pytest.raises(SettingsError, match=r"ray must be auto, local, HOST:PORT"):
        Settings(ray=address)  # type: ignore[arg-type]


def test_no_cluster_is_used_by_default() -> None:
    assert resolve_cluster(Settings()) is None


def test_a_task_reserves_a_gpu_only_for_cuda() -> None:
    for settings in (Settings(ray="auto", device="cuda"), Settings(ray="auto", hwaccel="cuda")):
        assert resolve_cluster(settings) == ClusterOptions("auto", 2.0, 0.125)


@pytest.mark.parametrize("value", [0, -1, True, "2", float("nan"), 10**9])
def test_resources_must_be_positive_numbers(value: object) -> None:
    for name in ("ray_cpus", "ray_gpus"):
        with pytest.raises(SettingsError, match=f"{name} must be a number from"):
            Settings(**{name: value})  # type: ignore[arg-type]


def test_kept_frames_are_refused() -> None:
    with pytest.raises(SettingsError, match="--no-keep-frames"):
        resolve_cluster(Settings(ray="auto", keep_frames=True))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: None)
    with (
        pytest.raises(MissingExtraError, match=r"pip install 'vsearch\[ray\]'"),
        connection.connect_cluster(ClusterOptions("auto", 1), local_tasks=1),
    ):
        pass


def test_an_address_that_does_not_answer_is_named() -> None:
    with pytest.raises(ClusterError, match=r"the Ray cluster at 127\.0\.0\.1:1 cannot be reached"):
        connection._check_reachable("127.0.0.1:1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Version mismatch: The cluster was started with:\n    Ray: 2.9\n    Python: 3.9\n",
            "Ray: 2.9",
        ),
        ("Could not find any running Ray instance at 10.0.0.7", "ray start --head"),
    ],
)
def test_a_failed_connection_is_explained_without_addresses(text: str, expected: str) -> None:
    message = connection._explain_failure("auto", RuntimeError(text))
    assert expected in message
    assert "10.0.0.7" not in message


def test_an_error_of_a_node_keeps_its_class() -> None:
    error = name_node("0123456789abcdef", ModelError("no weights"))
    assert type(error) is ModelError
    assert str(error) == "no weights (on node 01234567 of the cluster)"


def test_a_node_refuses_another_file_at_the_same_path(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with pytest.raises(NodeFileError, match="No such file"):
        check_node_file(path, 3)
    path.write_bytes(b"abc")
    assert check_node_file(path, 3).size_bytes == 3
    with pytest.raises(NodeFileError, match="another file"):
        check_node_file(path, 4)
    with pytest.raises(NodeFileError, match="another file"):
        check_node_file(path, 3, "a fingerprint")


def test_features_are_sent_without_loss() -> None:
    import numpy as np

    vectors = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float16).astype(np.float32)
    features = Features(Space("x", 4, supports_text=False), vectors, np.arange(5.0))
    compacted = compact_features(features)
    assert compacted.frame_vectors.nbytes == vectors.nbytes // 2
    received = expand_features(compacted)
    assert received.frame_vectors.dtype == np.float32
    np.testing.assert_array_equal(received.frame_vectors, vectors)
    np.testing.assert_array_equal(received.frame_times, features.frame_times)


def test_the_command_refuses_an_invalid_address(run_vsearch: CommandRunner, tmp_path: Path) -> None:
    result = run_vsearch("index", tmp_path, "--ray", "a b", exit_code=2)
    assert "must be auto, local, HOST:PORT or ray://HOST:PORT" in result.stderr
