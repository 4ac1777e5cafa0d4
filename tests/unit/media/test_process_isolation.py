"""A process that decodes an upload can reach nothing but the upload."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.video_factory import RED, ColorScene, make_video

if TYPE_CHECKING:
    from pathlib import Path

ATTACK = """
import ctypes, json, os, socket, sys, threading
from pathlib import Path
from vsearch.media.process_isolation import isolate_process
upload, folder, secret, victim = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
isolate_process(upload, folder)

def attempt(action):
    try:
        action()
    except OSError as error:
        return error.errno
    return 0

def in_thread(action):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(attempt(action)))
    thread.start()
    thread.join()
    return codes[0]

def raw(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")

print(json.dumps({
    "read secret": attempt(lambda: open(secret).close()),
    "read secret in a thread": in_thread(lambda: open(secret).close()),
    "read environment of others": attempt(lambda: open(f"/proc/{victim}/environ").close()),
    "list root": attempt(lambda: os.listdir("/")),
    "write elsewhere": attempt(lambda: open(secret + ".new", "w").close()),
    "delete elsewhere": attempt(lambda: os.unlink(secret)),
    "tcp": attempt(lambda: socket.socket()),
    "udp": attempt(lambda: socket.socket(type=socket.SOCK_DGRAM)),
    "unix socket": attempt(lambda: socket.socket(socket.AF_UNIX)),
    "tcp in a thread": in_thread(lambda: socket.socket()),
    "program": attempt(lambda: os.execv("/bin/true", ["true"])),
    "signal": attempt(lambda: os.kill(victim, 9)),
    "io_uring": attempt(lambda: raw(425, 1, 0)),
    "more files": attempt(lambda: [os.open(upload, os.O_RDONLY) for _ in range(100)]),
}))
"""
ALLOWED = """
import json, sys
from pathlib import Path
from vsearch.media.process_isolation import isolate_process
upload, folder = Path(sys.argv[1]), Path(sys.argv[2])
isolate_process(upload, folder)
(folder / "out").write_bytes(upload.read_bytes())
(folder / "out").unlink()
import wave, PIL.WebPImagePlugin  # code may still be loaded
print(json.dumps(True))
"""


def is_supported() -> bool:
    """Return whether the kernel has Landlock and seccomp for this processor."""
    program = (
        "import ctypes, platform, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "known = platform.machine() in ('x86_64', 'aarch64')\n"
        "sys.exit(not (known and libc.syscall(444, None, 0, 1) > 0 and libc.prctl(21, 0) >= 0))"
    )
    return (
        sys.platform == "linux"
        and subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    )


linux_only = pytest.mark.skipif(not is_supported(), reason="needs Landlock and seccomp")


def run_isolated(program: str, *arguments: str | Path | int) -> object:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@linux_only
def test_a_hijacked_decoder_reaches_nothing(tmp_path: Path) -> None:
    upload, folder, secret = tmp_path / "upload", tmp_path / "folder", tmp_path / "secret"
    upload.write_bytes(b"x")
    folder.mkdir()
    secret.write_text("secret")
    victim = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        codes = run_isolated(ATTACK, upload, folder, secret, victim.pid)
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.communicate()
    assert isinstance(codes, dict)
    assert [attack for attack, code in codes.items() if code == 0] == []
    assert secret.read_text() == "secret"


@linux_only
def test_what_decoding_needs_is_left(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    assert run_isolated(ALLOWED, tmp_path / "upload", tmp_path / "folder") is True


@linux_only
def test_the_sandbox_isolates_itself(tmp_path: Path) -> None:
    """A link to another file is followed only to the file that was named."""
    video_path = make_video(tmp_path / "a.mp4", [ColorScene(RED, 2)], fps=5)
    folder = tmp_path / "folder"
    folder.mkdir()
    program = (
        "import sys\n"
        "from vsearch.media import upload_sandbox\n"
        "upload_sandbox.main()\n"
        "try:\n"
        "    open('/etc/hostname')\n"
        "except PermissionError:\n"
        "    print('denied')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, video_path, folder], capture_output=True, check=True
    )
    report, denied = done.stdout.decode().splitlines()
    assert json.loads(report)["kind"] == "clip"
    assert denied == "denied"


@linux_only
def test_each_denied_system_call_fails() -> None:
    program = """
import ctypes, json, platform
from vsearch.media import process_isolation
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
process_isolation._deny_system_calls(libc)
errors = {}
for number in process_isolation._DENIED_SYSCALLS[platform.machine()]:
    errors[number] = libc.syscall(number, -1, -1, -1, -1, -1) and ctypes.get_errno()
errors["getpid"] = int(libc.getpid() <= 0)
print(json.dumps(errors))
"""
    errors = run_isolated(program)
    assert isinstance(errors, dict)
    assert errors.pop("getpid") == 0
    assert len(errors) == 24
    assert set(errors.values()) == {1}  # EPERM
