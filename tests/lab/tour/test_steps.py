"""Each step of the tour shows what it says: on the wire, in the peer's kernel, in the code."""

from __future__ import annotations

import builtins
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sockwright.lab.tour import all_steps
from sockwright.sockets.privileges import Privileges

if TYPE_CHECKING:
    from types import CodeType

    from sockwright.lab.tour import StepResult

pytestmark = pytest.mark.needs("namespaces")

_STEPS = list(all_steps())
_SOCKETS = {
    "tcp4": ("AF_INET", "SOCK_STREAM", "IPPROTO_TCP"),
    "tcp6": ("AF_INET6", "SOCK_STREAM", "IPPROTO_TCP"),
    "unix-stream": ("AF_UNIX", "SOCK_STREAM", "0"),
    "udp": ("AF_INET", "SOCK_DGRAM", "IPPROTO_UDP"),
    "udp-closed": ("AF_INET", "SOCK_DGRAM", "IPPROTO_UDP"),
    "unix-datagram": ("AF_UNIX", "SOCK_DGRAM", "0"),
    "raw-ipv4": ("AF_INET", "SOCK_RAW", "CHAOS"),
    "raw-tcp": ("AF_INET", "SOCK_RAW", "IPPROTO_TCP"),
    "mistake-protocol": ("AF_INET", "SOCK_RAW", "CHAOS"),
    "mistake-checksum": ("AF_INET", "SOCK_RAW", "IPPROTO_TCP"),
    "mistake-offset": ("AF_INET", "SOCK_RAW", "IPPROTO_TCP"),
    "port80": ("AF_INET", "SOCK_STREAM", "IPPROTO_TCP"),
    "capture": ("AF_PACKET", "SOCK_RAW", "ETH_P_ALL"),
}


@pytest.mark.parametrize("name", _STEPS)
def test_step_goes_as_it_should(results: dict[str, StepResult], name: str) -> None:
    result = results[name]
    assert (result.ok, result.error, result.skipped) == (True, None, None)


@pytest.mark.parametrize("name", _STEPS)
def test_step_tells_what_its_socket_is(results: dict[str, StepResult], name: str) -> None:
    result = results[name]
    assert (result.family, result.type, result.protocol) == _SOCKETS[name]
    first = result.sockets[0]
    assert socket.AddressFamily(first.family_number).name == result.family
    assert socket.SocketKind(first.type_number).name == result.type
    assert (result.privilege is None) == (result.type != "SOCK_RAW" and name != "port80"), (
        "raw and packet sockets and low ports take a privilege, and nothing else does"
    )
    held = {capability.name for capability in Privileges.current().effective}
    assert result.privileged == (result.privilege is None or result.privilege in held)


@pytest.mark.parametrize("name", _STEPS)
def test_code_of_step_is_whole(results: dict[str, StepResult], name: str) -> None:
    # What is shown defines every name that it uses, so it can be copied into a file and run.
    result = results[name]
    program = "\n".join([*result.imports, *(one.source for one in result.code)])
    if result.imports[:1] != ["from __future__ import annotations"]:
        pytest.fail("annotations name types that are not imported")
    names: dict[str, object] = {}
    exec(compile(program, name, "exec"), names)
    for one in result.code:
        function = names[one.name]
        missing = _globals(function.__code__) - set(names) - set(dir(builtins))  # type: ignore[attr-defined]
        assert not missing, f"{one.name} needs {missing}"


def _globals(code: CodeType) -> set[str]:
    import dis

    return {str(one.argval) for one in dis.get_instructions(code) if one.opname == "LOAD_GLOBAL"}


@pytest.mark.parametrize("name", _STEPS)
def test_code_of_step_fits_a_page(results: dict[str, StepResult], name: str) -> None:
    lines = [line for one in results[name].code for line in one.source.splitlines()]
    assert max(map(len, [*lines, *results[name].imports])) <= 76
    assert all(len(one.source.splitlines()) <= 26 for one in results[name].code)


@pytest.mark.parametrize("name", [name for name in _STEPS if not name.startswith("mistake")])
def test_packets_are_right_where_nothing_is_wrong_on_purpose(
    results: dict[str, StepResult], name: str
) -> None:
    assert [str(finding) for finding in results[name].findings] == []
    assert bool(results[name].packets) == (not name.startswith("unix"))


