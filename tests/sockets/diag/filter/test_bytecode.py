"""Programs keep to what the kernel demands of them, to the last octet."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sockets.diag.filter.strategies import conditions, inet_conditions

from sockwright.sockets.diag.filter import SocketFilter, dport, fwmark, parse_filter, sport, src
from sockwright.sockets.diag.filter.bytecode import MAX_PROGRAM, REJECT_ALL
from sockwright.sockets.diag.filter.conditions import All, Either
from sockwright.sockets.diag.inet import FAMILIES, TCPSocket, inet_request
from sockwright.sockets.diag.netlink import SockDiag
from sockwright.sockets.diag.states import LISTENING

if TYPE_CHECKING:
    from sockwright.sockets.diag.filter import Condition

_OPERATION = struct.Struct("=BBH").unpack_from
# What each operation compares with, in octets; of the hosts (7, 8) without the address.
_OPERANDS = {1: 0, 2: 4, 3: 4, 4: 4, 5: 4, 6: 0, 7: 8, 8: 8, 9: 4, 10: 8, 13: 8}
_ADDRESSES = {0: 0, socket.AF_INET: 4, socket.AF_INET6: 16}


def _audit(program: bytes) -> None:
    """Assert what inet_diag_bc_audit() of the kernel demands."""
    assert len(program) <= 0xFFFF - 4
    boundaries = set()
    targets = []
    at = 0
    while at < len(program):
        boundaries.add(at)
        code, yes, no = _OPERATION(program, at)
        least = 4 + _OPERANDS[code]
        if code in {7, 8}:
            family, prefix = program[at + 4], program[at + 5]
            least += _ADDRESSES[family]
            assert prefix <= 8 * _ADDRESSES[family]
        assert yes >= least
        assert no >= least
        assert yes % 4 == no % 4 == 0
        targets.append(at + no)
        at += yes
    assert at == len(program)
    assert set(targets) <= boundaries | {len(program), len(program) + 4}


@pytest.mark.parametrize("family", ["inet", "inet6"])
@settings(deadline=None)
@given(condition=conditions)
def test_programs_pass_the_audit(family: str, condition: Condition) -> None:
    program = SocketFilter(condition).program(family)
    assert program is not None
    _audit(program)


@pytest.mark.needs("root")
@settings(deadline=None, max_examples=25)
@given(asked=st.lists(inet_conditions, min_size=1, max_size=20))
def test_the_kernel_takes_every_program(asked: list[Condition]) -> None:
    with SockDiag() as diag:
        for condition in asked:
            program = SocketFilter(condition).program("inet")
            assert program is not None
            diag.dump(inet_request(FAMILIES["inet"], socket.IPPROTO_UDP, LISTENING, 0, program))


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("", ""),
        ("src *", ""),
        ("sport >= 0", ""),
        ("sport <= 65535", ""),
        ("not src inet6:*", None),
        ("sport < 0 or dport > 65535", None),
        ("src unix:*", None),
        ("src [::1]", None),
        ("not src [::1] or sport = 22", ""),
        ("sport > 1023", "02080c0000000004"),
        ("dport < 1024", "05080c000000ff03"),
        ("not dev 3", "0908 0c00 03000000 0104 0800"),
        ("fwmark 1/3", "0a0c 1000 01000000 03000000"),
        ("sport = 22", "070c 1000 0000 0000 16000000"),
        ("src 10.0.0.0/8:22", "0710 1400 0208 0000 16000000 0a000000"),
    ],
)
@pytest.mark.skipif(struct.pack("=H", 1) != b"\1\0", reason="octets are those of little endians")
def test_programs_are_short(text: str, program: str | None) -> None:
    expected = REJECT_ALL if program is None else bytes.fromhex(program)
    assert parse_filter(text).program("inet") == expected


def test_a_program_of_the_greatest_length_is_taken_by_the_kernel() -> None:
    with socket.socket() as listener, SockDiag() as diag:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        inode = os.fstat(listener.fileno()).st_ino
        greatest = MAX_PROGRAM // 8
        # Each comparison leads to the end if it does not hold: the first one furthest.
        asked = SocketFilter(All(sport >= 1 + number % port for number in range(greatest)))
        program = asked.program("inet")
        assert program is not None
        assert len(program) == MAX_PROGRAM
        request = inet_request(FAMILIES["inet"], socket.IPPROTO_TCP, LISTENING, 0, program)
        found = [
            TCPSocket(datagram, at).inode
            for datagram, offsets in diag.dump(request)
            for at in offsets
        ]
        assert inode in found
        assert asked.condition is not None
        assert SocketFilter(asked.condition & (dport == 0)).program("inet") is None


def test_thousands_of_terms_are_told_from_each_other_without_the_kernel() -> None:
    text = " or ".join(f"sport = {port}" for port in range(0, 65536, 7))
    asked = parse_filter(text)
    assert asked.program("inet") is None
    assert parse_filter(str(asked)) == asked
    with socket.socket() as listener, SockDiag() as diag:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        request = inet_request(FAMILIES["inet"], socket.IPPROTO_TCP, LISTENING)
        rows = [TCPSocket(octets, at) for octets, places in diag.dump(request) for at in places]
        assert rows
        for row in rows[:50]:
            assert asked.matches(row) == (row.local_port % 7 == 0)


def test_addresses_of_the_other_version_are_left_out_of_a_program() -> None:
    one = Either((src("10.0.0.1"), src("[::1]")))
    assert SocketFilter(one).program("inet") == SocketFilter(src("10.0.0.1")).program("inet")
    both = SocketFilter(one).program("inet6")  # 10.0.0.1 may be mapped
    assert both is not None
    assert len(both) == 16 + 4 + 28


def test_marks_are_compared_by_the_kernel() -> None:
    program = SocketFilter(fwmark(1)).program("inet")
    assert program is not None
    assert program[0] == 10
