from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.nc.wireshark import fields, follow

from sockwright.errors import DecodeError, SockwrightError
from sockwright.nc.taps.captured import find_conversation
from sockwright.nc.taps.output import open_output
from sockwright.nc.taps.recording import Recorder
from sockwright.records import PcapngWriter, PcapWriter, Record
from sockwright.wire import TCP, UDP, VLAN, Ethernet, IPv4, Packet
from sockwright.wire.fragments import fragment

if TYPE_CHECKING:
    from sockwright.nc.taps.captured import CapturedConversation

ACK, PSH_ACK, SYN, SYN_ACK, FIN_ACK = "A", "PA", "S", "SA", "FA"
CLIENT, SERVER = ("192.0.2.1", 40000), ("198.51.100.2", 80)


def segment(flags: str, seq: int, ack: int = 0, data: bytes = b"", *, back: bool = False) -> Packet:
    src, dst = (SERVER, CLIENT) if back else (CLIENT, SERVER)
    tcp = TCP(src_port=src[1], dst_port=dst[1], seq=seq, ack=ack, flags=flags)
    return Ethernet() / IPv4(src=src[0], dst=dst[0]) / tcp / data


def datagram(data: bytes, *, back: bool = False) -> Packet:
    src, dst = (SERVER, CLIENT) if back else (CLIENT, SERVER)
    return Ethernet() / IPv4(src=src[0], dst=dst[0]) / UDP(src_port=src[1], dst_port=dst[1]) / data


def write(path: Path, *packets: Packet, snaplen: int = 0) -> str:
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for number, packet in enumerate(packets):
            octets = bytes(packet)
            cut = octets[:snaplen] if snaplen else octets
            writer.write(Record(number * 1000, cut, len(octets)))
    return str(path)


def handshake(first: int = 100, second: int = 900) -> list[Packet]:
    return [
        segment(SYN, first),
        segment(SYN_ACK, second, first + 1, back=True),
        segment(ACK, first + 1, second + 1),
    ]


def octets_of(found: CapturedConversation, side: str) -> bytes:
    return b"".join(piece.octets for piece in found.pieces() if piece.sender == side)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "capture.pcap"


def test_the_side_that_sends_the_syn_is_the_client(path: Path) -> None:
    packets = [*handshake(), segment(PSH_ACK, 901, 101, b"banner", back=True)]
    found = find_conversation(write(path, *packets))
    assert (found.client, found.server) == ("tcp://192.0.2.1:40000", "tcp://198.51.100.2:80")
    assert found.octets == {"client": 0, "server": 6}
    assert found.whole_start


def test_a_syn_ack_tells_who_the_client_is_too(path: Path) -> None:
    packets = [*handshake()[1:], segment(PSH_ACK, 101, 901, b"GET /")]
    assert find_conversation(write(path, *packets)).client == "tcp://192.0.2.1:40000"


def test_who_sent_first_is_the_client_of_what_began_before_the_capture(path: Path) -> None:
    found = find_conversation(write(path, segment(PSH_ACK, 901, 101, b"news", back=True)))
    assert found.client == "tcp://198.51.100.2:80"
    assert not found.whole_start


def test_segments_out_of_order_and_twice_come_out_once_and_in_order(path: Path) -> None:
    data = [segment(PSH_ACK, 101 + at, 901, b"abcdef"[at : at + 2]) for at in (4, 0, 2, 0, 4)]
    found = find_conversation(write(path, *handshake(), *data))
    assert octets_of(found, "client") == b"abcdef"
    assert found.missing == {"client": 0, "server": 0}


def test_a_segment_that_was_not_captured_is_missing(path: Path) -> None:
    packets = [
        *handshake(),
        segment(PSH_ACK, 101, 901, b"abc"),
        segment(PSH_ACK, 107, 901, b"ghi"),
        segment(ACK, 901, 110, back=True),
    ]
    found = find_conversation(write(path, *packets))
    assert found.missing == {"client": 3, "server": 0}
    assert octets_of(found, "client") == b"abcghi"


