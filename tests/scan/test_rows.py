"""Rows of a scan: keys, what is left out, and which ports are shown."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from sockwright.identify.identification import Identification
from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import REASONS, number_of
from sockwright.scan.results import Hop, HostResult, PortResult, Service, Summary
from sockwright.scan.rows import (
    FEW,
    hidden_ports,
    hidden_states,
    host_row,
    port_row,
    ranges,
    shown_ports,
    summary_row,
)

_OPEN = number_of("syn-ack", "open")
_CLOSED = number_of("reset", "closed")
_SILENT = number_of("no-response", "filtered")


def a_host(closed: int = 3, silent: int = 2, protocol: str = "tcp") -> HostResult:
    """Return a host with two open ports, given last, and some others."""
    numbers = (*range(1000, 1000 + closed), *range(5000, 5000 + silent), 443, 80)
    table = PortTable("192.0.2.1", protocol, numbers, _SILENT)  # type: ignore[arg-type]
    table.tries = 3
    for at, number in enumerate(numbers):
        if number < 1000:
            table.set(at, _OPEN, 2, 1500, 61)
        elif number < 5000:
            table.set(at, _CLOSED, 1, 900, 61)
    return HostResult("192.0.2.1", "up", "echo-reply", ports=(table,))


def test_an_open_port_tells_what_proves_it() -> None:
    (port,) = [port for port in shown_ports(a_host()) if port.port == 80]
    assert port.as_dict() == {
        "kind": "port",
        "host": "192.0.2.1",
        "port": 80,
        "protocol": "tcp",
        "state": "open",
        "reason": "syn-ack",
        "tries": 2,
        "attempt": 2,
        "rtt_ns": 1_500_000,
        "ttl": 61,
    }


def test_what_is_not_known_of_a_port_is_left_out() -> None:
    row = port_row(PortResult("a", 1, "tcp", "filtered", "no-response", tries=3))
    assert row.keys() == {"kind", "host", "port", "protocol", "state", "reason", "tries"}
    row = port_row(PortResult("a", 1, "tcp", "filtered", "not-asked", tries=0))
    assert "tries" not in row
    limited = PortResult(
        "a", 1, "udp", "closed", "port-unreach", 1, 1, 5, 64, sender="b", limited="icmp"
    )
    assert port_row(limited)["sender"] == "b"
    assert port_row(limited)["limited"] == "icmp"


def test_a_service_is_an_object_of_what_was_learned() -> None:
    service = Service("http", 0.9, "probed", "nginx", tunnel="tls", cpe=("c",), details={"a": "b"})
    row = port_row(PortResult("a", 1, "tcp", "open", "syn-ack", 1, service=service))
    assert row["service"] == {
        "name": "http",
        "confidence": 0.9,
        "method": "probed",
        "product": "nginx",
        "tunnel": "tls",
        "cpe": ["c"],
        "details": {"a": "b"},
    }


def test_every_field_of_a_result_is_a_key_somewhere() -> None:
    full = Service("n", 0.5, "probed", "p", "v", "e", "h", "o", "d", "tls", ("c",), "b", {"k": "v"})
    port = PortResult("a", 1, "tcp", "open", "syn-ack", 1, 1, 1, 1, "s", "icmp", full)
    assert port_row(port).keys() == {"kind", *(field.name for field in fields(port))}
    assert port_row(port)["service"].keys() == {field.name for field in fields(full)}
    host = a_host()
    host.names, host.ttl, host.rtt_ns, host.mac = ("n",), 1, 1, "02:00:00:00:00:01"
    host.loss, host.remarks, host.hops = 0.1, ("r",), (Hop(1, "h", "n", 1),)
    host.started_ns = host.ended_ns = 1
    host.os = Identification("a", "Linux", "Linux", 0.9, (), {})
    told = {field.name for field in fields(host)} - {"ports", "services"}
    assert host_row(host).keys() - told == {"kind", "asked", "open_ports"}
    assert host_row(host)["hops"] == [{"ttl": 1, "host": "h", "name": "n", "rtt_ns": 1}]
    json.dumps(host_row(host))
    end = Summary(1, 1, 1, ("syn",), "w", 1, 1, 0.0, 0.0, True, False, 1, 1, 1, ("r",))
    assert summary_row(end).keys() == {"kind", *(field.name for field in fields(end))}


def test_a_host_with_nothing_to_say_says_little() -> None:
    assert host_row(HostResult("192.0.2.9", "down", "no-response")) == {
        "kind": "host",
        "host": "192.0.2.9",
        "state": "down",
        "reason": "no-response",
        "expected_misses": 0.0,
        "complete": True,
        "probes": 0,
        "answers": 0,
    }
    assert host_row(a_host())["open_ports"] == 2
    assert host_row(a_host())["asked"] == {"tcp": 7}


def test_ports_are_shown_by_number_with_their_service() -> None:
    host = a_host()
    host.services["tcp", 80] = Service("http", 0.9, "probed")
    shown = list(shown_ports(host))
    assert [port.port for port in shown] == [80, 443, 1000, 1001, 1002, 5000, 5001]
    assert [port.service is not None for port in shown] == [True] + [False] * 6


def test_a_state_of_few_ports_is_shown_and_one_of_many_counted() -> None:
    few, many = a_host(closed=FEW), a_host(closed=FEW + 1)
    assert hidden_states(few) == frozenset()
    assert hidden_states(many) == {"closed"}
    assert [port.port for port in shown_ports(many)] == [80, 443, 5000, 5001]
    assert host_row(many)["not_shown"] == [
        {
            "protocol": "tcp",
            "state": "closed",
            "reason": "reset",
            "count": 26,
            "ports": "1000-1025",
        }
    ]


def test_open_ports_are_shown_however_many_there_are() -> None:
    ports = tuple(range(1, 200))
    table = PortTable("a", "tcp", ports, _SILENT)
    for at in range(len(ports)):
        table.set(at, _OPEN, 1)
    host = HostResult("a", "up", "x", ports=(table,))
    for show in ("few", "open", "all"):
        assert len(list(shown_ports(host, show))) == 199


def test_the_count_of_a_state_is_that_of_all_protocols_as_nmap_has_it() -> None:
    host = a_host(closed=20)
    host.ports += a_host(closed=20, protocol="udp").ports
    assert hidden_states(host) == {"closed"}
    assert [row["protocol"] for row in host_row(host)["not_shown"]] == ["tcp", "udp"]


def test_silence_that_is_counted_tells_tries_and_limits() -> None:
    host = a_host(silent=100)
    host.ports[0].limit("policer")
    (row,) = host_row(host)["not_shown"]
    assert (row["reason"], row["tries"], row["limited"]) == ("no-response", 3, "policer")


@pytest.mark.parametrize("show", ["few", "open", "all"])
def test_what_is_shown_and_what_is_not_is_all_that_was_asked(show: str) -> None:
    host = a_host(closed=40, silent=7)
    shown = [port.port for port in shown_ports(host, show)]  # type: ignore[arg-type]
    hidden = [number for part in hidden_ports(host, show) for number in part.ports]  # type: ignore[arg-type]
    assert sorted(shown + hidden) == sorted(host.ports[0].numbers)


def test_every_reason_has_a_row() -> None:
    for number, reason in enumerate(REASONS):
        table = PortTable("a", "tcp", (1,), _SILENT)
        table.set(0, number, 1, 10, 64)
        row = port_row(table.row(0))
        assert (row["reason"], row["state"]) == (reason.word, reason.state)


def test_numbers_become_ranges() -> None:
    assert ranges([]) == ""
    assert ranges([7]) == "7"
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"
    assert ranges(range(65536)) == "0-65535"
