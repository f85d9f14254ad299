from __future__ import annotations

import re

from tests.wire.views.examples import any_state, endless, syn

from sockwright.wire.ethernet import Ethernet

SYN = """\
0000  02 00 00 00 00 02        ......    ethernet.dst 02:00:00:00:00:02
0006  02 00 00 00 00 01        ......    ethernet.src 02:00:00:00:00:01
000c  08 00                    ..        ethernet.ether_type 0x0800 (IPv4)
000e  45                       E         ipv4.version 4, ihl 5
000f  00                       .         ipv4.dscp 0, ecn 0 (not ECT)
0010  00 32                    .2        ipv4.total_length 50
0012  00 00                    ..        ipv4.identification 0x0000
0014  00 00                    ..        ipv4.flags 0x0, fragment_offset 0
0016  40                       @         ipv4.ttl 64
0017  06                       .         ipv4.protocol 6 (TCP)
0018  f6 c2                    ..        ipv4.checksum 0xf6c2
001a  c0 00 02 01              ....      ipv4.src 192.0.2.1
001e  c0 00 02 02              ....      ipv4.dst 192.0.2.2
0022  9c 40                    .@        tcp.src_port 40000
0024  01 bb                    ..        tcp.dst_port 443
0026  00 00 00 00              ....      tcp.seq 0
002a  00 00 00 00              ....      tcp.ack 0
002e  70 02                    p.        tcp.data_offset 7, reserved 0, flags
                                           0x002 S: SYN
0030  ff ff                    ..        tcp.window 65535
0032  f3 b4                    ..        tcp.checksum 0xf3b4
0034  00 00                    ..        tcp.urgent_pointer 0
0036  02 04 05 b4              ....      tcp.options MSS size=1460
003a  03 03 07                 ...       tcp.options WindowScale shift=7
003d  00                       .         tcp.options EndOfOptions
payload, 2 octets
003e  68 69                                            hi
"""


def octets_of(dump: str) -> bytes:
    """Return the octets that the lines of a dump hold."""
    rows = re.findall(r"^[0-9a-f]{4,}  ((?:[0-9a-f]{2} ?)+)", dump, re.MULTILINE)
    return bytes.fromhex("".join(rows))


def test_octets_stand_beside_their_fields() -> None:
    assert syn().hexdump() == SYN.rstrip("\n")


def test_each_octet_is_there_once_and_in_order() -> None:
    for packet in any_state():
        dump = packet.hexdump()
        if not dump.startswith("cannot be encoded"):
            assert octets_of(dump) == bytes(packet)
            assert max(map(len, dump.splitlines()), default=0) <= 80


def test_a_packet_that_cannot_be_encoded_says_why() -> None:
    assert endless().hexdump().startswith("cannot be encoded: ipv4.total_length")


def test_a_trailer_is_told_from_the_payload() -> None:
    packet = syn()
    packet.trailer = bytes(4)
    assert "trailer, 4 octets\n0040  00 00 00 00" in Ethernet.decode(bytes(packet)).hexdump()
