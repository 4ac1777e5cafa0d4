import copy
import json
import pickle
import sys
import traceback
import types
from pathlib import Path

import pytest

from vsearch.catalog.database_url import DatabaseUrl, is_database_url, redact_database_urls
from vsearch.catalog.lock import WriteLock, read_lock_holder
from vsearch.cli import main as main_module
from vsearch.cli.messages import set_quiet
from vsearch.errors import SettingsError

SECRET = "s3cret"


def test_texts_of_a_url_have_no_password() -> None:
    database_url = DatabaseUrl.parse(
        f"postgres://ann:{SECRET}@db.example:5433/films?sslmode=require"
    )
    assert str(database_url) == "postgresql://ann@db.example:5433/films?sslmode=require"
    for text in (repr(database_url), f"{database_url}", f"{[database_url]}"):
        assert SECRET not in text
    assert (
        database_url.conninfo()
        == f"postgresql://ann:{SECRET}@db.example:5433/films?sslmode=require"
    )


@pytest.mark.parametrize(
    ("url_text", "user", "hosts", "database"),
    [
        ("postgresql://", "", "", ""),
        ("postgresql:///films", "", "", "films"),
        ("postgresql://db/films", "", "db", "films"),
        ("POSTGRESQL://ann@db/films", "ann", "db", "films"),
        ("postgresql+psycopg://ann@db/films", "ann", "db", "films"),
        ("postgresql://ann%40work@db/my%20films", "ann@work", "db", "my films"),
        ("postgresql://a,b:5433,[::1]:5434/films", "", "a,b:5433,[::1]:5434", "films"),
        ("postgresql://ann@/films?host=/run/sockets", "ann", "", "films"),
    ],
)
def test_urls_as_libpq_accepts_them(url_text: str, user: str, hosts: str, database: str) -> None:
    database_url = DatabaseUrl.parse(url_text)
    assert (database_url.user, database_url.hosts, database_url.database) == (user, hosts, database)
    assert DatabaseUrl.parse(str(database_url)) == database_url


@pytest.mark.parametrize(
    "password", ["p@ss", "a:b", "ümläut", "50%25", "sp%20ace", "slash%2F", "a#b"]
)
def test_a_password_with_special_characters_reaches_libpq_escaped(password: str) -> None:
    database_url = DatabaseUrl.parse(f"postgresql://ann:{password}@db/films")
    assert str(database_url) == "postgresql://ann@db/films"
    round_tripped = DatabaseUrl.parse(database_url.conninfo())
    assert round_tripped.child_environment() == database_url.child_environment() != {}


