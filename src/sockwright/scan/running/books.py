"""What the summary of a scan adds up."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Final

from sockwright.scan.engine.rounds import seen_loss
from sockwright.scan.reasons import number_of
from sockwright.scan.results import Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.discovery import Discovery
    from sockwright.scan.results import HostResult

__all__ = ["Books"]

_OPEN: Final = tuple(
    number_of(word, "open") for word in ("syn-ack", "conn-accept", "udp-response", "syn")
)


class Books:
    """Counts hosts, ports, probes and answers, and weighs what may have been missed.

    `max_miss` is how many open ports may be missed by the whole scan, and how many hosts.
    """

    def __init__(self, max_miss: float) -> None:
        self._max_miss = max_miss
        self._started_ns = time_ns()
        self.hosts = self.up = self.open_ports = 0
        self.probes = self.answers = 0
        self._lost = 0.0  # answers times the loss that they met
        self._weight = 0
        self._ports_missed = self._hosts_missed = 0.0
        self._complete = self._sure = True  # nobody was left out; each host was sure enough
        self._asked = self._heard = 0  # probes to ports, and answers
        # Hosts: not asked at all, not often enough, none of their ports.
        self._not_asked = self._seldom_asked = self._not_begun = 0
        self.services_left = 0  # open ports that were to be asked for their service, and were not

    def host(self, result: HostResult) -> None:
        """Count a host that is finished."""
        result.ended_ns = result.ended_ns or time_ns()
        self.hosts += 1
        self.up += result.state == "up"
        if result.complete is False:
            self._not_asked += result.reason == "not-asked"
            self._seldom_asked += (result.state, result.reason) == ("unknown", "no-response")
            self._not_begun += result.state == "up" and not result.probes
        self._count(result.probes, result.answers, result.loss)
        self._asked += result.probes
        self._heard += result.answers
        self._ports_missed += result.expected_misses
        self._complete = self._complete and result.complete is not False
        self._sure = self._sure and (result.complete is True or not result.expected_misses)
        for table in result.ports:
            counts = table.counts()
            self.open_ports += sum(counts.get(number, 0) for number in _OPEN)

    def discovery(self, discovery: Discovery) -> None:
        """Count what finding hosts took, and the hosts that it may have missed."""
        loss = seen_loss(discovery.loss, discovery.answers)
        self._count(discovery.probes, discovery.answers, loss)
        self._hosts_missed += discovery.expected_misses
        self._complete = self._complete and discovery.complete

    def _count(self, probes: int, answers: int, loss: float | None) -> None:
        self.probes += probes
        self.answers += answers
        if loss is not None:
            self._lost += loss * answers
            self._weight += answers

    def summary(
        self,
        *,
        methods: tuple[str, ...],
        why_methods: str,
        interrupted: bool,
        seed: int,
        remarks: Sequence[str],
        targets: int = 0,
    ) -> Summary:
        """Return the last row. `remarks` are those of all parts; `targets` were to be asked."""
        remarks = list(remarks)
        if interrupted:
            remarks += self._not_reached(max(targets - self.hosts, 0) + self._not_asked)
        too_many = self._ports_missed > self._max_miss
        complete: bool | None = self._complete and not too_many and not interrupted
        # Where no port of any host has answered, nothing is known, though hosts may have.
        # Of a scan that is gone on with, earlier answers show in who is up.
        of_hosts = self.answers or self._weight or self.up
        heard = self._heard or self.open_ports if self._asked else of_hosts
        if complete and self.probes and not heard:
            complete = None
        if too_many and self._complete and self._sure and not interrupted:
            missed = self._ports_missed
            count = f"{missed:.2g}" if missed < 99 else f"{missed:.0f}"
            remarks.append(
                f"each host is as sure as was asked for, but {count} open ports "
                f"are expected to be missed of all together; a smaller --max-miss finds more"
            )
        return Summary(
            hosts=self.hosts,
            up=self.up,
            open_ports=self.open_ports,
            methods=methods,
            why_methods=why_methods,
            probes=self.probes,
            answers=self.answers,
            loss=self._lost / self._weight if self._weight and complete is not None else None,
            expected_misses=self._ports_missed + self._hosts_missed,
            complete=complete,
            interrupted=interrupted,
            seed=seed,
            started_ns=self._started_ns,
            ended_ns=time_ns(),
            remarks=tuple(remarks),
        )

    def _not_reached(self, not_asked: int) -> list[str]:
        """Say of how many hosts nothing was asked, which no estimate of misses knows of."""
        told = [
            f"{count} address{'es were' if count > 1 else ' was'} not asked{often}"
            for count, often in ((not_asked, ""), (self._seldom_asked, " often enough"))
            if count
        ]
        if self._not_begun:
            count = self._not_begun
            told.append(
                f"no port was asked of {count} host{'s that are' if count > 1 else ' that is'} up"
            )
        if count := self.services_left:
            ports = "1 open port was" if count == 1 else f"{count} open ports were"
            told.append(f"{ports} not asked for the service, or not to the end")
        return told
