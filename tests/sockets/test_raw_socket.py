"""Raw sockets: what they carry, and that the kernel does what `KERNEL_BEHAVIOUR` says."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from tests.sockets.frames_of import NOT_OF_SERVICES, only

from sockwright.errors import EndpointError
from sockwright.sockets import KERNEL_BEHAVIOUR, PacketSocket, RawSocket, packet, raw
from sockwright.wire import Header, IPv4, IPv6

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.needs("root")

# Numbers that nobody uses; each test has its own, since all of them share the loopback.
_UNUSED = iter(range(145, 250))


@pytest.fixture
def number() -> int:
    """An IP protocol that no other test uses at the same time."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return 145 + (worker % 5) * 20 + next(_UNUSED) % 20


def _header_v4(protocol: int, **fields: int | str) -> bytes:
    values: dict[str, int | str] = {
        "version": 4, "ihl": 5, "dscp": 2, "ecn": 3, "total_length": 0x7777,
        "identification": 0x1234, "flags": 0, "fragment_offset": 0, "ttl": 9,
        "protocol": protocol, "checksum": 0x1111, "src": "127.0.0.9", "dst": "127.0.0.1",
    }  # fmt: skip
    values |= fields
    v = {name: value for name, value in values.items() if isinstance(value, int)}
    return struct.pack(
        "!BBHHHBBH4s4s",
        v["version"] << 4 | v["ihl"],
        v["dscp"] << 2 | v["ecn"],
        v["total_length"],
        v["identification"],
        v["flags"] << 13 | v["fragment_offset"],
        v["ttl"],
        v["protocol"],
        v["checksum"],
        socket.inet_aton(str(values["src"])),
        socket.inet_aton(str(values["dst"])),
    )


def _fields_v4(octets: bytes) -> dict[str, int | str]:
    first, tos, length, number, flags, ttl, protocol, checksum, src, dst = struct.unpack(
        "!BBHHHBBH4s4s", octets[:20]
    )
    return {
        "version": first >> 4, "ihl": first & 15, "dscp": tos >> 2, "ecn": tos & 3,
        "total_length": length, "identification": number, "flags": flags >> 13,
        "fragment_offset": flags & 0x1FFF, "ttl": ttl, "protocol": protocol, "checksum": checksum,
        "src": socket.inet_ntoa(src), "dst": socket.inet_ntoa(dst),
    }  # fmt: skip


def _checksum(octets: bytes) -> int:
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    return 0xFFFF - (total % 0xFFFF or 0xFFFF)  # ones' complement: the carry comes back in below


def _seen(capture: PacketSocket, tail: bytes) -> bytes:
    """Give the IP packet on lo that ends with `tail`."""
    for frame in capture:
        if frame.direction == "outgoing" and frame.octets.endswith(tail):
            return frame.octets[14:]
    raise AssertionError


def _sent(fields: dict[str, int | str], protocol: int) -> bytes:
    tail = b"sockwright %d" % protocol
    with (
        packet("lo", program=only(NOT_OF_SERVICES), timeout=5) as capture,
        raw("raw://?protocol=255") as sock,
    ):
        sock.send_to(_header_v4(protocol, **fields) + tail, "raw://127.0.0.1")
        return _seen(capture, tail)


def _rules(version: int, kernel: str) -> set[str]:
    return {r.field for r in KERNEL_BEHAVIOUR if r.version == version and r.kernel == kernel}


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"version": 5},
        {"ttl": 0},
        {"src": "192.0.2.7"},
        {"dst": "192.0.2.7"},
        {"flags": 4},
        {"flags": 2},
        {"fragment_offset": 77, "flags": 1},
        {"dscp": 63, "ecn": 3},
    ],
)
def test_fields_that_the_kernel_leaves_are_sent_as_written(
    odd: dict[str, int | str], number: int
) -> None:
    written = _fields_v4(_header_v4(number, **odd))
    seen = _fields_v4(_sent(odd, number))
    changed = {name for name in seen if seen[name] != written[name]}
    assert changed == _rules(4, "overwrites") == {"total_length", "checksum"}


def test_the_kernel_fills_what_is_zero(number: int) -> None:
    octets = _sent({"identification": 0, "src": "0.0.0.0"}, number)
    seen = _fields_v4(octets)
    assert _rules(4, "fills") == {"identification", "src"}
    assert seen["src"] == "127.0.0.1"
    assert seen["identification"] != 0
    assert seen["total_length"] == len(octets)
    assert _checksum(octets[:20]) == 0


def test_identification_stays_zero_with_df(number: int) -> None:
    assert _fields_v4(_sent({"identification": 0, "flags": 2}, number))["identification"] == 0


@pytest.mark.parametrize(("version", "header"), [(4, IPv4), (6, IPv6)])
def test_there_is_one_rule_for_each_field(version: int, header: type[Header]) -> None:
    named = [rule.field for rule in KERNEL_BEHAVIOUR if rule.version == version]
    assert named == [field.name for field in header.fields]


def test_options_are_sent_as_written(number: int) -> None:
    tail = b"options %d!" % number
    options = bytes([0x94, 4, 0, 0])  # router alert, RFC 2113
    with (
        packet("lo", program=only(NOT_OF_SERVICES), timeout=5) as capture,
        raw("raw://127.0.0.1?protocol=255") as sock,
    ):
        sock.send(_header_v4(number, ihl=6) + options + tail)
        octets = _seen(capture, tail)
    assert octets[20:24] == options
    assert _checksum(octets[:24]) == 0


