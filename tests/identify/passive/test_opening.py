"""SYN and SYN-ACK: TTL, windows, layouts of options, quirks."""

from __future__ import annotations

import pytest
from tests.identify.passive.segments import NOP, linux, opening, segment, windows

from sockwright.identify.passive.opening import guess_initial_ttl, measure_opening
from sockwright.wire import TCP, Ethernet, IPv4, Packet
from sockwright.wire.tcp_options import MSS, EndOfOptions, Timestamps, UnknownOption, WindowScale


def test_a_syn_of_linux_is_written_in_one_line() -> None:
    found = opening(segment(linux()))
    assert str(found) == "4:64+0:0:1460:mss*max,7:mss,sok,ts,nop,ws:df,id+:0"
    assert found.kind == "syn"
    assert found.link == "Ethernet"


def test_traits_are_tests_of_the_model() -> None:
    from sockwright.identify.observables import OBSERVABLES

    syn = opening(segment(linux())).traits()
    answer = opening(segment(linux(), flags="SA", identification=0)).traits()
    assert set(syn) | set(answer) <= set(OBSERVABLES)
    assert syn["syn.options"] == "mss,sok,ts,nop,ws"
    assert answer["syn_ack.quirks"] == "none"


@pytest.mark.parametrize(
    ("ttl", "initial"),
    [(64, 64), (63, 64), (33, 64), (32, 32), (65, 128), (128, 128), (129, 255), (255, 255)],
)
def test_the_initial_ttl_is_the_next_usual_one(ttl: int, initial: int) -> None:
    assert guess_initial_ttl(ttl) == initial


def test_a_ttl_that_a_program_chose_tells_nothing() -> None:
    found = opening(segment(linux(), ttl=1))
    assert found.initial_ttl is None
    assert found.distance is None
    assert "syn.ttl" not in found.traits()


@pytest.mark.parametrize(
    ("window", "mss", "of"),
    [
        (64240, 1460, "mss*max"),
        (14600, 1460, "mss*10"),
        (28960, 1460, "payload*20"),
        (65160, 1460, "payload*max"),
        (6000, 1460, "mtu*4"),
        (65535, 1460, ""),
        (65495, 65495, "mss*max"),
        (0, 1460, ""),
    ],
)
def test_a_window_is_told_as_a_multiple(window: int, mss: int, of: str) -> None:
    assert opening(segment(linux(mss=mss), window=window)).window_of == of


def test_without_timestamps_no_room_is_taken_off_the_mss() -> None:
    assert opening(segment(windows(), window=28960)).window_of == ""


def test_the_end_of_options_tells_its_padding() -> None:
    options = (MSS(1460), NOP, WindowScale(6), EndOfOptions(b"\0\0\0"))
    assert opening(segment(options)).layout == "mss,nop,ws,eol+3"


def test_kinds_without_a_word_are_numbers() -> None:
    options = (MSS(1460), UnknownOption(28, b"\0\1"))
    assert opening(segment(options)).layout == "mss,?28"


@pytest.mark.parametrize(
    ("packet", "quirk"),
    [
        (segment(linux(), identification=7), "id+"),
        (segment(linux(), identification=0, ip_flags=""), "id-"),
        (segment(linux(), flags="SEC"), "ecn"),
        (segment(linux(), seq=0), "seq0"),
        (segment(linux(), ack=5), "ack-unused"),
        (segment(linux(), flags="SU"), "urgent"),
        (segment(linux(), urgent_pointer=9), "urgent-unused"),
        (segment(linux(), flags="SP"), "push"),
        (segment(linux(timestamp=0)), "ts0"),
        (segment((MSS(1), Timestamps(1, 2), NOP, NOP)), "ts-peer"),
        (segment((MSS(1), EndOfOptions(b"\1\0\0"))), "padding"),
        (segment((MSS(1), NOP, WindowScale(15))), "scale>14"),
        (segment((UnknownOption(2, b"\1\2\3"),)), "bad"),
        (segment(linux(), src="2001:db8::1", dst="2001:db8::2"), "flow"),
    ],
)
def test_quirks_are_seen(packet: Packet, quirk: str) -> None:
    found = measure_opening(packet.layers, packet.payload)
    assert found is not None
    assert quirk in found.quirks


def test_an_identification_of_zero_with_df_is_no_quirk() -> None:
    assert opening(segment(linux(), identification=0)).quirks == ()


def test_ipv6_has_no_df_and_another_mtu() -> None:
    found = opening(segment(linux(mss=1440), src="fe80::1", dst="fe80::2", window=64800))
    assert found.version == 6
    assert "syn.df" not in found.traits()
    assert found.mtu == 1500
    assert found.window_of == "mss*max"


@pytest.mark.parametrize("flags", ["A", "SF", "SR", "R", "", "FA"])
def test_other_segments_are_no_evidence(flags: str) -> None:
    packet = segment(linux(), flags=flags)
    assert measure_opening(packet.layers, packet.payload) is None


def test_of_a_tunnel_the_inner_segment_is_measured() -> None:
    inner = IPv4(src="10.0.0.1", dst="10.0.0.2", ttl=128, flags="DF") / TCP(flags="S", dst_port=1)
    packet = Packet.decode(bytes(Ethernet() / IPv4(ttl=60, src="1.2.3.4", dst="4.3.2.1") / inner))
    found = measure_opening(packet.layers, packet.payload)
    assert found is not None
    assert found.ttl == 128


def test_a_bare_answer_to_an_unknown_question_says_nothing_of_options() -> None:
    bare = opening(segment((MSS(1460),), flags="SA"))
    asked = opening(segment(linux(mss=1400)))
    assert "syn_ack.options" not in bare.traits()
    assert bare.traits(asked)["syn_ack.options"] == "mss"
    assert bare.traits(asked)["syn_ack.peer_mss"] == 1400


def test_every_truncation_is_measured_or_left() -> None:
    octets = bytes(segment(linux()))
    for end in range(len(octets)):
        packet = Packet.decode(octets[:end])
        measure_opening(packet.layers, packet.payload)
