"""One host while its ports are asked: what is known, what is to be asked next, and how fast."""

from __future__ import annotations

from _socket import AF_INET6, if_nametoindex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sockwright.scan.engine.pace import Pace
from sockwright.scan.engine.rounds import Rounds
from sockwright.scan.engine.timing import Timing
from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.results import Protocol
    from sockwright.scan.settings import Settings
    from sockwright.scan.targets.target import Target

__all__ = ["NOT_ASKED", "AskedHost", "Assignment"]

NOT_ASKED: Final = number_of("not-asked", "filtered")
"""The reason of ports for which there was no time."""

_NO_ROUTE: Final = number_of("no-route", "filtered")

_GIVE_UP = 3.0  # seconds without a way out until a host is left as it is
_FIRST = 32  # packets that go to a host before it has answered
_REST = 0.1  # seconds until the way is tried again


@dataclass(frozen=True, slots=True)
class Assignment:
    """A host that is to be asked about ports from `now` on, at most `rate` packets a second.

    `rate` None is no bound; about the ports in `skip` nothing is asked.
    """

    target: Target
    ports: Sequence[int]
    settings: Settings
    seed: int
    now: float
    rate: float | None = None
    skip: Sequence[int] = ()


class AskedHost:
    """A host and its ports of one protocol.

    `table` has what is known; `loss`, `expected_misses` and `complete` are as in `HostResult`,
    `remarks` are sentences. `probes`, `answers`, `opens` (open ports), `small_windows` (answers of
    open ports with hardly any window) and `never_asked` (ports, where time was up) are counts.
    `ended_early` is whether ports were left though nobody stopped the scan.
    Times are seconds of one monotonic clock. `deadline` comes with the first probe: from then on a
    host has its time, however long others kept it waiting. `silent` is the reason of ports that say
    nothing, `asks_again` that the method does what the pace wants asked again.

    Raises:
        OSError: there is no such zone.
    """

    __slots__ = (
        "_failing_since",
        "_time_limit",
        "address",
        "answers",
        "deadline",
        "ended_early",
        "family",
        "first_sent",
        "given_up",
        "host",
        "last_sent",
        "never_asked",
        "numbers",
        "opens",
        "pace",
        "paused_until",
        "probes",
        "remarks",
        "rounds",
        "scope",
        "small_windows",
        "started",
        "table",
        "target",
        "timing",
        "ttl",
        "version",
    )

    def __init__(
        self,
        given: Assignment,
        protocol: Protocol,
        *,
        silent: int = 0,
        asks_again: bool = False,
    ) -> None:
        target, ports, settings = given.target, given.ports, given.settings
        self.target = target
        self.host = target.host
        self.family = target.family
        self.address = target.address
        self.version = 6 if target.family == AF_INET6 else 4
        self.scope = _scope(target.zone)
        self.numbers = ports
        self.table = PortTable(target.host, protocol, ports, silent)
        self.timing = Timing(
            first=settings.first_timeout,
            shortest=settings.min_timeout,
            longest=settings.max_timeout,
        )
        self.rounds = Rounds(
            len(ports),
            seed=given.seed,
            retries=settings.retries,
            max_miss=settings.max_miss,
            timing=self.timing,
        )
        self.pace = Pace(given.rate, now=given.now, asks_again=asks_again)
        self.started = self.first_sent = self.last_sent = given.now
        self._time_limit = settings.host_timeout
        self.deadline: float | None = None
        self.paused_until = 0.0
        self.remarks: list[str] = []
        self.probes = 0
        self.answers = 0
        self.opens = 0
        self.small_windows = 0
        self.ttl: int | None = None
        self.given_up = self.ended_early = False
        self.never_asked = 0
        self._failing_since: float | None = None
        if given.skip:
            known = frozenset(given.skip)
            for item, port in enumerate(ports):
                if port in known:
                    self.rounds.given_up(item)

    @property
    def loss(self) -> float | None:
        """The estimated part of tries that go unanswered, 0 to 1."""
        return self.rounds.loss

    @property
    def expected_misses(self) -> float:
        """How many open ports are expected among the silent ones."""
        return self.rounds.expected_misses

    @property
    def complete(self) -> bool:
        """Whether that is few enough, and every port was asked."""
        return self.rounds.complete and not self.given_up

    def place(self, item: int) -> tuple[Any, ...]:
        """Return the address of a port by its index, as the socket module takes it."""
        if self.version == 6:
            return (self.address, self.numbers[item], 0, self.scope)
        return (self.address, self.numbers[item])

    @property
    def warm_at(self) -> float:
        """When more than the first few packets may go; earlier, if there is an answer to them.

        While the kernel asks for a neighbour's address it keeps a hundred packets and drops others
        (arp(7), unres_qlen): a burst at the start would look like a limiter on the way.
        """
        if self.timing.smoothed is not None or self.probes < _FIRST:
            return 0.0
        return self.first_sent + self.timing.timeout

    def window(self, now: float) -> int:
        """Return how many packets the beginning of the scan of a host lets go now."""
        if self.timing.smoothed is not None or 0 < self.warm_at <= now:
            return 1 << 30
        return max(_FIRST - self.probes, 0)

    @property
    def left(self) -> int:
        """How many questions wait to be sent, of this round; some may have been answered since."""
        return self.rounds.left

    def allowance(self, now: float) -> int:
        """Return how many questions the host may be sent now, as far as it goes by itself."""
        if self.rounds.done or now < self.paused_until or self.next_time(now) is not None:
            return 0
        return min(self.pace.allowance(now), self.window(now), max(self.left, 1))

    def next_time(self, now: float) -> float | None:  # noqa: ARG002  # for those who override it
        """Return when `turn` has something to do; None: when something can be sent."""
        return self.rounds.next_timeout()

    def sent(self, count: int, now: float, *, again: int = 0, under_way: bool = False) -> None:
        """Note that so many packets went out, or are under way (see `Pace.sent`)."""
        if not self.probes:
            self.first_sent = now
            if self._time_limit is not None:
                self.deadline = now + self._time_limit
        self.probes += count + again
        self.pace.sent(count, now, again=again, under_way=under_way)
        self.rounds.sent(now)
        self.last_sent = now

    def has_way(self) -> None:
        """Note that this machine has a way there: the kernel has taken packets."""
        self._failing_since = None

    def no_way(self, why: str, now: float) -> None:
        """Note that this machine has no way there: wait a little, give up when it stays so."""
        if self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since >= _GIVE_UP:
            self.remarks.append(f"this machine has no way to {self.host}: {why}")
            if not self.probes:  # there never was a way; of one that is lost ports were not asked
                for item in range(len(self.numbers)):
                    if self.rounds.is_silent(item) and not self.table.known(item):
                        self.table.set(item, _NO_ROUTE, 0)
            self._end_early()
            return
        self.paused_until = now + _REST

    def stop(self) -> None:
        """Ask no more. In the first round no port is silent yet: its answer may be on its way."""
        rounds = self.rounds
        if rounds.done:
            return
        if rounds.attempt == 1:
            self.never_asked = len(rounds.not_asked)
            for item in range(len(self.numbers)):
                if rounds.is_silent(item) and not self.table.known(item):
                    self.table.set(item, NOT_ASKED, 0)
        self.given_up = rounds.pending > 0
        rounds.stop()

    def _end_early(self) -> None:
        """Ask no more of this host, though the scan goes on."""
        self.stop()
        self.ended_early = self.given_up

    def check_deadline(self, now: float) -> None:
        """Stop when the time of this host is up."""
        if self.deadline is None or now < self.deadline or self.rounds.done:
            return
        self._end_early()
        left = self.rounds.pending
        told = f"{_ports_were(left)} not asked often enough"
        if self.never_asked:
            told = f"{_ports_were(left)} not asked"  # so many are called that
            if late := left - self.never_asked:
                told += f", or too late to answer ({late} of them)"
        self.remarks.append(f"its time limit of {self._time_limit:g} s was over: {told}")

    def turn(self, now: float) -> None:
        """Judge the pace, and begin the next round where it is time."""
        timing = self.timing
        self.pace.judge(now, timing.timeout, timing.smoothed or 0.0)
        if self.pace.slowed:
            self.pace.slowed = False
            self.rounds.forget()
        if self.pace.silent and not self.rounds.done:
            self.remarks.append(
                "it stopped answering: for ten seconds not even what had answered before did; "
                "the scan of it ends there"
            )
            self._end_early()
        self.rounds.turn(now)

    def finish(self) -> None:
        """Close the books."""
        self.table.tries = self.rounds.attempt
        if self.pace.outages:
            times = "once" if self.pace.outages == 1 else f"{self.pace.outages} times"
            self.remarks.append(
                f"for a while nothing came back ({times}); what was asked then was asked again"
            )
        if self.pace.limited:
            self.table.limit(self.pace.limited)
            rate = self.pace.passed or self.pace.limit or 0
            if self.pace.limited == "reset":
                self.remarks.append(
                    f"the host sends about {rate:.0f} RST a second and no more, while open ports "
                    "answer at any rate; the scan waited for those RST"
                )
            else:
                self.remarks.append(
                    f"something on the way lets about {rate:.0f} packets a second pass; "
                    "the scan went below that"
                )


def _ports_were(count: int) -> str:
    return "1 port was" if count == 1 else f"{count} ports were"


def _scope(zone: str) -> int:
    """Return the number of an interface by its name or number; 0 for none."""
    if not zone:
        return 0
    return int(zone) if zone.isdecimal() else if_nametoindex(zone)
