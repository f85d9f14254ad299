"""Filters for sockets: those of libpcap on an interface, taken by the kernel, and what they do."""

from __future__ import annotations

import socket
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests.filters.expressions import EXPRESSIONS
from tests.filters.generator import expressions

from sockwright.filters import FilterError, compile_filter
from sockwright.lab import Lab
from sockwright.sockets import PacketSocket
from sockwright.sockets.filter import attach_filter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.filters.peer import Packets, Peer

    from sockwright.lab import Host

_ALL_PROTOCOLS = 3
_MARK = bytes.fromhex("ffffffffffff 0600000000aa 88b5") + b"the last frame".ljust(46)
_IS_MARK = "ether proto 0x88b5"
_COOKED = 276
_TAGS = (b"\x81\x00", b"\x88\xa8")
# Instructions that fit into net.core.optmem_max as older kernels have it, 20 KiB.
_LARGE = 2000

# Of libpcap both leave a word of memory unset that the kernel wants set; ours are set.
_UNSET_BY_LIBPCAP = {"vlan and pppoes and ip", "vlan and geneve and ip6 host fe80::1"}


@pytest.mark.needs("root", "tcpdump")
def test_programs_are_those_of_tcpdump_on_an_interface(peer: Peer) -> None:
    if not peer.known:
        pytest.skip("programs are compared with those of libpcap 1.10")
    differ = []
    for expression in EXPRESSIONS[::4]:
        command = ["tcpdump", "-O", "-d", "-i", "lo", "--", expression]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            ours = compile_filter(expression, live=True).disassemble()
        except FilterError as error:
            if done.returncode == 0 and "protochain" not in error.reason:
                differ.append(expression)
            continue
        if "".join(f"{line}\n" for line in ours) != done.stdout:
            differ.append(expression)
    assert set(differ) <= _UNSET_BY_LIBPCAP


@pytest.mark.needs("root")
@pytest.mark.parametrize("link_type", [1, 101, 113, _COOKED, 0])
def test_the_kernel_takes_every_live_program(link_type: int) -> None:
    taken = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        for expression in EXPRESSIONS:
            try:
                compiled = compile_filter(expression, link_type, live=True)
            except FilterError:
                continue
            if len(compiled.instructions) < _LARGE:
                attach_filter(sock, compiled.instructions)
                taken += 1
    assert taken > 150


def test_protochain_is_refused_for_a_socket_and_taken_for_a_file() -> None:
    with pytest.raises(FilterError, match="jumps backward"):
        compile_filter("ip protochain 6", live=True)
    assert compile_filter("ip protochain 6").instructions


def test_what_a_cooked_socket_cannot_be_asked_is_refused() -> None:
    for expression in ("byte 5 = 1", "link[10] = 4", "vlan", "ether host 2:2:2:2:2:2"):
        with pytest.raises(FilterError):
            compile_filter(expression, _COOKED, live=True)
    for expression in ("ifindex 1", "inbound", "tcp port 80", "byte 10 = 4"):
        assert compile_filter(expression, _COOKED, live=True).instructions


@pytest.mark.needs("namespaces")
def test_the_kernel_filters_frames_as_files_are_filtered(packets: dict[int, Packets]) -> None:
    records = [r for r in packets[1].records if 60 <= len(r.octets) == r.original_length]
    frames = [record.octets for record in records[::7] if record.octets[12:14] != b"\x91\x00"][:400]
    chosen = [one for one in _usable(expressions(7, 200, packets[1].pools())) if "vlan" not in one]
    chosen = [*chosen[:35], "vlan", "vlan and ip", "vlan and tcp", "not vlan", "vlan and vlan"]
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        sockets = [_listener(b, socket.SOCK_RAW, one, 1) for one in ("greater 0", *chosen)]
        everything, *came = _came(a, sockets, frames, _MARK)
    assert len(everything) > 250
    untagged = {frame for frame in everything if frame[12:14] not in _TAGS}
    for expression, some in zip(chosen, came, strict=True):
        reads = compile_filter(expression)
        # A live socket sees frames without their tag; only after vlan that is no difference.
        same = everything if "vlan" in expression else untagged
        assert some & same == {frame for frame in same if reads.matches(frame)}, expression


