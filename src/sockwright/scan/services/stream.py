"""A TCP connection to a port that may be hostile: every wait and every octet is bounded.

Rules:

- a `Budget` belongs to one port: all its connections together read at most so many octets, until
  one time. Nothing here waits longer, and nothing is kept that is not read;
- what the peer does is no error: it ended, it reset, it is silent. `receive` gives what came, and
  `open` says whether more may come. Only a connection that is not made is an error, `NotReached`;
- TLS goes through memory, so that a conversation reads and sends the same way inside it.
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from sockwright.scan.services.waiting import READABLE, WRITABLE, Wait, pause

if TYPE_CHECKING:
    import ssl

    from sockwright.scan.services.waiting import Steps

__all__ = ["Budget", "NotReached", "Place", "Stream", "connect"]

_PIECE: Final = 16384
# A reset behind the SYN-ACK, and one behind FIN (tcp_reset of the kernel): made, and over.
_MADE: Final = frozenset({0, errno.ECONNRESET, errno.EPIPE})
_OWN_FAULTS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_LONGEST_SETTLING: Final = 2.0  # seconds that an answer in pieces may take, once it has begun


class NotReached(Exception):  # noqa: N818  # it is what happened, and never leaves this package
    """The connection was not made; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service is: `host` may have a zone; `name` is what its user calls it, or empty."""

    host: str
    port: int
    family: int
    address: tuple[Any, ...]
    name: str = ""

    @property
    def called(self) -> str:
        """The host as HTTP and SIP want to be asked: by name where there is one."""
        if self.name:
            return self.name
        bare = self.host.partition("%")[0]
        return f"[{bare}]" if ":" in bare else bare


class Budget:
    """What one port may cost: octets to be read, and a time (`time.monotonic`) to be done by.

    `alert` is what OpenSSL calls the last alert by which the peer ended TLS.
    """

    __slots__ = ("alert", "octets", "until")

    def __init__(self, octets: int, until: float) -> None:
        self.octets = octets
        self.until = until
        self.alert = ""

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.octets <= 0 or monotonic() >= self.until


class Stream:
    """A connection, made by `connect`; `rtt` is how long that took, in seconds."""

    def __init__(self, sock: socket.socket, budget: Budget, rtt: float) -> None:
        self.sock = sock
        self.budget = budget
        self.rtt = rtt
        self.open = True
        self.reset = False
        self.tls: ssl.SSLObject | None = None
        self._from_peer: ssl.MemoryBIO | None = None
        self._to_peer: ssl.MemoryBIO | None = None

    def close(self) -> None:
        """Close the socket."""
        self.open = False
        self.sock.close()

    def send(self, octets: bytes) -> Steps[None]:
        """Send all, or as much as the peer takes in time."""
        if self.tls is not None:
            import ssl

            try:
                self.tls.write(octets)
            except ssl.SSLError:
                self.open = False
                return
            assert self._to_peer is not None
            octets = self._to_peer.read()
        yield from self._send(octets)

    def receive(self, until: float, most: int = _PIECE) -> Steps[bytes]:
        """Receive what comes next; nothing when the time is up or the peer has ended."""
        while True:
            if self.tls is not None:
                octets = self._decrypted(most)
                if octets or not self.open:
                    return octets
            octets = yield from self._receive(until, most)
            if self.tls is None or not octets:
                return octets
            assert self._from_peer is not None
            self._from_peer.write(octets)

    def receive_settled(
        self, first: float, settle: float = 0.0, most: int = _PIECE
    ) -> Steps[bytes]:
        """Receive an answer: its first octets within `first` seconds, then until it is quiet.

        `settle` is how many seconds of quiet are its end; 0 stands for what the round-trip time of
        this connection makes likely.
        """
        got = bytearray((yield from self.receive(monotonic() + first)))
        last = monotonic() + _LONGEST_SETTLING
        while got and self.open and len(got) < most:
            until = min(last, monotonic() + (settle or 0.1 + 2 * self.rtt))
            piece = yield from self.receive(until)
            if not piece:
                break
            got += piece
        return bytes(got[:most])

    def ask(self, octets: bytes, first: float, settle: float = 0.0) -> Steps[bytes]:
        """Send, and receive what is answered."""
        yield from self.send(octets)
        return (yield from self.receive_settled(first, settle))

    def start_tls(self, context: ssl.SSLContext, name: str = "") -> Steps[None]:
        """Shake hands.

        Raises:
            ssl.SSLError: it failed: an alert, a certificate that is not trusted, no TLS at all.
            NotReached: the peer ended or fell silent.
        """
        import ssl

        self._from_peer, self._to_peer = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._from_peer, self._to_peer, server_hostname=name or None)
        until = min(self.budget.until, monotonic() + 5.0)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                yield from self._send(self._to_peer.read())  # the alert
                raise
            else:
                break
            yield from self._send(self._to_peer.read())
            octets = yield from self._receive(until, _PIECE)
            if not octets:
                raise NotReached("the peer ended or fell silent while shaking hands")
            self._from_peer.write(octets)
        yield from self._send(self._to_peer.read())
        self.tls = tls

    def _decrypted(self, most: int) -> bytes:
        import ssl

        assert self.tls is not None
        try:
            octets = self.tls.read(most)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:  # close_notify, an alert, nonsense
            self.open = False
            self.budget.alert = error.reason or ""
            return b""
        self.open = self.open and bool(octets)
        return octets

    def _send(self, octets: bytes) -> Steps[None]:
        left = memoryview(octets)
        while left and self.open:
            try:
                left = left[self.sock.send(left) :]
            except BlockingIOError:
                until = min(self.budget.until, monotonic() + 5.0)
                if not (yield Wait(self.sock.fileno(), WRITABLE, until)):
                    self.open = False
            except OSError:
                # What the peer said before it reset may still be there to read.
                return

    def _receive(self, until: float, most: int) -> Steps[bytes]:
        until = min(until, self.budget.until)
        while self.open and self.budget.octets > 0:
            try:
                octets = self.sock.recv(min(most, self.budget.octets))
            except BlockingIOError:
                if not (yield Wait(self.sock.fileno(), READABLE, until)):
                    return b""
                continue
            except OSError:
                self.open, self.reset = False, True
                return b""
            self.budget.octets -= len(octets)
            if not octets:
                self.open = False
            return octets
        return b""


def connect(place: Place, budget: Budget, wait: float) -> Steps[Stream]:
    """Connect within `wait` seconds.

    A lack of descriptors or memory on this machine passes: it is tried again until then.

    Raises:
        NotReached: with the reason.
    """
    until = min(budget.until, monotonic() + wait)
    while True:
        try:
            return (yield from _connect(place, budget, until))
        except OSError as error:
            if error.errno not in _OWN_FAULTS or monotonic() >= until:
                raise NotReached(error.strerror or str(error)) from None
        yield from pause(0.05)


def _connect(place: Place, budget: Budget, until: float) -> Steps[Stream]:
    sock = socket.socket(place.family, socket.SOCK_STREAM)
    stream = None
    try:
        sock.setblocking(False)
        begin = monotonic()
        code = sock.connect_ex(place.address)
        if code == errno.EINPROGRESS:
            answered = yield Wait(sock.fileno(), WRITABLE, until)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            code = code if answered else errno.ETIMEDOUT
        if code in _MADE:
            stream = Stream(sock, budget, monotonic() - begin)
            stream.open, stream.reset = not code, bool(code)
    finally:
        if stream is None:
            sock.close()
    if stream is None:
        raise OSError(code, os.strerror(code))
    return stream
