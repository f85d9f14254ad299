"""Make traits of the answers to probes: each test of `observables` that the answers allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.identify.active.numbers import (
    clock_rate,
    growth_of_sequence,
    kind_of_ids,
    share_a_counter,
)
from sockwright.identify.active.probes import (
    DATAGRAM,
    DATAGRAM_ID,
    ECHOES,
    FLOW_LABEL,
    SEQUENCE,
    TCP_PROBES,
    TRAFFIC_CLASS,
)
from sockwright.identify.passive.opening import guess_initial_ttl, measure_opening
from sockwright.wire import ICMP, MSS, TCP, ICMPv6, IPv4, IPv6, Timestamps
from sockwright.wire.core.checksum import internet_checksum
from sockwright.wire.core.packet import Packet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.identify.active.prober import Prober
    from sockwright.identify.signature import Traits, Value

__all__ = ["measure", "missing", "states"]

_RAW = 101  # LINKTYPE_RAW
_RST = 4
_NONE = "none"
_OPEN_PROBES, _CLOSED_PROBES = ("ecn", "t2", "t3", "t4"), ("t5", "t6", "t7")


def measure(prober: Prober) -> Traits:
    """Return what each test gave, as far as the exchanges of `prober` tell."""
    found: Traits = {}
    _measure_sequence(prober, found)
    for name in (*(_OPEN_PROBES if prober.is_open else ()), *_closed(prober)):
        _measure_segment(prober, name, found)
    _measure_datagram(prober, found)
    if prober.way.version == 4:
        _measure_echoes(prober, found)
        _measure_ids(prober, found)
    else:
        _measure_ipv6(prober, found)
    return found


def missing(prober: Prober) -> list[str]:
    """Say what could not be tested, and why."""
    said = []
    for port, what, needs in (
        (
            prober.open_port,
            "an open TCP port",
            "SEQ, ECN, T2 to T4, which tell most",
        ),
        (prober.closed_port, "a closed TCP port", "T5 to T7"),
        (prober.closed_udp_port, "a closed UDP port", "U1"),
    ):
        if port is None:
            said.append(f"without {what}: {needs}")
    if prober.open_port is not None and not prober.is_open:
        said.append(
            f"port {prober.open_port} gives no SYN-ACK, so it is not open: SEQ, ECN, T2 to T4"
        )
    if prober.closed_port is not None and not _closed(prober):
        said.append(f"port {prober.closed_port} accepts connections, it is not closed: T5 to T7")
    for outcome, why in (
        ("filtered", "a router or firewall answered by ICMP"),
        ("unclear", "too much is lost on the way to tell silence from loss"),
        ("too large", "larger than the link takes (EMSGSIZE, its MTU)"),
    ):
        names = [name.upper() for name in _names(prober) if prober.outcome(name) == outcome]
        if names:
            said.append(f"{', '.join(names)}: {why}")
    return said


def states(prober: Prober) -> dict[int, str]:
    """Say what the TCP ports that were asked turned out to be, as `Identification.states` does."""
    found = {}
    for port, names in ((prober.closed_port, ("t5",)), (prober.open_port, SEQUENCE)):
        answers = [one for name in names if (one := prober.answer(name)) is not None]
        if port is None:
            continue
        if answers:
            found[port] = "open" if any(one.opened for one in answers) else "closed"
        else:
            filtered = any(prober.outcome(name) == "filtered" for name in names)
            found[port] = "filtered" if filtered else "silent"
    return found


def _closed(prober: Prober) -> tuple[str, ...]:
    """Return the probes to the port that is to be closed, none where it is not."""
    first = prober.answer("t5")
    return () if first is not None and first.opened else _CLOSED_PROBES


def _names(prober: Prober) -> list[str]:
    others = list(ECHOES) if prober.way.version == 4 else ["echo"]
    return [*TCP_PROBES, *others, "u1"]


def _packet(prober: Prober, name: str) -> Packet | None:
    exchange = prober.answer(name)
    return None if exchange is None else exchange.answer


def _set(found: Traits, test: str, value: Value | None) -> None:
    if value is not None:
        found[test] = value


# --- TCP ------------------------------------------------------------------------------------------


def _measure_sequence(prober: Prober, found: Traits) -> None:
    exchanges = [one for name in SEQUENCE if (one := prober.answer(name)) is not None]
    synacks = [one for one in exchanges if one.opened]
    if first := next((one for one in synacks if one.name == "seq1"), None):
        assert first.answer is not None
        opening = measure_opening(first.answer.layers, first.answer.payload)
        asked = Packet.decode(first.sent, link_type=_RAW)
        if opening is not None:
            found.update(opening.traits(measure_opening(asked.layers, b"")))
            found["syn_ack.peer_mss"] = 1460  # what SEQ 1 offers
        found["seq.ack"] = _relation(first.answer[TCP].ack, first.seq, "S")
    for one in synacks:
        assert one.answer is not None
        opening = measure_opening(one.answer.layers, one.answer.payload)
        if opening is not None and one.name != "seq1":
            number = one.name.removeprefix("seq")
            found[f"seq.options{number}"] = opening.layout or _NONE
            if "syn_ack.window" in found:
                same = opening.window == found["syn_ack.window"]
                found[f"seq.window{number}"] = "same" if same else opening.window
    synacks.sort(key=lambda one: one.sent_at)
    numbers, times, clocks, clock_times = [], [], [], []
    for one in synacks:
        assert one.answer is not None
        numbers.append(one.answer[TCP].seq)
        times.append(one.sent_at)
        for option in one.answer[TCP].options:
            if isinstance(option, Timestamps):
                clocks.append(option.value)
                clock_times.append(one.answered_at)
    growth = growth_of_sequence(numbers, times)
    if growth is not None:
        found["seq.gcd"], found["seq.rate"] = growth.divisor, growth.rate
        found["seq.spread"] = growth.spread
    if synacks and not clocks:
        found["seq.clock"] = _NONE
    elif (rate := clock_rate(clocks, clock_times)) is not None:
        found["seq.clock"] = rate
        found["seq.clock_value"] = clocks[-1]


def _relation(number: int, reference: int, word: str) -> str:
    if number == 0:
        return "0"
    offset = (number - reference) & 0xFFFFFFFF
    return {0: word, 1: f"{word}+1"}.get(offset, "other")


def _measure_segment(prober: Prober, name: str, found: Traits) -> None:
    outcome, exchange = prober.outcome(name), prober.answer(name)
    if outcome == "silent":
        found[f"{name}.flags"] = _NONE
    packet = None if exchange is None else exchange.answer
    if exchange is None or packet is None or TCP not in packet:
        return
    tcp = packet[TCP]
    found[f"{name}.flags"] = str(tcp.flags) or "0"
    found[f"{name}.window"] = tcp.window
    found[f"{name}.seq"] = _relation(tcp.seq, exchange.ack, "A")
    if exchange.ack == 0 and tcp.seq not in {0, 1}:
        found[f"{name}.seq"] = "other"
    found[f"{name}.ack"] = _relation(tcp.ack, exchange.seq, "S")
    ip = packet.layers[0]
    if isinstance(ip, IPv4):
        found[f"{name}.df"] = bool(int(ip.flags) & 2)
    _set(found, f"{name}.ttl", _initial_ttl(packet))
    if int(tcp.flags) & _RST:
        found[f"{name}.data"] = len(packet.payload)
    odd = [word for word, there in (
        ("reserved", tcp.reserved),
        ("urgent-unused", tcp.urgent_pointer and not int(tcp.flags) & 32),
    ) if there]  # fmt: skip
    found[f"{name}.quirks"] = ",".join(odd) or _NONE
    opening = measure_opening(packet.layers, packet.payload)
    if opening is not None:
        found[f"{name}.options"] = opening.layout or _NONE
        found[f"{name}.mss"] = next((o.size for o in tcp.options if isinstance(o, MSS)), _NONE)
        found[f"{name}.peer_mss"] = 1460 if name == "ecn" else 265


def _initial_ttl(packet: Packet) -> int | None:
    ip = packet.layers[0]
    if isinstance(ip, IPv4):
        return guess_initial_ttl(ip.ttl)
    return guess_initial_ttl(ip.hop_limit) if isinstance(ip, IPv6) else None


# --- the datagram ---------------------------------------------------------------------------------


def _measure_datagram(prober: Prober, found: Traits) -> None:
    outcome, exchange = prober.outcome("u1"), prober.answer("u1")
    if outcome == "silent":
        found["u1.answer"] = False
    packet = None if exchange is None else exchange.answer
    if exchange is None or packet is None:
        return
    found["u1.answer"] = True
    octets = bytes(packet)
    _set(found, "u1.ttl", _initial_ttl(packet))
    found["u1.length"] = len(octets)
    ip = packet.layers[0]
    if isinstance(ip, IPv4):
        found["u1.df"] = bool(int(ip.flags) & 2)
        found["u1.tos"] = 4 * ip.dscp + ip.ecn
        found["u1.unused"] = packet[ICMP].rest
        quoted = octets[4 * ip.ihl + 8 :]
        if len(quoted) >= 28:
            _measure_quoted(exchange.sent, quoted, found)
    elif isinstance(ip, IPv6):
        found["u1.tos"] = ip.traffic_class
        # The addresses of the quoted header say where it starts, 4 octets of ICMPv6 before it.
        at = octets.find(exchange.sent[8:40]) - 8
        quoted = octets[at:]
        if at >= 48 and len(quoted) > 48:
            found["u1.unused"] = int.from_bytes(octets[at - 4 : at], "big")
            _judge_quoted_data(exchange.sent[48:], quoted[48:], found)


def _measure_quoted(sent: bytes, quoted: bytes, found: Traits) -> None:
    """Compare the quoted IPv4 datagram with the one that was sent."""
    length = int.from_bytes(quoted[2:4], "big")
    found["u1.quoted_length"] = "same" if length == len(sent) else length
    identification = int.from_bytes(quoted[4:6], "big")
    swapped = DATAGRAM_ID >> 8 | (DATAGRAM_ID & 0xFF) << 8
    found["u1.quoted_id"] = {DATAGRAM_ID: "same", swapped: "swapped", 0: "zero"}.get(
        identification, "other"
    )
    header = quoted[: 4 * (quoted[0] & 15)]
    if header[10:12] == b"\0\0":
        found["u1.quoted_checksum"] = "zero"
    else:
        found["u1.quoted_checksum"] = "good" if internet_checksum(header) == 0 else "bad"
    _judge_quoted_data(sent[20:], quoted[20:], found)


def _judge_quoted_data(sent: bytes, quoted: bytes, found: Traits) -> None:
    """Compare what follows the quoted IP header: UDP, and its data."""
    if quoted[6:8] == sent[6:8]:
        found["u1.quoted_udp_checksum"] = "same"
    else:
        found["u1.quoted_udp_checksum"] = "zero" if quoted[6:8] == b"\0\0" else "other"
    found["u1.quoted_data"] = DATAGRAM.startswith(quoted[8 : 8 + len(DATAGRAM)])


# --- echoes and identifications -------------------------------------------------------------------


def _measure_echoes(prober: Prober, found: Traits) -> None:
    outcomes = [prober.outcome(name) for name in ECHOES]
    if not set(outcomes) <= {"answered", "silent"}:
        return
    words = {("answered", "answered"): "both", ("answered", "silent"): "first",
             ("silent", "answered"): "second"}  # fmt: skip
    found["ie.answer"] = words.get((outcomes[0], outcomes[1]), _NONE)
    packets = [_packet(prober, name) for name in ECHOES]
    first, second = packets
    if first is None or second is None:
        return
    _set(found, "ie.ttl", _initial_ttl(first))
    headers = first[IPv4], second[IPv4]
    asked = list(ECHOES.values())
    df = _echoed([bool(int(ip.flags) & 2) for ip in headers], [one.dont_fragment for one in asked])
    found["ie.df"] = "no" if df == "zero" else df
    codes = [first[ICMP].code, second[ICMP].code]
    found["ie.code"] = _echoed(codes, [one.code for one in asked])
    tos = [4 * ip.dscp + ip.ecn for ip in headers]
    found["ie.tos"] = _echoed(tos, [one.tos for one in asked])


def _echoed(values: list[int], asked: list[int]) -> str:
    """Name how two values are those of the requests: same, zero (no), yes, other."""
    if values == asked:
        return "same"
    if not any(values):
        return "zero"
    return "yes" if all(value is True for value in values) else "other"


def _measure_ids(prober: Prober, found: Traits) -> None:
    opened = _ids(prober, SEQUENCE) if prober.is_open else []
    icmp = _ids(prober, ECHOES)
    asked = [
        int.from_bytes(one.sent[4:6], "big") for name in ECHOES if (one := prober.answer(name))
    ]
    _set(found, "id.open", kind_of_ids(opened) if len(opened) >= 3 else None)
    closed = _ids(prober, _closed(prober))
    _set(found, "id.closed", kind_of_ids(closed) if len(closed) >= 2 else None)
    _set(found, "id.icmp", "echoed" if icmp and icmp == asked else kind_of_ids(icmp))
    _set(found, "id.shared", share_a_counter(opened, icmp))


def _ids(prober: Prober, names: Iterable[str]) -> list[int]:
    """Return the identifications of the answers, in the order of the questions."""
    exchanges = [one for name in names if (one := prober.answer(name)) is not None]
    exchanges.sort(key=lambda one: one.sent_at)
    headers = [one.answer.layers[0] for one in exchanges if one.answer is not None]
    return [ip.identification for ip in headers if isinstance(ip, IPv4)]


# --- IPv6 -----------------------------------------------------------------------------------------


def _measure_ipv6(prober: Prober, found: Traits) -> None:
    if prober.outcome("echo") == "silent":
        found["ipv6.echo_code"] = _NONE
    packet = _packet(prober, "echo")
    if packet is not None and ICMPv6 in packet:
        ip = packet.layers[0]
        assert isinstance(ip, IPv6)
        found["ipv6.echo_code"] = packet[ICMPv6].code
        found["ipv6.echo_tos"] = _same(ip.traffic_class, TRAFFIC_CLASS)
        found["ipv6.echo_flow"] = _same(ip.flow_label, FLOW_LABEL)
        _set(found, "ie.ttl", _initial_ttl(packet))
    for name in ("bad_option", "bad_header", "node_info"):
        packet = _packet(prober, name)
        if packet is not None and ICMPv6 in packet:
            icmp = packet[ICMPv6]
            found[f"ipv6.{name}"] = f"{icmp.type}/{icmp.code}"
        elif prober.outcome(name) == "silent":
            found[f"ipv6.{name}"] = _NONE
    packet = _packet(prober, "neighbour")
    if packet is not None:
        # The flags of an advertisement (RFC 4861 section 4.4) stand behind the ICMPv6 header.
        flags = bytes(packet)[44]
        letters = [letter for bit, letter in ((128, "R"), (64, "S"), (32, "O")) if flags & bit]
        found["ipv6.neighbour"] = "".join(letters) or "0"
    _set(found, "ipv6.syn_flow", _flow(prober, SEQUENCE))
    _set(found, "ipv6.rst_flow", _flow(prober, _CLOSED_PROBES))


def _same(value: int, asked: int) -> str:
    return {asked: "same", 0: "zero"}.get(value, "other")


def _flow(prober: Prober, names: Iterable[str]) -> str | None:
    """Name the flow labels of the answers: zero, same (as asked), constant, varying."""
    packets = [packet for name in names if (packet := _packet(prober, name)) is not None]
    labels = [ip.flow_label for packet in packets if isinstance(ip := packet.layers[0], IPv6)]
    if len(labels) < 2:
        return None
    if len(set(labels)) > 1:
        return "varying"
    return {0: "zero", FLOW_LABEL: "same"}.get(labels[0], "constant")