@pytest.mark.needs("namespaces")
def test_a_socket_on_all_interfaces_filters_as_a_cooked_file(packets: dict[int, Packets]) -> None:
    records = [r for r in packets[1].records if 60 <= len(r.octets) == r.original_length]
    kinds = (b"\x08\x00", b"\x08\x06", b"\x86\xdd")
    frames = [r.octets for r in records[::5] if r.octets[12:14] in kinds][:400]
    chosen = _usable(expressions(8, 200, packets[1].pools()), _COOKED)[:25]
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        sockets = [_listener(b, socket.SOCK_DGRAM, one, _COOKED) for one in ("greater 0", *chosen)]
        everything, *came = _came(a, sockets, frames, _MARK[14:])
    there = [frame for frame in frames if frame[14:] in everything]
    assert len(there) > 150
    for expression, some in zip(chosen, came, strict=True):
        reads = compile_filter(expression, _COOKED)
        expected = {frame[14:] for frame in there if reads.matches(_cooked(frame))}
        assert some & {frame[14:] for frame in there} == expected, expression


def _usable(candidates: Iterable[str], link_type: int = 1) -> list[str]:
    """Return expressions that files and sockets both take, and that ask for no lengths.

    A socket tells the length without a tag that was taken off, and without a cooked header.
    """
    found: list[str] = []
    for one in candidates:
        try:
            compile_filter(one, link_type)
            compile_filter(f"{_IS_MARK} or ({one})", link_type, live=True)
        except FilterError:
            continue
        if not any(word in one for word in ("len", "less", "greater", "byte", "ether[", "link[")):
            found.append(one)
    return found


def _listener(host: Host, kind: int, expression: str, link_type: int) -> PacketSocket:
    sock = host.socket(socket.AF_PACKET, kind, 0)
    compiled = compile_filter(f"{_IS_MARK} or ({expression})", link_type, live=True)
    attach_filter(sock, compiled.instructions)
    sock.bind((host.interface, _ALL_PROTOCOLS))
    wrapped = PacketSocket(sock)
    wrapped.timeout = 10
    return wrapped


def _came(
    sender: Host, listeners: Sequence[PacketSocket], frames: Sequence[bytes], mark: bytes
) -> list[set[bytes]]:
    """Send `frames`, a few at a time; return what came of them at each listener.

    The switch between the hosts may hold some back, or trim their padding: the first listener, who
    takes everything, tells which came.
    """
    came: list[set[bytes]] = [set() for _ in listeners]
    whole = set(frames) | {frame[14:] for frame in frames}  # kernels send others of their own
    with ExitStack() as stack:
        out = stack.enter_context(sender.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        out.bind((sender.interface, 0))
        for listener in listeners:
            stack.enter_context(listener)
        for start in range(0, len(frames), 40):  # no more than a socket's buffer holds
            for frame in (*frames[start : start + 40], _MARK):
                out.send(frame)
            for some, listener in zip(came, listeners, strict=True):
                for received in listener:
                    if received.octets == mark:
                        break
                    if received.direction != "outgoing" and received.octets in whole:
                        some.add(received.octets)
    return came


def _cooked(frame: bytes) -> bytes:
    """Return the frame as a file of "any" has it: LINKTYPE_LINUX_SLL2."""
    to_whom = 1 if frame[:6] == b"\xff" * 6 else 2 if frame[0] & 1 else 3
    return (
        frame[12:14] + bytes(2) + bytes(3) + b"\x02" + b"\x00\x01" + bytes([to_whom, 6])
        + frame[6:12] + bytes(2) + frame[14:]
    )  # fmt: skip
