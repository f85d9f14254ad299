"""Look into another network namespace, after network_namespaces(7), setns(2), ioctl_nsfs(2).

Rules:

- A socket belongs for ever to the namespace that its thread was in when it was opened, and an open
  file of /proc/net likewise. So nobody has to stay there in order to list: `open_socket` and
  `open_table` bring these here.
- The calling thread stays where it is. A thread of its own goes there and ends there: one that had
  to come back could fail to, by a Ctrl-C at the wrong moment for instance, and its program would go
  on in the wrong network, see `errand`.
- To go there takes CAP_SYS_ADMIN over that namespace *and* where one is, as root has. Who owns a
  namespace by way of a user namespace, as an ordinary user owns the hosts of ``sw lab``, has only
  the first, and gets the second by joining that user namespace: which only a process with one
  thread can do. So a copy of this process (fork) goes there, opens what is asked for, hands it over
  and ends. With that the owner may do all that he may do there, close sockets for instance: the
  kernel counts him as privileged over what he owns.
- Users are numbered as the user namespace sees them in which the socket was opened: on such a
  socket the owner himself is user 0, if that is how he mapped himself.

A namespace is named by the number of a process, a name under /run/netns as ``ip netns`` gives, a
path such as ``/proc/PID/ns/net``, or None for the one of this thread. A string of digits is a name
where there is such a name, else a process. /proc stays the one of this process: `find_processes`
shows all processes of this PID namespace and those below it, whatever network namespace they are
in, by the numbers that they have here.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import sys

from sockwright.errors import NotPossibleError, UsageError
from sockwright.sockets.diag.errand import errand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from typing import BinaryIO, NoReturn, TypeVar

    T = TypeVar("T")
    Opened = TypeVar("Opened", socket.socket, BinaryIO)

__all__ = ["call_inside", "open_socket", "open_table"]

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_NS_GET_USERNS, _NS_GET_NSTYPE = 0xB701, 0xB703  # linux/nsfs.h
_NAMES = "/run/netns"
_HERE = "/proc/thread-self/ns/net"
_DESCRIPTOR = struct.Struct("=i")
_NO_PATH = {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.ESRCH}


def call_inside(target: int | str | None, function: Callable[[], T]) -> T:
    """Call a function in a network namespace and return its result.

    It works for root, and for an ordinary user in the namespaces that he owns, such as the hosts of
    ``sw lab``. It runs in another thread, and for the latter in a copy of this process: only its
    result or exception comes back from that, by pickle, and a lock that another thread holds at
    that moment stays locked in the copy. So the function is best a few system calls. A Ctrl-C ends
    the wait for it, and not the function.

    Raises:
        UsageError: there is no such process, name or path, or it is no network namespace.
        NotPossibleError: the namespace belongs to another user.
        TypeError: `target` is neither a number nor text.
        OSError: as the kernel says; EAGAIN where there is no room for another thread.
        Exception: what the function raises.
    """
    if target is None:
        return function()
    return _visit(target, function, lambda there: _call_by_copy(target, there, function))


def open_socket(
    target: int | str | None, family: int, kind: int, protocol: int = 0
) -> socket.socket:
    """Open a socket in a network namespace. Raises: as `call_inside`."""
    return _bring(
        target,
        lambda: socket.socket(family, kind, protocol),
        lambda descriptor: socket.socket(fileno=descriptor),
    )


def open_table(target: int | str | None, name: str) -> BinaryIO:
    """Open /proc/net/`name` of a network namespace to read it.

    Raises: as `call_inside`; FileNotFoundError where the kernel has no such table.
    """
    path = f"/proc/thread-self/net/{name}"
    return _bring(target, lambda: open(path, "rb"), lambda descriptor: open(descriptor, "rb"))


def _bring(
    target: int | str | None, make: Callable[[], Opened], adopt: Callable[[int], Opened]
) -> Opened:
    """Open something there by `make`; `adopt` takes a descriptor. Raises: as `call_inside`."""
    if target is None:
        return make()

    def by_copy(there: FileIO) -> Opened:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def send() -> None:
            with make() as made:
                socket.send_fds(its, [b"."], [made.fileno()])

        with ours, its:
            _call_by_copy(target, there, send)
            # Not socket.recv_fds, which forgets the flags that it is given (Python 3.11).
            room = socket.CMSG_LEN(_DESCRIPTOR.size)
            _, came, _, _ = ours.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)
            if not came:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        (_, _, octets), *_ = came
        return adopt(*_DESCRIPTOR.unpack(octets))

    return _visit(target, make, by_copy)


def _visit(target: int | str, function: Callable[[], T], by_copy: Callable[[FileIO], T]) -> T:
    """Call a function there in a thread, or where that is not allowed `by_copy`.

    Raises: as `call_inside`.
    """

    def visit() -> T:
        with _find(target) as there:
            try:
                _enter(there)
            except PermissionError:
                return by_copy(there)
            return function()

    return errand(visit)()


def _call_by_copy(target: int | str, there: FileIO, function: Callable[[], T]) -> T:
    """Have a copy of this process go there and call it. Raises: as `call_inside`."""
    import pickle
    import signal
    from fcntl import ioctl

    closed = _closed(target)
    try:
        owner = ioctl(there, _NS_GET_USERNS)
    except PermissionError:
        raise closed from None  # it belongs to a user namespace beside or above ours
    with open(owner, "rb", buffering=0) as user, _open("/proc/self/ns/user") as ours:
        if _same(user, ours):
            raise closed
        reading, writing = os.pipe()
        with open(reading, "rb") as answers:
            with open(writing, "wb") as answer:
                # For good: this thread ends soon. The copy has one thread and begins with these
                # blocked, so that nothing can lead it out of here, into the caller's program.
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
                child = _fork()
                if child == 0:
                    _be_copy(answer, user.fileno(), there.fileno(), function)
            try:
                how, value = pickle.load(answers)  # noqa: S301 - a copy of this program wrote it
            except EOFError:
                how, value = "raised", RuntimeError("the copy of this process was ended")
            finally:
                _wait(child)
    if how == "closed":
        raise closed
    if how == "raised":
        raise value
    result: T = value
    return result


def _fork() -> int:
    if sys.version_info >= (3, 12):
        import warnings

        # Python warns of threads, see `call_inside`. This filter is about this module alone, and
        # for good: to take it back would take back what other threads changed meanwhile.
        module = rf"{re.escape(__name__)}\Z"
        warnings.filterwarnings("ignore", "This process", DeprecationWarning, module)
    return os.fork()


def _be_copy(answer: BinaryIO, user: int, there: int, function: Callable[[], object]) -> NoReturn:
    """Go there for good, call the function, tell what came of it, end."""
    import pickle

    try:
        try:
            _setns(user, _CLONE_NEWUSER)
            _setns(there, _CLONE_NEWNET)
        except PermissionError:
            told = pickle.dumps(("closed", None))
        else:
            told = pickle.dumps(("done", function()))
    except BaseException as error:
        try:
            told = pickle.dumps(("raised", error))
        except Exception:
            told = pickle.dumps(("raised", RuntimeError(f"{type(error).__name__}: {error}")))
    try:
        answer.write(told)
        answer.flush()
    finally:
        os._exit(0)


def _wait(child: int) -> None:
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        return  # this program ignores SIGCHLD, so the kernel has waited for it


def _find(target: int | str) -> FileIO:
    """Open a network namespace. Raises: UsageError, NotPossibleError, OSError."""
    from fcntl import ioctl

    if isinstance(target, bool) or not isinstance(target, int | str):
        raise TypeError(
            f"a network namespace is named by the number of a process, a name or a path, "
            f"not by {target!r}"
        )
    path = _path(target)
    try:
        # A path may be a pipe that nobody writes to.
        there = _open(path, os.O_NONBLOCK)
    except PermissionError:
        raise _closed(target) from None
    except IsADirectoryError:
        if path.startswith(f"{_NAMES}/"):  # "", or ".."
            raise UsageError(_absence(target)) from None
        raise UsageError(f"{path} is a folder, and no network namespace") from None
    except ValueError:  # a NUL
        raise UsageError(_absence(target)) from None
    except OSError as error:
        if error.errno not in _NO_PATH:
            raise
        raise UsageError(_absence(target)) from None
    try:
        kind = ioctl(there, _NS_GET_NSTYPE)
    except OSError as error:
        there.close()
        if error.errno != errno.ENOTTY:
            raise
        kind = 0
    if kind != _CLONE_NEWNET:
        there.close()
        raise UsageError(f"{path} is no network namespace")
    return there


def _path(target: int | str) -> str:
    text = str(target)
    if "/" in text:
        return text
    name = f"{_NAMES}/{text}"
    number = text.isascii() and text.isdecimal() and not os.path.exists(name)
    return f"/proc/{text}/ns/net" if number or isinstance(target, int) else name


def _described(target: int | str) -> str:
    path = _path(target)
    if path.startswith(f"{_NAMES}/"):
        return f"the network namespace {path.removeprefix(f'{_NAMES}/')!r}"
    process = path.removeprefix("/proc/").removesuffix("/ns/net")
    if "/" not in process:
        return f"the network namespace of process {process}"
    return f"the network namespace {path}"


def _closed(target: int | str) -> NotPossibleError:
    """Say that this user may not go there, and what it takes, as far as it can be had."""
    from sockwright.sockets.privileges import Capability, effective_capabilities

    # The first lets open /proc/PID/ns/net of others (ptrace(2)), the second enter (setns(2)).
    wanted = (Capability.CAP_SYS_PTRACE, Capability.CAP_SYS_ADMIN)
    names = " and ".join(one.name for one in wanted)
    held = effective_capabilities()
    lacking = [one.name for one in wanted if one not in held]
    if os.geteuid() != 0:
        remedy = f"it takes root with {names}, or the user who owns it"
    elif lacking:
        remedy = f"it takes {' and '.join(lacking)}, which root has not got here"
    else:
        # As root of a user namespace finds those outside, for instance.
        remedy = "it is closed to root as well, by its user namespace or a security module"
    return NotPossibleError(f"{_described(target)} is closed to this user", remedy)


def _absence(target: int | str) -> str:
    """Say that there is no such namespace, and which there are."""
    path = _path(target)
    if not path.startswith(f"{_NAMES}/"):
        return f"{_described(target)} is not there: it has ended, or never was"
    try:
        names = ", ".join(sorted(os.listdir(_NAMES)))
    except OSError:
        names = ""
    there_are = f"'ip netns list' shows {names}" if names else "'ip netns list' shows none"
    return f"{_described(target)} is not there; {there_are}"


def _open(path: str, flags: int = 0) -> FileIO:
    return open(path, "rb", buffering=0, opener=lambda name, mode: os.open(name, mode | flags))


def _enter(there: FileIO) -> None:
    """Move this thread to a network namespace. Raises: OSError."""
    with _open(_HERE) as here:
        if not _same(there, here):  # or it would take a privilege to stay
            _setns(there.fileno(), _CLONE_NEWNET)


def _same(one: FileIO, other: FileIO) -> bool:
    return os.path.sameopenfile(one.fileno(), other.fileno())


def _setns(descriptor: int, kind: int) -> None:
    """Do as setns(2), which Python has from 3.12 on. Raises: OSError."""
    if hasattr(os, "setns"):
        os.setns(descriptor, kind)
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
