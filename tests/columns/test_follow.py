"""The data of a flow, beside tshark's."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.columns.transfers import ANSWER, CONTENT

from sockwright.columns import open_capture
from sockwright.columns.follow import Piece, follow
from sockwright.errors import TruncatedError
from sockwright.records import PcapWriter, Record
from sockwright.wire import ICMP, TCP, UDP, Ethernet, IPv4

if TYPE_CHECKING:
    from pathlib import Path

    from sockwright.wire import Packet

_there = IPv4(src="10.0.0.1", dst="10.0.0.2")
_back = IPv4(src="10.0.0.2", dst="10.0.0.1")


def _write(path: Path, *packets: Packet, snaplen: int = 65535) -> Path:
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for number, packet in enumerate(packets):
            octets = bytes(packet)
            writer.write(Record(10**18 + number, octets[:snaplen], len(octets)))
    return path


def _pieces(path: Path, flow: int = 0) -> list[Piece]:
    with open_capture(path) as capture:
        return list(follow(capture, flow))


def _said(pieces: list[Piece], direction: str) -> bytes:
    return b"".join(piece.octets for piece in pieces if piece.direction == direction)


@pytest.mark.needs("namespaces", "ethtool")
def test_a_lossy_transfer_comes_out_whole(lossy_captures: list[Path]) -> None:
    for path in lossy_captures:
        pieces = _pieces(path)
        assert _said(pieces, "there") == CONTENT
        assert _said(pieces, "back") == ANSWER
        assert not any(piece.gap for piece in pieces)
        assert [piece.ended for piece in pieces if piece.ended] == ["closed", "closed"]


@pytest.mark.needs("tshark", "namespaces", "ethtool")
def test_a_stream_is_that_of_tshark(lossy_captures: list[Path]) -> None:
    for path in lossy_captures:
        command = ["tshark", "-n", "-r", str(path), "-q", "-z", "follow,tcp,raw,0"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        _, _, text = done.stdout.partition("Node 1: ")
        lines = text.splitlines()[1:-1]
        back = "".join(line.strip() for line in lines if line.startswith("\t"))
        there = "".join(line for line in lines if not line.startswith("\t"))
        pieces = _pieces(path)
        assert _said(pieces, "there").hex() == there
        assert _said(pieces, "back").hex() == back


def test_what_was_not_captured_is_a_gap_once_it_is_acknowledged(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "x.pcap",
        Ethernet() / _there / TCP(src_port=1, dst_port=2, seq=9, flags="S"),
        Ethernet() / _back / TCP(src_port=2, dst_port=1, seq=49, ack=10, flags="SA"),
        Ethernet() / _there / TCP(src_port=1, dst_port=2, seq=13, ack=50, flags="A") / b"def",
        Ethernet() / _back / TCP(src_port=2, dst_port=1, seq=50, ack=16, flags="A") / b"yes",
    )
    assert _pieces(path) == [
        Piece("there", 10**18 + 3, b"", gap=3),
        Piece("there", 10**18 + 2, b"def"),
        Piece("back", 10**18 + 3, b"yes"),
    ]


def test_what_the_capture_cut_is_a_gap(tmp_path: Path) -> None:
    segment = Ethernet() / _there / TCP(src_port=1, dst_port=2, flags="A") / b"abcdef"
    datagram = Ethernet() / _there / UDP(src_port=1, dst_port=2) / b"abcdef"
    path = _write(tmp_path / "x.pcap", segment, snaplen=14 + 20 + 20 + 2)
    assert [(piece.octets, piece.gap) for piece in _pieces(path)] == [(b"ab", 0), (b"", 4)]
    path = _write(tmp_path / "x.pcap", datagram, snaplen=14 + 20 + 8 + 2)
    assert [(piece.octets, piece.gap) for piece in _pieces(path)] == [(b"ab", 0), (b"", 4)]


def test_padding_of_the_frame_is_no_data(tmp_path: Path) -> None:
    segment = bytes(Ethernet() / _there / TCP(src_port=1, dst_port=2, flags="A") / b"abc")
    path = tmp_path / "x.pcap"
    with path.open("wb") as file:
        padded = segment + bytes(60 - len(segment))
        PcapWriter(file).write(Record(0, padded, 60))
    assert _said(_pieces(path), "there") == b"abc"


def test_datagrams_come_one_by_one(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "x.pcap",
        Ethernet() / _there / UDP(src_port=1, dst_port=2) / b"question",
        Ethernet() / _back / UDP(src_port=2, dst_port=1) / b"answer",
        Ethernet() / _there / UDP(src_port=9, dst_port=2) / b"another flow",
        Ethernet() / _there / UDP(src_port=1, dst_port=2),
    )
    assert [(piece.direction, piece.octets) for piece in _pieces(path)] == [
        ("there", b"question"),
        ("back", b"answer"),
        ("there", b""),
    ]
    assert _said(_pieces(path, 1), "there") == b"another flow"


def test_a_flow_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.pcap", Ethernet() / _there / ICMP())
    with pytest.raises(ValueError, match="there is no flow 1: the capture has 0 to 0"):
        _pieces(path, 1)
    with pytest.raises(ValueError, match=r"flow 0 is ICMP from 10\.0\.0\.1 to .* without a stream"):
        _pieces(path)
    with pytest.raises(ValueError, match="the capture holds no IP packet"):
        _pieces(_write(tmp_path / "x.pcap"))


def test_a_cut_capture_gives_its_pieces_and_then_the_error(tmp_path: Path) -> None:
    datagram = Ethernet() / _there / UDP(src_port=1, dst_port=2) / b"abc"
    path = _write(tmp_path / "x.pcap", datagram, datagram)
    path.write_bytes(path.read_bytes()[:-1])
    with open_capture(path) as capture:
        pieces = follow(capture, 0)
        assert next(pieces).octets == b"abc"
        with pytest.raises(TruncatedError):
            next(pieces)
