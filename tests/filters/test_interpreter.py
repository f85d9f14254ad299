"""Every instruction of the interpreter, interpreted and compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
import pytest

from sockwright.filters import MEMORY_WORDS, compile_filter, run

if TYPE_CHECKING:
    from collections.abc import Sequence

_PACKET = bytes(range(16)) + b"\xff\xfe\xfd\xfc"
_RET_A = (0x16, 0, 0, 0)
_TOP = 0xFFFFFFFF


def _interpreted(program: Sequence[tuple[int, int, int, int]], octets: bytes = _PACKET) -> int:
    memory = [7] * MEMORY_WORDS
    code, jt, jf, k = zip(*program, strict=True)
    return run(code, jt, jf, k, octets, 0, len(octets), 1000, memory)


@pytest.fixture(scope="module")
def compiled_run() -> object:
    return numba.njit(run)


def _compiled(
    function: object, program: Sequence[tuple[int, int, int, int]], octets: bytes = _PACKET
) -> int:
    # As in a capture: the packet lies in the middle, columns are as narrow as sock_filter.
    types = (np.uint16, np.uint8, np.uint8, np.uint32)
    pairs = zip(zip(*program, strict=True), types, strict=True)
    columns = [np.array(column, kind) for column, kind in pairs]
    around = np.frombuffer(b"\xaa" * 5 + octets + b"\xaa" * 5, np.uint8)
    memory = np.full(MEMORY_WORDS, 7, np.int64)
    return int(function(*columns, around, 5, len(octets), 1000, memory))  # type: ignore[operator]


def _alu(code: int, a: int, operand: int) -> list[list[tuple[int, int, int, int]]]:
    """Return programs that compute the same with the constant and with X."""
    start = (0x00, 0, 0, a)
    return [
        [start, (code, 0, 0, operand), _RET_A],
        [(0x01, 0, 0, operand), start, (code | 0x08, 0, 0, 0), _RET_A],
    ]


_CASES: list[tuple[list[tuple[int, int, int, int]], int]] = [
    ([(0x20, 0, 0, 1), _RET_A], 0x01020304),
    ([(0x28, 0, 0, 16), _RET_A], 0xFFFE),
    ([(0x30, 0, 0, 19), _RET_A], 0xFC),
    ([(0x20, 0, 0, 16), _RET_A], 0xFFFEFDFC),
    ([(0x20, 0, 0, 17), (0x06, 0, 0, 1)], 0),  # outside: rejected
    ([(0x28, 0, 0, 19), (0x06, 0, 0, 1)], 0),
    ([(0x30, 0, 0, 20), (0x06, 0, 0, 1)], 0),
    ([(0x30, 0, 0, 0xFFFFF030), (0x06, 0, 0, 1)], 0),  # asks the kernel: a file cannot answer
    ([(0x01, 0, 0, 3), (0x40, 0, 0, 1), _RET_A], 0x04050607),
    ([(0x01, 0, 0, 3), (0x48, 0, 0, 1), _RET_A], 0x0405),
    ([(0x01, 0, 0, 3), (0x50, 0, 0, 1), _RET_A], 0x04),
    ([(0x01, 0, 0, _TOP), (0x50, 0, 0, 1), (0x06, 0, 0, 1)], 0),  # no wrapping around
    ([(0x01, 0, 0, 4), (0x40, 0, 0, 13), (0x06, 0, 0, 1)], 0),
    ([(0xB1, 0, 0, 16), (0x87, 0, 0, 0), _RET_A], 60),
    ([(0xB1, 0, 0, 20), (0x06, 0, 0, 1)], 0),
    ([(0x80, 0, 0, 0), _RET_A], 1000),
    ([(0x81, 0, 0, 0), (0x87, 0, 0, 0), _RET_A], 1000),
    ([(0x00, 0, 0, 9), (0x02, 0, 0, 15), (0x00, 0, 0, 0), (0x60, 0, 0, 15), _RET_A], 9),
    ([(0x01, 0, 0, 9), (0x03, 0, 0, 0), (0x60, 0, 0, 0), _RET_A], 9),
    ([(0x61, 0, 0, 2), (0x87, 0, 0, 0), _RET_A], 7),  # memory is lent as it is
    ([(0x00, 0, 0, 5), (0x07, 0, 0, 0), (0x00, 0, 0, 0), (0x87, 0, 0, 0), _RET_A], 5),
    ([(0x00, 0, 0, 1), (0x84, 0, 0, 0), _RET_A], _TOP),
    ([(0x00, 0, 0, 0), (0x84, 0, 0, 0), (0x04, 0, 0, 3), _RET_A], 3),
    ([(0x05, 0, 0, 1), (0x06, 0, 0, 1), (0x06, 0, 0, 2)], 2),
    ([(0x05, 0, 0, _TOP), (0x06, 0, 0, 1)], 0),  # jumps to itself: given up
]
for _code, _a, _operand, _result in (
    (0x04, _TOP, 2, 1), (0x14, 1, 2, _TOP), (0x24, _TOP, _TOP, 1),
    (0x24, 0x12345678, 0x9ABCDEF0, 0x12345678 * 0x9ABCDEF0 & _TOP), (0x34, 7, 2, 3),
    (0x34, _TOP, _TOP, 1), (0x94, 7, 4, 3), (0x44, 0xF0, 0x0F, 0xFF), (0x54, 0xFF, 0x3C, 0x3C),
    (0xA4, 0xFF, 0x0F, 0xF0), (0x64, 3, 31, 0x80000000), (0x74, _TOP, 31, 1),
):  # fmt: skip
    _CASES += [(_program, _result) for _program in _alu(_code, _a, _operand)]
for _code in (0x34, 0x94):
    _CASES += [([(0x00, 0, 0, 7), (_code | 8, 0, 0, 0), (0x06, 0, 0, 1)], 0)]  # X is 0
for _code in (0x64, 0x74):
    _CASES += [(_alu(_code, _TOP, 32)[1], 0)]
for _code, _a, _k, _taken in (
    (0x15, 5, 5, True), (0x15, 5, 6, False), (0x25, 6, 5, True), (0x25, 5, 5, False),
    (0x35, 5, 5, True), (0x35, 4, 5, False), (0x45, 6, 2, True), (0x45, 5, 2, False),
    (0x25, _TOP, 1, True),  # unsigned
):  # fmt: skip
    _ends = [(0x06, 0, 0, 1), (0x06, 0, 0, 2)]
    _CASES += [
        ([(0x00, 0, 0, _a), (_code, 1, 0, _k), *_ends], 1 + _taken),
        ([(0x01, 0, 0, _k), (0x00, 0, 0, _a), (_code | 8, 1, 0, 0), *_ends], 1 + _taken),
    ]


@pytest.mark.parametrize(("program", "result"), _CASES)
def test_instructions_do_what_libpcap_says(
    program: list[tuple[int, int, int, int]], result: int, compiled_run: object
) -> None:
    assert _interpreted(program) == result
    assert _compiled(compiled_run, program) == result


def test_a_packet_that_leads_protochain_in_a_circle_is_given_up() -> None:
    # An authentication header of such a length that it is found again and again.
    octets = bytearray(14 + 120)
    octets[12:14] = b"\x08\x00"
    octets[14] = 0x45
    octets[23] = 51
    octets[14 + 20 :] = b"\x33\x03" * 50
    assert not compile_filter("ip protochain 6").matches(octets)


def test_octets_may_be_bytes_or_a_view() -> None:
    compiled = compile_filter("ether[12:2] = 0x800 and len = 20")
    packet = bytes(12) + b"\x08\x00"
    for octets in (packet, bytearray(packet), memoryview(packet), list(packet)):
        assert compiled.matches(octets, 20)
        assert not compiled.matches(octets)
