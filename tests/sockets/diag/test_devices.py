"""Names of interfaces by their indexes and back, here and in other namespaces."""

from __future__ import annotations

import socket
import subprocess

import pytest
from tests.sockets.diag.own_network import own_network

from sockwright.errors import UsageError
from sockwright.lab import Lab
from sockwright.sockets.diag.devices import device_indexes, device_names
from sockwright.sockets.diag.namespace import call_inside


def ip(pid: int, *words: str) -> None:
    command = ["nsenter", f"--target={pid}", "--net", "ip", "link", *words]
    subprocess.run(command, check=True)


@pytest.mark.needs("namespaces")
def test_names_are_those_of_the_c_library() -> None:
    with Lab() as lab:
        host, _ = lab.hosts("a", "b")
        names, indexes, told = host.call(
            lambda: (device_names(), device_indexes(), socket.if_nameindex())
        )
    assert names == dict(told)
    assert names[1] == "lo"
    assert {host.interface, "lo"} <= set(indexes)
    assert {indexes[name]: name for name in names.values()} == names


@pytest.mark.needs("namespaces", "unshare", "ip")
def test_names_of_another_namespace_are_its_own() -> None:
    with own_network() as pid:
        assert device_names(pid) == {1: "lo"}
        assert device_indexes(pid) == {"lo": 1}
    with pytest.raises(UsageError, match=f"process {pid}"):
        device_names(pid)


@pytest.mark.needs("root", "unshare", "ip", "nsenter")
def test_an_alternative_name_leads_to_the_index_as_well() -> None:
    with own_network() as pid:
        ip(pid, "property", "add", "dev", "lo", "altname", "the-loopback", "altname", "0")
        assert device_names(pid) == {1: "lo"}
        assert device_indexes(pid) == {"lo": 1, "the-loopback": 1, "0": 1}


@pytest.mark.needs("root", "unshare", "ip", "nsenter")
def test_names_may_be_any_octets_and_many() -> None:
    with own_network() as pid:
        ip(pid, "set", "dev", "lo", "down")
        name = b"l\xff\x1b[m".decode(errors="surrogateescape")
        ip(pid, "set", "dev", "lo", "name", name)
        assert device_names(pid) == {1: name}
        for number in range(150):  # more than one datagram of the answer
            ip(pid, "add", f"one{number}", "type", "veth", "peer", "name", f"two{number}")
        names = device_names(pid)
        assert len(names) == 301
        assert sorted(names) == [index for index, _ in call_inside(pid, socket.if_nameindex)]
