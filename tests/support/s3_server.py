"""An S3 server (moto) as a process on loopback, and the environment of its clients."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
import urllib.request
from urllib.error import URLError

from tests.support.free_port import find_free_port

START_SECONDS = 60.0


class S3Server:
    """A moto server; its buckets are in its memory, and are empty after a restart."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or find_free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def is_installed() -> bool:
        """Return whether the packages of the server and of its client are installed."""
        return all(importlib.util.find_spec(name) for name in ("moto", "flask", "s3fs"))

    @property
    def endpoint_url(self) -> str:
        """URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def client_environment(self) -> dict[str, str]:
        """Environment variables by which clients find the server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start the server and wait until it answers."""
        program = (
            "import sys, moto.server; sys.argv = ['moto_server', '-H', '127.0.0.1', '-p', "
            f"'{self.port}']; moto.server.main()"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.endpoint_url}/moto-api/", timeout=5):
                    return
            except (URLError, OSError):
                time.sleep(0.1)
        self.stop()
        raise RuntimeError("the S3 server does not start")

    def stop(self) -> None:
        """Kill the server."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
