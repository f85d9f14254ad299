"""Ports in words: exact, and complete enough for a newcomer."""

from __future__ import annotations

import re
import socket

import pytest

from sockwright.scan.explain import explain_port, routers_on_the_way
from sockwright.scan.reasons import REASONS, Reason
from sockwright.scan.results import PortResult, Service


def test_an_open_port_names_its_packet_try_time_and_distance() -> None:
    port = PortResult("192.0.2.1", 80, "tcp", "open", "syn-ack", 1, 1, 1_234_567, 61)
    assert port.explain() == (
        "Port 80/tcp of 192.0.2.1 is open. A SYN was answered by SYN and ACK after 1.23 ms, at the "
        "first try. It came with TTL 61: 3 routers on the way, if its sender starts at 64. A "
        "connection can be made; the scan did not send anything over it."
    )


def test_a_later_try_says_that_packets_are_lost() -> None:
    told = explain_port(PortResult("a", 80, "tcp", "open", "syn-ack", 3, 3, 2_000_000, 64))
    assert "after 2.00 ms, at try 3; the 2 tries before it went unanswered" in told
    assert "packets are lost on the way" in told
    assert "as systems send it: no router was on the way" in told
    told = explain_port(PortResult("a", 80, "tcp", "closed", "reset", 2, 2, 900, 63))
    assert "at try 2; the try before it went unanswered" in told
    assert "after less than 0.01 ms" in told
    assert "one router on the way" in told


def test_closed_says_that_the_host_is_there() -> None:
    told = explain_port(PortResult("a", 81, "tcp", "closed", "reset", 1, 1, 10_000, 128))
    assert "answered by RST" in told
    assert "no program listens there (RFC 9293 section 3.5.2)" in told


def test_connect_names_the_call() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        number = listener.getsockname()[1]
        told = explain_port(PortResult("127.0.0.1", number, "tcp", "open", "conn-accept", 1, 1, 9))
    assert f"Port {number}/tcp of 127.0.0.1 is open. connect(2) succeeded" in told
    told = explain_port(PortResult("a", 1, "tcp", "closed", "conn-refused", 1, 1, 9))
    assert "ECONNREFUSED" in told
    assert "TTL" not in told


@pytest.mark.parametrize(
    ("protocol", "state", "words"),
    [
        ("tcp", "filtered", "something drops the packets: a firewall"),
        ("tcp", "open|filtered", "a closed port answers by RST and an open one by nothing"),
        ("udp", "open|filtered", "keeps silent, and so does a firewall: the two look alike"),
    ],
)
def test_silence_is_told_for_the_method(protocol: str, state: str, words: str) -> None:
    port = PortResult("a", 1, protocol, state, "no-response", 4)  # type: ignore[arg-type]
    told = explain_port(port)
    assert "None of 4 tries was answered." in told
    assert words in told


def test_a_limit_is_told_with_what_it_means() -> None:
    told = explain_port(PortResult("a", 1, "udp", "open|filtered", "unproven", 6, limited="icmp"))
    assert "limits how many ICMP errors it sends a second" in told
    told = explain_port(PortResult("a", 1, "tcp", "filtered", "no-response", 6, limited="policer"))
    assert "only so many packets a second pass" in told
    told = explain_port(PortResult("a", 1, "tcp", "filtered", "no-response", 3, limited="icmp"))
    assert told.endswith("this one may be rejected as well, or its packets are dropped.")
    told = explain_port(PortResult("a", 1, "tcp", "filtered", "port-unreach", 3, 3, 9, 63))
    assert "since packets are lost on the way or ICMP errors are limited" in told


def test_the_word_of_a_router_is_told_as_such() -> None:
    told = explain_port(
        PortResult(
            "192.0.2.1", 1, "tcp", "filtered", "admin-prohibited", 1, 1, 9, 254, "192.0.2.254"
        )
    )
    assert "192.0.2.254, which is not the host itself, answered the segment by ICMP" in told
    assert "A firewall refuses the packets" in told
    assert "one router on the way, if its sender starts at 255" in told


