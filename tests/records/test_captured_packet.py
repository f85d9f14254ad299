"""Packets out of captures: they know their time, and else behave like any packet."""

from __future__ import annotations

import copy
import io
import pickle

from sockwright.records import CapturedPacket, PcapngWriter, PcapWriter, Record, read_records
from sockwright.wire import UDP, Ethernet, IPv4, Packet

_OCTETS = bytes(
    Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / UDP(src_port=9, dst_port=53) / b"data"
)
_RECORD = Record(5, _OCTETS, 1500, 1, "eth0", "seen")


def _told(packet: Packet) -> tuple[object, ...]:
    assert isinstance(packet, CapturedPacket)
    return (
        packet.number,
        packet.time_ns,
        packet.original_length,
        packet.interface,
        packet.comment,
        packet.link_type,
    )


_TOLD = (7, 5, 1500, "eth0", "seen", 1)


def test_a_record_decodes_to_a_packet_that_knows_its_time() -> None:
    packet = _RECORD.decode(7)
    assert _told(packet) == _TOLD
    assert packet == Packet.decode(_OCTETS)
    assert packet[UDP].dst_port == 53
    assert (repr(packet), packet.verify()) == (repr(Packet.decode(_OCTETS)), packet.verify())
    assert packet.show() == Packet.decode(_OCTETS).show()
    assert packet.hexdump() == Packet.decode(_OCTETS).hexdump()


def test_copies_know_it_too_and_are_edited_alone() -> None:
    packet = _RECORD.decode(7)
    for made in (packet.copy(), copy.copy(packet), copy.deepcopy(packet)):
        assert _told(made) == _TOLD
        made[IPv4].ttl = 3
        assert bytes(made) != _OCTETS
        again = made.copy()
        assert _told(again) == _TOLD
        assert (again[IPv4].ttl, again) == (3, made)
        again[IPv4].ttl = 4
        assert made[IPv4].ttl == 3
        assert again.verify() == ()
    assert bytes(packet) == _OCTETS
    looked_at = packet.copy()
    assert looked_at[IPv4].ttl == 64
    assert looked_at.copy()[IPv4].ttl == 64
    assert bytes(looked_at.copy()) == _OCTETS


def test_what_is_built_from_it_was_not_captured() -> None:
    packet = _RECORD.decode(7)
    assert type(packet / b"more") is Packet
    assert type(Ethernet() / packet) is Packet


def test_it_pickles_with_its_errors() -> None:
    for octets, link_type in [(_OCTETS, 1), (_OCTETS[:30], 1), (b"abc", 65_000), (b"", 1)]:
        packet = Record(5, octets, 1500, link_type, "eth0", "seen").decode(7)
        again = pickle.loads(pickle.dumps(packet))
        assert _told(again) == (*_TOLD[:5], link_type)
        assert again == packet
        assert list(map(str, again.errors)) == list(map(str, packet.errors))
        assert list(map(vars, again.errors)) == list(map(vars, packet.errors))


def test_a_link_type_that_is_not_known_gives_payload_alone() -> None:
    packet = Record(5, b"abc", 3, 65_000).decode()
    assert (packet.payload, packet.layers, packet.link_type) == (b"abc", (), 65_000)
    assert "link type 65000 is not known here" in str(packet.errors[0])
    assert bytes(packet.copy()) == b"abc"
    assert packet.copy().errors == packet.errors


def test_one_may_be_made_by_hand() -> None:
    packet = CapturedPacket([Ethernet(), IPv4()], b"x", number=3, time_ns=9, original_length=60)
    assert _told(packet) == (3, 9, 60, None, None, 1)
    assert packet.payload == b"x"
    assert _told(packet.copy()) == (3, 9, 60, None, None, 1)


def test_packets_of_a_capture_are_numbered_from_1() -> None:
    for writer in (PcapWriter, PcapngWriter):
        file = io.BytesIO()
        to = writer(file)
        for _ in range(3):
            to.write(Record(5, _OCTETS, 1500))
        file.seek(0)
        reader = read_records(file)
        assert next(reader).octets == _OCTETS
        assert [(packet.number, packet.time_ns) for packet in reader.packets()] == [(2, 5), (3, 5)]
