"""What is made of all packets: hosts, agreement, contradictions, bounds."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from tests.identify.passive.segments import linux, segment, windows

from sockwright.errors import DecodeError, TruncatedError
from sockwright.identify.database import load_signatures
from sockwright.identify.passive import Observer, identify_capture
from sockwright.records import PcapWriter, Record
from sockwright.records.captured_packet import captured
from sockwright.wire import UDP, Ethernet, IPv4
from sockwright.wire.tcp_options import MSS

if TYPE_CHECKING:
    from sockwright.identify.passive import HostIdentity
    from sockwright.identify.signature import Signature
    from sockwright.records import CapturedPacket

_SECOND = 1_000_000_000
_AGENT = b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: Mozilla/5.0 (%s) Gecko\r\n\r\n"
_DEBIAN = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"


@pytest.fixture(scope="module")
def signatures() -> list[Signature]:
    return load_signatures(learned=False)


@pytest.fixture
def observer(signatures: list[Signature]) -> Observer:
    return Observer(signatures)


def _only(observer: Observer) -> HostIdentity:
    (host,) = observer.hosts()
    return host


def _text(payload: bytes, src: str = "192.0.2.1") -> CapturedPacket:
    return segment(flags="A", payload=payload, src=src)


def test_a_syn_is_a_range_of_versions_and_no_guess(observer: Observer) -> None:
    new = observer.packet(segment(linux()))
    assert new is not None
    assert new.kind == "syn"
    host = _only(observer)
    assert host.host == "192.0.2.1"
    assert host.identification.family == "Linux"
    assert "-" in host.identification.best
    assert host.identification.candidates[0].matched


def test_both_ends_of_a_connection_are_hosts(observer: Observer) -> None:
    observer.packet(segment(linux(), src="192.0.2.1", dst="192.0.2.2"))
    observer.packet(
        segment(
            windows(), flags="SA", src="192.0.2.2", dst="192.0.2.1", ttl=120, window=8192,
            src_port=80, dst_port=40000,
        )
    )  # fmt: skip
    families = {host.host: host.identification.family for host in observer.hosts()}
    assert families == {"192.0.2.1": "Linux", "192.0.2.2": "Windows"}


def test_what_is_told_again_is_counted_and_not_new(observer: Observer) -> None:
    first = observer.packet(segment(linux(), time_ns=1))
    assert observer.packet(segment(linux(timestamp=99), time_ns=9, src_port=40001)) is None
    assert first is not None
    (now,) = _only(observer).evidence
    assert (first.count, now.count, now.first_ns, now.last_ns) == (1, 2, 1, 9)


def test_kinds_that_agree_make_the_answer_surer(observer: Observer) -> None:
    observer.packet(segment(linux()))
    alone = _only(observer).identification.confidence
    observer.packet(_text(_DEBIAN))
    together = _only(observer).identification
    assert together.confidence > alone
    assert together.best.startswith("Debian 12 (Linux ")


def test_kinds_that_contradict_each_other_are_said(observer: Observer) -> None:
    observer.packet(segment(linux()))
    observer.packet(_text(_AGENT % b"Windows NT 10.0; Win64; x64"))
    host = _only(observer)
    assert any("several systems behind one address" in remark for remark in host.remarks)
    assert host.identification.confidence < 0.6
    assert "several systems" in host.explain()


def test_two_stacks_behind_one_address_are_said(observer: Observer) -> None:
    observer.packet(segment(linux()))
    observer.packet(segment(windows(), ttl=126))
    remarks = " ".join(_only(observer).remarks)
    assert "several systems behind one address" in remarks
    assert "0 to 2 hops" in remarks


def test_a_phone_and_its_kernel_do_not_contradict_each_other(observer: Observer) -> None:
    observer.packet(segment(linux(), window=65535))
    observer.packet(_text(_AGENT % b"Linux; Android 13; Pixel 7"))
    host = _only(observer)
    assert not host.remarks
    assert host.identification.family == "Linux"
    assert "Android" in host.identification.best


def test_sparse_evidence_claims_nothing(observer: Observer) -> None:
    observer.packet(segment((MSS(1460),), ip_flags="", window=5000))
    observer.packet(segment((MSS(1460),), flags="SA", src="192.0.2.9", window=8192))
    observer.packet(_text(b"GET / HTTP/1.1\r\nUser-Agent: curl/8.0\r\n\r\n", src="192.0.2.8"))
    assert all(host.identification.confidence < 0.5 for host in observer.hosts())


def test_uptime_is_told_only_of_systems_that_count_from_their_start(observer: Observer) -> None:
    for n in range(4):
        at = 3600 + 2 * n
        dst = f"198.51.100.{n % 2}"
        options = linux(timestamp=at * 1000)
        old, new = "192.0.2.24", "192.0.2.6"
        for src, window in ((old, 5840), (new, 64240)):
            observer.packet(
                segment(options, src=src, dst=dst, window=window, time_ns=2 * n * _SECOND)
            )
    hosts = {host.host: host.identification for host in observer.hosts()}
    assert hosts["192.0.2.24"].best == "Linux 2.4-2.6.37"
    assert hosts["192.0.2.24"].uptime_ns == 3606 * _SECOND
    assert hosts["192.0.2.6"].uptime_ns is None
    assert "nothing says" in hosts["192.0.2.6"].why_no_uptime


def test_random_timestamps_forbid_an_uptime(observer: Observer) -> None:
    for n in range(8):
        options = linux(timestamp=n * 0x3FFF_FFF1 % (1 << 32))
        observer.packet(segment(options, dst=f"198.51.100.{n}", time_ns=n * _SECOND))
    found = _only(observer).identification
    assert found.uptime_ns is None
    assert "random" in found.why_no_uptime


def _dhcp(options: bytes) -> CapturedPacket:
    head = b"\1\1\6\0" + bytes(24) + b"\2\0\0\0\0\1" + bytes(10) + bytes(192)
    frame = bytes(
        Ethernet()
        / IPv4(src="0.0.0.0", dst="255.255.255.255")
        / UDP(src_port=68, dst_port=67)
        / (head + b"\x63\x82\x53\x63" + options)
    )
    return captured(frame, 1, 1, 0, len(frame))


def test_a_client_of_dhcp_is_known_by_its_address_once_it_has_one(observer: Observer) -> None:
    parameters = bytes((1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252))
    told = b"\x37\x0e" + parameters + b"\x3c\x08MSFT 5.0\x0c\x02pc"
    observer.packet(_dhcp(b"\x35\x01\x01" + told + b"\xff"))
    assert _only(observer).host == "02:00:00:00:00:01"
    observer.packet(_dhcp(b"\x35\x01\x03\x32\x04\x0a\0\0\x07" + told + b"\xff"))
    host = _only(observer)
    assert (host.host, host.mac, host.hostname) == ("10.0.0.7", "02:00:00:00:00:01", "pc")
    assert host.identification.best == "Windows 10-11"
    assert len(host.evidence) == 2


def test_the_host_that_was_silent_longest_is_forgotten_first(signatures: list[Signature]) -> None:
    observer = Observer(signatures, most_hosts=3)
    for n in (1, 2, 3, 1, 4):
        observer.packet(segment(linux(), src=f"192.0.2.{n}"))
    assert [host.host[-1] for host in observer.hosts()] == ["3", "1", "4"]
    assert observer.evicted == 1


def test_what_one_host_tells_is_bounded(observer: Observer) -> None:
    for window in range(1000, 1100):
        observer.packet(segment(linux(), window=window))
    host = _only(observer)
    assert len(host.evidence) == 8
    assert any("92 packets" in remark for remark in host.remarks)


def test_a_host_goes_into_json(observer: Observer) -> None:
    import json

    observer.packet(segment(linux()))
    row = json.loads(json.dumps(_only(observer).as_dict()))
    assert row["host"] == "192.0.2.1"
    assert row["evidence"][0]["identification"]["candidates"][0]["matched"]
    assert row["why_no_uptime"]


def _pcap(packets: list[CapturedPacket]) -> io.BytesIO:
    file = io.BytesIO()
    writer = PcapWriter(file, 1)
    for packet in packets:
        octets = bytes(packet)
        writer.write(Record(packet.time_ns or 0, octets, len(octets), 1))
    file.seek(0)
    return file


def test_an_observer_that_has_heard_nothing_is_used(signatures: list[Signature]) -> None:
    observer = Observer(signatures)
    found = identify_capture(_pcap([segment(linux())]), observer)
    assert (observer.packets, found.packets, found.telling, found.error) == (1, 1, 1, None)


def test_a_capture_that_ends_in_the_middle_tells_what_is_whole() -> None:
    whole = _pcap([segment(linux()), segment(windows(), src="192.0.2.7")]).getvalue()
    found = identify_capture(io.BytesIO(whole[:-3]))
    assert [host.host for host in found.hosts] == ["192.0.2.1"]
    assert isinstance(found.error, TruncatedError)


def test_what_is_no_capture_is_an_error() -> None:
    with pytest.raises(DecodeError):
        identify_capture(io.BytesIO(b"no capture at all"))
