"""The container image: its command is checked; it is linted and built where the tools exist."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from vsearch.cli.main import cli

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text("utf-8"))
BASE_IMAGE = "python:3.12-slim"


def find_compose() -> list[str]:
    """Return the command of compose, a plugin of docker; empty if it is not installed."""
    command = ["docker", "compose"]
    if not shutil.which("docker"):
        return []
    done = subprocess.run([*command, "version"], capture_output=True, check=False)
    return command if done.returncode == 0 else []


COMPOSE_COMMAND = find_compose()


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


def read_compose_service() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    assert set(compose["services"]) == {"vsearch"}
    assert set(compose["volumes"]) == {"library"}
    service: dict[str, Any] = compose["services"]["vsearch"]
    return service


def test_compose_serves_a_folder_that_it_cannot_change() -> None:
    service = read_compose_service()
    library, videos = service["volumes"]
    assert library == "library:/data"
    assert "/data" in json.loads(instruction("VOLUME"))
    assert videos["source"].startswith("${VIDEOS:?")  # required, and never created as root
    assert (videos["target"], videos["read_only"]) == ("/videos", True)
    assert videos["bind"] == {"create_host_path": False}
    assert service["command"] == json.loads(instruction("CMD"))
    [port] = service["ports"]
    assert port.startswith("127.0.0.1:")
    assert port.endswith(f":{instruction('EXPOSE')}")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def check_command(words: list[str]) -> None:
    """Parse a command of vsearch; click raises an error if it is not valid."""
    command: Any = cli
    context = cli.make_context("vsearch", list(words), resilient_parsing=True)
    while hasattr(command, "get_command"):
        name, *words = words
        command = command.get_command(context, name)
        assert command is not None, name
        context = command.make_context(name, list(words), parent=context)


def test_the_commands_of_the_cluster_are_valid() -> None:
    yaml = pytest.importorskip("yaml")
    folder = ROOT / "docs" / "examples" / "cluster"
    services = yaml.safe_load((folder / "compose.yaml").read_text("utf-8"))["services"]
    of_vsearch = {
        name: service
        for name, service in services.items()
        if service.get("image") == "vsearch-cluster" and service.get("entrypoint") != ["ray"]
    }
    assert set(of_vsearch) == {"create", "serve", "index"}
    for service in of_vsearch.values():
        words = [*service.get("entrypoint", ["vsearch"])[1:], *service.get("command", ["s3://raw"])]
        check_command([re.sub(r"\$\{\w+:-(.*?)\}", r"\1", word) for word in words])
    documents = list(yaml.safe_load_all((folder / "kubernetes.yaml").read_text("utf-8")))
    assert [one["kind"] for one in documents] == [
        "ConfigMap", "Deployment", "Service", "RayCluster",
    ]  # fmt: skip
    check_command(documents[1]["spec"]["template"]["spec"]["containers"][0]["args"])
    assert re.search(r"(?m)^ARG EXTRAS", (ROOT / "Dockerfile").read_text("utf-8"))


def test_the_healthchecks_are_valid_and_equal() -> None:
    kind, program, *arguments = read_compose_service()["healthcheck"]["test"]
    assert (kind, program, arguments[0]) == ("CMD", "python", "-c")
    compile(arguments[1], "healthcheck", "exec")
    assert json.dumps(arguments[1]) in instruction("HEALTHCHECK")


@pytest.mark.skipif(not COMPOSE_COMMAND, reason="needs docker compose")
def test_compose_accepts_its_file() -> None:
    check = [*COMPOSE_COMMAND, "--file", str(ROOT / "compose.yaml"), "config"]
    environment = os.environ | {"VIDEOS": "/srv/videos"}
    done = subprocess.run(check, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "/srv/videos" in done.stdout
    environment.pop("VIDEOS")
    done = subprocess.run(check, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "name the folder of videos" in done.stderr


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
