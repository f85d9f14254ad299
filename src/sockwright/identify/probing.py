"""Ask a host what it is, over real sockets.

Three kinds of socket: a raw one (or one with IPV6_HDRINCL) that sends whole packets; a packet
socket of the kind SOCK_DGRAM, which gives every IP packet of the host with its header, over IPv6 as
well, and the kernel's time of arrival; and ordinary sockets that hold the source ports, bound and
no more, so that no other program gets them. The kernel answers SYN-ACKs to such a port by RST. That
is welcome here: it takes back what a probe left half open in the host.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final

from sockwright.errors import NotPossibleError
from sockwright.identify.active.measuring import measure, missing, states
from sockwright.identify.active.prober import Prober
from sockwright.identify.active.probes import Addresses
from sockwright.identify.database import load_signatures
from sockwright.identify.matching import match
from sockwright.sockets.explain import explained
from sockwright.sockets.filter import attach_filter
from sockwright.sockets.privileges import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sockwright.identify.identification import Identification
    from sockwright.identify.signature import Signature

__all__ = ["ask", "check_privilege", "probe"]

_ETHER_TYPES: Final = {4: 0x0800, 6: 0x86DD}
_OUTGOING: Final = 4  # PACKET_OUTGOING, <linux/if_packet.h>
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@ll")
_LARGEST: Final = 65535


def probe(
    host: str,
    *,
    open_port: int | None = None,
    closed_port: int | None = None,
    closed_udp_port: int | None = None,
    signatures: Sequence[Signature] | None = None,
    timeout: float = 30.0,
    seed: int | None = None,
    charge: Callable[[int, float], float] | None = None,
    wake: int | None = None,
) -> Identification:
    """Find out what system `host` (an address, of IPv6 with a zone where it takes one) runs.

    What needs a port that is None is left out, and `Identification.missing` says so; `find_ports`
    looks for them. `signatures` are those of the package and of the user where None is given.
    Probing ends after `timeout` seconds with what is known then, or when the descriptor `wake`
    becomes readable. `charge` is told how many packets went out and when, and says when the next
    may go: for who bounds their rate.

    Raises:
        NotPossibleError: CAP_NET_RAW is missing.
        OSError: the host cannot be reached; it is no address.
        SignatureError: a file of signatures is not well formed.
    """
    known = load_signatures() if signatures is None else signatures
    prober = ask(
        host,
        open_port=open_port,
        closed_port=closed_port,
        closed_udp_port=closed_udp_port,
        timeout=timeout,
        seed=seed,
        charge=charge,
        wake=wake,
    )
    return match(measure(prober), known, host=host, missing=missing(prober), states=states(prober))


def ask(
    host: str,
    *,
    open_port: int | None,
    closed_port: int | None,
    closed_udp_port: int | None,
    timeout: float = 30.0,
    seed: int | None = None,
    on_packet: Callable[[bytes, int], object] | None = None,
    charge: Callable[[int, float], float] | None = None,
    wake: int | None = None,
) -> Prober:
    """Send the probes and gather the answers; `measure` makes traits of them.

    `on_packet` gets each packet that was sent or that came from the host, from its IP header on,
    and its time in nanoseconds since 1970.

    Raises: as `probe`.
    """
    with closing(_Sockets(host, on_packet)) as sockets:
        prober = Prober(
            sockets.way,
            open_port=open_port,
            closed_port=closed_port,
            closed_udp_port=closed_udp_port,
            source_port=sockets.source_port,
            seed=time.time_ns() if seed is None else seed,
            now=(now := time.monotonic()),
        )
        waiting, waking = sockets.polls(wake)
        end = now + timeout
        free = now if charge is None else charge(0, now)  # when the next packets may go
        while not prober.done and now < end and not waking.poll(0):
            most = None if charge is None else 1  # or a batch would go at any rate
            packets = prober.take(now, most) if now >= free else []
            for octets in packets:
                if not sockets.send(octets, now):
                    prober.leave_out(octets)
            if packets and charge is not None:
                free = charge(len(packets), now)
            due = prober.next_timeout()
            if due is None:
                break
            due = min(max(due, free), end)
            waiting.poll(max(0.0, due - time.monotonic()) * 1000)
            sockets.receive(prober)
            now = time.monotonic()
    return prober


class _Sockets:
    """The sockets of a conversation with `host`; `on_packet` is that of `ask`. Raises: as `ask`."""

    def __init__(self, host: str, on_packet: Callable[[bytes, int], object] | None) -> None:
        family, self._to = _to_address(host)
        self._family = family
        src = _source_address((family, self._to))
        version = 6 if family == socket.AF_INET6 else 4
        self.way = Addresses(version, src, self._to[0])
        self._on_packet = on_packet
        # One clock for both directions: the kernel's times of arrival, made monotonic.
        self._offset = time.monotonic_ns() - time.time_ns()
        with ExitStack() as opened:
            self._sender = opened.enter_context(_open_sender(version))
            self._receiver = opened.enter_context(_open_receiver(version, self._to[0], src))
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close all of them."""
        self._opened.close()

    def polls(self, wake: int | None) -> tuple[select.poll, select.poll]:
        """Return what waits for answers and for `wake`, and what looks at `wake` alone."""
        waiting, waking = select.poll(), select.poll()
        waiting.register(self._receiver, select.POLLIN)
        if wake is not None:
            waiting.register(wake, select.POLLIN)
            waking.register(wake, select.POLLIN)
        return waiting, waking

    def source_port(self, kind: str) -> int:
        """Hold a port of this machine, of ``tcp`` or ``udp``, until the end; return its number."""
        sort = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
        held = self._opened.enter_context(socket.socket(self._family, sort))
        held.bind((self.way.src, 0, *self._to[2:]))
        return int(held.getsockname()[1])

    def send(self, octets: bytes, now: float) -> bool:
        """Send a packet at the monotonic time `now`, in seconds; return False: it is too large."""
        if not _send(self._sender, octets, self._to):
            return False
        if self._on_packet is not None:
            self._on_packet(octets, round(now * 1e9) - self._offset)
        return True

    def receive(self, prober: Prober) -> None:
        """Give `prober` what has arrived."""
        for octets, time_ns in _received(self._receiver):
            known = prober.receive(octets, (time_ns + self._offset) / 1e9)
            if known and self._on_packet is not None:
                self._on_packet(octets, time_ns)


