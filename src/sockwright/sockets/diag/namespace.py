"""Look into another network namespace, after network_namespaces(7) and setns(2)."""

from __future__ import annotations

import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["namespace", "open_socket"]

_CLONE_NEWNET = 0x40000000
_NAMES = "/run/netns"


class _Inside:
    """The context manager that `namespace` returns."""

    __slots__ = ("_back", "_target")

    def __init__(self, target: int | str | None) -> None:
        self._target = target
        self._back = -1

    def __enter__(self) -> None:
        if self._target is None:
            return
        there = _open(self._target)
        try:
            self._back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            _setns(there, _CLONE_NEWNET)
        finally:
            os.close(there)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._target is not None:
            try:
                _setns(self._back, _CLONE_NEWNET)
            finally:
                os.close(self._back)


def namespace(target: int | str | None) -> _Inside:
    """Move this thread into a network namespace for the length of a ``with`` block.

    `target` is the number of a process, a name under /run/netns (``ip netns``), a path such as
    ``/proc/PID/ns/net``, or None to stay. Inside, the sockets that this thread opens and what it
    reads in /proc/thread-self/net are that namespace's. Sockets keep the namespace in which they
    were opened, so the block is best left as soon as they are.

    Raises:
        UsageError: there is no such process or name.
        NotPossibleError: this takes CAP_SYS_ADMIN; `open_socket` may do without.
    """
    return _Inside(target)


def open_socket(
    target: int | str | None, family: int, kind: int, protocol: int = 0
) -> socket.socket:
    """Open a socket in a network namespace; `target` as for `namespace`.

    Also works for an ordinary user whose own the namespace is, such as a host of ``sw lab``: a
    process that goes there for good opens the socket and hands it over.

    Raises:
        UsageError: there is no such process or name.
        NotPossibleError: the namespace belongs to another user.
        OSError: as the kernel says.
    """
    with namespace(target):
        return socket.socket(family, kind, protocol)


def _open(target: int | str) -> int:
    text = str(target)
    path = text if "/" in text else f"{_NAMES}/{text}"
    if isinstance(target, int) or (text.isdecimal() and not os.path.exists(path)):
        path = f"/proc/{target}/ns/net"
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def _setns(descriptor: int, kind: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