@pytest.mark.parametrize(
    "url_text",
    [
        f"postgresql://ann:{SECRET}/x@db/films",
        f"postgresql://ann:12/{SECRET}@db/films",
        f"postgresql://ann:{SECRET}?x@db/films",
        f"postgresql://ann:12?{SECRET}=1@db/films",
        f"postgresql://ann:12?{SECRET}@db/films",
        f"postgresql://ann@db:{SECRET}/films",
        f"postgresql://ann@db/films?pasword={SECRET}",
        f"postgresql://ann@db/films?{SECRET}",
        f"postgresql:/ann:{SECRET}@db/films",
        f"postgresql://ann:{SECRET}@d b/films",
    ],
)
def test_the_error_about_an_invalid_url_does_not_repeat_it(url_text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        DatabaseUrl.parse(url_text)
    assert SECRET not in str(raised.value)
    assert SECRET not in repr(raised.value.__context__)
    redacted_text = redact_database_urls(f"vsearch --library {url_text} info")
    assert SECRET not in redacted_text or " " in url_text  # a space ends a URL in a text


def test_the_password_as_a_parameter_is_hidden_as_well() -> None:
    database_url = DatabaseUrl.parse(
        f"postgresql://ann@db/films?password={SECRET}&sslpassword={SECRET}2"
    )
    assert str(database_url) == "postgresql://ann@db/films"
    assert database_url.has_password
    assert f":{SECRET}@" in database_url.conninfo()
    assert f"sslpassword={SECRET}2" in database_url.conninfo()


def test_pickles_copies_and_tracebacks_have_no_password() -> None:
    database_url = DatabaseUrl.parse(f"postgresql://ann:{SECRET}@db/films")
    assert SECRET.encode() not in pickle.dumps(database_url)
    assert pickle.loads(pickle.dumps(database_url)) == database_url
    assert copy.deepcopy(database_url) == database_url
    try:
        raise ValueError(database_url)
    except ValueError as error:
        text = "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    assert SECRET not in text.replace(repr(SECRET), "")
    with pytest.raises(TypeError):
        json.dumps(database_url)


def test_a_child_process_gets_the_password_by_its_environment() -> None:
    database_url = DatabaseUrl.parse(f"postgresql://ann:{SECRET}@db/films")
    assert database_url.child_environment() == {"PGPASSWORD": SECRET}
    assert DatabaseUrl.parse("postgresql://ann@db/films").child_environment() == {}


def test_the_digest_identifies_the_database_without_its_password() -> None:
    digest = DatabaseUrl.parse(f"postgres://ann:{SECRET}@db/films").digest()
    assert digest == DatabaseUrl.parse("postgresql://ann@db/films").digest()
    assert digest != DatabaseUrl.parse("postgresql://ann@db/other").digest()
    assert len(digest) == 16


def test_the_password_may_come_from_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = types.ModuleType("keyring")
    asked: list[tuple[str, str]] = []

    def get_password(service: str, user: str) -> str:
        asked.append((service, user))
        return "from-keyring"

    keyring.get_password = get_password  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    for variable_name in ("PGPASSWORD", "PGPASSFILE", "PGSERVICE"):
        monkeypatch.delenv(variable_name, raising=False)
    database_url = DatabaseUrl.parse("postgresql://ann@db/films")
    assert database_url.conninfo() == "postgresql://ann:from-keyring@db/films"
    assert asked == [("vsearch", "postgresql://ann@db/films")]
    assert "keyring" not in str(database_url)


@pytest.mark.parametrize("source", ["PGPASSWORD", "PGPASSFILE", "PGSERVICE", "service", ".pgpass"])
def test_other_sources_of_the_password_are_left_to_libpq(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    url_text = "postgresql://ann@db/films"
    if source == "service":
        url_text += "?service=films"
    elif source == ".pgpass":
        (Path.home() / ".pgpass").write_text(f"*:*:*:*:{SECRET}\n")
    else:
        monkeypatch.setenv(source, SECRET)
    assert DatabaseUrl.parse(url_text).conninfo() == url_text


def test_urls_are_distinguished_from_folders() -> None:
    assert is_database_url("postgresql://db/films")
    assert is_database_url("postgres://db/films")
    assert is_database_url(Path("postgresql://db/films"))
    for folder in ("films", Path("films"), "/films", "C:\\films", "postgresql", None, 3):
        assert not is_database_url(folder)


def test_command_lines_are_redacted_before_they_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_quiet(False)  # whatever ran before
    url_text = f"postgresql://ann:{SECRET}@db/films"
    monkeypatch.setattr(
        sys, "argv", ["vsearch", "--library", url_text, f"--server={url_text}", "info"]
    )
    assert main_module._take_arguments()[1] == url_text
    message = capsys.readouterr().err
    assert "PGPASSFILE" in message
    assert SECRET not in message
    assert SECRET not in " ".join(sys.argv)
    with WriteLock(tmp_path):
        assert SECRET not in str(read_lock_holder(tmp_path))
        assert not any(
            SECRET.encode() in file_path.read_bytes() for file_path in tmp_path.iterdir()
        )
    assert main_module._take_arguments()[1] == "postgresql://ann@db/films"
    assert not capsys.readouterr().err


def test_texts_without_passwords_stay_as_they_are() -> None:
    text = "see postgresql://db/films and https://a:b@host/"
    assert redact_database_urls(text) == text
