"""The system calls of namespaces(7) and capabilities(7) that Python does not have.

`os.setns` and `os.unshare` came with Python 3.12 and are used where they are; all else is called in
the C library. Each function raises `OSError` with the errno of the system call.
"""

from __future__ import annotations

import ctypes
import os

__all__ = [
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "MS_BIND",
    "MS_PRIVATE",
    "MS_REC",
    "die_with_parent",
    "drop_capabilities",
    "mount",
    "set_dumpable",
    "setns",
    "unshare",
]

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITIES = 64  # room for all that version 3 of capset(2) can hold


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this process into new namespaces, after the manual page of the same name."""
    if hasattr(os, "unshare"):
        os.unshare(flags)
    else:
        _call("unshare", flags)


def setns(descriptor: int) -> None:
    """Move this process into the namespace that `descriptor` stands for."""
    if hasattr(os, "setns"):
        os.setns(descriptor)
    else:
        _call("setns", descriptor, 0)


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str = "") -> None:
    """Attach a file system of this `kind` at `target`."""
    _call(
        "mount",
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode(),
    )


def set_dumpable() -> None:
    """Let this process read its own files in /proc again.

    The kernel takes that away when setns(2) raises the privileges of a process, prctl(2).
    """
    _call("prctl", _PR_SET_DUMPABLE, *(ctypes.c_ulong(value) for value in (1, 0, 0, 0)))


def die_with_parent() -> None:
    """Have the kernel send SIGKILL when the thread that forked this process ends, prctl(2)."""
    _call("prctl", _PR_SET_PDEATHSIG, *(ctypes.c_ulong(value) for value in (9, 0, 0, 0)))


def drop_capabilities() -> None:
    """Give up every capability for good: user 0 of a namespace is then nobody special there.

    The bounding set goes first, or the next execve(2) of user 0 would bring them all back.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    for capability in range(_CAPABILITIES):
        # EINVAL: this kernel does not know a capability of that number.
        libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), zero, zero, zero)
    libc.prctl(_PR_CAP_AMBIENT, ctypes.c_ulong(_PR_CAP_AMBIENT_CLEAR_ALL), zero, zero, zero)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _call("capset", ctypes.byref(header), ctypes.byref(nothing))
