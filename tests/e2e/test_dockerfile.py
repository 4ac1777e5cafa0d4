"""The container image: its command is checked; it is linted and built where the tools exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vsearch.cli.main import cli

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text("utf-8"))
BASE_IMAGE = "python:3.12-slim"


def instruction(name: str) -> str:
    """Return the arguments of an instruction."""
    match = re.search(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)
    assert match is not None, name
    return match[1]


def docker_works() -> bool:
    if not shutil.which("docker"):
        return False
    pull_command = ["docker", "pull", "--quiet", BASE_IMAGE]
    try:
        return subprocess.run(pull_command, capture_output=True, timeout=120).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def test_the_image_runs_as_another_user_with_a_volume_and_a_healthcheck() -> None:
    assert int(instruction("USER")) > 0
    assert "/data" in json.loads(instruction("VOLUME"))
    assert "/healthz" in instruction("HEALTHCHECK")
    assert f"FROM {BASE_IMAGE}" in DOCKERFILE


def test_the_default_command_is_valid() -> None:
    assert json.loads(instruction("ENTRYPOINT")) == ["vsearch"]
    command_name, *arguments = json.loads(instruction("CMD"))
    context = cli.make_context("vsearch", [command_name])
    command = cli.get_command(context, command_name)
    assert command is not None
    parameters = command.make_context(command_name, arguments, parent=context).params
    assert parameters["host"] == "0.0.0.0"
    assert [str(folder) for folder in parameters["folders"]] == ["/videos"]


@pytest.mark.skipif(not shutil.which("hadolint"), reason="needs hadolint")
def test_the_dockerfile_has_no_lint() -> None:
    subprocess.run(["hadolint", str(ROOT / "Dockerfile")], check=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_image_is_built_and_prints_its_version() -> None:
    if not docker_works():
        pytest.skip("needs docker and its registry")
    build = subprocess.run(
        ["docker", "build", "--quiet", str(ROOT)], capture_output=True, text=True, check=True
    )
    run = ["docker", "run", "--rm", build.stdout.strip(), "--version"]
    assert "vsearch" in subprocess.run(run, capture_output=True, text=True, check=True).stdout
