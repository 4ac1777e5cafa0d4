"""Options for messages: --quiet, --log-file, --log-level, --no-color, before or after a command."""

from __future__ import annotations

import ast
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.shell_completion import ShellComplete

from vsearch.cli.log_options import redact_secrets
from vsearch.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.processes import CommandRunner

CLI_FOLDER = Path(__file__).resolve().parents[3] / "vsearch" / "cli"
# messages that are printed in any case: errors of streams, questions, addresses with a token
FILES_WITH_OWN_MESSAGES = {"library.py", "log_options.py", "messages.py", "serve.py", "streams.py"}
pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture(autouse=True)
def _restore_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    yield
    for handler in logging.getLogger().handlers[:]:
        if type(handler).__module__ == "vsearch.cli.log_options":
            logging.getLogger().removeHandler(handler)
            handler.close()


@pytest.mark.parametrize("is_first", [True, False])
def test_quiet_prints_nothing_unless_something_fails(
    run_vsearch: CommandRunner, videos_folder: Path, is_first: bool
) -> None:
    def run(command: str, *arguments: object, exit_code: int = 0) -> tuple[str, str]:
        words = ["-q", command] if is_first else [command, "--quiet"]
        result = run_vsearch(*words, *map(str, arguments), exit_code=exit_code)
        return result.stdout, result.stderr

    assert run("index", videos_folder) == ("", "")
    assert run("index", videos_folder) == ("", "")
    assert run("search", "purple elephants")[1] == ""
    (videos_folder / "broken.mp4").write_bytes(b"no video")
    stdout, stderr = run("index", videos_folder, exit_code=1)
    assert stdout == ""
    [line] = stderr.splitlines()
    assert line.startswith("failed")
    assert "broken.mp4" in line
    stdout, stderr = run("list", "nothing*", exit_code=1)
    assert "No video matches" in stderr


def test_results_are_printed_quietly(run_vsearch: CommandRunner, videos_folder: Path) -> None:
    assert "New library" in run_vsearch("index", videos_folder).stderr
    assert "green.mp4" in run_vsearch("-q", "search", "green").stdout
    assert "green.mp4" in run_vsearch("list", "-q").stdout
    assert "vsearch serve" in run_vsearch("serve", "-q", "--help").stdout


def test_messages_and_errors_are_in_the_log(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    (videos_folder / "broken\n2026 fake.mp4").write_bytes(b"no video")
    log_path = tmp_path / "日志.log"
    log_path.write_text("earlier line\n", "utf-8")
    arguments = ("index", videos_folder, "--quiet", "--log-file", log_path)
    run_vsearch(*arguments, exit_code=1)
    lines = log_path.read_text("utf-8").splitlines()
    assert lines[0] == "earlier line"
    # hostile names cannot start a line
    assert all(
        re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} [A-Z]+ |    ", line) for line in lines[1:]
    )
    text = "\n".join(lines)
    assert "INFO vsearch.cli.messages: vsearch " in lines[1]
    assert "New library" in text
    assert re.search(r"ERROR .*failed .*broken", text)
    assert re.search(r"INFO .*2 indexed · 1 failed", text)
    assert "exit code 1" in lines[-1]
    run_vsearch("list", "nothing*", "--log-file", log_path, exit_code=1)
    assert "No video matches" in log_path.read_text("utf-8")


