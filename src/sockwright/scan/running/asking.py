"""The second phase: the ports of the hosts that are up, many hosts at once.

A host is begun when those that are under way leave packets of the rate over, and no more than
`Settings.hosts_at_once` are. So each host has its turn soon once it is begun, however low the rate,
and `Settings.host_timeout` is time in which it is asked, not time in a queue.
"""

from __future__ import annotations

from time import monotonic, time_ns
from typing import TYPE_CHECKING, Final

from sockwright.scan.asked_host import NOT_ASKED
from sockwright.scan.engine.rounds import seen_loss
from sockwright.scan.port_table import PortTable
from sockwright.scan.running.more import asks_more
from sockwright.scan.running.sharing import Sharing
from sockwright.scan.running.stepping import Estimate
from sockwright.scan.suspicion import icmp_limit, suspicions

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

    from sockwright.scan.asked_host import AskedHost
    from sockwright.scan.part import Part, PortScan
    from sockwright.scan.results import HostResult, PortResult, Progress, Protocol
    from sockwright.scan.running.run import Host, Run

__all__ = ["Asking", "known_ports"]

_TOGETHER: Final = 64  # hosts, if more is asked of them than their ports
_A_BEGINNING: Final = 32  # packets that a host is sent before it has answered (see `AskedHost`)
_LEAST_SHARE: Final = 0.01  # of max_miss, for one host


