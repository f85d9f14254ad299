"""Requests of sock_diag(7) over netlink(7), and their answers.

Written out here, for the time: pyroute2's dump of the same 20 000 sockets takes 30 times as long.

Rules: a dump comes as datagrams of many messages each, of 32 KiB at most, and ends with a message
DONE. The kernel goes on where it stopped each time a datagram is received, so a dump is no
snapshot, and is received to its end before anyone looks at it. Where the kernel noticed itself that
its tables changed, it says so with NLM_F_DUMP_INTR on the message that it was about to write, which
may stand anywhere in a datagram. A protocol that it cannot list is refused with ENOENT, in the DONE
or in an ERROR message.
"""

from __future__ import annotations

import _socket as socket  # `socket` makes enumerations of all constants: 5 ms of a start
import errno
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    Messages = tuple[bytes, Sequence[int]]
    """Octets of messages, and where each message in them starts."""

__all__ = [
    "BOTH_FAMILIES",
    "BY_FAMILY",
    "DESTROY",
    "HEADER",
    "DumpInterrupted",
    "SockDiag",
    "attribute",
    "attributes",
    "message_offsets",
]

NETLINK_SOCK_DIAG = 4
BOTH_FAMILIES = 18
"""TCPDIAG_GETSOCK, the request of Linux 2.6: TCP over IPv4 and IPv6 in one walk."""
BY_FAMILY = 20
"""SOCK_DIAG_BY_FAMILY: tell about sockets; also the type of each message that does."""
DESTROY = 21
"""SOCK_DESTROY: abort the connection of one socket."""

HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
_NUMBER = struct.Struct("=i")
_TIMEVAL = struct.Struct("@ll")
_ERROR, _DONE, _OVERRUN = 2, 3, 4
_REQUEST, _ACK, _DUMP_INTR, _DUMP = 0x1, 0x4, 0x10, 0x300
_TYPE_MASK = 0x3FFF  # NLA_TYPE_MASK: without the bits for nested and for network order
_MOST = 1 << 16  # octets of a datagram; the kernel fills 32 KiB at most
_TIMEOUT_S = 10


class DumpInterrupted(Exception):  # noqa: N818  # no failure: what came is good, but uneven
    """The kernel says that its tables changed while it went through them.

    `datagrams` is what it told nevertheless.
    """

    def __init__(self, datagrams: list[Messages]) -> None:
        super().__init__("the tables of sockets changed during the dump")
        self.datagrams = datagrams


