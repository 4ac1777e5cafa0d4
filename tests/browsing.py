"""A server as a process, and a browser that looks at it."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 30_000  # ms that a page may take, on a machine that has much else to do
WATCH = """
    window.violations = [];
    addEventListener('securitypolicyviolation', (event) => window.violations.push(
        `${event.violatedDirective}: ${event.blockedURI}`));
"""
DROP = """(given) => {
    const bytes = Uint8Array.from(atob(given.content), (one) => one.charCodeAt(0));
    const carried = new DataTransfer();
    carried.items.add(new File([bytes], given.name, { type: given.kind }));
    for (const name of ['dragenter', 'dragover', 'drop']) {
        document.body.dispatchEvent(new DragEvent(
            name, { dataTransfer: carried, bubbles: true, cancelable: true }));
    }
}"""


def fake_environment(plugin: Path) -> dict[str, str]:
    """The environment of a process whose model is the fake one."""
    path = os.pathsep.join([str(plugin), str(Path(__file__).resolve().parent)])
    return {**os.environ, "PYTHONPATH": path, "VSEARCH_MODEL": "fake"}


class Server:
    """`vsearch serve` as a process, and the address it tells."""

    def __init__(
        self, library: Path, log: Path, *words: str | Path, env: Mapping[str, str] | None = None
    ) -> None:
        command = [sys.executable, "-m", "vsearch", "--library", str(library), "serve"]
        self.log = log
        self.process = subprocess.Popen(
            [*command, "--port", "0", *map(str, words)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env,
        )  # fmt: skip
        assert self.process.stderr is not None
        first = self.process.stderr.readline()
        told = re.search(r"at (http://\S+?)/(?:#token=(\S+))?$", first)
        assert told is not None, first + self.process.stderr.read()
        self.address, self.token = told[1], told[2]
        with log.open("wb") as file:  # so that its pipe never fills
            self._drain = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=file)

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port is not None
        return port

    def stop(self, seconds: float = 30) -> int:
        """Tell it to stop, and how it ended."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def close(self) -> None:
        """End it, in order if it can be."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._drain.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def serving(
    library: Path, log: Path, *words: str | Path, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server within the block."""
    server = Server(library, log, *words, env=env)
    try:
        yield server
    finally:
        server.close()


def browser_path() -> str | None:
    """Where a browser of the Chromium family is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Watched:
    """A page, and all that went wrong in it."""

    page: Page
    context: BrowserContext
    address: str
    errors: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    expected: tuple[str, ...] = ()  # patterns of errors that a test provokes

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.add_init_script(WATCH)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url', '')}")

    def go(self, path: str = "/") -> None:
        self.page.goto(self.address + path)

    def ask(self, query: str) -> None:
        """Type a query, and wait for what is found."""
        self.page.locator("#q").fill(query)
        self.page.keyboard.press("Enter")
        self.found()

    def found(self) -> Any:
        """The results, as soon as they are those of what is asked."""
        self.page.wait_for_function("() => document.querySelector('.asking') === null")
        self.page.get_by_test_id("result").first.wait_for()
        return self.page.get_by_test_id("result")

    def drop(self, path: Path, kind: str) -> None:
        content = base64.b64encode(path.read_bytes()).decode()
        self.page.evaluate(DROP, {"content": content, "name": path.name, "kind": kind})

    def check(self) -> None:
        """Nothing went wrong, and nobody else was asked."""
        wrong = [one for one in self.errors if not any(part in one for part in self.expected)]
        assert wrong == [], wrong
        assert self.page.evaluate("window.violations ?? []") == []
        own = (f"{self.address}/", "blob:", "data:")
        foreign = [one.url for one in self.requests if not one.url.startswith(own)]
        assert foreign == [], foreign


@contextmanager
def watched(browser: Browser, address: str, **how: Any) -> Iterator[Watched]:
    """A page of a browser that knows nothing yet."""
    context = browser.new_context(**how)
    try:
        yield Watched(context.new_page(), context, address)
    finally:
        context.close()
