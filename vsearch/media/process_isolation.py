"""Take from the current process what decoding a file does not need: network, programs, other files.

Linux only, by Landlock (https://docs.kernel.org/userspace-api/landlock.html) and a seccomp filter
(https://docs.kernel.org/userspace-api/seccomp_filter.html). Both are permanent. A kernel without
one of them runs the process without it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_OPEN_FILES = 64
_PACKAGE_FOLDER = Path(__file__).parents[1]
_SYSTEM_PATHS = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom")
_CPU_PATHS = ("/proc/cpuinfo", "/proc/meminfo", "/proc/self", "/sys/devices/system/cpu")

_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 22, 38
_SECCOMP_MODE_FILTER = 2

_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_CREATE_RULESET_VERSION = 1  # flag: return the version of the interface
_LANDLOCK_RULE_PATH_BENEATH = 1
_FS_EXECUTE, _FS_WRITE_FILE, _FS_READ_FILE, _FS_READ_DIR = 1, 2, 4, 8
_FS_REMOVE_FILE, _FS_MAKE_REG, _FS_TRUNCATE = 1 << 5, 1 << 8, 1 << 14
_FS_READ = _FS_READ_FILE | _FS_READ_DIR | _FS_EXECUTE  # mapping a library needs FS_EXECUTE
_FS_WRITE = _FS_READ | _FS_WRITE_FILE | _FS_REMOVE_FILE | _FS_MAKE_REG | _FS_TRUNCATE
_FS_RIGHTS_OF_FILES = _FS_EXECUTE | _FS_WRITE_FILE | _FS_READ_FILE | _FS_TRUNCATE
_FS_RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # number of rights; later ones as 5
_NET_TCP = 0b11  # bind and connect, since version 4
_SCOPED = 0b11  # abstract sockets and signals, since version 6

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_FIRST_X32_SYSCALL = 0x40000000  # the same calls by other numbers
# socket, connect, bind, listen, execve, execveat, ptrace, process_vm_readv and _writev, kill,
# tkill, mount, unshare, setns, add_key, request_key, keyctl, perf_event_open, bpf, userfaultfd,
# io_uring_setup, pidfd_send_signal, pidfd_open, pidfd_getfd
_DENIED_SYSCALLS = {
    "x86_64": (41, 42, 49, 50, 59, 322, 101, 310, 311, 62, 200, 165, 272, 308, 248, 249, 250, 298,
               321, 323, 425, 424, 434, 438),
    "aarch64": (198, 203, 200, 201, 221, 281, 117, 270, 271, 129, 130, 40, 97, 268, 217, 218, 219,
                241, 280, 282, 425, 424, 434, 438),
}  # fmt: skip
_BPF_LOAD, _BPF_JUMP_EQUAL, _BPF_JUMP_AT_LEAST, _BPF_RETURN = 0x20, 0x15, 0x35, 0x06
_SECCOMP_ALLOW, _SECCOMP_DENY = 0x7FFF0000, 0x00050001  # EPERM


def isolate_process(read_path: Path, write_folder: Path) -> None:
    """Give up network, starting programs, signals, and files other than those named here.

    Python, its packages and the system's libraries stay readable. Call it before other threads
    start: Landlock restricts the calling thread and those it starts.

    Args:
        read_path: File to read.
        write_folder: Folder to read from and write to.
    """
    if sys.platform != "linux":
        return
    import resource  # not available on Windows

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_OPEN_FILES, MAX_OPEN_FILES))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # others cannot attach to it
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # a condition of both mechanisms
    _restrict_files(libc, [*_list_code_paths(), read_path], write_folder)
    _deny_system_calls(libc)


def _list_code_paths() -> Iterator[Path]:
    """Yield the paths that Python and its packages may still load code and data from."""
    yield from map(Path, (*_SYSTEM_PATHS, *_CPU_PATHS, sys.prefix, sys.base_prefix))
    yield from map(Path, sysconfig.get_paths().values())
    # an editable installation has the package in a folder with other files
    yield from (Path(entry) for entry in sys.path if entry.endswith("-packages"))
    yield _PACKAGE_FOLDER


def _restrict_files(libc: ctypes.CDLL, read_paths: Iterable[Path], write_folder: Path) -> None:
    """Restrict file access by Landlock, and TCP where the kernel's version can."""
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    if version < 1:
        return
    handled_rights = (1 << _FS_RIGHTS_BY_VERSION.get(version, _FS_RIGHTS_BY_VERSION[5])) - 1
    attributes = struct.pack("<QQQ", handled_rights, _NET_TCP, _SCOPED)
    attribute_bytes = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, attribute_bytes, 0)
    if ruleset < 0:
        return
    try:
        for read_path in read_paths:
            _allow_path(libc, ruleset, read_path, _FS_READ & handled_rights)
        _allow_path(libc, ruleset, write_folder, _FS_WRITE & handled_rights)
        libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow_path(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    """Allow access to a file or to everything below a folder; a missing path is skipped."""
    try:
        path_fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _FS_RIGHTS_OF_FILES
        rule = struct.pack("<Qi", rights, path_fd)
        libc.syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(path_fd)


def _deny_system_calls(libc: ctypes.CDLL) -> None:
    """Make sockets, programs and access to other processes fail with EPERM."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return
    denied_syscalls = _DENIED_SYSCALLS[machine]
    to_deny = len(denied_syscalls) + 1  # from the test of x32, the jump to the last instruction
    instructions = [
        (_BPF_LOAD, 0, 0, 4),  # architecture
        (_BPF_JUMP_EQUAL, 0, to_deny + 2, _ARCHITECTURES[machine]),
        (_BPF_LOAD, 0, 0, 0),  # number of the system call
        (_BPF_JUMP_AT_LEAST, to_deny, 0, _FIRST_X32_SYSCALL),
        *(
            (_BPF_JUMP_EQUAL, to_deny - 1 - position, 0, syscall_number)
            for position, syscall_number in enumerate(denied_syscalls)
        ),
        (_BPF_RETURN, 0, 0, _SECCOMP_ALLOW),
        (_BPF_RETURN, 0, 0, _SECCOMP_DENY),
    ]
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    program_buffer = ctypes.create_string_buffer(program)
    filter_struct = struct.pack("@HP", len(instructions), ctypes.addressof(program_buffer))
    libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filter_struct, 0, 0)
