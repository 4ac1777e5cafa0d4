"""The wheel that `make dist` builds works in an empty environment, and installs by pipx and uv."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

from tests.support.video_factory import BLUE, RED, ColorScene, make_video

ROOT = Path(__file__).resolve().parents[2]
BIN_FOLDER = "Scripts" if os.name == "nt" else "bin"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
OFFLINE_SIGNS = (
    "No matching distribution",
    "Failed to fetch",
    "error sending request",
    "dns error",
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def run(*words: str | Path, cwd: Path, **variables: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {name: str(value) for name, value in variables.items()}
    return subprocess.run(
        list(map(str, words)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def check_installed(done: subprocess.CompletedProcess[str]) -> None:
    """Skip without a package registry."""
    if done.returncode and any(sign in done.stdout + done.stderr for sign in OFFLINE_SIGNS):
        pytest.skip("needs a package registry")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def dist_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the wheel, built from the source archive as by `make dist`."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    done = run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    check_installed(done)
    return folder


@pytest.fixture(scope="module")
def wheel(dist_folder: Path) -> Path:
    (found,) = dist_folder.glob("vsearch-*.whl")
    return found


def use_as_new_user(command: list[str | Path], folder: Path) -> None:
    """Index and search a video with an installed command, in a home without libraries."""
    done = run(*command, "--version", cwd=folder)
    assert "vsearch" in done.stdout, done.stderr
    make_video(folder / "two.mp4", [ColorScene(RED, 3), ColorScene(BLUE, 3)])
    done = run(*command, "search", "the color blue", cwd=folder)
    assert done.returncode == 1
    assert "`vsearch index FOLDER`" in done.stderr
    done = run(*command, "index", "two.mp4", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 indexed")
    assert "New library: " in done.stderr
    done = run(*command, "search", "the color blue", "--json", cwd=folder)
    assert json.loads(done.stdout)["results"][0]["video"].endswith("two.mp4"), done.stderr


def test_both_archives_have_what_they_should(dist_folder: Path, wheel: Path) -> None:
    (archive_path,) = dist_folder.glob("vsearch-*.tar.gz")
    with tarfile.open(archive_path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "Makefile",
        "README.md",
        "LICENSE",
        "pyproject.toml",
        "Dockerfile",
        "compose.yaml",
    } <= names
    assert {"docs/examples/langchain_retriever.py", "tests/e2e/test_wheel.py"} <= names
    private = ("indexes/", ".venv", "site/", ".git/")
    assert {name for name in names if name.startswith(private)} <= {"indexes/README.md"}
    assert wheel.stat().st_size < 200_000_000


def test_a_wheel_indexes_searches_and_migrates_in_an_empty_environment(
    wheel: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / BIN_FOLDER / "python"
    check_installed(run(*PIP, "--python", python, "install", "--quiet", wheel, cwd=tmp_path))
    use_as_new_user([python, "-m", "vsearch"], tmp_path)

    show = "import vsearch, pathlib; print(pathlib.Path(vsearch.__file__).parent)"
    package = Path(run(python, "-c", show, cwd=tmp_path).stdout.strip())
    assert package.is_relative_to(tmp_path)
    shipped = {path.name for path in (package / "migrations" / "versions").glob("*.py")}
    assert shipped == {path.name for path in (ROOT / "migrations" / "versions").glob("*.py")}
    assert (package / "py.typed").exists()

    index_arguments = ["--model", "cnn:resnet18", "index", "two.mp4", "--force"]
    done = run(python, "-m", "vsearch", *index_arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "pip install 'vsearch[models]'" in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("pipx") is None, reason="needs pipx")
def test_pipx_installs_the_wheel(wheel: Path, tmp_path: Path) -> None:
    folders = {"PIPX_HOME": tmp_path / "pipx", "PIPX_BIN_DIR": tmp_path / "bin"}
    arguments = ("install", "--python", sys.executable, wheel)
    check_installed(run(sys.executable, "-m", "pipx", *arguments, cwd=tmp_path, **folders))
    use_as_new_user([tmp_path / "bin" / "vsearch"], tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("uv") is None, reason="needs uv")
def test_uv_installs_the_wheel(wheel: Path, tmp_path: Path) -> None:
    folders = {"UV_TOOL_DIR": tmp_path / "tools", "UV_TOOL_BIN_DIR": tmp_path / "bin"}
    arguments = ("tool", "install", "--python", sys.executable, wheel)
    check_installed(run(sys.executable, "-m", "uv", *arguments, cwd=tmp_path, **folders))
    use_as_new_user([tmp_path / "bin" / "vsearch"], tmp_path)
