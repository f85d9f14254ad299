"""What was found is kept when a scan is stopped, and when its network goes away under it."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest
from tests.scan.faulty import ASKED, OPEN, PATIENCE_S, Outcome, passed, populated, scan, scanning
from tests.scan.topology import TARGET

from sockwright.scan.reports.resumed import read_resume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.scan.topology import Network

pytestmark = pytest.mark.needs("namespaces")

METHODS = pytest.mark.parametrize("method", ["-sS", "-sT"])
SLOW = ("--rate", "700")  # three seconds, so that there is a middle


@pytest.fixture
def network() -> Iterator[Network]:
    """The network with 60 open ports."""
    with populated() as network:
        yield network


@METHODS
def test_ctrl_c_keeps_what_is_known_and_resume_asks_only_the_rest(
    network: Network, method: str, tmp_path: Path
) -> None:
    with scanning(network, method, *SLOW, cwd=str(tmp_path)) as process:
        passed(network, 400)
        process.send_signal(signal.SIGINT)
        stopped = Outcome(process)
    assert stopped.status == 130, stopped.complaints
    known = stopped.ports("open") | stopped.ports("closed")
    assert 100 < len(known) < ASKED
    assert stopped.ports("open") == OPEN & known
    assert stopped.said.summary["interrupted"]
    assert not stopped.said.summary["complete"]
    (notes,) = tmp_path.iterdir()
    assert notes.name in stopped.complaints
    assert notes.stat().st_mode & 0o777 == 0o600
    with network.target.capture(interface="net") as capture:
        resumed = scan(network, "--resume", str(notes))
        frames = capture.frames
    assert resumed.status == 0, resumed.complaints
    assert resumed.ports("open") == OPEN
    assert resumed.ports("closed") == set(range(1, ASKED + 1)) - OPEN
    # IPv4 and TCP behind Ethernet: the port asked is at octet 36, the flags at 47. In ARP an octet
    # of a link address, which is random, stands where the protocol of IPv4 does.
    packets = [frame.octets for frame in frames if frame.octets[12:14] == b"\x08\x00"]
    segments = [one for one in packets if one[23] == socket.IPPROTO_TCP]
    asked = {int.from_bytes(one[36:38], "big") for one in segments if one[47] & 0x12 == 0x02}
    assert asked
    assert not asked & known


def test_a_second_ctrl_c_is_obeyed_at_once(network: Network, tmp_path: Path) -> None:
    with scanning(network, "-sS", *SLOW, cwd=str(tmp_path)) as process:
        passed(network, 100)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        # Between the two it may have begun to write its rows, of which the last one is cut then.
        process.communicate(timeout=PATIENCE_S)
        assert process.wait() in {130, -signal.SIGINT}


@METHODS
def test_an_interface_that_stays_down_ends_the_scan_with_what_is_known(
    network: Network, method: str, tmp_path: Path
) -> None:
    with scanning(network, method, *SLOW, cwd=str(tmp_path)) as process:
        passed(network, 400)
        network.scanner.links.set_link(network.scanner.links.index("net"), up=False)
        outcome = Outcome(process, 15)
    assert "Traceback" not in outcome.complaints
    assert outcome.ports("open") == OPEN & (outcome.ports("open") | outcome.ports("closed"))
    assert len(outcome.ports("closed")) > 100
    assert not outcome.said.summary["complete"]
    assert "no way" in outcome.remarks + outcome.complaints
    (notes,) = tmp_path.iterdir()
    assert notes.name in outcome.complaints
    with read_resume(str(notes)) as resumed:
        (known,) = resumed.begun(TARGET).ports  # type: ignore[union-attr]
    asked = {port for at, port in enumerate(known.numbers) if known.known(at)}
    assert asked == outcome.ports("open") | outcome.ports("closed")


@METHODS
def test_an_interface_that_is_removed_ends_the_scan_with_what_is_known(
    network: Network, method: str, tmp_path: Path
) -> None:
    with scanning(network, method, *SLOW, cwd=str(tmp_path)) as process:
        passed(network, 400)
        network.scanner.links.delete_link(network.scanner.links.index("net"))
        outcome = Outcome(process, 15)
    assert "Traceback" not in outcome.complaints
    assert len(outcome.ports("closed")) > 100
    assert not outcome.said.summary["complete"]


@METHODS
def test_an_interface_that_is_down_for_a_moment_costs_no_port(
    network: Network, method: str
) -> None:
    links = network.scanner.links
    index = links.index("net")
    with scanning(network, method, *SLOW) as process:
        passed(network, 400)
        links.set_link(index, up=False)
        links.set_link(index, up=True)
        links.add_route("0.0.0.0/0", "10.61.0.1")  # it went with the link
        outcome = Outcome(process)
    assert outcome.status == 0, outcome.complaints
    assert outcome.ports("open") == OPEN
    assert outcome.ports("closed") == set(range(1, ASKED + 1)) - OPEN