def test_port_unreachable_is_closed_for_udp_and_a_firewalls_word_for_tcp() -> None:
    udp = explain_port(PortResult("a", 1, "udp", "closed", "port-unreach", 1, 1, 9, 64))
    assert "no program has that port (RFC 1122 section 4.1.3.1)" in udp
    tcp = explain_port(PortResult("a", 1, "tcp", "filtered", "port-unreach", 1, 1, 9, 64))
    assert "the word of a firewall" in tcp


def test_a_port_that_was_not_asked_claims_nothing() -> None:
    told = explain_port(PortResult("a", 1, "tcp", "filtered", "not-asked", 0))
    assert told == "Nothing is known about port 1/tcp of a: the scan ended before it was asked."


def test_a_port_that_the_scan_itself_holds_was_sent_no_probe() -> None:
    told = explain_port(PortResult("127.0.0.1", 40000, "tcp", "closed", "localhost-response", 0))
    assert told.startswith("Port 40000/tcp of 127.0.0.1 is closed. It is one of the source ports")
    assert told.endswith("no probe was sent to it.")


def test_a_port_of_an_earlier_part_of_the_scan_says_what_was_not_kept() -> None:
    told = explain_port(PortResult("a", 1, "tcp", "closed", "reset", 1))
    assert "which try it answered is not known" in told


def test_no_route_means_that_nothing_was_sent() -> None:
    told = explain_port(PortResult("a", 1, "tcp", "filtered", "no-route", 1))
    assert "no packet was sent" in told
    told = explain_port(
        PortResult("2001:db8::1", 1, "tcp", "filtered", "no-route", 1, 1, 9, 64, "b")
    )
    assert "ICMPv6 no route to destination" in told


def test_ipv6_has_a_hop_limit() -> None:
    told = explain_port(PortResult("2001:db8::1", 1, "tcp", "open", "syn-ack", 1, 1, 9, 60))
    assert "with hop limit 60: 4 routers on the way" in told


def test_a_service_is_told_with_its_confidence() -> None:
    service = Service("http", 0.93, "probed", "nginx", "1.25", tunnel="tls")
    told = explain_port(PortResult("a", 1, "tcp", "open", "syn-ack", 1, 1, 9, service=service))
    assert told.endswith(
        "What answers there is nginx 1.25 (http) behind TLS, with confidence 0.93."
    )
    assert "did not send anything" not in told
    known = Service("http", 0.3)
    told = explain_port(PortResult("a", 1, "tcp", "open", "syn-ack", 1, 1, 9, service=known))
    assert told.endswith("registered for http; nobody asked what really answers.")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("reason", REASONS, ids=lambda one: f"{one.word}-{one.state}")
def test_every_reason_makes_whole_sentences(reason: Reason, protocol: str) -> None:
    word, state, _ = reason
    for rtt, ttl, attempt, tries in ((None, None, 0, 0), (None, None, 0, 3), (5000, 64, 2, 2)):
        port = PortResult("a", 7, protocol, state, word, tries, attempt, rtt, ttl)  # type: ignore[arg-type]
        told = explain_port(port)
        assert told.endswith(".")
        assert not re.search(r"\s\s|\.\.| \.| ,|None(?! of)", told)
        assert "The reason noted is" not in told
        assert told.count(". ") >= 1 or word == "not-asked"


@pytest.mark.parametrize(
    ("ttl", "expected"),
    [
        (64, (0, 64)),
        (52, (12, 64)),
        (128, (0, 128)),
        (117, (11, 128)),
        (255, (0, 255)),
        (241, (14, 255)),
        (32, (0, 32)),
        (33, (31, 64)),
        (70, None),
        (200, None),
        (0, None),
        (1, (31, 32)),
    ],
)
def test_the_distance_is_guessed_from_the_ttl(ttl: int, expected: tuple[int, int] | None) -> None:
    assert routers_on_the_way(ttl) == expected


def test_a_ttl_far_from_any_start_says_nothing_about_the_distance() -> None:
    told = explain_port(PortResult("a", 1, "tcp", "open", "syn-ack", 1, 1, 9, 200))
    assert "TTL 200, which says nothing about the distance" in told
