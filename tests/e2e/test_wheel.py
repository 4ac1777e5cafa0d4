"""The wheel built from the repository works in an empty environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.video_factory import BLUE, RED, ColorScene, make_video

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        list(map(str, words)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_wheel_indexes_searches_and_migrates_in_an_empty_environment(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = run(*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT, cwd=tmp_path)
    if built.returncode and "No matching distribution" in built.stderr:
        pytest.skip("needs a package registry")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("vsearch-*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = run(*pip, "--python", python, "install", "--quiet", wheel, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    make_video(tmp_path / "two.mp4", [ColorScene(RED, 3), ColorScene(BLUE, 3)])
    done = run(python, "-m", "vsearch", "index", "two.mp4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 indexed")
    done = run(python, "-m", "vsearch", "search", "the color blue", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["results"][0]["video"].endswith("two.mp4"), done.stderr

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
