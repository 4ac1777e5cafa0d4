"""A server process, and browser pages that record errors."""

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

BROWSER_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
BROWSER_NAMES = ("chromium", "chromium-browser", "google-chrome")
PAGE_TIMEOUT_MS = 30_000  # generous, for busy machines
WATCH_VIOLATIONS_JS = """
    window.violations = [];
    addEventListener('securitypolicyviolation', (event) => window.violations.push(
        `${event.violatedDirective}: ${event.blockedURI}`));
"""
DROP_FILE_JS = """(given) => {
    const bytes = Uint8Array.from(atob(given.content), (char) => char.charCodeAt(0));
    const carried = new DataTransfer();
    carried.items.add(new File([bytes], given.name, { type: given.kind }));
    for (const name of ['dragenter', 'dragover', 'drop']) {
        document.body.dispatchEvent(new DragEvent(
            name, { dataTransfer: carried, bubbles: true, cancelable: true }));
    }
}"""


@contextmanager
def run_chromium(*arguments: str) -> Iterator[Browser]:
    """Run the installed Chromium with additional arguments."""
    from playwright.sync_api import sync_playwright  # deferred: only tests of pages need it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(), args=[*BROWSER_ARGUMENTS, *arguments]
        )
        yield browser
        browser.close()


def make_fake_environment(plugin_folder: Path) -> dict[str, str]:
    """Return the environment of a process that uses the fake encoder."""
    python_path = os.pathsep.join([str(plugin_folder), str(Path(__file__).resolve().parents[2])])
    return {**os.environ, "PYTHONPATH": python_path, "VSEARCH_MODEL": "fake"}


class ServerProcess:
    """A `vsearch serve` process, its address and token."""

    def __init__(
        self,
        library_path: Path,
        log_path: Path,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        command = [sys.executable, "-m", "vsearch", "--library", str(library_path), "serve"]
        self.log_path = log_path
        self.process = subprocess.Popen(
            [*command, "--port", "0", *map(str, arguments)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env,
        )  # fmt: skip
        assert self.process.stderr is not None
        first_line = self.process.stderr.readline()
        address_match = re.search(r"at (http://\S+?)/(?:#token=(\S+))?$", first_line)
        assert address_match is not None, first_line + self.process.stderr.read()
        self.address, self.token = address_match[1], address_match[2]
        with log_path.open("wb") as log_file:  # drained, so that the pipe never fills
            self._drain_process = subprocess.Popen(
                ["cat"], stdin=self.process.stderr, stdout=log_file
            )

    @property
    def port(self) -> int:
        """TCP port of the server."""
        port = urlsplit(self.address).port
        assert port is not None
        return port

    def stop(self, timeout_seconds: float = 30) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_seconds)

    def close(self) -> None:
        """Stop the process, or kill it after a timeout."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._drain_process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def run_server(
    library_path: Path, log_path: Path, *arguments: str | Path, env: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """Run a server within the block."""
    server = ServerProcess(library_path, log_path, *arguments, env=env)
    try:
        yield server
    finally:
        server.close()


def find_browser() -> str | None:
    """Return the path of an installed Chromium browser, or None."""
    return next(filter(None, map(shutil.which, BROWSER_NAMES)), None)


@dataclass
class WatchedPage:
    """A page with its recorded errors and requests."""

    page: Page
    context: BrowserContext
    address: str
    errors: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    expected_errors: tuple[str, ...] = ()  # substrings of errors that a test provokes

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PAGE_TIMEOUT_MS)
        self.page.add_init_script(WATCH_VIOLATIONS_JS)
        self.page.on("console", self._record_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request))

    def _record_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url', '')}")

    def open_path(self, url_path: str = "/") -> None:
        """Open a path of the server."""
        self.page.goto(self.address + url_path)

    def search_for(self, query_text: str) -> None:
        """Type a query and wait for its results."""
        self.page.locator("#q").fill(query_text)
        self.page.keyboard.press("Enter")
        self.wait_for_results()

    def wait_for_results(self) -> Any:
        """Wait for the results of the current query and return their locator."""
        self.page.wait_for_function("() => document.querySelector('.asking') === null")
        self.page.get_by_test_id("result").first.wait_for()
        return self.page.get_by_test_id("result")

    def drop_file(self, file_path: Path, mime_type: str) -> None:
        """Drop a file on the page."""
        content = base64.b64encode(file_path.read_bytes()).decode()
        self.page.evaluate(
            DROP_FILE_JS, {"content": content, "name": file_path.name, "kind": mime_type}
        )

    def assert_no_errors(self) -> None:
        """Assert that there were no errors and no requests to other servers."""
        unexpected_errors = [
            error_text
            for error_text in self.errors
            if not any(expected_part in error_text for expected_part in self.expected_errors)
        ]
        assert unexpected_errors == [], unexpected_errors
        assert self.page.evaluate("window.violations ?? []") == []
        own_prefixes = (f"{self.address}/", "blob:", "data:")
        foreign_urls = [
            request.url for request in self.requests if not request.url.startswith(own_prefixes)
        ]
        assert foreign_urls == [], foreign_urls


@contextmanager
def watch_page(browser: Browser, address: str, **context_options: Any) -> Iterator[WatchedPage]:
    """Yield a page in a new browser context."""
    context = browser.new_context(**context_options)
    page = context.new_page()
    try:
        yield WatchedPage(page, context, address)
    finally:
        page.unroute_all(behavior="ignoreErrors")  # of requests that are still open
        context.close()
