"""What was measured about models on this machine, noted in the user's cache folder."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from vsearch.config import cache_folder

if TYPE_CHECKING:
    from pathlib import Path

FILE = "models.json"


class Notes:
    """Topic -> key -> any JSON value. A cache: damaged it is empty, unwritable it forgets."""

    def __init__(self, path: Path | None = None) -> None:
        """Notes in a file, by default the user's."""
        self._path = path or cache_folder() / FILE

    def all(self, topic: str) -> dict[str, Any]:
        """Everything noted on a topic."""
        found = self._read().get(topic)
        return found if isinstance(found, dict) else {}

    def get(self, topic: str, key: str) -> Any:
        """What was noted, or None."""
        return self.all(topic).get(key)

    def put(self, topic: str, key: str, value: Any) -> None:
        """Note a value; of two that write at once the later one is kept."""
        whole = self._read() | {topic: self.all(topic) | {key: value}}
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(whole, indent=1), encoding="utf-8")
            temporary.replace(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