def test_the_first_segment_may_be_the_missing_one(path: Path) -> None:
    packets = [*handshake(), segment(PSH_ACK, 104, 901, b"def"), segment(ACK, 901, 107, back=True)]
    assert find_conversation(write(path, *packets)).missing["client"] == 3


def test_what_the_snapshot_length_cut_off_is_missing(path: Path) -> None:
    packets = [*handshake(), segment(PSH_ACK, 101, 901, bytes(100))]
    found = find_conversation(write(path, *packets, snaplen=94))
    assert found.octets["client"] == 40
    assert found.missing["client"] == 60


def test_the_same_ends_may_have_several_conversations(path: Path) -> None:
    first = [*handshake(), segment(PSH_ACK, 101, 901, b"one")]
    second = [*handshake(5000, 7000), segment(PSH_ACK, 5001, 7001, b"two")]
    repeated = [segment(SYN, 5000)]
    name = write(path, *first, *second, *repeated)
    assert [octets_of(find_conversation(name, number=n), "client") for n in (0, 1)] == [
        b"one",
        b"two",
    ]
    with pytest.raises(SockwrightError, match="conversation 2 is not there, 0 to 1 are"):
        find_conversation(name, number=2)


def test_a_conversation_behind_one_that_began_before_the_capture_is_another(path: Path) -> None:
    name = write(
        path, segment(ACK, 50, 60, b"old"), *handshake(), segment(PSH_ACK, 101, 901, b"new")
    )
    assert octets_of(find_conversation(name, number=1), "client") == b"new"
    assert find_conversation(name, number=1).whole_start


def test_the_first_that_carries_octets_is_taken_of_the_protocol_that_is_asked_for(
    path: Path,
) -> None:
    packets = [*handshake(), datagram(b"query"), segment(PSH_ACK, 101, 901, b"stream")]
    name = write(path, *packets)
    assert find_conversation(name).protocol == "udp"
    assert find_conversation(name, protocol="tcp").octets["client"] == 6
    assert find_conversation(name, protocol="udp").number == 1


def test_datagrams_stay_what_they_were(path: Path) -> None:
    said = [datagram(b"a"), datagram(b"", back=True), datagram(b"bc"), datagram(b"d", back=True)]
    found = find_conversation(write(path, *said))
    assert [(piece.sender, piece.octets) for piece in found.pieces()] == [
        ("client", b"a"),
        ("server", b""),
        ("client", b"bc"),
        ("server", b"d"),
    ]


def test_fragments_of_a_datagram_are_put_together(path: Path) -> None:
    data = os.urandom(5000)
    found = find_conversation(write(path, *fragment(datagram(data), 1500)))
    assert octets_of(found, "client") == data
    assert not found.damaged


def test_fragments_that_are_missing_are_said(path: Path) -> None:
    first, _, *others = fragment(datagram(bytes(5000)), 1500)
    found = find_conversation(write(path, datagram(b"whole"), first, *others))
    assert found.damaged == "of 1 datagrams between the two, fragments are missing"


def test_octets_behind_the_datagram_are_not_its_own(path: Path) -> None:
    name = write(path, Ethernet.decode(bytes(datagram(b"abc")) + bytes(15)))
    assert octets_of(find_conversation(name), "client") == b"abc"


def test_a_vlan_tag_is_looked_behind(path: Path) -> None:
    ip, udp = IPv4(src=CLIENT[0], dst=SERVER[0]), UDP(src_port=CLIENT[1], dst_port=SERVER[1])
    found = find_conversation(write(path, Ethernet() / VLAN(vid=5) / ip / udp / b"tagged"))
    assert octets_of(found, "client") == b"tagged"


def test_a_client_hello_says_that_it_is_tls(path: Path) -> None:
    hello = bytes.fromhex("1603010200010001fc0303") + bytes(40)
    packets = [*handshake(), segment(PSH_ACK, 101, 901, hello)]
    assert find_conversation(write(path, *packets)).tls


def test_what_was_recorded_of_tls_is_clear_text_and_not_tls(tmp_path: Path) -> None:
    name = str(tmp_path / "tls.pcapng")
    recorder = Recorder(open_output(name), print)
    tap = recorder.conversation()
    tap.opened("tls://127.0.0.1:40000", "tls://127.0.0.1:443", 0)
    tap.octets("sent", b"GET /", 1)
    recorder.close()
    assert not find_conversation(name).tls


