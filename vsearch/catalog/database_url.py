"""URLs of PostgreSQL databases, whose text never contains the password."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, quote, unquote

from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEME = "postgresql"
PASSWORD_VARIABLE = "PGPASSWORD"  # noqa: S105 - the name of a variable
PASSWORD_ADVICE = (
    "leave it out of the URL and put it into a password file (PGPASSFILE, ~/.pgpass), the variable "
    f"{PASSWORD_VARIABLE} or the keyring"
)
KEYRING_SERVICE = "vsearch"
REDACTED = "REDACTED"
_SCHEME_RE = re.compile(r"(?i)postgres(?:ql)?(?:\+psycopg)?:/")
_EMBEDDED_URL_RE = re.compile(r"(?i)\bpostgres(?:ql)?(?:\+\w+)?:/[^\s'\"<>]+")
_PORT_RE = re.compile(r"[0-9]{1,5}")
# of libpq; an unknown name may be a part of a password that was not escaped
_PARAMETER_NAMES = """
    host hostaddr port dbname user password passfile require_auth channel_binding connect_timeout
    client_encoding options application_name fallback_application_name keepalives keepalives_idle
    keepalives_interval keepalives_count tcp_user_timeout sslmode sslnegotiation sslcert sslkey
    sslpassword sslcertmode sslrootcert sslcrl sslcrldir sslsni ssl_min_protocol_version
    ssl_max_protocol_version requirepeer krbsrvname gsslib gssencmode gssdelegation service
    target_session_attrs load_balance_hosts
