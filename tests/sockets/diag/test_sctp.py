"""Rows of SCTP tell what ss(8) tells; most kernels have no SCTP, `make vm-test` boots one."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from sockwright.sockets.diag.explain import explain
from sockwright.sockets.diag.explain.machine import Machine
from sockwright.sockets.diag.inet import SCTPSocket, TCPSocket
from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.structures.sctp_info import SCTPInfo

if TYPE_CHECKING:
    from tests.sockets.diag.population import Population

NUMBERS = {"rwnd": "rwnd", "instrms": "instrms", "outstrms": "outstrms", "max_burst": "maxburst",
           "maxseg": "maxseg", "peer_rwnd": "prwnd", "peer_capable": "pcapable",
           "peer_sack": "psack"}  # fmt: skip
TLS_ULP, SOL_TLS, TLS_TX = 31, 282, 1


def associations(machine: Population) -> list[SCTPSocket]:
    if "sctp" in machine.refused:
        pytest.skip("this kernel has no SCTP")
    with machine.inside():
        return [row for row in dump("sctp", info=True, memory=True)
                if isinstance(row, SCTPSocket) and row.is_association]  # fmt: skip


@pytest.mark.needs("ss", "root", "namespaces")
def test_associations_are_those_of_ss_field_for_field(machine: Population) -> None:
    rows = associations(machine)
    lines = machine.run("ss", "-SanieOH").stdout.decode().splitlines()
    theirs = {line.split()[4].replace("%lo", ""): line for line in lines if line.startswith("`-")}
    assert {row.local for row in rows} == theirs.keys()
    for row in rows:
        line = theirs[row.local]
        assert f"`- {row.state} " in line
        for name, told in (("locals", row.local_addresses), ("peers", row.peer_addresses)):
            found = re.search(rf" {name}:(\S+)", line)
            assert found is not None
            assert found[1].split(",") == list(told)
        assert row.info is not None
        assert f" tag:{row.info.tag:x} " in line
        assert f" ptag:{row.info.peer_tag:x} " in line
        assert f" state:{row.info.state} " in line
        for name, word in NUMBERS.items():
            assert f" {word}:{getattr(row.info, name)}" in line, name
        assert row.info.p_address in row.peer_addresses
        assert row.as_dict()["peer_addresses"] == list(row.peer_addresses)


@pytest.mark.needs("root", "namespaces")
def test_an_endpoint_tells_of_itself_and_an_association_of_its_path(machine: Population) -> None:
    association = associations(machine)[0]
    assert association.info is not None
    assert association.info.p_state == "active"
    assert not any(name.startswith("s_") for name in association.info.as_dict())
    with machine.inside():
        (listener,) = (row for row in dump("sctp", info=True)
                       if row.inode == machine.inode("sctp listen, 2 addresses"))  # fmt: skip
    assert isinstance(listener, SCTPSocket)
    assert listener.local_addresses == ("127.0.0.1", "127.0.0.2")
    assert not listener.is_association
    assert listener.info is not None
    assert listener.info.s_type == "one-to-one"
    assert all(name.startswith("s_") for name in listener.info.as_dict())


@pytest.mark.needs("root", "namespaces")
def test_sentences_about_sctp_say_what_is_connected(machine: Population) -> None:
    if "sctp" in machine.refused:
        pytest.skip("this kernel has no SCTP")
    with machine.inside():
        about = Machine.gather()
        texts = [explain(row, about) for row in dump("sctp", info=True, memory=True)]
    assert any(re.match(r"The program waits for connections to port 4000, reachable from this "
                        r"machine only", text) for text in texts)  # fmt: skip
    both = r"Connected with 127\.0\.0\.2:4000 by an association, which is also reached at 127\.0"
    assert any(re.match(both, text) for text in texts)
    assert any("octets of memory hold what the program has not read" in text for text in texts)
    assert "The endpoint of an association of the program, which stands beside it." in texts


def test_the_structure_lies_as_the_c_header_has_it() -> None:
    at = {field.name: field.at for field in SCTPInfo.fields}
    assert at["isacks"] == 56
    assert at["p_storage"] == 168
    assert at["p_state"] == 296
    assert at["s_autoclose"] == 344
    for length in range(SCTPInfo.size + 8):
        SCTPInfo(b"\xff" * length).as_dict()


@pytest.mark.needs("root", "namespaces")
def test_tls_of_the_kernel_says_its_version_and_cipher(machine: Population) -> None:
    with contextlib.ExitStack() as end:
        end.enter_context(machine.inside())
        door = end.enter_context(socket.create_server(("127.0.0.1", 0)))
        sock = end.enter_context(socket.create_connection(door.getsockname()))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, TLS_ULP, b"tls")
        except OSError as error:
            pytest.skip(f"this kernel makes no TLS records: {error}")
        settings = struct.pack("=HH8s16s4s8s", 0x0303, 51, b"", bytes(16), b"", b"")
        with contextlib.suppress(FileNotFoundError):  # it knows of ciphers that it has not got
            sock.setsockopt(SOL_TLS, TLS_TX, settings)
        inode = os.fstat(sock.fileno()).st_ino
        (row,) = (one for one in dump("tcp", info=True) if one.inode == inode)
    assert isinstance(row, TCPSocket)
    assert row.ulp is not None
    assert row.ulp.tls is not None
    assert row.ulp.as_dict()["name"] == "tls"
    assert (row.ulp.tls.version, row.ulp.tls.cipher) == ("1.2", "aes-gcm-128")
    assert row.ulp.tls.sending in {"none", "sw"}
    assert row.ulp.tls.receiving == "none"
