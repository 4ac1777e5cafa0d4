"""Scenario: the library of a running server is replaced, deleted and put back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.soak.harness import (
    Round,
    WrongAnswerError,
    check_output,
    run_command,
    start_command,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.soak.samples import Samples

_START_SECONDS = 60.0
_NOTICE_SECONDS = 15.0  # a server may take a moment to open the other library
_URL_RE = re.compile(r"http://127\.0\.0\.1:\d+")


def check_swapped_library(round_: Round, samples: Samples) -> None:
    """Serve a library, rename another one over it, delete it, and put the first one back."""
    served, aside = round_.folder / "library", round_.folder / "aside"
    samples.copy_library(served)
    other = round_.folder / "other"
    run_command(other, "index", samples.extra_film)
    with _serve(served) as url:
        round_.expect("red.mp4" in _search(url), "the served library does not answer")
        served.rename(aside)
        other.rename(served)
        round_.counts["replaced"] += 1
        _await(lambda: _search(url) == {"extra.mp4"}, "a replaced library is not noticed")
        shutil.rmtree(served)
        round_.counts["deleted"] += 1
        _await(
            lambda: _get_status(f"{url}/healthz") == 503, "/healthz does not report the deletion"
        )
        round_.expect(not _search(url), "a deleted library still answers")
        aside.rename(served)
        round_.counts["put back"] += 1
        _await(lambda: "red.mp4" in _search(url), "a library that was put back is not noticed")
        round_.expect(_get_status(f"{url}/healthz") == 200, "/healthz does not recover")


@contextmanager
def _serve(library_path: Path) -> Iterator[str]:
    """Start a server and yield its address."""
    log_path = library_path.parent / "serve.log"
    with log_path.open("w") as log_file:
        process = start_command(library_path, "serve", "--port", "0", output=log_file)
    try:
        yield _read_url(log_path)
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise WrongAnswerError("the server does not stop") from None
    check_output(log_path.read_text(errors="replace"), "`vsearch serve`")


def _read_url(log_path: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if match := _URL_RE.search(log_path.read_text(errors="replace")):
            return match[0]
        time.sleep(0.1)
    raise WrongAnswerError("the server does not print its address")


def _search(url: str) -> set[str]:
    """Return the names of the films found; empty if the server refuses to answer."""
    request = urllib.request.Request(
        f"{url}/api/v1/search",
        json.dumps({"q": "a red screen"}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 422:
                raise WrongAnswerError(f"a search is refused: {error.read()!r}") from error
        return set()
    return {Path(result["video"]["name"]).name for result in answer["results"]}


def _get_status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def _await(condition: Any, message: str) -> None:
    """Wait until a condition holds; raise WrongAnswerError if it does not."""
    deadline = time.monotonic() + _NOTICE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise WrongAnswerError(message)
        time.sleep(0.1)
