"""Give up privileges, once what needed them is open; capabilities(7).

A capability is a thread's, not a process's: who drops it in one thread keeps it in the others. So
this is for a program with one thread, before it starts more; those that it starts then have no more
than it has.

User 0 without capabilities is still the owner of root's files. `drop_privileges` can change to
another user too; where it does not, the process may still write what root owns, and nothing else.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

from sockwright.sockets.privileges import Capability

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["drop_privileges", "rehearse_drop"]

_VERSION_3 = 0x20080522  # of struct __user_cap_header_struct
_HIGHEST = 64  # room for all that version 3 can hold
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 24, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CALL = ctypes.c_ulong


def drop_privileges(
    user: str = "", *, needed: Sequence[tuple[Path, int]] = ()
) -> frozenset[Capability]:
    """Give up every capability for good, and become `user` where one is named; give what was kept.

    `needed` are files and folders that must stay accessible, each with `os.R_OK`, `os.W_OK` or
    `os.X_OK` as for `os.access`. Where root could get at one only by CAP_DAC_OVERRIDE or
    CAP_DAC_READ_SEARCH (another user's folder), that one capability is kept; `user` keeps none, and
    has to get at all of them without. No program started later gets anything back
    (PR_SET_NO_NEW_PRIVS).

    Raises:
        RuntimeError: this process has several threads.
        KeyError: there is no such user.
        PermissionError: this process may not become that user, or that user gets not at what is
            needed.
    """
    _refuse_threads()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, _CALL(1), _CALL(0), _CALL(0), _CALL(0))
    # First the bounding set, or the next execve(2) of user 0 would bring them all back. Refused
    # without CAP_SETPCAP, and for numbers that this kernel does not know.
    for capability in range(_HIGHEST):
        libc.prctl(_PR_CAPBSET_DROP, _CALL(capability), _CALL(0), _CALL(0), _CALL(0))
    libc.prctl(_PR_CAP_AMBIENT, _CALL(_PR_CAP_AMBIENT_CLEAR_ALL), _CALL(0), _CALL(0), _CALL(0))
    if user:
        _become(user)
    other = os.geteuid() != 0
    if user and other:
        _check(user, needed)
    permitted = _permitted()
    _set(libc, effective=0, permitted=permitted)
    # Without any in effect the kernel says what the user's own rights suffice for.
    kept = set() if other else {one for one in _lacking(needed) if permitted >> one & 1}
    mask = sum(1 << capability for capability in kept)
    _set(libc, effective=mask, permitted=mask)
    return frozenset(kept)


def rehearse_drop(user: str = "", *, needed: Sequence[tuple[Path, int]] = ()) -> None:
    """Find out whether `drop_privileges` will succeed, before what cannot be undone is done.

    A child process drops its privileges and ends; this process keeps what it has.

    Raises: what `drop_privileges` would.
    """
    _refuse_threads()  # of which fork(2) would copy one
    ours, its = os.pipe()
    child = os.fork()
    if child == 0:
        told = b""
        try:
            drop_privileges(user, needed=needed)
        except BaseException as error:  # raised again by the parent
            told = pickle.dumps(error)
        finally:
            os.write(its, told)
            os._exit(0)
    os.close(its)
    with os.fdopen(ours, "rb") as answer:
        octets = answer.read()
    os.waitpid(child, 0)
    if octets:
        failure: BaseException = pickle.loads(octets)  # noqa: S301  # our own child wrote it
        raise failure


def _refuse_threads() -> None:
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - only how many they are
        raise RuntimeError("privileges are those of a thread: drop them before more are started")


def _become(user: str) -> None:
    import pwd

    entry = pwd.getpwnam(user)
    if os.geteuid() != entry.pw_uid:
        os.initgroups(user, entry.pw_gid)
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def _check(user: str, needed: Sequence[tuple[Path, int]]) -> None:
    for path, mode in needed:
        if not os.access(path, mode):
            action = "write to" if mode & os.W_OK else "read"
            raise PermissionError(errno.EACCES, f"the user {user} may not {action} it", str(path))


def _lacking(needed: Sequence[tuple[Path, int]]) -> set[Capability]:
    """Say by which capabilities root would get at what its own rights do not suffice for."""
    lacking = set()
    for path, mode in needed:
        if not os.access(path, mode, effective_ids=True):
            writing = bool(mode & os.W_OK)
            lacking.add(Capability.CAP_DAC_OVERRIDE if writing else Capability.CAP_DAC_READ_SEARCH)
    return lacking


def _permitted() -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0


def _set(libc: ctypes.CDLL, *, effective: int, permitted: int) -> None:
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    low = 0xFFFFFFFF
    data = (ctypes.c_uint32 * 6)(
        effective & low, permitted & low, 0, effective >> 32, permitted >> 32, 0
    )
    if libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"give up capabilities: {os.strerror(number)}")
