"""`--ray` on a real cluster: the same results as without it, whatever is killed meanwhile."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.fakes import FakeEncoder
from tests.support.processes import CommandResult
from tests.support.ray_cluster import RayCluster, wait_until
from tests.support.ray_models import NODE_VARIABLE, POISON_COLOR
from tests.support.video_factory import BLACK, RED, ColorScene, make_video
from vsearch import Library, NoLibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
CLIP_COUNT = 24
KILL_COUNT = int(os.environ.get("RAY_TEST_KILLS", "10"))  # of workers and raylets
SEED = int(os.environ.get("RAY_TEST_SEED", "19"))
REPOSITORY_FOLDER = Path(__file__).resolve().parents[2]
MODEL_ENTRY_POINTS = """[vsearch.encoders]
fake = tests.support.fakes:FakeEncoder
slow = tests.support.ray_models:SlowEncoder
poison = tests.support.ray_models:PoisonEncoder
"""


@pytest.fixture(scope="module")
def node_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which the models of tests are plugins, for drivers and nodes."""
    plugin_folder = tmp_path_factory.mktemp("cluster plugin")
    dist_info = plugin_folder / "vsearch_cluster_fakes-1.0.dist-info"
    dist_info.mkdir()
    (dist_info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: vsearch-cluster-fakes\nVersion: 1.0\n"
    )
    (dist_info / "entry_points.txt").write_text(MODEL_ENTRY_POINTS)
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


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 clips, of which one is a copy, and three files that cannot be decoded."""
    folder = tmp_path_factory.mktemp("clips")
    chance = random.Random(SEED)
    for number in range(CLIP_COUNT):
        scenes = [
            ColorScene(
                (chance.randrange(256), chance.randrange(200), chance.randrange(256)),
                chance.choice([1.0, 2.5, 4.0]),
            )
            for _ in range(1 + number % 3)
        ]
        make_video(folder / f"clip {number:02}.mp4", scenes, gop_size=10)
    (folder / "copy.mp4").write_bytes((folder / "clip 03.mp4").read_bytes())
    (folder / "text.mp4").write_bytes(b"no video at all" * 500)
    (folder / "empty.mp4").touch()
    cut_bytes = (folder / "clip 05.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(cut_bytes[: len(cut_bytes) // 3])
    return folder


class Commands:
    """Runs vsearch on a library of its own, with or without the cluster."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.library, self.environment = folder / "library", dict(environment)
        self._folder, self._processes = folder, list[subprocess.Popen[str]]()

    def start(self, *arguments: object, model: str = "") -> subprocess.Popen[str]:
        """Start a command; it is killed at the end of the test."""
        environment = {**self.environment, "HOME": str(self._folder)}
        environment |= {"VSEARCH_MODEL": model} if model else {}
        process = subprocess.Popen(
            [sys.executable, "-m", "vsearch", "--library", str(self.library), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=self._folder,
        )
        self._processes.append(process)
        return process

    def stop(self) -> None:
        """Kill what still runs, after a failed test."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def run(self, *arguments: object, exit_code: int = 0, model: str = "") -> CommandResult:
        """Run a command to its end."""
        process = self.start(*arguments, model=model)
        result = CommandResult(*process.communicate(timeout=300))
        assert process.returncode == exit_code, result
        return result

    def contents(self) -> dict[str, Any]:
        """Return what the library has of each file name, without ids and times of storing."""
        with Library.open(self.library, create=False, encoder=FakeEncoder()) as library:
            catalog = library._catalog
            return {
                video.path.name: (
                    replace(video, id=0),
                    [segment.span for segment in catalog.segments_of_video(video.id)],
                    library.segments_with_vectors(video)[1].tobytes(),
                    library.features(video).frame_vectors.tobytes(),
                    library.features(video).frame_times.tobytes(),
                    catalog.file_identity(video.id),
                    [(cue.text, cue.span, cue.source) for cue in catalog.cues_of_video(video.id)],
                )
                for video in library.videos()
            }

    def count_videos(self) -> int:
        """Return the number of videos that the library has so far."""
        try:
            with Library.open(self.library, create=False, encoder=FakeEncoder()) as library:
                return len(library.videos())
        except NoLibraryError:  # not yet
            return 0

    def check(self) -> None:
        """Check that the library has no faults, and one feature file for each video."""
        with Library.open(self.library, encoder=FakeEncoder()) as library:
            assert library.doctor() == []
            names = {f"{video.id}.safetensors" for video in library.videos()}
            paths = [video.path for video in library.videos()]
        assert len(set(paths)) == len(paths)
        assert {path.name for path in (self.library / "features" / "fake").iterdir()} == names
        assert not list(self.library.rglob("*.part"))


@pytest.fixture
def here(node_environment: dict[str, str], tmp_path: Path) -> Iterator[Commands]:
    """Commands that work in their own process."""
    (tmp_path / "here").mkdir()
    commands = Commands(node_environment, tmp_path / "here")
    yield commands
    commands.stop()


@pytest.fixture
def there(node_environment: dict[str, str], tmp_path: Path) -> Iterator[Commands]:
    """Commands for another library, to be used with `--ray`."""
    (tmp_path / "there").mkdir()
    commands = Commands(node_environment, tmp_path / "there")
    yield commands
    commands.stop()


def failures(result: CommandResult) -> list[str]:
    return sorted(line for line in result.stderr.splitlines() if line.startswith("failed"))


def strip_time(result: CommandResult) -> str:
    return re.sub(r" +\(.*", "", result.stdout)


# --- the same results


@pytest.mark.parametrize("option", ["", "--keyframes-only", "--progressive"])
def test_a_cluster_indexes_as_this_process_does(
    ray_cluster: RayCluster, clips: Path, here: Commands, there: Commands, option: str
) -> None:
    options = [option] if option else []
    expected = here.run("index", clips, *options, exit_code=1)
    result = there.run("index", clips, *options, "--ray", ray_cluster.address, exit_code=1)
    assert there.contents() == here.contents()
    assert len(there.contents()) >= CLIP_COUNT
    assert failures(result) == failures(expected)
    assert len(failures(result)) == 3 - (len(there.contents()) - CLIP_COUNT)
    assert strip_time(result) == strip_time(expected)
    assert "ray" not in result.stderr.lower().replace("--ray", "")
    there.check()
    again = there.run("index", clips, *options, "--ray", ray_cluster.address, exit_code=1)
    assert "unchanged" in again.stdout
    assert "indexed" not in again.stdout


def test_tasks_run_where_there_is_a_gpu(
    ray_cluster: RayCluster, clips: Path, there: Commands
) -> None:
    there.environment |= {"VSEARCH_RAY_GPUS": "0.5", "VSEARCH_RAY_CPUS": "1"}
    result = there.run(
        "index", clips / "clip 00.mp4", "--device", "cuda", "--ray", ray_cluster.address
    )
    assert "1 indexed" in result.stdout
    there.environment["VSEARCH_RAY_GPUS"] = "2"  # no node has them
    process = there.start(
        "index", clips / "clip 01.mp4", "--device", "cuda", "--ray", ray_cluster.address
    )
    assert process.stderr is not None
    assert any("no node of the cluster has 1 CPU and 2 GPU" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=180)
    assert process.returncode == 130


def test_a_cluster_transcribes_reads_and_switches_as_this_process_does(
    ray_cluster: RayCluster, here: Commands, there: Commands, tmp_path: Path
) -> None:
    folder = tmp_path / "spoken"
    folder.mkdir()
    for number in range(4):
        scenes = [SoundScene(ColorScene(BLACK, 2)), SoundScene(ColorScene(RED, 1 + number), 400)]
        make_sound_video(folder / f"loud {number}.mp4", scenes)
    make_video(folder / "mute.mp4", [ColorScene(RED, 2)])
    script = """if True:
        import sys
        from tests.support.fakes import FakeEncoder
        from tests.support.speech_samples import FakeOcrEngine, FakeRecognizer
        from vsearch import Library, NoLibraryError
        library_path, ray, folder = sys.argv[1:]
        with Library.open(library_path, ray=ray, transcribe=False) as library:
            list(library.index([folder]))
            speech = library.transcripts.transcribe(recognizer=FakeRecognizer())
            print(sorted((result.video.path.name, str(result.outcome)) for result in speech))
            screen = library.transcripts.ocr(ocr_engine=FakeOcrEngine())
            print(sorted((result.video.path.name, str(result.outcome)) for result in screen))
            switched = library.models.switch("fake:other")
            print(switched.is_switched, switched.embedded_count, switched.space.name)
    """
    outputs = []
    for commands, address in ((here, ""), (there, ray_cluster.address)):
        arguments = [sys.executable, "-c", script, str(commands.library), address, str(folder)]
        done = subprocess.run(
            arguments, env=commands.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
    assert "True 5 fake-other" in outputs[0]
    assert there.contents() == here.contents()


def test_the_progress_of_tasks_arrives(
    ray_cluster: RayCluster, there: Commands, tmp_path: Path
) -> None:
    make_video(tmp_path / "long.mp4", [ColorScene(RED, 240)], fps=2)
    script = """if True:
        import sys
        from vsearch import Library
        shares = []
        with Library.open(sys.argv[1], ray=sys.argv[2], model="slow") as library:
            on_progress = lambda progress: shares.append(progress.completed_share)
            [result] = library.index([sys.argv[3]], on_progress=on_progress)
        assert result.outcome == "indexed", result
        assert shares == sorted(shares), shares
        assert any(0 < share < 1 for share in shares), shares
    """
    arguments = [sys.executable, "-c", script, str(there.library), ray_cluster.address]
    done = subprocess.run(
        [*arguments, str(tmp_path / "long.mp4")],
        env=there.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# --- faults


def test_nothing_is_lost_or_doubled_when_workers_and_nodes_are_killed(
    ray_cluster: RayCluster, clips: Path, here: Commands, there: Commands
) -> None:
    # without the copy, which becomes the original if its original is given up
    selection = [clips, "--exclude", "copy.mp4"]
    here.run("index", *selection, exit_code=1, model="slow")
    chance, kills = random.Random(SEED), {"worker": 0, "node": 0, "driver": 0}
    arguments = ["index", *selection, "--ray", ray_cluster.address]
    process = there.start(*arguments, model="slow")
    outputs = []
    while sum(kills.values()) < KILL_COUNT:
        time.sleep(chance.uniform(0.2, 1.5))
        if process.poll() is not None:  # done: once more, from the start
            outputs.append(process.communicate())
            process = there.start(*arguments, "--force", model="slow")
            continue
        busy_workers = ray_cluster.list_busy_workers()
        if not busy_workers:
            continue
        victim = chance.choices(["worker", "node", "driver"], [6, 2, 1])[0]
        kills[victim] += 1
        if victim == "worker":
            os.kill(chance.choice(busy_workers), signal.SIGKILL)
        elif victim == "node":
            ray_cluster.kill_node(chance.choice(ray_cluster.raylet_pids))
            ray_cluster.add_node(cpus=4, gpus=kills["node"] % 2)
        else:
            process.kill()
            outputs.append(process.communicate())
            process = there.start(*arguments, model="slow")
    outputs.append(process.communicate(timeout=300))
    print(f"killed: {kills}")
    assert kills["worker"]
    assert kills["node"]
    final = there.run(*arguments, exit_code=1, model="slow")
    assert there.contents() == here.contents()
    assert len(failures(final)) == 3 - (len(there.contents()) - CLIP_COUNT)
    there.check()
    for stdout, stderr in outputs:
        assert "Traceback" not in stdout + stderr


def test_a_driver_that_is_killed_loses_nothing(
    ray_cluster: RayCluster, clips: Path, here: Commands, there: Commands
) -> None:
    here.run("index", clips, exit_code=1, model="slow")
    arguments = ["index", clips, "--ray", ray_cluster.address]
    process = there.start(*arguments, model="slow")
    wait_until(lambda: there.count_videos() >= 3)
    process.kill()
    process.communicate()
    stored_count = there.count_videos()
    assert 3 <= stored_count < CLIP_COUNT
    result = there.run(*arguments, exit_code=1, model="slow")
    assert f"{stored_count} unchanged" in result.stdout
    assert there.contents() == here.contents()
    there.check()


def test_a_video_that_kills_its_workers_is_listed_once_and_stops_nothing(
    ray_cluster: RayCluster, clips: Path, there: Commands, tmp_path: Path
) -> None:
    folder = tmp_path / "poison"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.mp4").write_bytes((clips / f"clip {number:02}.mp4").read_bytes())
    make_video(folder / "poison.mp4", [ColorScene(POISON_COLOR, 3)])
    arguments = ["index", folder, "--ray", ray_cluster.address]
    result = there.run(*arguments, exit_code=1, model="poison")
    assert "4 indexed · 1 failed" in result.stdout
    [failure] = failures(result)
    assert "poison.mp4: given up after 2 tries: each time, its worker process crashed" in failure
    assert there.run(*arguments, exit_code=1, model="poison").stdout == "4 unchanged · 1 failed\n"


def test_ctrl_c_stops_the_tasks_and_keeps_what_is_stored(
    ray_cluster: RayCluster, clips: Path, there: Commands
) -> None:
    arguments = ["index", clips, "--ray", ray_cluster.address]
    process = there.start(*arguments, model="slow")
    wait_until(lambda: there.count_videos() >= 2)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "Stopped. Indexed videos are kept" in stderr
    stored_count = there.count_videos()
    assert f"{stored_count} indexed" in stdout
    wait_until(lambda: not ray_cluster.list_busy_workers())
    assert stored_count < CLIP_COUNT
    result = there.run(*arguments, exit_code=1, model="slow")
    assert f"{stored_count} unchanged" in result.stdout
    there.check()


def test_a_second_command_says_who_writes_the_library(
    ray_cluster: RayCluster, clips: Path, there: Commands
) -> None:
    arguments = ["index", clips, "--ray", ray_cluster.address]
    process = there.start(*arguments, model="slow")
    wait_until(lambda: there.count_videos() >= 1)
    refused = there.run(*arguments, exit_code=1, model="slow")
    assert "is being written by" in refused.stderr
    process.communicate(timeout=180)
    assert process.returncode == 1  # some files are broken
    there.check()


def test_a_file_that_no_node_has_fails_with_the_names_of_the_nodes(
    ray_cluster: RayCluster, clips: Path, there: Commands, tmp_path: Path
) -> None:
    folder = tmp_path / "vanishing"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.mp4").write_bytes((clips / f"clip {number:02}.mp4").read_bytes())
    process = there.start("index", folder, "--ray", ray_cluster.address, model="slow")
    wait_until(lambda: there.count_videos() >= 1)
    (folder / "7.mp4").unlink()  # submitted, but not begun
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == 1
    assert re.search(
        r"7\.mp4: not readable on node \w{8} and \w{8} of the cluster \(No such file", stderr
    )


# --- the cluster cannot be used


def test_a_cluster_that_is_not_there_is_named(clips: Path, there: Commands) -> None:
    result = there.run("index", clips, "--ray", "127.0.0.1:1", exit_code=1)
    assert "the Ray cluster at 127.0.0.1:1 cannot be reached" in result.stderr


def test_the_cluster_of_the_environment_is_used(
    ray_cluster: RayCluster, clips: Path, there: Commands
) -> None:
    there.environment |= {"RAY_ADDRESS": ray_cluster.address, "VSEARCH_RAY": "auto"}
    assert "1 indexed" in there.run("index", clips / "clip 00.mp4").stdout


def test_nodes_of_another_version_are_named(
    ray_cluster: RayCluster, clips: Path, there: Commands
) -> None:
    script = """if True:
        import sys
        from vsearch.cluster import task_pool
        from vsearch.cli.main import main
        task_pool.__version__ = "0.0.1"
        main()
    """
    arguments = ["--library", there.library, "index", clips, "--ray", ray_cluster.address]
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=there.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "this machine 0.0.1; install the same version on all of them" in done.stderr