"""
_PARAMETERS = frozenset(_PARAMETER_NAMES.split())
_SECRET_PARAMETERS = frozenset(("password", "sslpassword"))
# libpq finds the password by itself where one of these is set
_PASSWORD_VARIABLES = PASSWORD_VARIABLE, "PGPASSFILE", "PGSERVICE"
_USAGE = (
    "write postgresql://USER@HOST/DATABASE, with other characters in names escaped (`@` as %40)"
)


class DatabaseUrl:
    """The URL of a PostgreSQL database. Texts of it, pickles and messages have no password.

    The password may be part of the URL. Where it is not, libpq finds it as for any other program
    (PGPASSWORD, PGPASSFILE, ~/.pgpass, PGSERVICE), and the keyring is asked last.

    Attributes:
        user: Name of the user; empty: libpq decides.
        hosts: Hosts, separated by commas, each with its port if there is one; empty: libpq decides.
        database: Name of the database; empty: libpq decides.
    """

    __slots__ = ("_parameters", "_password", "_secret_parameters", "database", "hosts", "user")

    def __init__(
        self,
        user: str,
        hosts: str,
        database: str,
        parameters: Mapping[str, str],
        password: str | None,
    ) -> None:
        """Use `parse`."""
        self.user, self.hosts, self.database = user, hosts, database
        self._parameters = {
            name: value for name, value in parameters.items() if name not in _SECRET_PARAMETERS
        }
        self._secret_parameters = {
            name: value for name, value in parameters.items() if name == "sslpassword"
        }
        self._password = password or parameters.get("password")

    @classmethod
    def parse(cls, url_text: str) -> Self:
        """Parse a URL.

        Args:
            url_text: `postgresql://…` or `postgres://…`, as libpq accepts it.

        Raises:
            SettingsError: If it is not valid. The message does not repeat it, because a password
                with characters that are not escaped may be in any part of it.
        """
        scheme_match = _SCHEME_RE.match(url_text)
        if scheme_match is None:
            raise SettingsError(f"this is not the URL of a database; {_USAGE}")
        after_scheme = url_text[scheme_match.end() :]
        if not after_scheme.startswith("/"):
            raise SettingsError(
                "the URL of a database needs two slashes, which `Path` does not keep; pass the URL "
                "as text: postgresql://USER@HOST/DATABASE"
            )
        address, has_parameters, parameters_text = after_scheme[1:].partition("?")
        place, _, database = address.partition("/")
        credentials, _, hosts = place.rpartition("@")
        user, _, password = credentials.partition(":")
        parameters = _parse_parameters(parameters_text) if has_parameters else {}
        _check_hosts(hosts)
        if re.search(r"[\x00-\x20\x7f#@/]", hosts + database):
            raise SettingsError(f"the URL of the database is not valid; {_USAGE}")
        return cls(unquote(user), hosts, unquote(database), parameters, unquote(password))

    @property
    def has_password(self) -> bool:
        """True if the password is in the URL itself."""
        return bool(self._password or self._secret_parameters)

    @property
    def name(self) -> str:
        """Name for people: the last part of the URL, or its host."""
        return self.database or self.user or self.hosts or SCHEME

    def conninfo(self) -> str:
        """Return the URL with its password, for `psycopg.connect` and nothing else."""
        return self._format(
            self._password or self._read_keyring(), self._parameters | self._secret_parameters
        )

    def child_environment(self) -> dict[str, str]:
        """Return the variables that a child process needs if it gets `str(url)`, without secrets.

        Arguments of processes are visible to all users of a machine, and environments are not.
        """
        return {PASSWORD_VARIABLE: self._password} if self._password else {}

    def digest(self) -> str:
        """Return 16 hexadecimal digits of the URL without its password."""
        return hashlib.sha256(str(self).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def _read_keyring(self) -> str | None:
        """Return the password in the keyring, if that is installed and libpq has no other source.

        It is stored by `keyring set vsearch URL`, with the URL as `str` returns it.
        """
        if (
            any(os.environ.get(variable) for variable in _PASSWORD_VARIABLES)
            or {"passfile", "service"} & self._parameters.keys()
            or _has_password_file()
        ):
            return None
        try:
            import keyring  # type: ignore[import-not-found,unused-ignore] # deferred: optional

            password = keyring.get_password(KEYRING_SERVICE, str(self))
        except Exception:  # not installed, or no keyring in this session: libpq reports what lacks
            return None
        return str(password) if password else None

    def _format(self, password: str | None, parameters: Mapping[str, str]) -> str:
        user_text = quote(self.user, safe="")
        if password:
            user_text += f":{quote(password, safe='')}"
        place = f"{user_text}@{self.hosts}" if user_text else self.hosts
        parameters_text = "&".join(
            f"{name}={quote(value, safe='/')}" for name, value in parameters.items()
        )
        database_text = quote(self.database, safe="")
        return (
            f"{SCHEME}://{place}{'/' if database_text or parameters_text else ''}{database_text}"
            f"{'?' if parameters_text else ''}{parameters_text}"
        )

    def __str__(self) -> str:
        return self._format(None, self._parameters)

    def __repr__(self) -> str:
        return f"DatabaseUrl({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DatabaseUrl) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _parse_database_url, (str(self),)


CatalogLocation = Path | DatabaseUrl  # of a catalog: a SQLite file, or PostgreSQL


def is_database_url(given_location: object) -> bool:
    """Return True if the location of a library is the URL of a database, valid or not.

    Args:
        given_location: Text or path.
    """
    return isinstance(given_location, str | os.PathLike) and bool(
        _SCHEME_RE.match(os.fsdecode(given_location))
    )


def redact_database_urls(text: str) -> str:
    """Return a text, for example a command line, without the passwords of URLs of databases.

    Args:
        text: Any text.
    """

    def redact(url_match: re.Match[str]) -> str:
        try:
            database_url = DatabaseUrl.parse(url_match[0])
        except SettingsError:
            return f"{SCHEME}://{REDACTED}"
        return str(database_url) if database_url.has_password else url_match[0]

    return _EMBEDDED_URL_RE.sub(redact, text)


def _parse_database_url(url_text: str) -> DatabaseUrl:
    return DatabaseUrl.parse(url_text)


def _parse_parameters(parameters_text: str) -> dict[str, str]:
    try:
        parameters = dict(parse_qsl(parameters_text, strict_parsing=True, keep_blank_values=True))
    except ValueError:
        parameters = {"": ""}
    if not parameters.keys() <= _PARAMETERS or "#" in parameters_text:
        raise SettingsError(
            "the URL of the database has a parameter that PostgreSQL does not know, or a `?` or "
            f"`#` that is not escaped; {_USAGE}"
        ) from None
    return parameters


def _check_hosts(hosts: str) -> None:
    """Raise SettingsError if a port is not a number; names are left to libpq."""
    for host in hosts.split(","):
        _, has_port, port = host.rpartition("]" if host.startswith("[") else ":")
        if host.startswith("["):
            has_port, port = port[:1], port[1:]
        if has_port and not _PORT_RE.fullmatch(port):
            raise SettingsError(f"the URL of the database has a port that is not valid; {_USAGE}")


def _has_password_file() -> bool:
    try:
        return (Path.home() / ".pgpass").exists()
    except RuntimeError:  # no home folder
        return False
