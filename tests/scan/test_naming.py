"""Names of addresses: as far as they are told in time, and nothing that no name can be."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sockwright.lab import Lab
from sockwright.scan.naming import reverse_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sockwright.lab import Host

pytestmark = pytest.mark.needs("namespaces", "unshare", "mount")

_PROGRAM = """
import json, sys, time
from sockwright.scan.naming import reverse_names
hosts, seconds = json.loads(sys.argv[1])
began = time.monotonic()
names = reverse_names(hosts, seconds=seconds)
print(json.dumps([names, time.monotonic() - began]))
"""
#: What the name server of the test answers, by address; others it leaves without an answer.
_NAMES = {
    "192.0.2.1": b"one.example",
    "192.0.2.2": b"two.example",
    "192.0.2.3": b"e\x1b[31mvil.example",
    "192.0.2.4": b"a\x00b.example",
    "2001:db8::1": b"six.example",
    **{f"198.51.100.{last}": f"host-{last}.example".encode() for last in range(200)},
}


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host with a name server of its own."""
    with Lab() as lab:
        (host,) = lab.hosts("naming")
        server = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with server:
            server.bind(("127.0.0.1", 53))
            call = host.start(_serve, server)
            yield host
            call.kill()


def _serve(server: socket.socket) -> None:
    """Answer questions for PTR, RFC 1035 section 4."""
    while True:
        query, peer = server.recvfrom(2048)
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        name = _NAMES.get(_address(labels))
        if name is None:
            if labels[0] != "99":  # one that never answers
                server.sendto(query[:2] + b"\x81\x83" + query[4:], peer)  # NXDOMAIN
            continue
        data = b"".join(bytes([len(part)]) + part for part in name.split(b".")) + b"\0"
        answer = b"\xc0\x0c" + struct.pack("!HHIH", 12, 1, 60, len(data)) + data
        header = query[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, 1, 0, 0)
        server.sendto(header + query[12 : at + 5] + answer, peer)


def _address(labels: list[str]) -> str:
    if labels[-2:] == ["in-addr", "arpa"]:
        return ".".join(reversed(labels[:4]))
    if labels[-2:] == ["ip6", "arpa"]:
        packed = bytes.fromhex("".join(reversed(labels[:32])))
        return socket.inet_ntop(socket.AF_INET6, packed)
    return ""


def named(
    host: Host, folder: Path, addresses: list[str], seconds: float = 5.0
) -> tuple[dict[str, str], float]:
    """Ask for names in the host, whose resolver asks its own name server."""
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:20 attempts:1\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n203.0.113.9 {'x' * 60}.example\n")
    mounts = " && ".join(
        f"mount --bind {folder}/{name} /etc/{name}"
        for name in os.listdir(folder)  # noqa: PTH208
    )
    program = [sys.executable, "-c", _PROGRAM, json.dumps([addresses, seconds])]
    done: Any = host.run(
        ["unshare", "--mount", "sh", "-c", mounts + ' && exec "$@"', "sh", *program],
        capture=True,
        check=True,
    )
    names, passed = json.loads(done.stdout)
    return names, passed


def test_addresses_have_the_names_that_the_resolver_tells(host: Host, tmp_path: Path) -> None:
    asked = ["192.0.2.1", "192.0.2.2", "192.0.2.250", "2001:db8::1", "203.0.113.9"]
    names, _ = named(host, tmp_path, asked)
    assert names == {
        "192.0.2.1": "one.example",
        "192.0.2.2": "two.example",
        "2001:db8::1": "six.example",
        "203.0.113.9": "x" * 60 + ".example",
    }


def test_a_name_that_a_terminal_would_obey_is_left_out(host: Host, tmp_path: Path) -> None:
    names, _ = named(host, tmp_path, ["192.0.2.3", "192.0.2.4", "192.0.2.1"])
    assert names["192.0.2.1"] == "one.example"
    assert all(name.isprintable() and name.isascii() for name in names.values())


def test_many_are_asked_at_once(host: Host, tmp_path: Path) -> None:
    asked = [f"198.51.100.{last}" for last in range(200)]
    names, seconds = named(host, tmp_path, asked)
    assert names == {address: _NAMES[address].decode() for address in asked}
    assert seconds < 4


def test_who_never_answers_costs_no_more_than_the_time_given(host: Host, tmp_path: Path) -> None:
    asked = ["192.0.2.1", "192.0.2.99", "192.0.2.2"]
    names, seconds = named(host, tmp_path, asked, 2.0)
    assert names == {"192.0.2.1": "one.example", "192.0.2.2": "two.example"}
    assert 1.9 < seconds < 10  # a resolver that is left to itself takes twenty


def test_nobody_has_no_names() -> None:
    assert reverse_names([]) == {}
