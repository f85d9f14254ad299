"""What a client and a proxy say to each other before octets go through: a machine without I/O.

    while not machine.done:
        if octets := machine.to_send():
            stream.send_all(octets)
        else:
            machine.receive(stream.receive())   # no octets are the end of the stream, as in recv(2)
    ... machine.rest is the beginning of what the peer behind the proxy sends

Rules
    1. A machine takes of what it receives exactly what belongs to the answer. What is behind it is
       the peer's, and stays in `rest`.
    2. It holds no more than the octets of one call and what is left of an answer, and each answer
       has a limit. Nothing that is received makes it send more than the protocol has.
    3. Only `ProxyError` leaves `receive`, and then the machine says the same for ever.
"""

from __future__ import annotations

import socket

from sockwright.errors import ProxyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Handshake", "as_name", "ipv6_octets", "port_octets"]

_MAX_NAME = 253  # octets of a domain name as text, RFC 1035 section 3.1
_NEVER_IN_NAMES = frozenset(range(33)) | frozenset(b"\x7f/?#@[]\\:%")


class Handshake:
    """One talk with a proxy; subclasses tell it in `_talk`.

    `proxy` is what messages call it, `host` and `port` what it is to connect to.
    """

    def __init__(self, proxy: str, host: str, port: int) -> None:
        self.done = False
        """Whether the proxy has agreed: from now on octets go through."""
        self._proxy = proxy
        self._target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._sending = bytearray()
        self._received = bytearray()
        self._ended = False
        self._failure: ProxyError | None = None
        self._talking = self._talk()
        self._go_on()

    def to_send(self) -> bytes:
        """Return what is to be sent now, once; no octets while it is the proxy's turn."""
        octets = bytes(self._sending)
        self._sending.clear()
        return octets

    def receive(self, octets: bytes | bytearray | memoryview) -> None:
        """Take what the proxy sent; no octets mean that it has ended the stream.

        Raises:
            ProxyError: it refuses, ends in the middle, or does not speak this protocol.
        """
        if self._failure is not None:
            raise self._failure
        self._received += octets
        self._ended = self._ended or not len(octets)
        if not self.done:
            self._go_on()

    @property
    def rest(self) -> bytes:
        """What came behind the answer; as long as there is none, what came of it."""
        return bytes(self._received)

    def _go_on(self) -> None:
        try:
            next(self._talking)
        except StopIteration:
            self.done = True
        except ProxyError as failure:
            self._failure = failure
            raise

    # For subclasses.

    def _talk(self) -> Generator[None, None, None]:
        """Say and hear everything in order; each `yield` waits for more octets."""
        raise NotImplementedError

    def _say(self, octets: bytes) -> None:
        self._sending += octets

    def _hear(self, count: int) -> Generator[None, None, bytes]:
        """Wait for exactly `count` octets of the answer, and take them."""
        while len(self._received) < count:
            if self._ended:
                raise self._broken_off()
            yield
        octets = bytes(self._received[:count])
        del self._received[:count]
        return octets

    def _error(self, text: str, code: int | None = None) -> ProxyError:
        return ProxyError(f"{self._proxy}: {text}", code)

    def _broken_off(self) -> ProxyError:
        came = len(self._received)
        how = f"after {came} octets of its answer" if came else "instead of answering"
        return self._error(
            f"it closed the connection {how}; is it a proxy of this kind, and may this host use it?"
        )


def as_name(host: str) -> bytes:
    """Return a host name in the octets that go over the wire: ASCII, or IDNA (RFC 3490).

    Raises:
        ValueError: no such name can be; nothing in it could end a line or a field.
    """
    try:
        # Loaded only for names that need it: the tables of Unicode take 10 ms.
        name = host.encode() if host.isascii() else host.encode("idna")
    except UnicodeError:
        name = b""
    if not 0 < len(name) <= _MAX_NAME or any(octet in _NEVER_IN_NAMES for octet in name):
        raise ValueError(f"{host[:80]!r} is not a host name")
    return name


def ipv6_octets(host: str) -> bytes:
    """Return the 16 octets of an IPv6 address.

    Raises:
        ValueError: it is none, or one with a zone, which means nothing to another host.
    """
    try:
        return socket.inet_pton(socket.AF_INET6, host)
    except (OSError, ValueError):
        raise ValueError(f"{host[:80]!r} is not an IPv6 address that a proxy knows") from None


def port_octets(port: int) -> bytes:
    """Return a port that can be connected to, in network order.

    Raises:
        ValueError: it is not in 1..65535.
    """
    if not 1 <= port <= 0xFFFF:
        raise ValueError(f"port {port} is not in 1..65535")
    return port.to_bytes(2, "big")
