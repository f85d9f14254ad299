"""The prober against a host that is played, so that time and loss are exact."""

from __future__ import annotations

from itertools import count, pairwise
from typing import TYPE_CHECKING

import pytest

from sockwright.identify.active.measuring import measure, missing
from sockwright.identify.active.prober import LEAST_SPACING, MOST_TRIES, Prober
from sockwright.identify.active.probes import SEQUENCE, Addresses
from sockwright.wire import ICMP, MSS, TCP, UDP, IPv4
from sockwright.wire.core.packet import Packet

if TYPE_CHECKING:
    from collections.abc import Callable

_WAY = Addresses(4, "10.0.0.1", "10.0.0.2")
_RAW = 101
_RTT = 0.02


def _answer(octets: bytes) -> bytes | None:
    """Answer as a plain host does: port 80 is open, odd segments to it get silence."""
    packet = Packet.decode(octets, link_type=_RAW)
    back = IPv4(src=_WAY.dst, dst=_WAY.src, ttl=63, flags="DF")
    if ICMP in packet:
        icmp = packet[ICMP]
        reply = ICMP(type=0, code=0, identifier=icmp.identifier, sequence=icmp.sequence)
        return bytes(back / reply / packet.payload)
    if UDP in packet:
        return bytes(back / ICMP(type=3, code=3) / octets[:28])
    tcp = packet[TCP]
    mine, yours = tcp.dst_port, tcp.src_port
    flags = str(tcp.flags)
    following = tcp.seq + 1 & 0xFFFFFFFF
    if tcp.dst_port == 80 and flags.startswith("S"):
        synack = TCP(src_port=mine, dst_port=yours, seq=99, ack=following, flags="SA")
        synack.options = (MSS(1460),)
        return bytes(back / synack)
    if tcp.dst_port == 80 and "A" not in flags:
        return None
    if "A" in flags:
        return bytes(back / TCP(src_port=mine, dst_port=yours, seq=tcp.ack, flags="R"))
    return bytes(back / TCP(src_port=mine, dst_port=yours, ack=following, flags="RA"))


def _no_port(_: str) -> int:
    raise AssertionError("no port is wanted")


def _prober(**ports: int | None) -> Prober:
    numbers = count(40000)
    wanted: dict[str, int | None] = {"open_port": 80, "closed_port": 9, "closed_udp_port": 4444}
    wanted.update(ports)
    return Prober(
        _WAY,
        open_port=wanted["open_port"],
        closed_port=wanted["closed_port"],
        closed_udp_port=wanted["closed_udp_port"],
        source_port=lambda _: next(numbers),
        seed=1,
        now=0.0,
    )


def _hold(
    prober: Prober,
    lost: Callable[[int], bool] = lambda _: False,
    answer: Callable[[bytes], bytes | None] = _answer,
) -> float:
    """Hold the conversation to its end; `lost` tells of each packet sent, by its number."""
    now, number = 0.0, 0
    pending: list[tuple[float, bytes]] = []
    while not prober.done:
        for octets in prober.take(now):
            reply = answer(octets)
            if reply is not None and not lost(number):
                pending.append((now + _RTT, reply))
            number += 1
        due = prober.next_timeout()
        arriving = min((at for at, _ in pending), default=None)
        times = [at for at in (due, arriving) if at is not None]
        if not times:
            break
        now = max(now, min(times))
        for at, octets in [one for one in pending if one[0] <= now]:
            pending.remove((at, octets))
            prober.receive(octets, at)
    return now


def test_a_host_that_answers_is_asked_each_question_once() -> None:
    prober = _prober()
    seconds = _hold(prober)
    names = [exchange.name for exchange in prober.exchanges]
    assert names.count("t5") == 1
    assert names.count("t2") == 3  # silence is asked again
    assert seconds < 2


def test_the_six_syns_are_a_tenth_of_a_second_apart() -> None:
    prober = _prober()
    _hold(prober)
    times = [exchange.sent_at for exchange in prober.exchanges if exchange.name in SEQUENCE]
    assert [round(b - a, 3) for a, b in pairwise(times)] == [0.1] * 5


def test_a_busy_moment_does_not_bring_the_six_syns_together() -> None:
    prober = _prober()
    now = 0.0
    while len([one for one in prober.exchanges if one.name in SEQUENCE]) < 12:
        prober.take(now)
        due = prober.next_timeout()
        assert due is not None
        now = max(now, due) + (0.35 if len(prober.exchanges) < 20 else 0.0)
    times = [one.sent_at for one in prober.exchanges if one.name in SEQUENCE]
    assert min(b - a for a, b in pairwise(times)) > LEAST_SPACING - 1e-6


def test_each_try_has_a_source_port_of_its_own() -> None:
    prober = _prober()
    _hold(prober, lost=lambda number: number % 3 == 0)
    ports = [
        Packet.decode(exchange.sent, link_type=_RAW)[TCP].src_port
        for exchange in prober.exchanges
        if exchange.name[:2] not in {"ie", "u1"}
    ]
    assert len(set(ports)) == len(ports)


def test_loss_changes_nothing_that_is_measured() -> None:
    whole, lossy = _prober(), _prober()
    _hold(whole)
    _hold(lossy, lost=lambda number: number % 4 == 1)
    expected, found = measure(whole), measure(lossy)
    for traits in (expected, found):  # what depends on when a SYN was sent
        for test in ("seq.rate", "seq.spread"):
            traits.pop(test, None)
    assert found == expected


