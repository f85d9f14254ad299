"""A scan on a bad network: nothing is missed, nothing is made up, and it is said what was wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scan.faulty import ASKED, OPEN, PATIENCE_S, Outcome, flood, populated, scan, scanning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scan.topology import Network

pytestmark = pytest.mark.needs("namespaces", "nft")

METHODS = pytest.mark.parametrize("method", ["-sS", "-sT"])
MOST_MEMORY = 256 << 20  # octets that a process may allocate, libraries and threads included


@pytest.fixture
def network() -> Iterator[Network]:
    """The network with 60 open ports; a new one for each test, for its faults."""
    with populated() as network:
        yield network


def _is_right(outcome: Outcome) -> None:
    assert outcome.status == 0, outcome.complaints
    assert outcome.ports("open") == OPEN
    assert outcome.said.summary["complete"]


@METHODS
def test_no_port_is_missed_where_one_packet_of_ten_is_lost_each_way(
    network: Network, method: str
) -> None:
    network.lose(0.1)
    told: list[float] = []
    for _ in range(3):
        outcome = scan(network, method, "-T5")
        _is_right(outcome)
        assert len(outcome.ports("closed")) == ASKED - len(OPEN)
        told.append(outcome.said.summary["loss"])
    assert pytest.approx(0.19, abs=0.06) in told  # see the next test


@METHODS
def test_loss_on_the_way_back_alone_is_told_as_what_it_is(network: Network, method: str) -> None:
    network.lose(0.0, 0.1)
    told: list[float] = []
    # Answers that come late because this machine is busy look like more loss now and then.
    while pytest.approx(0.1, abs=0.05) not in told:
        assert len(told) < 5, told
        outcome = scan(network, method, "-T5")
        _is_right(outcome)
        told.append(outcome.said.summary["loss"])


@METHODS
def test_a_policer_is_recognised_and_nothing_missed_behind_it(
    network: Network, method: str
) -> None:
    network.police(500, 50)
    outcome = scan(network, method, "-T5")
    _is_right(outcome)
    assert "packets a second" in outcome.remarks


def test_random_loss_is_not_taken_for_a_policer(network: Network) -> None:
    network.lose(0.1)
    outcome = scan(network, "-sS", "-T5")
    assert "packets a second" not in outcome.remarks


@METHODS
def test_fifty_copies_of_every_answer_change_nothing(network: Network, method: str) -> None:
    copies = "\n".join(["ip daddr 10.61.0.2 dup to 10.61.0.2"] * 50)
    chain = f"chain forward {{ type filter hook forward priority 10;\n{copies}\n}}\n"
    network.router.run(["nft", "-f", "-"], input=f"table ip copies {{\n{chain}}}\n", check=True)
    _is_right(scan(network, method, "-T5"))


@METHODS
def test_a_target_that_floods_the_scanner_is_read_right_in_bounded_memory(
    network: Network, method: str
) -> None:
    network.start(network.target, flood)
    with scanning(network, method, "-T5", before=("prlimit", f"--data={MOST_MEMORY}")) as process:
        outcome = Outcome(process, PATIENCE_S)
    assert outcome.status == 0, outcome.complaints
    assert outcome.ports("open") == OPEN


@METHODS
def test_a_host_that_is_silent_but_for_its_open_ports_takes_seconds(
    network: Network, method: str
) -> None:
    ports = ", ".join(map(str, sorted(OPEN)))
    rules = (
        f"chain input {{ type filter hook input priority 0;\ntcp dport != {{ {ports} }} drop\n}}"
    )
    network.rules(network.target, "firewall", rules)
    outcome = scan(network, method, "-T5")
    _is_right(outcome)
    assert len(outcome.ports("filtered")) == ASKED - len(OPEN)


def test_a_proxy_that_opens_every_port_is_noticed(network: Network) -> None:
    one = min(OPEN)
    rules = "chain nat { type nat hook prerouting priority dstnat;\n"
    rules += f"tcp dport 1-{ASKED} redirect to :{one}\n}}"
    network.rules(network.target, "proxy", rules)
    outcome = scan(network, "-sS", "-T5")
    assert len(outcome.ports("open")) == ASKED
    assert "proxy" in outcome.remarks, outcome.remarks


def test_few_descriptors_make_a_connect_scan_slower_and_no_worse(network: Network) -> None:
    with scanning(network, "-sT", "-T5", before=("prlimit", "--nofile=40")) as process:
        _is_right(Outcome(process))


def test_too_few_descriptors_for_anything_is_an_error_and_no_wrong_state(
    network: Network,
) -> None:
    with scanning(network, "-sT", "-T5", before=("prlimit", "--nofile=6")) as process:
        outcome = Outcome(process)
    assert outcome.status == 1
    assert "EMFILE" in outcome.complaints
    assert "ulimit" in outcome.complaints
    assert "Traceback" not in outcome.complaints
    assert not outcome.said.ports
