"""Sessions of signed-in browsers, kept in memory: they end when the server stops."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict

SESSION_SECONDS = 30 * 24 * 3600  # from the sign-in
MAX_SESSIONS = 1_000
_MAX_COOKIE_CHARS = 100


class SessionStore:
    """Random session ids; the least recently used ones are dropped. Thread-safe.

    Only digests are kept, so comparing them reveals nothing about an id.
    """

    def __init__(self, max_sessions: int = MAX_SESSIONS) -> None:
        self._max_sessions, self._lock = max_sessions, threading.Lock()
        self._expiry_by_digest: OrderedDict[bytes, float] = OrderedDict()  # monotonic time

    def create_session(self) -> str:
        """Return the id of a new session."""
        session_id = secrets.token_urlsafe(32)
        with self._lock:
            self._expiry_by_digest[_digest(session_id)] = time.monotonic() + SESSION_SECONDS
            while len(self._expiry_by_digest) > self._max_sessions:
                self._expiry_by_digest.popitem(last=False)
        return session_id

    def is_valid(self, session_id: str | None) -> bool:
        """Return True for the id of a session that has neither expired nor ended."""
        if session_id is None or len(session_id) > _MAX_COOKIE_CHARS:
            return False
        session_digest = _digest(session_id)
        with self._lock:
            expiry = self._expiry_by_digest.get(session_digest)
            if expiry is None:
                return False
            if time.monotonic() >= expiry:
                del self._expiry_by_digest[session_digest]
                return False
            self._expiry_by_digest.move_to_end(session_digest)
            return True

    def end_session(self, session_id: str) -> None:
        """End a session; an unknown id is ignored."""
        with self._lock:
            self._expiry_by_digest.pop(_digest(session_id), None)


def _digest(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).digest()
