"""Sessions of signed-in browsers: random, bounded, expiring."""

from __future__ import annotations

from vsearch.server.sessions import SESSION_SECONDS, SessionStore


def test_every_session_has_its_own_id() -> None:
    sessions = SessionStore()
    ids = {sessions.create_session() for _ in range(50)}
    assert len(ids) == 50
    assert all(map(sessions.is_valid, ids))
    assert min(map(len, ids)) >= 43  # 256 bits
    for wrong in (None, "", "x", "x" * 10_000, "\udcff", next(iter(ids))[:-1]):
        assert not sessions.is_valid(wrong)


def test_an_ended_session_is_not_accepted_and_others_are() -> None:
    sessions = SessionStore()
    first, second = sessions.create_session(), sessions.create_session()
    sessions.end_session(first)
    sessions.end_session("unknown")
    assert not sessions.is_valid(first)
    assert sessions.is_valid(second)


def test_sessions_expire(fake_clock: list[float]) -> None:
    sessions = SessionStore()
    session = sessions.create_session()
    fake_clock[0] += SESSION_SECONDS - 1
    assert sessions.is_valid(session)
    fake_clock[0] += 2
    assert not sessions.is_valid(session)
    assert not sessions._expiry_by_digest


def test_the_least_recently_used_session_is_dropped() -> None:
    sessions = SessionStore(max_sessions=3)
    first, second, third = (sessions.create_session() for _ in range(3))
    assert sessions.is_valid(first)
    sessions.create_session()
    assert not sessions.is_valid(second)
    assert sessions.is_valid(first)
    assert sessions.is_valid(third)


def test_ids_are_not_stored() -> None:
    sessions = SessionStore()
    session = sessions.create_session()
    assert session.encode() not in sessions._expiry_by_digest
