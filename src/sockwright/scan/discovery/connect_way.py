"""Probes without privilege: connect(2), and ICMP echo where ping_group_range allows it.

Both are answered by the same packets as raw probes; the kernel says what they were. A socket is
closed before its kernel would repeat the SYN by itself, one second after the first.

Before the kernel sends anything to a neighbour it asks for the link address. So its table of
neighbours says who is there though a firewall drops connections; anybody may read it.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from sockwright.scan.descriptors import Descriptors
from sockwright.scan.discovery.kinds import Answer, Kind
from sockwright.scan.discovery.packets import ACK_PORT, SYN_PORT
from sockwright.scan.sending.cookies import Cookies
from sockwright.scan.targets.routes import neighbours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.scan.discovery.ways import Hop

__all__ = ["ConnectWay"]

_HOLD = 0.95  # seconds
_MOST = 256
_PORTS: Final = {Kind.SYN: SYN_PORT, Kind.ACK: ACK_PORT}
_PROVE: Final = {0: "conn-accept", errno.EISCONN: "conn-accept", errno.ECONNREFUSED: "conn-refused",
                 errno.ECONNRESET: "conn-refused"}  # fmt: skip
_UNDER_WAY: Final = (errno.EINPROGRESS, errno.EALREADY, errno.EINTR)
_ABORT: Final = struct.pack("=ii", 1, 0)  # RST at close: nothing stays in TIME-WAIT
_ECHO = struct.Struct("!BBHHHII8x")
_MOST_ECHOES = 512
_LOOK = 0.2  # seconds between two looks at the table of neighbours

# The socket, how and whom it asks, out of which interface, the try, when it began.
_Flight = tuple[socket.socket, Kind, bytes, int, int, float]


class ConnectWay:
    """Asks by connections to two ports, and by echo requests where that is allowed.

    All leave by `interface`, where one is named.
    """

    privileged = False
    kinds4: tuple[Kind, ...]
    kinds6: tuple[Kind, ...]

    def __init__(self, interface: str = "") -> None:
        self._device = interface.encode()
        self._linked: set[int] = set()  # families of neighbours that were asked
        self._look_at: float | None = None
        self.began = 0.0
        """When the first probe of the last `send` went out."""
        self._short = False  # of descriptors
        self._timeout = _HOLD
        self._poll = select.epoll()
        self._flights: dict[int, _Flight] = {}  # by descriptor, in the order of their beginning
        self._ready: deque[tuple[Answer, float]] = deque()
        self._cookies = Cookies()
        self._echo: dict[int, socket.socket] = {}
        try:
            for family in (socket.AF_INET, socket.AF_INET6):
                self._open_echo(family)
            self._descriptors = Descriptors()
        except BaseException:
            self.close()
            raise
        echo4, echo6 = (
            (Kind.ECHO,) if family in self._echo else ()
            for family in (socket.AF_INET, socket.AF_INET6)
        )
        self.kinds4 = (*echo4, Kind.SYN, Kind.ACK)
        self.kinds6 = (*echo6, Kind.SYN, Kind.ACK)
        beside = "ICMP echo and " if self._echo else ""
        self.why = f"{beside}connections to ports 443 and 80: this process may not open raw sockets"

    def _open_echo(self, family: int) -> None:
        protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol)
        except OSError:  # ping_group_range leaves this group out, or there is no such family
            return
        self._echo[family] = sock
        self._bind(sock)
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._poll.register(sock, select.EPOLLIN)

    def _bind(self, sock: socket.socket) -> None:
        if self._device:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._device)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when there are answers."""
        return (self._poll.fileno(),)

    @property
    def ready(self) -> bool:
        """Whether answers wait to be read."""
        return bool(self._ready)

    @property
    def lost(self) -> int:
        """How many answers found no room here: the kernel does not say."""
        return 0

    def next_time(self) -> float | None:
        """Return when the oldest connection is closed, or the table of neighbours looked at."""
        look = self._look_at
        for flight in self._flights.values():
            end = flight[5] + (self._timeout if self._short else _HOLD)
            return end if look is None else min(end, look)
        return look

    def room(self, timeout: float) -> int:
        """Return how many probes may be given to `send` now.

        Where descriptors are few, connections that have had their time-out give theirs up.
        """
        self._expire(_HOLD)
        if len(self._flights) >= self._descriptors.limit:
            self._expire(timeout)
        self._short = len(self._flights) >= self._descriptors.limit
        self._timeout = timeout
        return max(min(self._descriptors.limit - len(self._flights), _MOST), 0)

    def _expire(self, age: float) -> None:
        before = monotonic() - age
        while self._flights:
            number = next(iter(self._flights))
            if self._flights[number][5] > before:
                return
            self._end(number)

    def _end(self, number: int) -> None:
        sock = self._flights.pop(number)[0]
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        sock.close()

    def send(self, kind: Kind, asked: Sequence[tuple[bytes, Hop]], attempt: int) -> tuple[int, int]:
        """Send a probe to each address; return how many went, and the errno of the one behind."""
        self.began = monotonic()
        if any(hop.kind == "neighbour" for _, hop in asked):
            self._linked.add(socket.AF_INET if len(asked[0][0]) == 4 else socket.AF_INET6)
            self._look_at = self._look_at or self.began + _LOOK
        for gone, (packed, hop) in enumerate(asked):
            try:
                if kind == Kind.ECHO:
                    self._ask_by_echo(packed, hop, attempt)
                else:
                    self._connect(kind, packed, hop, attempt)
            except OSError as error:
                if kind != Kind.ECHO and self._descriptors.refused(error, len(self._flights)):
                    return gone, errno.EAGAIN
                return gone, error.errno or errno.EIO
            if kind != Kind.ECHO:
                self._descriptors.none_since = None
        return len(asked), 0

    @property
    def failure(self) -> str:
        """Why nothing more can be asked, if that is so."""
        return self._descriptors.failure()

    def _ask_by_echo(self, packed: bytes, hop: Hop, attempt: int) -> None:
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        what = 8 if family == socket.AF_INET else 128
        cookie = self._cookies.of_host(packed)
        # The kernel writes the identifier (its port number) and the checksum.
        octets = _ECHO.pack(what, 0, 0, 0, attempt, cookie, attempt)
        self._echo[family].sendto(octets, _where(packed, 0, hop))

    def _connect(self, kind: Kind, packed: bytes, hop: Hop, attempt: int) -> None:
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._bind(sock)
        except OSError:
            sock.close()
            raise
        number = sock.connect_ex(_where(packed, _PORTS[kind], hop))
        if number in _UNDER_WAY:
            self._poll.register(sock, select.EPOLLOUT | select.EPOLLERR)
            self._flights[sock.fileno()] = (sock, kind, packed, hop.interface, attempt, monotonic())
            return
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        sock.close()
        if not self._say(kind, packed, hop.interface, attempt, number):
            raise OSError(number, errno.errorcode.get(number, str(number)))

    def _say(self, kind: Kind, packed: bytes, interface: int, attempt: int, number: int) -> bool:
        """Make an answer of what became of a connection; return whether it is one."""
        word = _PROVE.get(number)
        if word is None and number != errno.EHOSTUNREACH:
            return False
        answer = Answer(
            kind,
            packed,
            word or "host-unreach",
            attempt=attempt,
            interface=interface,
            gone=word is None,
        )
        self._ready.append((answer, monotonic()))
        return True

    def wait_for_room(self, kind: Kind, family: int) -> None:
        """Wait some milliseconds until a full socket has room again."""
        del kind, family
        self._poll.poll(0.02, 1)

    def receive(self) -> Iterator[tuple[Answer, float]]:
        """Yield what may be answers, with the time when they came in, on the clock of probes."""
        for number, _ in self._poll.poll(0, 512):
            flight = self._flights.get(number)
            if flight is None:
                self._receive_echoes(number)
                continue
            sock, kind, packed, interface, attempt, _ = flight
            number_of_error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._say(kind, packed, interface, attempt, number_of_error)
            self._end(number)
        self._expire(_HOLD)
        if self._look_at is not None and monotonic() >= self._look_at:
            self._look()
        while self._ready:
            yield self._ready.popleft()

    def _look(self) -> None:
        """Look who has told the kernel a link address; again as long as somebody is asked."""
        now = monotonic()
        self._look_at = now + _LOOK if self._flights else None
        for family in self._linked:
            word = "arp-response" if family == socket.AF_INET else "nd-response"
            for packed, interface, mac in neighbours(family):
                answer = Answer(Kind.NEIGHBOUR, packed, word, mac=mac.hex(":"), interface=interface)
                self._ready.append((answer, now))

    def _receive_echoes(self, number: int) -> None:
        for family, sock in self._echo.items():
            if sock.fileno() != number:
                continue
            for _ in range(_MOST_ECHOES):
                try:
                    octets, address = sock.recvfrom(256)
                except OSError:  # nothing more; or an ICMP error, which says nothing here
                    break
                if len(octets) < _ECHO.size or octets[0] not in {0, 129}:
                    continue
                *_, cookie, attempt = _ECHO.unpack_from(octets)
                about = socket.inet_pton(family, str(address[0]).partition("%")[0])
                interface = address[3] if family == socket.AF_INET6 else 0
                answer = Answer(
                    Kind.ECHO, about, "echo-reply", cookie, attempt & 31, interface=interface
                )
                self._ready.append((answer, monotonic()))

    def believes(self, answer: Answer) -> bool:
        """Whether an answer gives back what was sent to the address that it is about."""
        return answer.proof is None or answer.proof == self._cookies.of_host(answer.about)

    def settle(self, answer: Answer, hop: Hop, scope: int) -> None:
        """Nothing is half open: the kernel ends what it began."""

    def close(self) -> None:
        """Close everything; a second time does nothing."""
        for number in list(self._flights):
            self._end(number)
        for sock in self._echo.values():
            sock.close()
        self._poll.close()


def _where(packed: bytes, port: int, hop: Hop) -> tuple[str, int] | tuple[str, int, int, int]:
    if len(packed) == 4:
        return (socket.inet_ntop(socket.AF_INET, packed), port)
    scope = hop.interface if packed[:1] == b"\xfe" else 0
    return (socket.inet_ntop(socket.AF_INET6, packed), port, 0, scope)
