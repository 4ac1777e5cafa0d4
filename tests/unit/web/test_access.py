"""Who may ask a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vsearch.errors import SettingsError
from vsearch.web.access import PAGE, TRIES, Access, is_loopback, new_token, read_token

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8765", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:65535"]
)
def test_this_machine_is_known_by_its_names(host: str) -> None:
    assert Access().knows(host)


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "localhost:",
        "localhost:http", "localhost:1:2", "127.0.0.2", "10.0.0.1", "[::1", "[::1]x", "[::2]",
        "user@localhost", "localhost/", " localhost", "127.1", "2130706433", "localhost:999999",
    ],
)  # fmt: skip
def test_other_names_are_not_known(host: str) -> None:
    assert host == "localhost:" or not Access().knows(host)


def test_a_server_that_listens_everywhere_is_known_by_any_address_but_by_no_name() -> None:
    access = Access.of("0.0.0.0", "t" * 20, ("films.home",))
    assert all(
        map(access.knows, ["192.168.1.7:8765", "[fe80::1]:8765", "films.home", "FILMS.home"])
    )
    assert not access.knows("rebound.example:8765")


def test_a_name_is_known_however_it_is_written() -> None:
    access = Access.of("MyNAS.lan", "t" * 20)
    assert access.knows("mynas.LAN:8765")
    assert is_loopback("LocalHost")


def test_a_server_that_listens_at_one_address_is_known_by_that() -> None:
    access = Access.of("192.168.1.7", "t" * 20)
    assert access.knows("192.168.1.7:8765")
    assert not access.knows("192.168.1.8:8765")


@pytest.mark.parametrize(
    ("host", "only_here"),
    [("localhost", True), ("127.0.0.9", True), ("::1", True), ("0.0.0.0", False),
     ("192.168.0.1", False), ("my-nas", False), ("::", False)],
)  # fmt: skip
def test_what_only_this_machine_reaches_is_told(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here


def test_the_token_or_the_cookie_made_of_it_admits_and_nothing_else_does() -> None:
    access = Access(new_token())
    assert access.admits(access.token, None)
    assert access.admits(None, access.cookie)
    for wrong in (None, "", "x", access.cookie, (access.token or "")[:-1], "é"):
        assert not access.admits(wrong, None)
        assert wrong == access.cookie or not access.admits(None, wrong)
    assert not access.admits(None, access.token)
    assert Access(new_token()).cookie != access.cookie


def test_who_tries_too_many_tokens_waits_a_minute_and_nobody_else_does(clock: list[float]) -> None:
    access = Access("t" * 20)
    for _ in range(TRIES):
        assert not access.waits("1.2.3.4")
        access.refuse("1.2.3.4")
    assert access.waits("1.2.3.4")
    assert not access.waits("1.2.3.5")
    clock[0] += 61
    assert not access.waits("1.2.3.4")


def test_old_cookies_of_a_page_count_little_and_yet_count() -> None:
    access = Access("t" * 20)
    for _ in range(TRIES * PAGE):
        assert not access.waits("1.2.3.4")
        access.refuse("1.2.3.4", page=True)
    assert access.waits("1.2.3.4")


def test_a_token_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    assert read_token(file) == "0123456789abcdef"


@pytest.mark.parametrize(
    "text", ["", "short", "0123456789abcdef\nanother line", "é" * 20, "\x7f" * 20]
)
def test_what_is_no_token_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(SettingsError, match="openssl rand"):
        read_token(file)
    with pytest.raises(SettingsError, match="no token can be read"):
        read_token(tmp_path / "none")
