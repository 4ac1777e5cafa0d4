"""Limits on wrong tokens per address or network, in bounded memory."""

from __future__ import annotations

import pytest

from vsearch.server import login_throttle
from vsearch.server.addresses import group_address
from vsearch.server.login_throttle import MAX_FAILURES, LoginThrottle


@pytest.mark.parametrize(
    ("address", "other", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:0DB8:1:2::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:1.2.3.4", "1.2.3.4", True),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.5", False),
        ("1.2.3.4", "1.2.3.5", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("testclient", "", False),
    ],
)
def test_ipv6_addresses_are_grouped_by_network(address: str, other: str, is_same: bool) -> None:
    assert (group_address(address) == group_address(other)) is is_same
    throttle = LoginThrottle()
    for _ in range(MAX_FAILURES):
        assert not throttle.is_throttled(address)
        throttle.record_failure(address)
    assert throttle.is_throttled(address)
    assert throttle.is_throttled(other) is is_same


def test_the_lock_lasts_a_minute_from_the_last_failure(fake_clock: list[float]) -> None:
    throttle = LoginThrottle()
    for _ in range(MAX_FAILURES):
        fake_clock[0] += 5
        throttle.record_failure("1.2.3.4")
    fake_clock[0] += 59
    assert throttle.is_throttled("1.2.3.4")
    fake_clock[0] += 2
    assert not throttle.is_throttled("1.2.3.4")
    throttle.record_failure("1.2.3.4")
    assert not throttle.is_throttled("1.2.3.4")


def test_rare_failures_do_not_lock(fake_clock: list[float]) -> None:
    throttle = LoginThrottle()
    for _ in range(5 * MAX_FAILURES):
        fake_clock[0] += 10
        throttle.record_failure("1.2.3.4")
        assert not throttle.is_throttled("1.2.3.4")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_throttle, "MAX_ADDRESSES", 100)
    throttle = LoginThrottle()
    for number in range(1_000):
        throttle.record_failure(f"2001:db8:0:{number:x}::1")
        throttle.record_success(f"2001:db8:0:{number:x}::1")
    assert len(throttle._failures) == len(throttle._admission_times) == 100
    assert throttle.is_admitted("2001:db8:0:3e7::2")