def test_a_capture_without_a_conversation_says_so(path: Path) -> None:
    name = write(path, *handshake())
    with pytest.raises(SockwrightError, match="no TCP or UDP conversation in it carries octets"):
        find_conversation(name)
    with pytest.raises(SockwrightError, match="no UDP conversation"):
        find_conversation(name, protocol="udp")


def test_a_file_that_is_no_capture_is_refused(path: Path) -> None:
    path.write_bytes(b"not a capture at all")
    with pytest.raises(DecodeError, match="no known format") as caught:
        find_conversation(str(path))
    assert str(caught.value).startswith(f"{path}: capture at octet 0: ")
    assert (caught.value.layer, caught.value.offset) == ("capture", 0)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SockwrightError, match="has to be a file"):
        find_conversation(str(tmp_path / "fifo"))


def test_a_capture_cut_in_the_middle_gives_what_is_whole_and_says_so(path: Path) -> None:
    packets = [*handshake(), segment(PSH_ACK, 101, 901, b"whole"), segment(PSH_ACK, 106, 901, b"x")]
    name = write(path, *packets)
    path.write_bytes(path.read_bytes()[:-1])
    found = find_conversation(name)
    assert "record" in found.damaged
    assert octets_of(found, "client") == b"whole"


def test_any_format_and_compression_is_read(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "capture"
    with gzip.open(path, "wb") as file:
        writer = PcapngWriter(file)
        for packet in [*handshake(), segment(PSH_ACK, 101, 901, b"data")]:
            octets = bytes(packet)
            writer.write(Record(0, octets, len(octets)))
    assert octets_of(find_conversation(str(path)), "client") == b"data"


def test_those_who_only_knock_are_passed_over(path: Path) -> None:
    knocks = [
        Ethernet()
        / IPv4(src="10.0.0.1", dst="10.0.0.2")
        / TCP(src_port=port, dst_port=1, flags="S")
        for port in range(1, 300)
    ]
    name = write(path, *knocks, *handshake(), segment(PSH_ACK, 101, 901, b"data"))
    assert find_conversation(name).number == 299


# Strangers' captures with TCP in them whose streams tshark follows.
STRANGERS = (
    "ssh.pcap", "zmtp1.pcap", "mptcp-v0.pcap", "mptcp-v1.pcap", "bgp-4byte-asn.pcap",
    "of13_ericsson.pcapng", "resp_1_benchmark.pcap", "pptp.pcap",
    "ldp-common-session.pcap", "bgp-rt-prefix.pcap", "of10_pf5240.pcap",
)  # fmt: skip


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_captures_give_what_tshark_follows(captures: Path, name: str) -> None:
    (path,) = captures.rglob(name)
    stream = fields(path, "tcp.stream", display_filter="tcp.len > 0")[0][0]
    found = find_conversation(str(path), protocol="tcp")
    (followed,) = follow(path, "tcp", int(stream))
    nodes = [node.replace("[", "").replace("]", "") for node in followed.nodes]
    at = nodes.index(found.client.removeprefix("tcp://").replace("[", "").replace("]", ""))
    assert octets_of(found, "client") == followed.octets[at]
    assert octets_of(found, "server") == followed.octets[1 - at]


@given(st.data())
def test_no_octets_of_a_capture_raise_any_other_error(data: st.DataObject) -> None:
    packets = [
        *handshake(),
        segment(PSH_ACK, 101, 901, b"question"),
        segment(PSH_ACK, 901, 109, b"answer", back=True),
        *fragment(datagram(bytes(600)), 300),
        segment(FIN_ACK, 109, 907),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture.pcap"
        write(path, *packets)
        octets = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(0, 6))):
            octets[data.draw(st.integers(24, len(octets) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(octets[: data.draw(st.integers(0, len(octets)))])
        try:
            found = find_conversation(str(path))
        except SockwrightError:
            return
        pieces = list(found.pieces())
        for side in found.octets:
            sent = sum(len(piece.octets) for piece in pieces if piece.sender == side)
            assert sent == found.octets[side]