def test_silence_on_a_good_way_is_an_answer() -> None:
    prober = _prober()
    _hold(prober)
    assert prober.outcome("t2") == "silent"
    assert measure(prober)["t2.flags"] == "none"


def test_silence_takes_more_tries_where_much_is_lost() -> None:
    prober = _prober()
    _hold(prober, lost=lambda number: number % 3 != 2)
    tries = [exchange.name for exchange in prober.exchanges].count("t2")
    assert tries > 3
    assert prober.loss > 0.4


def test_silence_where_nearly_all_is_lost_is_left_open() -> None:
    prober = _prober()
    _hold(prober, lost=lambda number: number % 10 != 0)
    assert prober.outcome("t2") == "unclear"
    assert "t2.flags" not in measure(prober)
    assert [exchange.name for exchange in prober.exchanges].count("t2") == MOST_TRIES
    assert any("T2" in text and "lost" in text for text in missing(prober))


def test_what_a_firewall_refuses_is_no_answer_of_the_host() -> None:
    def refuse(octets: bytes) -> bytes | None:
        packet = Packet.decode(octets, link_type=_RAW)
        if TCP in packet and packet[TCP].dst_port == 9:
            back = IPv4(src="10.0.0.254", dst=_WAY.src, ttl=63)
            return bytes(back / ICMP(type=3, code=13) / octets[:28])
        return _answer(octets)

    prober = _prober()
    _hold(prober, answer=refuse)
    assert prober.outcome("t5") == "filtered"
    assert "t5.flags" not in measure(prober)
    assert any("T5" in text and "firewall" in text for text in missing(prober))


def test_an_error_of_the_own_kernel_is_a_loss() -> None:
    # It answers so where nobody answered ARP, which may have been lost as well.
    failures = iter([True] * 4)

    def fail(octets: bytes) -> bytes | None:
        if next(failures, False):
            back = IPv4(src=_WAY.src, dst=_WAY.src, ttl=64)
            return bytes(back / ICMP(type=3, code=1) / octets)
        return _answer(octets)

    prober, whole = _prober(), _prober()
    _hold(prober, answer=fail)
    _hold(whole)
    assert missing(prober) == []
    assert measure(prober).keys() == measure(whole).keys()


def test_a_syn_to_a_port_that_answers_others_is_asked_until_it_is_answered() -> None:
    prober = _prober()
    lost = iter([True] * 5)

    def lose_the_first(octets: bytes) -> bytes | None:
        packet = Packet.decode(octets, link_type=_RAW)
        of_first = TCP in packet and packet[TCP].window == 1 and packet[TCP].dst_port == 80
        return None if of_first and next(lost, False) else _answer(octets)

    _hold(prober, answer=lose_the_first)
    assert [exchange.name for exchange in prober.exchanges].count("seq1") == 6
    assert measure(prober)["seq.window2"] == "same"


def test_without_ports_only_echoes_are_sent() -> None:
    prober = Prober(
        _WAY,
        open_port=None,
        closed_port=None,
        closed_udp_port=None,
        source_port=_no_port,
        seed=1,
        now=0.0,
    )
    _hold(prober)
    assert {exchange.name for exchange in prober.exchanges} == {"ie1", "ie2"}
    assert len(missing(prober)) == 3


def test_what_is_too_large_for_the_way_is_left_out_and_said() -> None:
    prober = _prober()
    for octets in prober.take(10.0):
        if len(octets) > 68:
            prober.leave_out(octets)
    _hold(prober)
    sent = [exchange.name for exchange in prober.exchanges]
    assert {sent.count(name) for name in ("ie1", "ie2", "u1")} == {1}
    assert {prober.outcome(name) for name in ("ie1", "ie2", "u1")} == {"too large"}
    assert any(text.startswith("IE1, IE2, U1: larger") for text in missing(prober))
    assert "ie.answer" not in measure(prober)


def test_an_open_port_that_is_closed_is_said_to_be() -> None:
    prober = _prober(open_port=81)
    _hold(prober)
    assert not any(test.startswith(("syn_ack", "t4")) for test in measure(prober))
    assert any("81" in text for text in missing(prober))


def test_a_closed_port_that_is_open_is_said_to_be() -> None:
    prober = _prober(closed_port=80)
    _hold(prober)
    assert not any(test.startswith("t5") for test in measure(prober))
    assert any("not closed" in text for text in missing(prober))


def test_strangers_packets_change_nothing() -> None:
    prober = _prober()
    (probe,) = prober.take(0.0)
    reply = _answer(probe)
    assert reply is not None
    foreign = Packet.decode(reply, link_type=_RAW)
    foreign[IPv4].src = "10.0.0.3"
    assert not prober.receive(bytes(foreign), 0.01)
    assert not prober.receive(b"", 0.01)
    for end in range(len(reply)):
        prober.receive(reply[:end], 0.01)
    assert prober.answer("seq1") is None
    assert prober.receive(reply, 0.02)
    assert not prober.receive(reply, 0.03)  # a second SYN-ACK is no second answer


@pytest.mark.parametrize("flip", range(0, 44, 3))
def test_answers_with_a_flipped_octet_are_measured_or_not_but_never_raise(flip: int) -> None:
    def broken(octets: bytes) -> bytes | None:
        reply = _answer(octets)
        if reply is None or flip >= len(reply):
            return reply
        return reply[:flip] + bytes([reply[flip] ^ 0xFF]) + reply[flip + 1 :]

    prober = _prober()
    _hold(prober, answer=broken)
    measure(prober)
    missing(prober)
