"""Client addresses from a reverse proxy, which only the proxy can choose."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from vsearch.server.forwarding import ForwardedHeadersMiddleware

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


def forward(client: tuple[str, int] | None, *headers: tuple[str, str]) -> tuple[Any, str]:
    """Return the client address and the scheme that the application sees."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    scope = {
        "type": "http", "scheme": "http", "client": client,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }  # fmt: skip
    asyncio.run(ForwardedHeadersMiddleware(app)(scope, None, None))  # type: ignore[arg-type]
    return seen[0]["client"] and seen[0]["client"][0], seen[0]["scheme"]


PROXY = ("127.0.0.1", 5)


@pytest.mark.parametrize("proxy", [PROXY, ("::1", 5), ("::ffff:127.0.0.1", 5), None])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:567", "1.2.3.4"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:567", "2001:db8::1"),
        ("9.9.9.9, 1.2.3.4", "1.2.3.4"),
        ("127.0.0.1, 1.2.3.4", "1.2.3.4"),
        ("1.2.3.4, 127.0.0.1", "1.2.3.4"),
        ("x" * 10_000 + ", 1.2.3.4", "1.2.3.4"),
        (", ".join(["9.9.9.9"] * 5_000) + ",1.2.3.4", "1.2.3.4"),
    ],
)
def test_the_address_that_the_proxy_saw_counts(
    proxy: tuple[str, int] | None, value: str, expected: str
) -> None:
    headers = (("X-Forwarded-For", value), ("X-Forwarded-Proto", "https"))
    assert forward(proxy, *headers) == (expected, "https")


@pytest.mark.parametrize("value", ["", "evil", "1.2.3.4, evil", "<script>", "\xff", ","])
def test_what_is_not_an_address_is_ignored(value: str) -> None:
    assert forward(PROXY, ("X-Forwarded-For", value)) == ("127.0.0.1", "http")
    assert forward(None, ("X-Forwarded-For", value)) == (None, "http")


def test_the_last_of_several_headers_counts() -> None:
    headers = (("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-For", "1.2.3.4"))
    assert forward(PROXY, *headers) == ("1.2.3.4", "http")


@pytest.mark.parametrize("scheme", ["javascript", "https, http", "", "ftp"])
def test_other_schemes_are_ignored(scheme: str) -> None:
    assert forward(PROXY, ("X-Forwarded-Proto", scheme))[1] == "http"


def test_other_clients_cannot_choose_their_address() -> None:
    headers = (("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https"))
    assert forward(("192.168.1.7", 5), *headers) == ("192.168.1.7", "http")
