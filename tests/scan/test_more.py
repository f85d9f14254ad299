"""What is asked of hosts beside their ports."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.scan.services.peers import script

from sockwright.scan import HostResult, Scan, Summary

if TYPE_CHECKING:
    import socket

_THERE: dict[str, Any] = {"methods": "connect", "discovery": "none", "services": True}


def test_a_host_ends_when_the_last_of_it_was_known() -> None:
    def greet(sock: socket.socket) -> None:
        sock.sendall(b"SSH-2.0-%d\r\n" % time.time_ns())

    with script(greet) as port, Scan("127.0.0.1", ports=port, **_THERE) as scan:
        (host,) = (event for event in scan if isinstance(event, HostResult))
    greeted_ns = int(host.services["tcp", port].details["ssh.software"])
    assert host.started_ns < greeted_ns < host.ended_ns


def test_a_stopped_scan_says_of_how_many_open_ports_the_service_is_missing() -> None:
    connected = count()

    def stop(sock: socket.socket) -> None:
        if next(connected):  # the first one found out that the port is open
            scan.stop()
        sock.recv(1)

    with script(stop) as port, Scan("127.0.0.1", ports=port, **_THERE) as scan:
        *_, summary = scan
    assert isinstance(summary, Summary)
    assert summary.remarks == ("1 open port was not asked for the service, or not to the end",)


def test_that_an_address_of_this_machine_has_no_way_there_is_said() -> None:
    with Scan("127.0.0.1", methods="connect", discovery="only", traceroute=True) as scan:
        (host,) = (event for event in scan if isinstance(event, HostResult))
    assert (host.hops, host.reason) == ((), "localhost-response")
    assert host.remarks == ("no router is on the way: this is an address of this machine",)
