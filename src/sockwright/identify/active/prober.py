"""What is sent when, and when silence means that a host does not answer.

Sans-IO: `take` gives packets to send, `receive` takes what came, `next_timeout` says when to come
back. Times are seconds of one clock that does not go backward.

The rules:

1. The six SYNs of SEQ go first, a tenth of a second apart, so that clocks and counters show; where
   the machine was busy and one is late, those after it are too. The rest follows a few milliseconds
   apart, the echo requests first, to show whether they count on.
2. What is not answered within the time-out is sent again, from a source port (or with an echo
   sequence number) that was not used before: an answer belongs to one try, and no state that an
   earlier try left in the host answers for it.
3. A host that does not answer a probe and a probe that was lost look the same. The loss of the way
   is estimated from the probes that were answered at some try, and a probe counts as not answered
   when so many tries in a row would be lost less than once in 1000 times (`DOUBT`): there are some
   fifteen probes. Where that takes more than `MOST_TRIES`, the test is left out and said to be. A
   port that answers one SYN of SEQ by SYN-ACK answers all: what is missing of them was lost.
4. Each try is a packet of its own in `exchanges`, so that whoever doubts can look.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sockwright.identify.active.probes import (
    ECHOES,
    SEQUENCE,
    TCP_PROBES,
    Addresses,
    datagram,
    echo,
    icmpv6,
    segment,
)
from sockwright.wire import ICMP, TCP, UDP, ICMPv6, IPv4, IPv6
from sockwright.wire.core.packet import Packet

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DOUBT", "LEAST_SPACING", "MOST_TRIES", "Exchange", "Prober"]

SPACING: Final = 0.1
"""Seconds between the SYNs of SEQ."""
LEAST_SPACING: Final = 0.08
"""Seconds that are between two of them, however late the first one is."""
DOUBT: Final = 0.001
MOST_TRIES: Final = 8

_SYN_ACK: Final = 18  # of FIN, SYN, RST and ACK, which are 23
_GAP: Final = 0.005  # seconds between the others: below what routers take for a flood
_LEAST_TRIES: Final = 3
_FIRST_TIMEOUT, _LEAST_TIMEOUT, _LONGEST_TIMEOUT = 1.0, 0.15, 3.0
_RAW: Final = 101  # LINKTYPE_RAW
_ICMPV6_PROBES: Final = ("echo", "bad_option", "bad_header", "node_info", "neighbour")
_NEIGHBOUR_ADVERTISEMENT, _NODE_INFO_REPLY, _ECHO_REPLY_V6 = 136, 140, 129


@dataclass(slots=True)
class Exchange:
    """One try of a probe: what was sent when, and what came back when, if anything did."""

    name: str
    sent: bytes
    sent_at: float
    key: int
    seq: int = 0
    ack: int = 0
    answer: Packet | None = None
    answered_at: float = 0.0

    @property
    def opened(self) -> bool:
        """Whether it was answered by SYN-ACK, as an open port does."""
        packet = self.answer
        return packet is not None and TCP in packet and int(packet[TCP].flags) & 23 == _SYN_ACK


@dataclass(slots=True)
class _Probe:
    """A probe and how often it was sent. `due` is when it may go (again)."""

    name: str
    due: float
    tries: int = 0
    filtered: bool = False
    answered: Exchange | None = None
    outcome: str = ""  # "", then as `Prober.outcome` says
    exchanges: list[Exchange] = field(default_factory=list)


class Prober:
    """The conversation with one host, over IPv4 or IPv6.

    Ports that are None are not asked, and what needs them is left out. `source_port` gives a TCP or
    UDP port of this host that was not given before (its argument is ``tcp`` or ``udp``).
    """

    def __init__(
        self,
        way: Addresses,
        *,
        open_port: int | None,
        closed_port: int | None,
        closed_udp_port: int | None,
        source_port: Callable[[str], int],
        seed: int,
        now: float,
    ) -> None:
        self.way = way
        self.open_port = open_port
        self.closed_port = closed_port
        self.closed_udp_port = closed_udp_port
        self._source_port = source_port
        self._random = random.Random(seed)  # noqa: S311  # sequence numbers of probes, no secrets
        self._identifier = self._random.randrange(1, 0x10000)
        self._echoes = 0
        self._timeout = _FIRST_TIMEOUT
        self._round_trip: float | None = None
        self._next_of_sequence = now
        self._waiting: dict[tuple[str, int], Exchange] = {}
        self.exchanges: list[Exchange] = []
        self._probes = {
            name: _Probe(name, now + at) for name, at in self._plan() if self._possible(name)
        }

    def _plan(self) -> list[tuple[str, float]]:
        """Return the probes in order, with the seconds after the start."""
        times = [(name, n * SPACING) for n, name in enumerate(SEQUENCE)]
        at = SPACING * len(SEQUENCE) if self.open_port is not None else 0.0
        others = list(ECHOES) if self.way.version == 4 else list(_ICMPV6_PROBES)
        others += ["u1", "ecn", "t2", "t3", "t4", "t5", "t6", "t7"]
        return times + [(name, at + n * _GAP) for n, name in enumerate(others)]

    def _possible(self, name: str) -> bool:
        if name == "u1":
            return self.closed_udp_port is not None
        if name not in TCP_PROBES:
            return True
        port = self.open_port if TCP_PROBES[name].to_open else self.closed_port
        return port is not None

    # --- out ----------------------------------------------------------------------------------

    def take(self, now: float, most: int | None = None) -> list[bytes]:
        """Return the IP packets that are to be sent now, at most so many.

        Raises: what `source_port` raises.
        """
        self._judge(now)
        taken: list[bytes] = []
        for probe in self._probes.values():
            if len(taken) == most:
                break
            if probe.name in SEQUENCE:
                # Also one that is sent again keeps its distance from the others.
                probe.due = max(probe.due, self._next_of_sequence)
            if not probe.outcome and probe.due <= now:
                if probe.name in SEQUENCE:
                    self._next_of_sequence = now + LEAST_SPACING
                taken.append(self._send(probe, now))
        return taken

    def _send(self, probe: _Probe, now: float) -> bytes:
        probe.tries += 1
        probe.due = now + self._timeout
        exchange = self._make(probe.name, now)
        probe.exchanges.append(exchange)
        self.exchanges.append(exchange)
        return exchange.sent

    def _make(self, name: str, now: float) -> Exchange:
        way = self.way
        if name in TCP_PROBES:
            kind, key = "tcp", self._source_port("tcp")
            shape = TCP_PROBES[name]
            port = self.open_port if shape.to_open else self.closed_port
            assert port is not None  # _possible has seen to it
            seq, ack = (self._random.randrange(1, 1 << 32) for _ in range(2))
            if "S" in shape.flags and "F" not in shape.flags:
                ack = 0  # a SYN that acknowledges nothing is what everybody else sends
            octets = segment(way, shape, key, port, seq=seq, ack=ack)
            exchange = Exchange(name, octets, now, key, seq, ack)
        elif name == "u1":
            kind, key = "udp", self._source_port("udp")
            assert self.closed_udp_port is not None  # as above
            exchange = Exchange(name, datagram(way, key, self.closed_udp_port), now, key)
        else:
            self._echoes += 1
            kind, key = "echo", self._echoes
            if name == "neighbour":
                key = 0  # its answer carries no number
            if name in ECHOES:
                octets = echo(way, ECHOES[name], self._identifier, key)
            else:
                octets = icmpv6(way, name, self._identifier, key)
            exchange = Exchange(name, octets, now, key)
        self._waiting[kind, key] = exchange
        return exchange

    def leave_out(self, octets: bytes) -> None:
        """Ask a probe no more: what `take` gave is larger than the way takes."""
        for probe in self._probes.values():
            if probe.exchanges and probe.exchanges[-1].sent == octets:
                probe.outcome = "too large"

    # --- in -----------------------------------------------------------------------------------

    def receive(self, octets: bytes, now: float) -> bool:
        """Take an IP packet that arrived at `now`; tell whether it answers a probe."""
        packet = Packet.decode(octets, link_type=_RAW)
        if packet.errors or not packet.layers:
            return False
        exchange, refused = self._exchange_of(packet)
        if exchange is None or exchange.answer is not None:
            return False
        probe = self._probes[exchange.name]
        if refused:
            probe.filtered = True
            return True
        exchange.answer, exchange.answered_at = packet, now
        self._sample(now - exchange.sent_at)
        if probe.answered is None:
            probe.answered = exchange
            probe.outcome = "answered"
        return True

    def _exchange_of(self, packet: Packet) -> tuple[Exchange | None, bool]:
        """Find what a packet answers, and whether it is an ICMP error where none is an answer."""
        ip = packet.layers[0]
        if not isinstance(ip, IPv4 | IPv6):
            return None, False
        from_host = str(ip.src) == self.way.dst
        if TCP in packet:
            tcp = packet[TCP]
            exchange = self._waiting.get(("tcp", tcp.dst_port))
            if exchange is None or not from_host or tcp.src_port != self._port_of(exchange):
                return None, False
            return exchange, False
        quoted = self._quoted(packet)
        if quoted is not None:
            exchange = self._of_quoted(quoted)
            if exchange is None:
                return None, False
            # The own kernel says so where nobody answered ARP or ND. Of a host that has shown a
            # port, what it asked or was answered got lost; of another, nobody is there.
            own = str(ip.src) == self.way.src and not from_host
            if own and (self.open_port is not None or self.closed_port is not None):
                return None, False
            answers = exchange.name in {"u1", "bad_option", "bad_header"} and from_host
            return exchange, not answers
        return self._echo_of(packet) if from_host else None, False

    def _port_of(self, exchange: Exchange) -> int | None:
        return self.open_port if TCP_PROBES[exchange.name].to_open else self.closed_port

    def _quoted(self, packet: Packet) -> bytes | None:
        """Return the octets of the datagram that an ICMP error quotes."""
        if ICMP in packet and packet[ICMP].type in {3, 11, 12}:
            return packet.payload
        if ICMPv6 in packet and packet[ICMPv6].type in {1, 2, 3, 4}:
            return packet.payload
        return None

    def _of_quoted(self, octets: bytes) -> Exchange | None:
        quoted = Packet.decode(octets, link_type=_RAW)
        inner = quoted.layers[0] if quoted.layers else None
        if not isinstance(inner, IPv4 | IPv6) or str(inner.dst) != self.way.dst:
            return None
        if UDP in quoted:
            return self._waiting.get(("udp", quoted[UDP].src_port))
        if TCP in quoted:
            return self._waiting.get(("tcp", quoted[TCP].src_port))
        # 8 octets of TCP are no whole header, but the ports are there. Of the rest, the whole
        # probe is looked for, behind the IP header.
        for exchange in self._waiting.values():
            if len(octets) >= 48 and exchange.sent[20:48] == octets[20:48]:
                return exchange
        if isinstance(inner, IPv4) and inner.protocol == 6 and len(octets) >= 24:
            start = 4 * inner.ihl
            return self._waiting.get(("tcp", int.from_bytes(octets[start : start + 2], "big")))
        return None

    def _echo_of(self, packet: Packet) -> Exchange | None:
        if ICMP in packet:
            icmp = packet[ICMP]
            mine = icmp.type == 0 and icmp.identifier == self._identifier
            return self._waiting.get(("echo", icmp.sequence)) if mine else None
        if ICMPv6 not in packet:
            return None
        kind = packet[ICMPv6].type
        octets = bytes(packet)
        if kind == _NEIGHBOUR_ADVERTISEMENT:
            return self._waiting.get(("echo", 0))
        at = {_ECHO_REPLY_V6: 44, _NODE_INFO_REPLY: 48}.get(kind)
        if at is None or int.from_bytes(octets[at : at + 2], "big") != self._identifier:
            return None
        return self._waiting.get(("echo", int.from_bytes(octets[at + 2 : at + 4], "big")))

    # --- time ---------------------------------------------------------------------------------

    def _sample(self, seconds: float) -> None:
        """Learn the round-trip time; a host on the same link is not waited for a second."""
        if self._round_trip is None or seconds > self._round_trip:
            self._round_trip = seconds
        self._timeout = min(max(4 * self._round_trip, _LEAST_TIMEOUT), _LONGEST_TIMEOUT)

    @property
    def loss(self) -> float:
        """The estimated share of exchanges that get lost, of probes that this host answers."""
        answered = [probe for probe in self._probes.values() if probe.answered is not None]
        sent = sum(
            probe.exchanges.index(probe.answered) + 1 for probe in answered if probe.answered
        )
        # One more loss than there was: few probes prove no way to be without loss.
        return (sent - len(answered) + 0.5) / (sent + 1) if sent else 0.5

    def _judge(self, now: float) -> None:
        """Close the probes that have had their tries."""
        for probe in self._probes.values():
            if probe.outcome or not probe.tries or probe.due > now:
                continue
            if probe.filtered:
                probe.outcome = "filtered"
            elif (
                probe.tries >= _LEAST_TRIES
                and self.loss**probe.tries < DOUBT
                and not (probe.name in SEQUENCE and self.is_open)
            ):
                probe.outcome = "silent"
            elif probe.tries >= MOST_TRIES:
                probe.outcome = "unclear"

    @property
    def is_open(self) -> bool:
        """Whether the port that is to be open has answered a SYN of SEQ as an open port does."""
        return any((one := self.answer(name)) is not None and one.opened for name in SEQUENCE)

    def next_timeout(self) -> float | None:
        """Return when `take` wants to be called again; None when all is done."""
        return min(
            (probe.due for probe in self._probes.values() if not probe.outcome), default=None
        )

    @property
    def done(self) -> bool:
        """Whether every probe has its outcome."""
        return all(probe.outcome for probe in self._probes.values())

    def outcome(self, name: str) -> str:
        """Return how a probe ended.

        ``answered``, ``silent`` (the host does not answer it), ``filtered`` (an ICMP error came
        back), ``unclear`` (too much is lost to tell), ``too large`` (for the way), ``unasked`` (the
        port for it is missing), or nothing while it runs.
        """
        probe = self._probes.get(name)
        return "unasked" if probe is None else probe.outcome

    def answer(self, name: str) -> Exchange | None:
        """Return the exchange in which a probe was answered."""
        probe = self._probes.get(name)
        return None if probe is None else probe.answered