def check_privilege() -> None:
    """Find out whether this process may send probes, before time goes into finding ports.

    Raises: NotPossibleError: CAP_NET_RAW is missing.
    """
    _open_sender(4).close()


def _to_address(host: str) -> tuple[int, tuple[str, int] | tuple[str, int, int, int]]:
    """Return the family and the address for bind(2) and sendto(2)."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    family, address = found[0][0], found[0][4]
    if family == socket.AF_INET6:
        text = str(address[0]).partition("%")[0]
        return family, (text, 0, 0, int(address[3]))  # type: ignore[misc]
    return family, (str(address[0]), 0)


def _source_address(address: tuple[int, tuple[str, int] | tuple[str, int, int, int]]) -> str:
    """Return the address that this host has on the way there; nothing is sent."""
    with socket.socket(address[0], socket.SOCK_DGRAM) as probe:
        probe.connect((address[1][0], 9, *address[1][2:]))
        return str(probe.getsockname()[0]).partition("%")[0]


def _open_sender(version: int) -> socket.socket:
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    try:
        # IPPROTO_RAW: what is sent has its own IP header, over IPv6 as well (raw(7)).
        return socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    except PermissionError as error:
        raise NotPossibleError(
            "sending the probes takes CAP_NET_RAW",
            "as root, or in a lab: sw lab shell; what is only overheard is told by --passive FILE",
        ) from error


def _open_receiver(version: int, host: str, src: str) -> socket.socket:
    """Open a packet socket that hears what `host` says to `src`, and ICMP from anybody."""
    from sockwright.filters.filter import compile_filter

    errors = "icmp6" if version == 6 else "icmp"
    program = compile_filter(f"dst host {src} and (src host {host} or {errors})", link_type=101)
    protocol = socket.htons(_ETHER_TYPES[version])
    try:
        # What comes before the filter is there is no answer to a probe, and not taken for one.
        receiver = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, protocol)
    except OSError as error:
        doing = f"listen to the answers of {host}"
        raise explained(error, doing, needs=Capability.CAP_NET_RAW) from error
    try:
        attach_filter(receiver, program.instructions)
        receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        receiver.setblocking(False)
    except BaseException:
        receiver.close()
        raise
    return receiver


def _send(
    sender: socket.socket, octets: bytes, to: tuple[str, int] | tuple[str, int, int, int]
) -> bool:
    """Send a probe; return False where it is larger than the way takes. Raises: OSError."""
    try:
        sender.sendto(octets, to)
    except OSError as error:
        if error.errno == errno.EMSGSIZE:
            return False
        raise explained(error, f"send a probe to {to[0]}") from error
    return True


def _received(receiver: socket.socket) -> list[tuple[bytes, int]]:
    """Take what has arrived: octets from the IP header on, nanoseconds since 1970."""
    found: list[tuple[bytes, int]] = []
    while True:
        try:
            octets, ancillary, _, sender = receiver.recvmsg(_LARGEST, 128)
        except BlockingIOError:
            return found
        if sender[2] == _OUTGOING:
            continue  # a host that asks itself hears each packet twice
        time_ns = time.time_ns()
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                time_ns = seconds * 1_000_000_000 + nanoseconds
        found.append((octets, time_ns))
