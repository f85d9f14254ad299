"""Collects what each host lets out of itself, and says what systems they are.

Rules
    1. Nothing is sent, nothing waited for: packets come in, answers are asked for.
    2. Memory is bounded: `most_hosts` hosts, of which the one that was silent longest goes first,
       and is counted; of each host so many different pieces of evidence of a kind.
    3. What is told is kept as it came, and held against signatures when somebody asks: a flood of
       made-up segments costs no more than taking them apart.
    4. Each piece of evidence is identified by itself. Pieces of different kinds that agree make the
       answer surer; pieces that contradict each other are not averaged but said: an address may
       stand for many systems.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from sockwright.identify.passive.clock import TimestampClock
from sockwright.identify.passive.conclusion import Evidence, HostIdentity, conclude
from sockwright.identify.passive.dhcp import PORTS, read_request
from sockwright.identify.passive.http import read_head
from sockwright.identify.passive.opening import Opening, measure_opening
from sockwright.identify.passive.sieve import may_tell
from sockwright.identify.passive.ssh import START, read_banner
from sockwright.wire import TCP, UDP, IPv4, IPv6
from sockwright.wire.tcp_options import Timestamps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.identify.identification import Identification
    from sockwright.identify.signature import Signature, Traits
    from sockwright.records import CapturedPacket, Record

__all__ = ["Observer"]

_MOST_HOSTS: Final = 10_000
_MOST_OF_A_KIND: Final = 8
_MOST_SYNS: Final = 4096
_MOST_ANSWERS: Final = 512


class _Told(Protocol):
    """What one packet tells: an `Opening`, a `Head`, a `Banner`, a `Request`."""

    @property
    def kind(self) -> str: ...

    def traits(self) -> Traits: ...


class _Heard:
    """One thing that a host told, not yet held against signatures."""

    __slots__ = ("address", "count", "first_ns", "last_ns", "number", "told", "traits")

    def __init__(self, address: str, told: _Told, traits: Traits, packet: CapturedPacket) -> None:
        self.address = address
        self.told = told
        self.traits = traits
        self.count = 1
        self.number = packet.number
        self.first_ns = self.last_ns = packet.time_ns


class _Host:
    """What is known of one address."""

    __slots__ = ("clocks", "heard", "hostname", "left_out", "mac")

    def __init__(self) -> None:
        self.heard: dict[_Told, _Heard] = {}
        self.clocks: dict[str, TimestampClock] = {}
        self.left_out = 0
        self.mac = ""
        self.hostname = ""


class Observer:
    """Takes packets, one after another, and knows the hosts that sent them.

    `signatures` are those of the package and of the user unless others are given. `packets` counts
    what came, `telling` what was evidence, `evicted` the hosts forgotten for lack of room.
    """

    def __init__(
        self, signatures: Sequence[Signature] | None = None, *, most_hosts: int = _MOST_HOSTS
    ) -> None:
        if most_hosts < 1:
            raise ValueError(f"most_hosts {most_hosts} is not 1 or more")
        if signatures is None:
            from sockwright.identify.database import load_signatures

            signatures = load_signatures()
        self.packets = 0
        self.telling = 0
        self.evicted = 0
        self._signatures = _by_group(signatures)
        self._most_hosts = most_hosts
        self._hosts: dict[str, _Host] = {}
        self._syns: dict[tuple[str, int, str, int], Opening] = {}
        self._answers: dict[frozenset[tuple[str, object]], Identification] = {}

    def record(self, record: Record) -> bool:
        """Take one record of a capture; return whether it told something new of its host.

        Never raises for what a packet holds.
        """
        self.packets += 1
        if not may_tell(record.octets, record.link_type):
            return False
        from sockwright.records.captured_packet import captured

        heard = self._look(
            captured(
                record.octets,
                record.link_type,
                self.packets,
                record.time_ns,
                record.original_length,
            )
        )
        return heard is not None

    def packet(self, packet: CapturedPacket) -> Evidence | None:
        """Take one packet; return what it is evidence of, where that is new for its host.

        Never raises for what a packet holds.
        """
        self.packets += 1
        heard = self._look(packet)
        return None if heard is None else self._evidence(heard)

    def hosts(self) -> Iterator[HostIdentity]:
        """Say what each host is, as far as is known by now, in the order they were last heard."""
        for address, host in self._hosts.items():
            yield conclude(
                address,
                tuple([self._evidence(heard) for heard in host.heard.values()]),
                {kind: clock.judge() for kind, clock in host.clocks.items()},
                mac=host.mac,
                hostname=host.hostname,
                left_out=host.left_out,
            )

    def __len__(self) -> int:
        return len(self._hosts)

    # -- one packet -------------------------------------------------------------------------------

    def _look(self, packet: CapturedPacket) -> _Heard | None:
        network: IPv4 | IPv6 | None = None
        transport: TCP | UDP | None = None
        layers = packet.layers
        for header in layers:
            if isinstance(header, IPv4 | IPv6):
                network = header
            elif isinstance(header, TCP | UDP):
                transport = header
        if network is None or transport is None:
            return None
        source, target = str(network.src), str(network.dst)
        payload = packet.payload
        if isinstance(transport, UDP):
            if transport.src_port in PORTS or transport.dst_port in PORTS:
                return self._datagram(payload, packet)
            return None
        opening = measure_opening(layers, payload)
        if opening is not None:
            return self._opening(opening, transport, source, target, packet)
        found = read_banner(payload) if payload.startswith(START) else read_head(payload)
        return None if found is None else self._note(source, found, found.traits(), packet)

    def _opening(
        self, opening: Opening, tcp: TCP, source: str, target: str, packet: CapturedPacket
    ) -> _Heard | None:
        if opening.kind == "syn":
            offered = None
            if len(self._syns) >= _MOST_SYNS:
                self._syns.pop(next(iter(self._syns)))
            self._syns[source, tcp.src_port, target, tcp.dst_port] = opening
        else:
            offered = self._syns.get((target, tcp.dst_port, source, tcp.src_port))
        new = self._note(source, opening, opening.traits(offered), packet)
        value = next((one.value for one in tcp.options if isinstance(one, Timestamps)), None)
        if value is not None and packet.time_ns is not None:
            clocks = self._hosts[source].clocks
            clock = clocks.setdefault(opening.kind, TimestampClock())
            clock.add(packet.time_ns, value, target)
        return new

    def _datagram(self, payload: bytes, packet: CapturedPacket) -> _Heard | None:
        request = read_request(payload)
        if request is None:
            return None
        # A client without an address sends from 0.0.0.0, and a relay passes on what others sent.
        address = request.address or request.mac
        if not address:
            return None
        new = self._note(address, request, request.traits(), packet)
        host = self._hosts[address]
        host.mac, host.hostname = request.mac, request.hostname or host.hostname
        if request.mac != address and (before := self._hosts.pop(request.mac, None)):
            for told, heard in before.heard.items():
                heard.address = address
                host.heard.setdefault(told, heard)
        return new

    # -- what is kept -----------------------------------------------------------------------------

    def _note(
        self, address: str, told: _Told, traits: Traits, packet: CapturedPacket
    ) -> _Heard | None:
        self.telling += 1
        host = self._hosts.pop(address, None)
        if host is None:
            host = _Host()
            if len(self._hosts) >= self._most_hosts:
                self._hosts.pop(next(iter(self._hosts)))
                self.evicted += 1
        self._hosts[address] = host  # behind all others: heard last
        known = host.heard.get(told)
        if known is not None:
            known.count += 1
            known.last_ns = packet.time_ns
            return None
        if sum(1 for one in host.heard if one.kind == told.kind) >= _MOST_OF_A_KIND:
            host.left_out += 1
            return None
        heard = host.heard[told] = _Heard(address, told, traits, packet)
        return heard

    def _evidence(self, heard: _Heard) -> Evidence:
        told = heard.told
        segment = told if isinstance(told, Opening) else None
        return Evidence(
            host=heard.address,
            kind=told.kind,
            told=str(told),
            identification=self._identify(heard.traits, heard.address),
            number=heard.number,
            first_ns=heard.first_ns,
            last_ns=heard.last_ns,
            distance=segment.distance if segment else None,
            link=segment.link if segment else "",
            count=heard.count,
        )

    def _identify(self, traits: Traits, address: str) -> Identification:
        from dataclasses import replace

        from sockwright.identify.matching import match

        key: frozenset[tuple[str, object]] = frozenset(traits.items())
        answer = self._answers.get(key)
        if answer is None:
            groups = {test.partition(".")[0] for test in traits}
            signatures = [one for group in groups for one in self._signatures.get(group, ())]
            answer = match(traits, signatures)
            if len(self._answers) >= _MOST_ANSWERS:
                self._answers.pop(next(iter(self._answers)))
            self._answers[key] = answer
        return replace(answer, host=address)


def _by_group(signatures: Sequence[Signature]) -> dict[str, list[Signature]]:
    """Sort signatures by the groups of their tests; those of no such group could not agree."""
    found: dict[str, list[Signature]] = {}
    for signature in signatures:
        for group in dict.fromkeys(test.partition(".")[0] for test in signature.tests):
            found.setdefault(group, []).append(signature)
    return found