class Asking:
    """Asks the ports of `hosts`, and takes those that are begun out of it.

    Those whose ports are known are put into `ready`. Nothing of a host stays here after that: with
    65 536 of them, what asking takes for each would be ten times what there is to tell.

    It is a part of the scan itself (see `sockwright.scan.part`), which begins hosts; it has to
    be the last one, since it looks what the others leave over.
    """

    descriptors: tuple[int, ...] = ()
    remarks: tuple[str, ...] = ()

    def __init__(self, run: Run, hosts: deque[Host]) -> None:
        self._run = run
        self._waiting = hosts
        self._begun: dict[str, Host] = {}
        self.ready: list[Host] = []
        settings = run.settings
        parts = max(len(run.parts), 1)
        share = max(1 / max(len(hosts) * parts, 1), _LEAST_SHARE)
        self._max_miss = settings.max_miss * share
        self._pauses = asks_more(settings)
        self._ports = len(settings.tcp_ports) + len(settings.udp_ports)
        # TCP and UDP of a host go side by side, and what was asked is a bound for both together.
        self._rate = None if run.host_rate is None else run.host_rate / parts
        self._shared: dict[str, Sharing] = {}

    def steps(self) -> Iterator[list[PortResult | Progress]]:
        """Ask; give what is to be told after each step, when `ready` may have hosts."""
        run = self._run
        parts = list(run.parts.values())
        others: list[Part] = []
        for witness in run.witnesses:
            witness.add(host.target for host in self._waiting)
            others.append(witness)
        for now in run.stepping.through([*others, *parts, self]):
            events: list[PortResult | Progress] = []
            for part in parts:
                if part.failure and not run.stopped:
                    run.scan.fail(part.failure)
                while part.opened:
                    asked, item = part.opened.popleft()
                    events.append(asked.table.row(item))
                self._collect(part)
            for shared in self._shared.values():
                shared.look(now)
            events += self._progress(now)
            yield events

    @property
    def busy(self) -> bool:
        """Whether any host is under way."""
        return bool(self._begun)

    # -- beginning hosts ------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether every host was begun."""
        return not self._waiting

    @property
    def _room(self) -> int:
        """How many hosts more may be under way."""
        room = self._run.settings.hosts_at_once
        if self._pauses:
            room = min(room, _TOGETHER - len(self.ready))
        return room - len(self._begun)

    def next_time(self, now: float) -> float | None:
        """Return when another host may be begun; None: when one has ended."""
        return self._run.shared.next_time(now) if self._waiting and self._room > 0 else None

    def step(self, now: float) -> None:
        """Begin as many hosts as what is left of the rate is enough for."""
        left = self._run.shared.allowance(now)
        each = min(self._ports, _A_BEGINNING)
        while self._waiting and self._room > 0 and left > 0:
            self._begin(self._waiting.popleft())
            left -= each

    def _begin(self, host: Host) -> None:
        run, target, result = self._run, host.target, host.result
        result.started_ns = result.started_ns or time_ns()
        known = run.scan.known
        earlier = None if known is None else known.begun(target.host)
        for protocol, part in run.parts.items():
            try:
                asked = part.add(target, self._rate, _answered(earlier, protocol))
            except OSError as error:
                result.remarks += (f"{protocol} was not scanned: {error.strerror or error}",)
                result.complete = False
                continue
            asked.rounds.max_miss = self._max_miss
            if result.rtt_ns is not None:
                asked.timing.sample(result.rtt_ns / 1e9)
            host.asked.append(asked)
            host.waiting += 1
            self._begun[target.host] = host
        if not host.waiting:
            result.ports = known_ports(run, target.host)
            self.ready.append(host)
        elif run.host_rate is not None and len(run.parts) > 1:
            # Of one that could not begin, all is the other's.
            self._shared[target.host] = Sharing(run.host_rate, host.asked, monotonic())

    def stop(self) -> None:
        """Begin no more: of hosts that still wait no more is known than before."""
        for host in self._waiting:
            host.result.ports = known_ports(self._run, host.target.host)
            if host.result.ports or host.result.reason != "user-set":
                host.result.complete = False
                self.ready.append(host)
        self._waiting.clear()

    def close(self) -> None:
        """Do nothing: the parts are the run's."""

    # -- ending hosts ---------------------------------------------------------------------------

    def _collect(self, part: PortScan) -> None:
        while part.finished:
            asked = part.finished.popleft()
            host = self._begun[asked.host]
            host.waiting -= 1
            if not host.waiting:
                del self._begun[asked.host]
                self._shared.pop(asked.host, None)
                self._conclude(host)
                self.ready.append(host)

    def _conclude(self, host: Host) -> None:
        """Say what the scan of a host's ports came to."""
        result = host.result
        result.ended_ns = time_ns()
        known = self._run.scan.known
        tables, remarks = [], list(result.remarks)
        weight = 0
        lost = 0.0
        for asked in host.asked:
            table = asked.table
            if known is not None:
                known.fill(table)
            tables.append(table)
            remarks += asked.remarks
            remarks += suspicions(table, asked.small_windows)
            if table.protocol == "tcp":
                took = asked.last_sent - asked.first_sent
                if remark := icmp_limit(table, asked.loss, took):
                    table.limit("icmp")
                    remarks.append(remark)
            result.probes += asked.probes
            result.answers += asked.answers
            result.expected_misses += asked.expected_misses
            result.complete = result.complete and asked.complete
            result.ended_early = result.ended_early or asked.ended_early
            result.ttl = result.ttl or asked.ttl
            if result.rtt_ns is None and asked.timing.smoothed is not None:
                result.rtt_ns = int(asked.timing.smoothed * 1e9)
            if asked.loss is not None:
                weight += asked.answers
                lost += asked.loss * asked.answers
        result.ports = tuple(tables)
        result.loss = seen_loss(lost / weight, weight) if weight else None
        result.remarks = tuple(remarks)
        self._run.keep(result, sum(asked.opens for asked in host.asked))
        host.asked.clear()

    # -- progress -------------------------------------------------------------------------------

    def _progress(self, now: float) -> Iterator[Progress]:
        run = self._run
        if run.stopped or not run.stepping.is_due(now):
            return  # where it was stopped nothing is under way, as if all was done
        done = self._ports * (run.books.up + len(self.ready))
        total = done + self._ports * (len(self._begun) + len(self._waiting))
        more = Estimate()
        for part in run.parts.values():
            for asked in part.active:
                _add(more, asked)
                rounds = asked.rounds
                # While silent ones are asked again it is not all done, however few they are.
                done += rounds.count - (rounds.left if rounds.attempt == 1 else not rounds.done)
        more.left += self._ports * len(self._waiting)
        yield from run.stepping.progress("ports", now, max(done, 0), max(total, 1), more)


def known_ports(run: Run, host: str) -> tuple[PortTable, ...]:
    """Return what an earlier scan found out of a host that it began; nothing if it did not."""
    known = run.scan.known
    if known is None or known.begun(host) is None:
        return ()
    tables = []
    for protocol in run.parts:
        numbers = run.settings.tcp_ports if protocol == "tcp" else run.settings.udp_ports
        table = PortTable(host, protocol, numbers, NOT_ASKED)
        if known.fill(table):
            tables.append(table)
    return tuple(tables)


def _add(more: Estimate, asked: AskedHost) -> None:
    rounds = asked.rounds
    more.sent += asked.probes
    more.open += asked.opens
    more.left += rounds.left + (rounds.pending if rounds.attempt > 1 else 0)
    if more.loss is None and rounds.attempt > 1:  # before that nothing is known of it
        more.loss = seen_loss(rounds.loss, asked.answers)


def _answered(earlier: HostResult | None, protocol: Protocol) -> list[int]:
    """Return the ports of a protocol that an earlier scan has an answer of."""
    return [
        number
        for table in (earlier.ports if earlier is not None else ())
        if table.protocol == protocol
        for at, number in enumerate(table.numbers)
        if table.known(at)
    ]
