"""Look into another network namespace, after network_namespaces(7), setns(2), ioctl_nsfs(2).

Rules:

- A socket belongs for ever to the namespace that its thread was in when it was opened, and an open
  file of /proc/net likewise. So nobody has to stay there in order to list: `open_socket` and
  `open_table` bring these here, and the calling thread goes on where it always was.
- To go there takes CAP_SYS_ADMIN over that namespace *and* where one is. Root has both, goes, and
  comes back. Who owns a namespace by way of a user namespace, as an ordinary user owns the hosts
  of ``sw lab``, has only the first, and gets the second by joining that user namespace: which only
  a process with one thread can do, and from which nobody comes back. So a copy of this process
  (fork) goes there, opens what is asked for, hands it over and ends. With that the owner may do all
  that he may do there, close sockets for instance: the kernel counts him as privileged over what he
  owns.
- Users are numbered as the user namespace sees them in which the socket was opened: on such a
  socket the owner himself is user 0, if that is how he mapped himself.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from sockwright.errors import NotPossibleError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from typing import BinaryIO, NoReturn, TypeVar

    T = TypeVar("T")

__all__ = ["call_inside", "namespace", "open_socket", "open_table"]

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_NS_GET_USERNS, _NS_GET_NSTYPE = 0xB701, 0xB703  # linux/nsfs.h
_NAMES = "/run/netns"
_HERE = "/proc/thread-self/ns/net"
_DESCRIPTOR = struct.Struct("=i")
_OWNERS = "it takes root with CAP_SYS_PTRACE and CAP_SYS_ADMIN, or the user who owns it"


class _Inside:
    """The context manager that `namespace` returns."""

    __slots__ = ("_back", "_target")

    def __init__(self, target: int | str | None) -> None:
        self._target = target
        self._back: FileIO | None = None

    def __enter__(self) -> None:
        if self._target is None:
            return
        with _find(self._target) as there:
            try:
                self._back = _enter(there)
            except PermissionError:
                text = f"{_described(self._target)} cannot be entered"
                remedy = "to go there and come back takes CAP_SYS_ADMIN, as root has"
                raise NotPossibleError(text, remedy) from None

    def __exit__(self, *_: object) -> None:
        back, self._back = self._back, None
        if back is not None:
            _leave(back)


def namespace(target: int | str | None) -> _Inside:
    """Move this thread into a network namespace for the length of a ``with`` block.

    `target` is the number of a process, a name under /run/netns as ``ip netns`` gives, a path such
    as ``/proc/PID/ns/net``, or None to stay. A string of digits is a name where there is such a
    name, else a process. The namespace is looked up once: a process that ends later takes nothing
    away.

    Inside, the sockets that this thread opens are of that namespace, and so is what it reads in
    /proc/thread-self/net (not in /proc/net, which is that of the first thread). Other threads stay
    where they are, threads started inside stay there. An ``await`` or ``yield`` inside would let
    others run in that namespace: for sockets alone `open_socket` is better.

    /proc stays the one of this process: `find_processes` shows all processes of this PID namespace
    and those below it, whatever network namespace they are in, by the numbers that they have here.

    Raises:
        UsageError: there is no such process, name or path, or it is no network namespace.
        NotPossibleError: this user may not go there and come back; `open_socket` may do.
        OSError: as the kernel says; also at the end, where the thread gave its privileges up inside
            and cannot go back.
    """
    return _Inside(target)


def call_inside(target: int | str | None, function: Callable[[], T]) -> T:
    """Call a function in a network namespace and return its result; `target` as for `namespace`.

    It works for root, and for an ordinary user in the namespaces that he owns, such as the hosts of
    ``sw lab``. For the latter it runs in a copy of this process: only its result or exception comes
    back, by pickle, and a lock that another thread holds at that moment stays locked in the copy.
    So the function is best a few system calls.

    Raises:
        UsageError: as `namespace`.
        NotPossibleError: the namespace belongs to another user.
        OSError: as the kernel says.
        Exception: what the function raises.
    """
    if target is None:
        return function()
    with _find(target) as there:
        try:
            back = _enter(there)
        except PermissionError:
            return _call_by_copy(target, there, function)
        try:
            return function()
        finally:
            _leave(back)


def open_socket(
    target: int | str | None, family: int, kind: int, protocol: int = 0
) -> socket.socket:
    """Open a socket in a network namespace; `target` as for `namespace`, the rest as for a socket.

    Raises: as `call_inside`.
    """
    return socket.socket(fileno=_bring(target, lambda: socket.socket(family, kind, protocol)))


def open_table(target: int | str | None, name: str) -> BinaryIO:
    """Open /proc/net/`name` of a network namespace to read it; `target` as for `namespace`.

    Raises: as `call_inside`; FileNotFoundError where the kernel has no such table.
    """
    path = f"/proc/thread-self/net/{name}"
    return open(_bring(target, lambda: open(path, "rb", buffering=0)), "rb")


def _bring(target: int | str | None, make: Callable[[], socket.socket | FileIO]) -> int:
    """Open something in a namespace; return a descriptor of it here. Raises: as `call_inside`."""
    if target is None:
        with make() as made:
            return os.dup(made.fileno())
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def send() -> None:
        with make() as made:
            socket.send_fds(its, [b"."], [made.fileno()])

    with ours, its:
        call_inside(target, send)
        # Not socket.recv_fds, which forgets the flags that it is given (Python 3.11).
        room = socket.CMSG_LEN(_DESCRIPTOR.size)
        _, ((_, _, octets),), _, _ = ours.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)
    return int(_DESCRIPTOR.unpack(octets)[0])


def _call_by_copy(target: int | str, there: FileIO, function: Callable[[], T]) -> T:
    """Have a copy of this process go there and call it. Raises: as `call_inside`."""
    import pickle
    from fcntl import ioctl

    closed = NotPossibleError(f"{_described(target)} is closed to this user", _OWNERS)
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
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads: see `call_inside`
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

    path = _path(target)
    try:
        # A path may be a pipe that nobody writes to.
        there = _open(path, os.O_NONBLOCK)
    except PermissionError:
        raise NotPossibleError(f"{_described(target)} is closed to this user", _OWNERS) from None
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError, ValueError):
        raise UsageError(_absence(target)) from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder, and no network namespace") from None
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


def _enter(there: FileIO) -> FileIO:
    """Move this thread to a network namespace; return the one it was in. Raises: OSError."""
    back = _open(_HERE)
    try:
        if not _same(there, back):  # or it would take a privilege to stay
            _setns(there.fileno(), _CLONE_NEWNET)
    except BaseException:  # a Ctrl-C among them, which may come behind the system call
        _leave(back)
        raise
    return back


def _leave(back: FileIO) -> None:
    """Move this thread back and close `back`. Raises: OSError."""
    with back, _open(_HERE) as here:
        if not _same(here, back):
            _setns(back.fileno(), _CLONE_NEWNET)


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