def test_the_level_decides_what_is_logged(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSEARCH_LOG_FILE", str(tmp_path / "log"))
    run_vsearch("--log-level", "error", "index", videos_folder)
    assert (tmp_path / "log").read_text() == ""
    monkeypatch.setenv("VSEARCH_LOG_LEVEL", "debug")
    result = run_vsearch("list", "--library", "nowhere", exit_code=1)
    assert "Traceback" in (tmp_path / "log").read_text()
    assert "Traceback" not in result.stderr
    monkeypatch.delenv("VSEARCH_LOG_FILE")
    assert "Traceback" in run_vsearch("list", "--library", "nowhere", exit_code=1).stderr
    assert "Choice" not in run_vsearch("list", "--log-level", "loud", exit_code=2).stderr


def test_a_log_file_that_cannot_be_written_is_named_before_the_work_begins(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    for log_path in (tmp_path, tmp_path / "missing" / "log", tmp_path / "nul\0byte"):
        for words in (
            ("--log-file", log_path, "index", videos_folder),
            ("index", videos_folder, "--log-file", log_path),
        ):
            if "\0" in str(log_path) and os.name == "posix":
                continue  # cannot be an argument
            result = run_vsearch(*words, exit_code=2)
            [line] = result.stderr.splitlines()
            assert line.startswith("vsearch: --log-file")
            assert "choose another file" in line
    assert "there is no library" in run_vsearch("list", exit_code=1).stderr


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_a_full_disk_of_the_log_stops_nothing(
    run_vsearch: CommandRunner, videos_folder: Path
) -> None:
    result = run_vsearch("index", videos_folder, "--log-file", "/dev/full")
    assert result.stderr.count("the log cannot be written") == 1
    assert "2 indexed" in result.stdout


def test_a_rotated_log_is_opened_again(tmp_path: Path) -> None:
    from vsearch.cli.log_options import _open_log_file

    handler = _open_log_file(tmp_path / "log", logging.INFO)
    record = logging.LogRecord("name", logging.INFO, "", 0, "first", None, None)
    handler.emit(record)
    (tmp_path / "log").rename(tmp_path / "log.1")
    record.msg = "second"
    handler.emit(record)
    handler.close()
    assert "first" in (tmp_path / "log.1").read_text()
    assert "second" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("text", "secrets", "kept"),
    [
        ("https://user:hunter2@films.example/x", ["hunter2", "user"], "films.example/x"),
        ("GET /x?token=abc123&k=5", ["abc123"], "&k=5"),
        ("Authorization: Bearer 0123456789abcdef", ["0123456789abcdef"], "Authorization"),
        ("VSEARCH_TOKEN=0123456789abcdef", ["0123456789abcdef"], "VSEARCH_TOKEN="),
        ("https://s3/x.mp4?X-Amz-Signature=ab12&X-Amz-Expires=60", ["ab12"], "Expires=60"),
        ("/videos/me@home.mp4 and token.txt", [], "/videos/me@home.mp4 and token.txt"),
    ],
)
def test_logs_have_no_secrets(text: str, secrets: list[str], kept: str) -> None:
    redacted = redact_secrets(text)
    assert kept in redacted
    assert not [secret for secret in secrets if secret in redacted]


def test_a_token_in_an_address_is_not_in_the_log(
    run_vsearch: CommandRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSEARCH_TOKEN", "0123456789abcdef")
    address = "http://someone:hunter2@127.0.0.1:9/"
    words = ("--log-file", tmp_path / "log", "--log-level", "debug", "search", "--server", address)
    run_vsearch(*words, "x", exit_code=1)
    text = (tmp_path / "log").read_text()
    assert "127.0.0.1" in text
    assert "hunter2" not in text
    assert "0123456789abcdef" not in text


def test_colors_follow_the_option_and_the_variables(
    run_vsearch: CommandRunner, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_vsearch("index", videos_folder)
    assert "\x1b" not in run_vsearch("list").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[2m" in run_vsearch("list").stdout
    assert "\x1b" not in run_vsearch("list", "--no-color").stdout
    assert "\x1b" not in run_vsearch("--no-color", "list").stdout
    assert "\x1b" not in run_vsearch("list", "--json").stdout
    # no progress line in files
    assert "\x1b" not in run_vsearch("index", videos_folder, "--force").stderr
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run_vsearch("list").stdout


def list_commands(command: click.Command, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield names
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            subcommand = command.get_command(context, name)
            assert subcommand is not None
            yield from list_commands(subcommand, (*names, name))


@pytest.mark.parametrize("names", list(list_commands(cli, ())), ids=" ".join)
def test_every_command_accepts_and_completes_the_options(names: tuple[str, ...]) -> None:
    completer = ShellComplete(cli, {}, "vsearch", "_VSEARCH_COMPLETE")
    completions = {item.value for item in completer.get_completions(list(names), "--")}
    assert {"--quiet", "--log-file", "--log-level", "--no-color", "--verbose"} <= completions


def test_every_message_honors_quiet_and_the_log() -> None:
    """`print_note` and `print_problem`, instead of `click.echo(…, err=True)`."""
    for path in CLI_FOLDER.rglob("*.py"):
        if path.name in FILES_WITH_OWN_MESSAGES:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                is_message = node.func.attr == "echo" and any(
                    keyword.arg == "err" and isinstance(keyword.value, ast.Constant)
                    for keyword in node.keywords
                )
                assert not is_message, f"{path}:{node.lineno}"
