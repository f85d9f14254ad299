from __future__ import annotations

from tests.wire.views.examples import any_state, endless, syn, wrong

from sockwright.wire.icmp import ICMP
from sockwright.wire.ipv4 import IPv4

SYN = """\
Ethernet -------------------------------------------------------- octets 0 to 13
  dst               02:00:00:00:00:02
  src               02:00:00:00:00:01
  ether_type        0x0800 (IPv4)
IPv4 ----------------------------------------------------------- octets 14 to 33
  version           4
  ihl               5
  dscp              0
  ecn               0 (not ECT)
  total_length      50
  identification    0x0000
  flags             0x0
  fragment_offset   0
  ttl               64
  protocol          6 (TCP)
  checksum          0xf6c2
  src               192.0.2.1
  dst               192.0.2.2
TCP ------------------------------------------------------------ octets 34 to 61
  src_port          40000
  dst_port          443
  seq               0
  ack               0
  data_offset       7
  reserved          0
  flags             0x002 S: SYN
  window            65535
  checksum          0xf3b4
  urgent_pointer    0
  options           MSS size=1460
                    WindowScale shift=7
                    EndOfOptions
payload -------------------------------------------------------- octets 62 to 63
  b'hi'
"""

ECHO = """\
IPv4 ------------------------------------------------------------ octets 0 to 19
  version           4
  ihl               5
  dscp              0
  ecn               0 (not ECT)
  total_length      32
  identification    0x0000
  flags             0x0
  fragment_offset   0
  ttl               64
  protocol          1 (ICMP)
  checksum          0xf6d9
  src               192.0.2.1
  dst               192.0.2.2
ICMP ----------------------------------------------------------- octets 20 to 27
  type              8 (echo request)
  code              0
  checksum          0x1927
  identifier        0x0007
  sequence          1
payload -------------------------------------------------------- octets 28 to 31
  b'ping'
"""


def test_a_tree_of_layers_and_fields() -> None:
    assert syn().show() == SYN.rstrip("\n")


def test_only_the_names_that_fit_the_type_are_shown() -> None:
    echo = IPv4(src="192.0.2.1", dst="192.0.2.2") / ICMP(type=8, identifier=7, sequence=1) / b"ping"
    assert echo.show() == ECHO.rstrip("\n")


def test_findings_stand_at_their_field_and_pins_are_marked() -> None:
    lines = wrong().show().splitlines()
    at = next(number for number, line in enumerate(lines) if "16 (CHAOS)" in line)
    assert lines[at].endswith("pinned")
    assert lines[at + 1].strip() == "<- wrong: 6 expected (RFC 1122 section 3.2.1)"
    assert any("<- wrong: 0xf3b4 expected" in line for line in lines)
    assert "<-" not in syn().show()


def test_findings_stand_at_the_header_they_are_about() -> None:
    inner = IPv4(src="192.0.2.3", dst="192.0.2.4", ttl=0)
    shown = (IPv4(src="192.0.2.1", dst="192.0.2.2") / inner).show()
    outer, quoted = shown.split("IPv4 ---")[1:]
    assert "<-" not in outer
    assert "<-" in quoted


def test_what_is_missing_is_told() -> None:
    assert "cut short: tcp at octet 34: needs 20 octets, 5 are there" in (
        type(syn()[0]).decode(bytes(syn())[:39]).show()
    )


def test_a_packet_that_cannot_be_encoded_is_shown_all_the_same() -> None:
    shown = endless().show()
    assert "dst_port          81" in shown
    assert "cannot be encoded: ipv4.total_length" in shown


def test_every_packet_is_shown_in_80_columns() -> None:
    for packet in any_state():
        assert max(map(len, packet.show().splitlines())) <= 80


def test_nothing_acts_on_a_terminal() -> None:
    packet = syn()
    packet.payload = b"\x1b[31m\x07\xff"
    assert all(line.isprintable() for line in packet.show().splitlines())