class SockDiag:
    """One socket of NETLINK_SOCK_DIAG, and with it one network namespace. A context manager.

    Takes no privilege: the kernel shows every socket of the namespace to everyone.
    """

    __slots__ = ("_sequence", "socket")

    def __init__(self, namespace: int | str | None = None) -> None:
        """Open the socket; `namespace` as for `sockwright.sockets.diag.namespace.open_socket`.

        It waits 10 seconds for the kernel at most: an answer that is missing then never comes.

        Raises:
            OSError: the kernel has no sock_diag, or no room for another socket.
            UsageError, NotPossibleError: that namespace is not there, or closed to this user.
        """
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        if namespace is None:
            self.socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_SOCK_DIAG)
        else:
            from sockwright.sockets.diag.namespace import open_socket

            self.socket = open_socket(namespace, socket.AF_NETLINK, kind, NETLINK_SOCK_DIAG)
        self._sequence = 0
        try:
            self.socket.bind((0, 0))
            limit = _TIMEVAL.pack(_TIMEOUT_S, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self.socket.close()

    def dump(self, request: bytes, kind: int = BY_FAMILY) -> list[Messages]:
        """Ask for every socket that `request` describes; return the messages, as they came.

        `kind` is the type of the request, and of every message in the answer.

        Raises:
            DumpInterrupted: the kernel says that its answer is uneven, or had no room for all that
                this socket was to receive (ENOBUFS).
            OSError: as the kernel says; ENOENT where it cannot list these sockets.
            TimeoutError: the kernel does not answer.
        """
        self._send(kind, _DUMP, request)
        datagrams: list[Messages] = []
        interrupted = False
        while True:
            datagram = self._receive()
            if not datagram:
                interrupted = True
                continue
            if HEADER.unpack_from(datagram)[3] != self._sequence:
                continue  # an event, or what is left of an answer that nobody waited for
            offsets, end, odd = _messages(datagram, kind)
            if offsets:
                datagrams.append((datagram, offsets))
            interrupted = interrupted or odd
            if end < len(datagram):
                _, what, flags, _, _ = HEADER.unpack_from(datagram, end)
                if what == _OVERRUN:
                    interrupted = True
                    continue
                number = _error_number(datagram, end)
                if interrupted or flags & _DUMP_INTR or number == errno.ENOBUFS:
                    raise DumpInterrupted(datagrams)
                if number:
                    raise OSError(number, os.strerror(number))
                return datagrams

    def ask(self, kind: int, request: bytes) -> bytes:
        """Send one request about one socket; return the message that answers it, or an empty one.

        Raises:
            OSError: as the kernel says; ENOENT where there is no such socket.
            TimeoutError: the kernel does not answer.
        """
        self._send(kind, _ACK, request)
        told = b""
        while True:
            datagram = self._receive()
            if not datagram or HEADER.unpack_from(datagram)[3] != self._sequence:
                continue
            if HEADER.unpack_from(datagram)[1] == _ERROR:
                number = _error_number(datagram, 0)
                if number:
                    raise OSError(number, os.strerror(number))
                return told
            told = datagram

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        length = HEADER.size + len(body)
        header = HEADER.pack(length, kind, flags | _REQUEST, self._sequence, 0)
        self.socket.send(header + body)

    def _receive(self) -> bytes:
        """Return the next datagram; nothing where some were lost. Raises: OSError, TimeoutError."""
        try:
            return self.socket.recv(_MOST)
        except BlockingIOError:
            text = f"the kernel did not answer a request of sock_diag within {_TIMEOUT_S} s"
            raise TimeoutError(errno.ETIMEDOUT, text) from None
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            return b""


def message_offsets(datagram: bytes, kind: int = BY_FAMILY) -> Sequence[int]:
    """Return where each message of type `kind` starts, up to the first of another type."""
    return _messages(datagram, kind)[0]


def _messages(datagram: bytes, kind: int) -> tuple[Sequence[int], int, bool]:
    """Return where the messages of type `kind` start and end, and whether one has DUMP_INTR."""
    size, what, flags, _, _ = HEADER.unpack_from(datagram)
    size = max(size, HEADER.size)
    if what != kind:
        return (), 0, False
    # Most datagrams hold messages of one size. That is proved without a step for each: where each
    # `size`-th octet from the first on is the same, and so for the seven after it, each message has
    # the same length, type and flags.
    count, rest = divmod(len(datagram), size)
    if not rest and all(datagram[at::size].count(datagram[at]) == count for at in range(8)):
        return range(0, len(datagram), size), len(datagram), bool(flags & _DUMP_INTR)
    words = memoryview(datagram)[: len(datagram) & ~3].cast("I")
    usual = words[1]  # type and flags
    interrupted = bool(flags & _DUMP_INTR)
    offsets = []
    at = 0
    while at + HEADER.size <= len(datagram):
        if words[(at >> 2) + 1] != usual:
            _, what, flags, _, _ = HEADER.unpack_from(datagram, at)
            if what != kind:
                break
            interrupted = interrupted or bool(flags & _DUMP_INTR)
        offsets.append(at)
        at += (words[at >> 2] + 3) & ~3 or HEADER.size
    return offsets, at, interrupted


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute of a request, padded."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(octets: bytes, at: int, end: int) -> dict[int, bytes]:
    """Return the values of the attributes from `at` to `end`, by their types."""
    found: dict[int, bytes] = {}
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(octets, at)
        found[kind & _TYPE_MASK] = octets[at + _ATTRIBUTE.size : min(at + length, end)]
        at += max((length + 3) & ~3, _ATTRIBUTE.size)
    return found


def _error_number(datagram: bytes, at: int) -> int:
    """Return the errno that an ERROR or DONE message holds; 0 where all went well."""
    if len(datagram) < at + HEADER.size + _NUMBER.size:
        return 0
    return -_NUMBER.unpack_from(datagram, at + HEADER.size)[0]  # type: ignore[no-any-return]
