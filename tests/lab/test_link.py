"""Links that lose, delay and end."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.conftest import Pair

    from sockwright.lab import Host

pytestmark = pytest.mark.needs("namespaces")


class Echo:
    """A socket in each of two hosts, both driven from here."""

    def __init__(self, a: Host, b: Host) -> None:
        self.near = a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far = b.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.near.bind((a.ipv4, 0))
        self.far.bind((b.ipv4, 0))
        self.near.connect(self.far.getsockname())
        self.far.connect(self.near.getsockname())
        self.near.settimeout(5)
        self.far.settimeout(5)
        self._said = 0

    def close(self) -> None:
        self.near.close()
        self.far.close()

    def there(self) -> float:
        """Seconds that a datagram takes to the far host."""
        return self._time(self.near, self.far)

    def back(self) -> float:
        """Seconds that a datagram takes to the near host."""
        return self._time(self.far, self.near)

    def survivors(self, count: int) -> list[int]:
        """Send numbers, a few at a time, and return those that arrived.

        The last word gets through by being said until it is heard; those of it that come later
        are not taken for another last word.
        """
        came = []
        self.far.settimeout(0.02)
        for start in range(0, count, 50):
            for number in range(start, start + 50):
                self.near.send(b"%d" % number)
            end, heard = self._word(), b""
            while heard != end:
                try:
                    heard = self.far.recv(20)
                except TimeoutError:
                    self.near.send(end)
                    continue
                if heard.isdigit():
                    came.append(int(heard))
        self.far.settimeout(5)
        return came

    def _word(self) -> bytes:
        """Return what was not said before."""
        self._said += 1
        return b"word %d" % self._said

    def _time(self, one: socket.socket, other: socket.socket) -> float:
        word = self._word()
        start = time.perf_counter()
        one.send(word)
        while other.recv(20) != word:
            pass
        return time.perf_counter() - start


@pytest.fixture
def echo(pair: Pair) -> Iterator[Echo]:
    made = Echo(pair.a, pair.b)
    made.there()
    made.back()  # both know each other's address now, and no ARP is in the way
    yield made
    made.close()


def test_delay_is_kept_to_in_each_direction(pair: Pair, echo: Echo) -> None:
    pair.lab.link(pair.a, pair.b).delay(0.05, towards=pair.b).delay(0.02, towards=pair.a)
    # Never early; late only by what a busy machine takes, hence the best of several.
    for once, delay in ((echo.there, 0.05), (echo.back, 0.02)):
        taken = [once()]
        while min(taken) >= delay + 0.01 and len(taken) < 50:
            taken.append(once())
        assert delay <= min(taken) < delay + 0.01


def test_delayed_frames_keep_their_order(pair: Pair, echo: Echo) -> None:
    pair.lab.link(pair.a, pair.b).delay(0.01)
    assert echo.survivors(200) == list(range(200))


def test_loss_is_the_share_that_was_asked_for(pair: Pair, echo: Echo) -> None:
    pair.lab.link(pair.a, pair.b).loss(0.25, towards=pair.b, seed=4)
    # 2000 draws: 1500 arrive, give or take six times the deviation of 19.4.
    assert 1384 < len(echo.survivors(2000)) < 1616


def test_loss_in_one_direction_leaves_the_other_whole(pair: Pair, echo: Echo) -> None:
    pair.lab.link(pair.a, pair.b).loss(1, towards=pair.a)
    assert echo.survivors(200) == list(range(200))
    echo.far.send(b"never arrives")
    echo.near.settimeout(0.05)
    with pytest.raises(TimeoutError):
        echo.near.recv(100)


def test_a_seed_loses_the_same_frames_again(pair: Pair, echo: Echo) -> None:
    link = pair.lab.link(pair.a, pair.b)
    link.loss(0.5, towards=pair.b, seed=7)
    first = echo.survivors(50)
    link.clear().loss(0.5, towards=pair.b, seed=7)
    assert echo.survivors(50) == first
    link.clear().loss(0.5, towards=pair.b, seed=8)
    assert echo.survivors(50) != first


def test_a_cleared_link_is_as_before(pair: Pair, echo: Echo) -> None:
    link = pair.lab.link(pair.a, pair.b).loss(0.9).delay(0.5)
    link.clear()
    assert echo.survivors(200) == list(range(200))
    assert min(echo.there() for _ in range(5)) < 0.5


def test_faults_are_of_one_pair_of_hosts(pair: Pair, echo: Echo) -> None:
    (c,) = pair.lab.hosts("c")
    pair.lab.link(pair.a, c).loss(1)
    assert echo.survivors(50) == list(range(50))
    other = Echo(pair.b, c)
    try:
        assert other.there() < 1
    finally:
        other.close()
    (d,) = pair.lab.hosts("d")  # joins while the switch is a process
    another = Echo(d, pair.a)
    try:
        assert another.there() < 1
    finally:
        another.close()


def test_broadcast_goes_through_a_link_with_faults(pair: Pair) -> None:
    pair.lab.link(pair.a, pair.b).delay(0.001)
    first = Echo(pair.a, pair.b)  # its first datagram needs ARP
    try:
        assert first.there() < 1
    finally:
        first.close()


def test_a_pulled_cable_takes_the_carrier_and_leaves_the_addresses(pair: Pair, echo: Echo) -> None:
    link = pair.lab.link(pair.a, pair.b)
    carrier = ["cat", "/sys/class/net/eth0/carrier"]
    link.down()
    assert pair.a.run(carrier).stdout == pair.b.run(carrier).stdout == "0\n"
    assert pair.a.ipv4 in pair.a.run(["cat", "/proc/net/fib_trie"]).stdout
    link.up()
    assert pair.a.run(carrier).stdout == "1\n"
    assert echo.there() < 2


def test_a_cable_is_pulled_while_the_link_has_faults(pair: Pair, echo: Echo) -> None:
    link = pair.lab.link(pair.a, pair.b).delay(0.001)
    link.down()
    link.up()
    assert 0.001 <= echo.there() < 2


def test_one_cable_of_three_cuts_one_host_off(pair: Pair, echo: Echo) -> None:
    (c,) = pair.lab.hosts("c")
    with pytest.raises(ValueError, match="share their segment with c"):
        pair.lab.link(pair.a, pair.b).down()
    pair.lab.cable(c).down()
    assert c.run(["cat", "/sys/class/net/eth0/carrier"]).stdout == "0\n"
    assert echo.there() < 1
    pair.lab.cable(c).up()
    other = Echo(c, pair.a)
    try:
        assert other.there() < 2
    finally:
        other.close()


def test_a_removed_link_is_gone_at_both_ends(pair: Pair, echo: Echo) -> None:
    pair.lab.link(pair.a, pair.b).remove()
    for host in (pair.a, pair.b):
        assert host.run(["ls", "/sys/class/net"]).stdout == "lo\n"
    with pytest.raises(OSError, match="unreachable"):
        pair.a.call(lambda: socket.create_connection((pair.b.ipv4, 7), timeout=1))


def test_hosts_without_a_common_segment_have_no_link(pair: Pair) -> None:
    (c,) = pair.lab.hosts("c", segment=1)
    with pytest.raises(ValueError, match="not on one segment"):
        pair.lab.link(pair.a, c)


def test_a_fault_that_cannot_be_is_refused(pair: Pair) -> None:
    (c,) = pair.lab.hosts("c")
    link = pair.lab.link(pair.a, pair.b)
    with pytest.raises(ValueError, match="from 0 to 1"):
        link.loss(10)
    with pytest.raises(ValueError, match="3600"):
        link.delay(-1)
    with pytest.raises(ValueError, match="not at an end"):
        link.loss(0.1, towards=c)
