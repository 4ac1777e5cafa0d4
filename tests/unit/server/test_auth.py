"""Access control: Host names, tokens and throttling."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import pytest

from vsearch.errors import SettingsError
from vsearch.server import login_throttle
from vsearch.server.auth import (
    COOKIE_FAILURE_RATIO,
    AccessPolicy,
    AuthResult,
    generate_token,
    is_loopback,
    read_token,
)
from vsearch.server.login_throttle import MAX_FAILURES

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "0123456789abcdef-secret"


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


def check(access: AccessPolicy, token: str | None, session: str | None = None) -> AuthResult:
    return asyncio.run(access.authenticate("1.2.3.4", token, session))


def test_only_the_token_or_a_session_authorizes() -> None:
    access = AccessPolicy(generate_token())
    session = access.sessions.create_session()
    assert check(access, access.token) is AuthResult.ACCEPTED
    assert check(access, None, session) is AuthResult.ACCEPTED
    for wrong in (None, "", "x", session, (access.token or "")[:-1], "é", "\udcff"):
        assert check(access, wrong) is AuthResult.REFUSED
        assert wrong == session or check(access, None, wrong) is AuthResult.REFUSED
    assert check(access, None, access.token) is AuthResult.REFUSED
    other = AccessPolicy(access.token)
    assert check(other, None, session) is AuthResult.REFUSED
    assert check(AccessPolicy(), "anything") is AuthResult.ACCEPTED


def test_a_locked_address_is_refused_whatever_it_sends(fake_clock: list[float]) -> None:
    access = AccessPolicy(TOKEN)
    for _ in range(MAX_FAILURES):
        assert check(access, "wrong") is AuthResult.REFUSED
    for sent in (TOKEN, "wrong", None):
        assert check(access, sent) is AuthResult.THROTTLED
        assert check(access, sent, "wrong") is AuthResult.THROTTLED
    assert asyncio.run(access.authenticate("1.2.3.5", TOKEN)) is AuthResult.ACCEPTED
    fake_clock[0] += 61
    assert check(access, TOKEN) is AuthResult.ACCEPTED


def test_guesses_do_not_lock_out_an_address_that_has_the_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(login_throttle, "DELAY_SECONDS", 0.01)
    access = AccessPolicy(TOKEN)
    assert check(access, TOKEN) is AuthResult.ACCEPTED
    for _ in range(2 * MAX_FAILURES):
        assert check(access, "wrong") is AuthResult.REFUSED
    assert check(access, TOKEN) is AuthResult.ACCEPTED
    assert check(access, None) is AuthResult.REFUSED  # so that the page asks for the token


def test_guesses_from_an_address_that_has_the_token_are_delayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delays: list[float] = []
    access = AccessPolicy(TOKEN)
    assert check(access, TOKEN) is AuthResult.ACCEPTED
    for _ in range(MAX_FAILURES):
        assert check(access, "wrong") is AuthResult.REFUSED

    async def many() -> list[AuthResult]:
        released = asyncio.Event()

        async def sleep(seconds: float) -> None:
            delays.append(seconds)
            await released.wait()

        monkeypatch.setattr("vsearch.server.login_throttle.asyncio.sleep", sleep)
        guesses = [access.authenticate("1.2.3.4", "wrong") for _ in range(20)]
        tasks = [asyncio.ensure_future(guess) for guess in guesses]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 20 - login_throttle.MAX_DELAYED
        released.set()
        return list(await asyncio.gather(*tasks))

    results = asyncio.run(many())
    assert delays == [login_throttle.DELAY_SECONDS] * login_throttle.MAX_DELAYED
    assert results.count(AuthResult.THROTTLED) == 20 - login_throttle.MAX_DELAYED


def test_an_address_is_spared_for_an_hour_only(fake_clock: list[float]) -> None:
    access = AccessPolicy(TOKEN)
    assert check(access, TOKEN) is AuthResult.ACCEPTED
    fake_clock[0] += 3601
    for _ in range(MAX_FAILURES):
        check(access, "wrong")
    assert check(access, TOKEN) is AuthResult.THROTTLED


@pytest.mark.usefixtures("fake_clock")
def test_a_session_is_accepted_from_a_locked_address() -> None:
    access = AccessPolicy(TOKEN)
    session = access.sessions.create_session()
    for _ in range(MAX_FAILURES):
        check(access, "wrong")
    assert check(access, None, session) is AuthResult.ACCEPTED


@pytest.mark.usefixtures("fake_clock")
def test_wrong_cookies_count_as_a_fraction_of_a_failure() -> None:
    access = AccessPolicy(TOKEN)
    for _ in range(MAX_FAILURES * COOKIE_FAILURE_RATIO):
        assert check(access, None, "wrong") is AuthResult.REFUSED
    assert check(access, None, "wrong") is AuthResult.THROTTLED


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


@pytest.mark.parametrize(
    "token",
    [
        "passwordpassword", "PasswordPASSWORD1", "a" * 40, "0" * 15 + "1", "1234567890123456",
        "abcabcabcabcabcabcab", "1111222233334444", "changemechangeme!", "a" * 100_000,
    ],
)  # fmt: skip
def test_a_token_that_repeats_itself_is_rejected(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token)
    with pytest.raises(SettingsError, match=r"easy to guess.*openssl rand -hex 24"):
        read_token(tmp_path / "token")


def test_random_tokens_are_accepted(tmp_path: Path) -> None:
    for token in (generate_token(), secrets.token_hex(24), secrets.token_hex(12), "x" * 6 + TOKEN):
        (tmp_path / "token").write_text(token)
        assert read_token(tmp_path / "token") == token
