"""Ports as people write them."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockwright.errors import EndpointError
from sockwright.nc.checking.ports import parse_port, parse_ports


def test_numbers_ranges_and_names_stand_in_one_list() -> None:
    assert parse_ports("22,80,8000-8003,http") == (22, 80, 8000, 8001, 8002, 8003)
    assert parse_ports(" 1 - 3 , 7") == (1, 2, 3, 7)


def test_ports_keep_their_order_and_come_once() -> None:
    assert parse_ports("443,1-3,2-4,443") == (443, 1, 2, 3, 4)


def test_every_port_fits() -> None:
    assert parse_ports("1-65535") == tuple(range(1, 65536))


def test_a_name_may_have_a_hyphen() -> None:
    assert parse_ports("http-alt") == (socket.getservbyname("http-alt", "tcp"),)


def test_names_are_those_of_the_protocol() -> None:
    assert parse_port("ntp", "udp") == 123
    with pytest.raises(EndpointError, match="nor the name of a tcp service"):
        parse_port("tftp", "tcp")


def test_one_port_may_be_zero_and_a_list_may_not_hold_it() -> None:
    assert parse_port("0") == 0
    with pytest.raises(EndpointError, match="ports start at 1"):
        parse_ports("0-3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a port is missing"),
        ("1,,2", "a port is missing"),
        ("65536", "port 65536 is not in 0..65535"),
        ("9" * 5000, "is not in 0..65535"),
        ("80-70", "goes backward; what fits: 70-80"),
        ("80-", "lacks an end: 80-65535"),
        ("-80", "lacks an end: 1-80"),
        ("-", "lacks an end: 1-65535"),
        ("80-http", "neither a port"),
        ("1-2-3", "neither a port"),
        ("nonesuch", "'nonesuch' is neither a port"),
        ("+80", "neither a port"),
        ("٣", "neither a port"),  # a digit, of another script
        ("\0", "neither a port"),
        ("\udcff", "neither a port"),
    ],
)
def test_what_is_no_port_is_said(text: str, said: str) -> None:
    with pytest.raises(EndpointError, match=said):
        parse_ports(text)


@given(st.text(max_size=40))
def test_any_text_is_ports_or_one_error(text: str) -> None:
    try:
        ports = parse_ports(text)
    except EndpointError:
        return
    assert ports
    assert all(1 <= port <= 65535 for port in ports)


@given(st.lists(st.integers(1, 65535), min_size=1))
def test_a_list_of_numbers_is_read_back(ports: list[int]) -> None:
    assert parse_ports(",".join(map(str, ports))) == tuple(dict.fromkeys(ports))
