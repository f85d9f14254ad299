"""The lines under a socket, made of messages as the kernel has them."""

from __future__ import annotations

import io
import socket
import struct

import pytest

from sockwright.cli.pages._ss_details import Details
from sockwright.cli.pages._ss_layout import write_table
from sockwright.cli.screen import Screen
from sockwright.cli.width import text_width
from sockwright.sockets.diag.inet import SCTPSocket, TCPSocket
from sockwright.sockets.diag.netlink import attribute
from sockwright.sockets.diag.structures.tcp_info import TCPInfo
from sockwright.tools.ss import quick_arguments

_INFO, _CONG, _LOCALS, _PEERS, _BBRINFO = 2, 4, 12, 13, 16
_ESTABLISHED = 1


def message(*attributes: tuple[int, bytes]) -> bytes:
    """Return a message of inet_diag about an established connection, with its nlmsghdr."""
    fixed = struct.pack("=BB70x", socket.AF_INET, _ESTABLISHED)
    body = fixed + b"".join(attribute(kind, value) for kind, value in attributes)
    return struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body


def tcp_info(**numbers: int) -> bytes:
    """Return a tcp_info with these numbers, all others 0."""
    octets = bytearray(TCPInfo.size)
    for field in TCPInfo.fields:
        if field.name in numbers:
            value = numbers[field.name].to_bytes(field.octets, "little")
            octets[field.at : field.end] = value
    return bytes(octets)


def shown(row: TCPSocket | SCTPSocket, words: str) -> list[str]:
    """Return the lines under a socket."""
    lines = Details(quick_arguments(words.split())).lines(row)
    return [line if isinstance(line, str) else ", ".join(line) for line in lines]


@pytest.mark.parametrize(
    ("words", "send", "bandwidth"),
    [("-i", "send_rate 29.8 kbit/s", "bw 29.1 Gbit/s"),
     ("-in", "send_rate 29768 bit/s", "bw 29127109368 bit/s")],
)  # fmt: skip
def test_numbers_are_exact_with_n(words: str, send: str, bandwidth: str) -> None:
    # 10 * 1448 octets in 3.89 s are 3 721.1 octets a second: 29 769 bits, not 8 times 3 721
    info = tcp_info(rtt=3_891_431, snd_cwnd=10, snd_mss=1448)
    bandwidth_octets = struct.pack("=IIIII", 3640888671, 0, 1, 256, 256)
    row = TCPSocket(message((_INFO, info), (_CONG, b"bbr\0"), (_BBRINFO, bandwidth_octets)))
    lines = shown(row, words)
    assert any(f"rate: {send}" in line for line in lines), lines
    assert any(f"bbr: {bandwidth}" in line for line in lines), lines


def test_every_address_of_sctp_is_told() -> None:
    def storage(*addresses: str) -> bytes:
        family = struct.pack("=H", socket.AF_INET)
        packed = (family + b"\x23\x29" + socket.inet_aton(one) for one in addresses)
        return b"".join(one.ljust(128, b"\0") for one in packed)

    row = SCTPSocket(
        message((_LOCALS, storage("10.0.0.1", "10.1.0.1")), (_PEERS, storage("10.0.0.2")))
    )
    assert shown(row, "-i") == ["addresses: local 10.0.0.1 10.1.0.1, peer 10.0.0.2"]


@pytest.mark.parametrize("width", [20, 21, 40])
def test_characters_of_two_columns_are_counted_as_two(width: int) -> None:
    screen = Screen(io.StringIO())
    screen.terminal, screen.width = True, width
    sentence = "店舗 (pid 3) と接続しています。" + "長" * 40 + " end"
    write_table("", ["ESTAB"], screen, below=[[sentence]])
    stream = screen.stream
    assert isinstance(stream, io.StringIO)
    first, *lines = stream.getvalue().splitlines()
    assert first == "ESTAB"
    assert max(map(text_width, lines)) <= width
    assert "".join(lines).replace(" ", "") == sentence.replace(" ", "")


@pytest.mark.parametrize("length", range(0, TCPInfo.size + 9, 4))
def test_a_structure_of_any_length_tells_its_fields_one_by_one_or_at_once(length: int) -> None:
    octets = (bytes(range(1, 256)) * 2)[:length]
    info = TCPInfo(octets)
    alone = {
        field.key: value
        for field in TCPInfo.fields
        if not field.hidden and (value := getattr(info, field.name)) is not None
    }
    assert info.as_dict().items() >= alone.items()
    assert not info.as_dict().keys() & {field.key for field in TCPInfo.fields} - alone.keys()
