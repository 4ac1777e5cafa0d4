"""Access control: Host names, tokens and throttling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vsearch.errors import SettingsError
from vsearch.server.auth import (
    COOKIE_FAILURE_RATIO,
    MAX_FAILURES,
    AccessPolicy,
    generate_token,
    is_loopback,
    read_token,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8765", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:65535"]
)
def test_loopback_host_names_are_allowed(host: str) -> None:
    assert AccessPolicy().is_allowed_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "localhost:",
        "localhost:http", "localhost:1:2", "127.0.0.2", "10.0.0.1", "[::1", "[::1]x", "[::2]",
        "user@localhost", "localhost/", " localhost", "127.1", "2130706433", "localhost:999999",
    ],
)  # fmt: skip
def test_other_host_names_are_rejected(host: str) -> None:
    assert host == "localhost:" or not AccessPolicy().is_allowed_host(host)


def test_listening_on_all_interfaces_allows_any_address_but_no_unknown_name() -> None:
    access = AccessPolicy.for_host("0.0.0.0", "t" * 20, ("films.home",))
    assert all(
        map(
            access.is_allowed_host,
            ["192.168.1.7:8765", "[fe80::1]:8765", "films.home", "FILMS.home"],
        )
    )
    assert not access.is_allowed_host("rebound.example:8765")


def test_host_names_are_case_insensitive() -> None:
    access = AccessPolicy.for_host("MyNAS.lan", "t" * 20)
    assert access.is_allowed_host("mynas.LAN:8765")
    assert is_loopback("LocalHost")


def test_listening_on_one_address_allows_only_that_address() -> None:
    access = AccessPolicy.for_host("192.168.1.7", "t" * 20)
    assert access.is_allowed_host("192.168.1.7:8765")
    assert not access.is_allowed_host("192.168.1.8:8765")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.9", True), ("::1", True), ("0.0.0.0", False),
     ("192.168.0.1", False), ("my-nas", False), ("::", False)],
)  # fmt: skip
def test_loopback_addresses_are_recognized(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_only_the_token_or_its_cookie_authorizes() -> None:
    access = AccessPolicy(generate_token())
    assert access.is_authorized(access.token, None)
    assert access.is_authorized(None, access.cookie_value)
    for wrong in (None, "", "x", access.cookie_value, (access.token or "")[:-1], "é"):
        assert not access.is_authorized(wrong, None)
        assert wrong == access.cookie_value or not access.is_authorized(None, wrong)
    assert not access.is_authorized(None, access.token)
    assert AccessPolicy(generate_token()).cookie_value != access.cookie_value


def test_too_many_wrong_tokens_throttle_only_their_address_for_a_minute(
    fake_clock: list[float],
) -> None:
    access = AccessPolicy("t" * 20)
    for _ in range(MAX_FAILURES):
        assert not access.is_throttled("1.2.3.4")
        access.record_failure("1.2.3.4")
    assert access.is_throttled("1.2.3.4")
    assert not access.is_throttled("1.2.3.5")
    fake_clock[0] += 61
    assert not access.is_throttled("1.2.3.4")


def test_wrong_cookies_count_as_a_fraction_of_a_failure() -> None:
    access = AccessPolicy("t" * 20)
    for _ in range(MAX_FAILURES * COOKIE_FAILURE_RATIO):
        assert not access.is_throttled("1.2.3.4")
        access.record_failure("1.2.3.4", from_cookie=True)
    assert access.is_throttled("1.2.3.4")


def test_a_token_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    assert read_token(file) == "0123456789abcdef"


@pytest.mark.parametrize(
    "text", ["", "short", "0123456789abcdef\nanother line", "é" * 20, "\x7f" * 20]
)
def test_an_invalid_token_file_is_rejected_with_advice(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(SettingsError, match="openssl rand"):
        read_token(file)
    with pytest.raises(SettingsError, match="cannot read the token"):
        read_token(tmp_path / "none")
