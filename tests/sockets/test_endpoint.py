"""Endpoints: text to values and back."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockwright.errors import EndpointError, NotPossibleError
from sockwright.sockets.addresses import Candidate, candidates, endpoint_of
from sockwright.sockets.endpoint import Delivery, Endpoint, parse_endpoint

hosts = st.one_of(
    st.just(""),
    st.just("*"),
    st.ip_addresses().map(str),
    st.from_regex(r"\A[a-z0-9]([a-z0-9_-]{0,20}[a-z0-9])?(\.[a-z]{1,8}){0,3}\Z"),
)
zones = st.one_of(st.just(""), st.from_regex(r"\A[a-z0-9._-]{1,15}\Z"))
paths = st.binary(min_size=0, max_size=107).map(os.fsdecode)
deliveries: st.SearchStrategy[Delivery | None] = st.sampled_from(
    [None, "stream", "datagram", "seqpacket"]
)


@st.composite
def endpoints(draw: st.DrawFn) -> Endpoint:
    schemes = ["tcp", "udp", "unix", "unix-abstract", "vsock", "raw", "packet"]
    scheme = draw(st.sampled_from(schemes))
    match scheme:
        case "vsock":
            cid = draw(st.sampled_from(["", "*"]) | st.integers(0, 0xFFFFFFFE).map(str))
            port = draw(st.integers(0, 0xFFFFFFFE))
            return Endpoint("vsock", cid, port, delivery=draw(deliveries))
        case "unix":
            path = draw(paths).replace("\0", "/")
            return Endpoint("unix", path=path, delivery=draw(deliveries))
        case "unix-abstract":
            return Endpoint("unix-abstract", path=draw(paths), delivery=draw(deliveries))
        case "packet":
            name = draw(st.from_regex(r"\A[a-z0-9._@-]{0,15}\Z"))
            number = draw(st.none() | st.integers(0, 0xFFFF))
            return Endpoint("packet", interface=name, protocol=number)
        case _:
            host = draw(hosts)
            zone = draw(zones) if ":" in host else ""
            if scheme == "raw":
                number = draw(st.none() | st.integers(0, 255))
                return Endpoint("raw", host, zone=zone, protocol=number)
            port = draw(st.integers(0, 65535))
            return Endpoint("tcp" if scheme == "tcp" else "udp", host, port, zone=zone)


@settings(deadline=None)
@given(endpoints())
def test_every_endpoint_reads_back_what_it_writes(endpoint: Endpoint) -> None:
    assert parse_endpoint(str(endpoint)) == endpoint
    assert str(parse_endpoint(str(endpoint))) == str(endpoint)
    assert str(endpoint).isprintable()


@settings(deadline=None)
@given(st.text(max_size=40) | endpoints().map(lambda e: str(e)[:-1]))
def test_any_text_is_an_endpoint_or_an_endpoint_error(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except EndpointError as error:
        assert str(error)  # noqa: PT017 - the message, whatever the input
    else:
        assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp://127.0.0.1:80", Endpoint("tcp", "127.0.0.1", 80)),
        ("tcp://:8080", Endpoint("tcp", "", 8080)),
        ("udp://[::1]:53", Endpoint("udp", "::1", 53)),
        ("udp://[fe80::1%eth0]:53", Endpoint("udp", "fe80::1", 53, zone="eth0")),
        ("udp://[fe80::1%25eth0]:53", Endpoint("udp", "fe80::1", 53, zone="eth0")),
        ("unix:/run/a b", Endpoint("unix", path="/run/a b")),
        ("unix:/tmp/a%3Fb?type=datagram", Endpoint("unix", path="/tmp/a?b", delivery="datagram")),
        ("unix-abstract:x%00y", Endpoint("unix-abstract", path="x\0y")),
        ("raw://10.0.0.2?protocol=16", Endpoint("raw", "10.0.0.2", protocol=16)),
        ("raw://[::1]?protocol=icmpv6", Endpoint("raw", "::1", protocol=58)),
        ("packet://lo?protocol=0x0800", Endpoint("packet", interface="lo", protocol=0x800)),
        ("packet://", Endpoint("packet")),
        ("vsock://2:1234", Endpoint("vsock", "2", 1234)),
        ("vsock://:4294967294", Endpoint("vsock", "", 4294967294)),
        ("vsock://*:5?type=seqpacket", Endpoint("vsock", "*", 5, delivery="seqpacket")),
    ],
)
def test_text_becomes_the_endpoint_it_names(text: str, expected: Endpoint) -> None:
    assert parse_endpoint(text) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "known: tcp://127.0.0.1:8080"),
        ("localhost:80", "tcp://localhost:80 or udp://localhost:80"),
        ("http://a/", "does not start with a scheme that is known"),
        ("tcp:127.0.0.1:80", "two slashes"),
        ("tcp://127.0.0.1", "the port is missing: tcp://127.0.0.1:PORT"),
        ("tcp://127.0.0.1:99999", "port 99999 is not in 0..65535"),
        ("tcp://127.0.0.1:http", "'http' is not a number"),
        ("tcp://::1:80", "needs brackets: [::1]:PORT"),
        ("tcp://[::1:80", "is not closed"),
        ("tcp://[::zz]:80", "'::zz' is not an IPv6 address"),
        ("tcp://[127.0.0.1]:80", "stands an IPv6 address"),
        ("tcp://a b:80", "is not a host name"),
        ("tcp://a:80?type=x", "tcp has no option 'type'; options: none"),
        ("unix:/a?type=tcp", "none of stream, datagram, seqpacket"),
        ("unix:/a?mode=1", "options: ?type=..."),
        ("unix:/a%zz", "is not an octet"),
        ("unix:/a%00b", "use unix-abstract:name"),
        ("unix:" + "a" * 108, "108 octets, unix(7) allows 107"),
        ("raw://a:80", "raw has no ports"),
        ("raw://a?protocol=256", "protocol 256 of raw is not in 0..255"),
        ("raw://a?protocol=foo", "neither a number nor one of icmp"),
        ("raw://a?protocol=1&protocol=2", "stands twice"),
        ("raw://a?protocol=", "has no value"),
        ("packet://averyveryverylongname", "longer than 15 octets"),
        ("vsock://2", "the port is missing: vsock://2:PORT"),
        ("vsock://host:5", "'host' is not the number (CID) of a machine"),
        ("vsock://4294967295:5", "is not the number (CID) of a machine"),
        ("vsock://2:4294967295", "port 4294967295 is not in 0..4294967294"),
        ("vsock://2:x", "'x' is not a number in 0..4294967294"),
        ("vsock://2:5?type=raw", "none of stream, datagram, seqpacket"),
        ("tcp://a:5?type=stream", "tcp has no option 'type'"),
    ],
)
def test_an_endpoint_error_names_what_is_wrong(text: str, part: str) -> None:
    with pytest.raises(EndpointError) as caught:
        parse_endpoint(text)
    assert part in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert caught.value.exit_status == 2


def test_a_field_of_another_scheme_is_refused() -> None:
    with pytest.raises(EndpointError, match="unix has no port"):
        Endpoint("unix", path="/a", port=5)


def test_an_empty_host_is_loopback_and_a_star_is_every_address() -> None:
    assert [w.address for w in candidates(parse_endpoint("tcp://:5"), passive=True)] == [
        ("127.0.0.1", 5)
    ]
    assert [w.address for w in candidates(parse_endpoint("tcp://*:5"), passive=True)] == [
        ("::", 5, 0, 0),
        ("0.0.0.0", 5),
    ]
    with pytest.raises(EndpointError, match="nobody can be reached"):
        candidates(parse_endpoint("tcp://*:5"))


def test_a_zone_that_does_not_exist_is_an_os_error() -> None:
    with pytest.raises(OSError, match="no interface 'nosuch'"):
        candidates(parse_endpoint("tcp://[fe80::1%nosuch]:5"))


def test_the_kernel_addresses_of_a_zone_become_its_name() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        endpoint = endpoint_of(sock, ("fe80::1", 9, 0, 1))
    assert str(endpoint) == "udp://[fe80::1%lo]:9"


def test_the_addresses_of_vsock_are_this_machine_every_one_and_any_port() -> None:
    def address(text: str, *, passive: bool = False) -> object:
        return candidates(parse_endpoint(text), passive=passive)[0].address

    every = 0xFFFFFFFF
    assert address("vsock://2:5") == (2, 5)
    assert address("vsock://:5") == (1, 5)
    assert address("vsock://*:0", passive=True) == (every, every)
    with pytest.raises(EndpointError, match="nobody can be reached"):
        address("vsock://*:5")


def test_a_bound_socket_of_vsock_tells_its_endpoint() -> None:
    (way,) = candidates(parse_endpoint("vsock://*:0"), passive=True)
    try:
        sock = way.open()
    except NotPossibleError as error:
        pytest.skip(f"this kernel: {error}")
    with sock:
        assert endpoint_of(sock, sock.getsockname()) == Endpoint("vsock", "*", 0)
        sock.bind(way.address)
        bound = endpoint_of(sock, sock.getsockname())
        assert bound.scheme == "vsock"
        assert bound.port == sock.getsockname()[1] > 0


def test_a_missing_family_other_than_vsock_stays_an_error_of_the_kernel() -> None:
    with pytest.raises(OSError, match="not supported"):
        Candidate(45, socket.SOCK_STREAM, 0, (2, 5)).open()