@pytest.mark.parametrize(
    ("octets", "number_of_error"),
    [
        (b"E" * 19, errno.EINVAL),
        (_header_v4(200, ihl=4), errno.EINVAL),
        (_header_v4(200, ihl=15), errno.EINVAL),
        (_header_v4(200) + bytes(65530), errno.EMSGSIZE),
    ],
)
def test_headers_that_make_no_sense_are_refused(octets: bytes, number_of_error: int) -> None:
    with (
        raw("raw://127.0.0.1?protocol=255") as sock,
        pytest.raises(OSError, match="send") as caught,
    ):
        sock.send(octets)
    assert caught.value.errno == number_of_error


def test_the_kernel_writes_nothing_into_an_ipv6_header(number: int) -> None:
    tail = b"six %d" % number
    stranger = socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    header = struct.pack("!IHBB", 5 << 28 | 0xABCDE, 0x7777, number, 0) + bytes(16) + stranger
    with (
        packet("lo", program=only(NOT_OF_SERVICES), timeout=5) as capture,
        raw("raw://[::1]?protocol=255") as sock,
    ):
        sock.send(header + tail)
        assert _seen(capture, tail) == header + tail
    assert _rules(6, "overwrites") == _rules(6, "fills") == set()


def test_protocol_255_means_header_included_and_send_only() -> None:
    with raw("raw://?protocol=raw") as sock:
        assert sock.header_included
        assert not sock.can_receive
    with raw("raw://[::1]?protocol=raw") as sock:
        assert sock.header_included
    with raw("raw://127.0.0.1?protocol=253") as sock:
        assert not sock.header_included
        assert sock.can_receive


@pytest.mark.parametrize(("host", "header"), [("127.0.0.1", 20), ("[::1]", 0)])
def test_only_ipv4_is_received_with_its_header(host: str, header: int, number: int) -> None:
    endpoint = f"raw://{host}?protocol={number}"
    with raw(endpoint, bind=True, timeout=5) as receiver, raw(endpoint) as sender:
        sender.send(b"payload")
        octets, address = receiver.receive_from()
        assert octets[header:] == b"payload"
        assert str(address) == endpoint
        assert receiver.version == (4 if header else 6)


def test_protocol_unreachable_comes_back_as_an_error(number: int) -> None:
    # Connected to 127.0.0.7 it receives from there only, so it is not itself a receiver of what it
    # sends (from 127.0.0.1), and the kernel knows no other.
    with raw(f"raw://127.0.0.7?protocol={number}", timeout=5) as sock:
        sock.send(b"nobody knows this protocol")
        with pytest.raises(
            OSError, match=r"127\.0\.0\.7 sent ICMP .* protocol unreachable \(type 3"
        ):
            sock.receive()
        (report,) = sock.take_errors()
        assert (report.origin, report.type, report.code) == ("icmp", 3, 2)


def test_icmp_protocol_unreachable_is_seen_by_a_raw_icmp_socket(number: int) -> None:
    with (
        raw("raw://127.0.0.1?protocol=icmp", bind=True, timeout=5) as listener,
        raw("raw://127.0.0.8?protocol=255") as sender,
    ):
        sender.send(_header_v4(number, src="127.0.0.1", dst="127.0.0.8") + b"?")
        while True:
            octets = listener.receive()
            if octets[20:22] == b"\x03\x02" and octets[28 + 9] == number:
                break


def test_ipv6_checksums_can_be_left_to_the_kernel(number: int) -> None:
    endpoint = f"raw://[::1]?protocol={number}"
    with raw(endpoint, bind=True, timeout=5) as receiver, raw(endpoint) as sender:
        sender.checksum_offset = 2
        assert sender.checksum_offset == 2
        sender.send(bytes(8))
        assert receiver.receive()[2:4] != b"\0\0"


def test_version_chooses_when_there_is_no_host() -> None:
    with raw("raw://?protocol=253") as four, raw("raw://?protocol=253", version=6) as six:
        assert (four.version, six.version) == (4, 6)
        assert (four.protocol, six.protocol) == (253, 253)
    with pytest.raises(EndpointError, match="no address of IP version 6"):
        raw("raw://127.0.0.1?protocol=253", version=6)
    with pytest.raises(EndpointError, match="names no protocol"):
        raw("raw://127.0.0.1")


def test_existing_sockets_are_wrapped_as_they_are() -> None:
    with RawSocket(socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)) as sock:
        assert sock.protocol == 253
        assert str(sock.local_address) == "raw://0.0.0.0?protocol=253"


def test_missing_privilege_names_what_is_needed_what_is_there_and_the_ways(
    unprivileged: Callable[[str], str],
) -> None:
    said = unprivileged(
        "from sockwright.sockets import raw\n"
        "try: raw('raw://127.0.0.1?protocol=16')\n"
        "except PermissionError as e: print(e.errno, e)"
    )
    assert said.startswith(f"{errno.EPERM} ")
    for part in ("CAP_NET_RAW", "with no capability", "sw lab shell", "setpriv", "+net_raw"):
        assert part in said
    assert "setcap" not in said