@pytest.mark.parametrize("name", ["tcp4", "tcp6"])
def test_tcp_has_its_three_parts(results: dict[str, StepResult], name: str) -> None:
    packets = results[name].packets
    said = [(one.sender, one.flags, one.relative_seq, one.relative_ack) for one in packets]
    assert said[:3] == [
        ("a", "SYN", 0, None),
        ("b", "SYN ACK", 0, 1),
        ("a", "ACK", 1, 1),
    ]
    assert [one.sender for one in packets if "FIN" in (one.flags or "")] == ["a", "b"]
    assert {(one.sender, one.length) for one in packets if one.length} == {("a", 13), ("b", 13)}
    # Both numbers 1 (SYN), 13 octets, 1 (FIN) further on than they began.
    assert said[-1] == ("a", "ACK", 15, 15)
    # What the server answers comes after the client's half is closed.
    ended = next(at for at, one in enumerate(packets) if "FIN" in (one.flags or ""))
    assert any(one.sender == "b" and one.length for one in packets[ended:])


def test_unix_sockets_show_messages_and_no_packets(results: dict[str, StepResult]) -> None:
    for name in ("unix-stream", "unix-datagram"):
        assert [(one.sender, one.octets) for one in results[name].messages] == [
            ("client", b"hello, server"),
            ("server", b"hello, client"),
        ]
        assert not results[name].packets


def test_datagram_to_a_closed_port_comes_back_as_an_error(results: dict[str, StepResult]) -> None:
    result = results["udp-closed"]
    assert [one.protocol for one in result.packets] == ["UDP", "ICMP"]
    assert result.packets[1].summary == "ICMP destination unreachable: port unreachable"
    assert "port unreachable" in result.code[0].result
    assert result.counters["Udp.NoPorts"] == result.counters["Icmp.OutDestUnreachs"] == 1


def test_raw_ipv4_is_answered_by_protocol_unreachable(results: dict[str, StepResult]) -> None:
    result = results["raw-ipv4"]
    assert result.packets[1].summary == "ICMP destination unreachable: protocol unreachable"
    assert result.counters["Ip.InUnknownProtos"] == 1
    assert "header checksum 0x" in result.notes[0]


def test_raw_syn_is_answered_and_not_reset(results: dict[str, StepResult]) -> None:
    result = results["raw-tcp"]
    assert [(one.sender, one.flags, one.length) for one in result.packets] == [
        ("a", "SYN", 5),
        ("b", "SYN ACK", 0),
    ]


@pytest.mark.parametrize(
    ("name", "finding", "protocols", "counters"),
    [
        (
            "mistake-protocol",
            "ipv4-protocol",
            ["IPv4", "ICMP"],
            {"Ip.InUnknownProtos": 1, "Icmp.OutDestUnreachs": 1},
        ),
        ("mistake-checksum", "tcp-checksum", ["TCP"], {"Tcp.InCsumErrors": 1, "Tcp.InErrs": 1}),
        ("mistake-offset", "tcp-data-offset-not-shifted", ["TCP"], {"Tcp.InErrs": 1}),
    ],
)
def test_mistake_is_named_and_the_kernel_tells(
    results: dict[str, StepResult],
    name: str,
    finding: str,
    protocols: list[str],
    counters: dict[str, int],
) -> None:
    result = results[name]
    assert result.expected == finding
    errors = [one.code for one in result.findings if one.severity == "error"]
    assert errors == [finding]
    assert [one.protocol for one in result.packets] == protocols
    told = ("Ip.InUnknownProtos", "Icmp.OutDestUnreachs", "Tcp.InCsumErrors", "Tcp.InErrs")
    assert {key: result.counters[key] for key in told if key in result.counters} == counters
    assert result.notes


def test_port_80_takes_a_privilege(results: dict[str, StepResult]) -> None:
    result = results["port80"]
    served, _, refused = result.code
    assert served.result == repr(b"GET / HTTP/1.0\r\n\r\n")
    assert "CAP_NET_BIND_SERVICE" in refused.result
    assert "uid 0 with no capability" in refused.result
    assert "every capability dropped" in refused.call


def test_capture_was_read_back(results: dict[str, StepResult]) -> None:
    result = results["capture"]
    assert "octet for octet" in result.notes[0]
    assert [one.result for one in result.code if one.host == "a"][::2] == ["2 of Record"] * 2


def test_nothing_of_a_step_is_left_on_the_disk() -> None:
    names = {path.name for path in Path("/dev/shm").iterdir()}
    assert not {"hello.sock", "c.sock", "s.sock", "live.pcap"} & names
