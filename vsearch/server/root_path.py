"""Serving under a path of a reverse proxy, such as /vs/, that strips the path or keeps it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_ROOT_PATH_RE = re.compile(r"(/[A-Za-z0-9._~-]+)+")
SCOPE_KEY = "vsearch.root_path"


def check_root_path(root_path: str) -> str:
    """Return a root path with a slash at the start and none at the end; "" for none.

    Raises:
        SettingsError: If it is not a path, or has characters that need escaping.
    """
    normalized_path = root_path.strip().strip("/")
    if not normalized_path:
        return ""
    parts = normalized_path.split("/")
    if not _ROOT_PATH_RE.fullmatch(f"/{normalized_path}") or {".", ".."} & set(parts):
        raise SettingsError(
            f"--root-path {root_path}: must be a path of letters, digits, '-', '.', '_' and '~', "
            "such as /vs"
        )
    return f"/{normalized_path}"


def read_root_path(scope: Scope) -> str:
    """Return the root path under which a request arrived, "" for none."""
    root_path: str = scope.get(SCOPE_KEY, "")
    return root_path


class RootPathMiddleware:
    """Removes the root path from requests of proxies that keep it."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on without the root path; redirect `/vs` to `/vs/`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, prefix = scope["path"], self._root_path
        if path == prefix:  # the addresses in the page are relative
            query = scope.get("query_string", b"").decode("latin-1")
            await RedirectResponse(f"{prefix}/" + (f"?{query}" if query else ""))(
                scope, receive, send
            )
            return
        scope = {**scope, SCOPE_KEY: prefix}
        if path.startswith(f"{prefix}/"):
            scope["path"] = path.removeprefix(prefix)
            if raw_path := scope.get("raw_path"):
                scope["raw_path"] = raw_path.removeprefix(prefix.encode())
        await self._app(scope, receive, send)
