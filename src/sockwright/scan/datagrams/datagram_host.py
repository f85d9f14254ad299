"""One host of a UDP scan."""

from __future__ import annotations

from _socket import SOCK_DGRAM, inet_ntop, inet_pton
from array import array
from socket import socket
from typing import TYPE_CHECKING, Final

from sockwright.scan.asked_host import AskedHost
from sockwright.scan.datagrams.icmp_limit import IcmpLimit
from sockwright.scan.engine.pace import Pace
from sockwright.scan.reasons import number_of
from sockwright.sockets.udp_probes import probe_for

if TYPE_CHECKING:
    from sockwright.scan.asked_host import Assignment

__all__ = ["CANARIES", "DatagramHost"]

SILENT: Final = number_of("no-response", "open|filtered")

CANARIES: Final = 16
"""Probes of closed ports at the end of a round, to see whether ICMP errors are limited."""

_LOSSY = 0.4  # estimated loss from which one good check does not settle it
_ENOUGH = 9  # of them answered: only every sixteenth host that loses a third fails that
_FASTEST = 20_000.0  # packets a second to a host where no bound is set: UDP has little feedback
_BELOW = 0.8  # of the errors a second that a fast limiter lets through
_MANY = 20.0  # errors a second: a limiter that is met by sending more slowly
_MEASURED = 0.5  # seconds that a round takes at least for that to be known
_LAST_CLOSED = 64  # closed ports that are remembered to be canaries


class DatagramHost(AskedHost):
    """A host and its UDP ports; see `AskedHost`.

    After each round some ports that are known to be closed are asked again, at the same pace. When
    they keep silent too, the host limits its ICMP errors, and `limit` takes over from the rounds.
    `closed` are the last ports that were found closed, by index; `key` is the address as the socket
    module writes it.
    """

    __slots__ = (
        "_checks",
        "_is_own",
        "_limited_since",
        "_patience",
        "_round",
        "_round_answers",
        "_round_began",
        "_slowed_to",
        "_trusted",
        "batch",
        "batches",
        "check_attempt",
        "closed",
        "key",
        "limit",
        "sent_at",
        "sent_attempt",
        "strays",
        "tries",
    )

    def __init__(self, given: Assignment) -> None:
        super().__init__(given, "udp", silent=SILENT)
        target = given.target
        self.key = inet_ntop(target.family, inet_pton(target.family, target.address))
        # An answer per second that stays the same, whatever is sent, is what `limit` looks after.
        self.pace = Pace(
            _FASTEST if given.rate is None else given.rate, now=given.now, adapts=False
        )
        self.sent_at = array("d", bytes(8 * len(given.ports)))
        self.sent_attempt = 0
        self.tries: dict[int, int] = {}  # where they are not those of the round
        self.strays: dict[int, int] = {}  # answers without the token: port, try
        self.closed: list[int] = []
        self.limit: IcmpLimit | None = None
        self.batch: list[int] = []  # what of the limit's batch, or of the canaries, is to be sent
        self.batches = 0
        self.check_attempt = 0  # the round whose canaries are out, or were
        self._checks = 0  # canaries answered
        self._trusted = False
        self._slowed_to = 0.0
        self._round = 0  # the round that the next two belong to
        self._round_began = 0.0
        self._round_answers = 0
        self._limited_since = 0.0
        self._patience = given.settings.patience
        self._is_own: bool | None = None

    @property
    def loss(self) -> float | None:
        """The estimated part of tries that go unanswered; not known behind a limit."""
        return self.rounds.loss if self.limit is None else None

    @property
    def left(self) -> int:
        """How many probes wait to be sent, of this round or batch."""
        return len(self.batch) or super().left

    @property
    def attempt(self) -> int:
        """The number of the try that is sent now, and so of the socket."""
        if self.limit is not None:
            return self.rounds.attempt + 2 + self.batches % 8
        # Canaries leave from the port of the next round, so that their answers are known.
        return self.rounds.attempt + (1 if self.batch else 0)

    @property
    def is_own(self) -> bool:
        """Whether this machine has the address, and so can bind to it."""
        if self._is_own is None:
            with socket(self.family, SOCK_DGRAM) as sock:
                try:
                    sock.bind((self.address, 0, 0, self.scope)[: 4 if self.version == 6 else 2])
                except OSError:
                    self._is_own = False
                else:
                    self._is_own = True
        return self._is_own

    def count_try(self, item: int, attempt: int) -> int:
        """Return which of the tries of a port one is that left from the socket of `attempt`."""
        return self.tries.get(item, attempt)

    def remember_closed(self, item: int) -> None:
        """Note a port that may be a canary."""
        self.closed.append(item)
        if len(self.closed) > _LAST_CLOSED:
            del self.closed[0]

    def canary_answered(self, attempt: int) -> None:
        """Note the ICMP error of a port that was closed before."""
        if self.limit is None and attempt == self.check_attempt + 1:
            self._checks += 1

    def turn(self, now: float) -> None:
        """Begin what is due: a check, a batch of the limit, a round; end when all is known."""
        if self.limit is not None:
            self._advance_limit(self.limit, now)
            return
        rounds = self.rounds
        if self._round < rounds.attempt:
            self._round, self._round_began, self._round_answers = rounds.attempt, now, self.answers
        if self.batch:
            return
        if rounds.left or not self._is_doubtful:
            rounds.turn(now)
            return
        if self.check_attempt < rounds.attempt:
            self.check_attempt, self._checks = rounds.attempt, 0
            # The latest first: they were closed a moment ago.
            latest = self.closed[::-1]
            self.batch = [latest[at % len(latest)] for at in range(CANARIES)]
            return
        due = rounds.next_timeout()
        if due is None or now < due:
            return
        if self._checks >= _ENOUGH:
            self._trusted = True
            rounds.turn(now)
        else:
            self._meet_limit(now)

    @property
    def _is_doubtful(self) -> bool:
        """Whether silence may mean that errors are limited, and a check can tell."""
        if not self.rounds.pending or not self.closed:
            return False
        return not self._trusted or (self.rounds.loss or 0.0) >= _LOSSY

    def _meet_limit(self, now: float) -> None:
        """Slow down where the host sends many errors a second all the same; else take them singly.

        A round is long enough to say so, or it is only the first burst that is seen.
        """
        took = self.last_sent - self._round_began
        rate = (self.answers - self._round_answers) / max(took, 1e-9) * _BELOW
        if took < _MEASURED or rate < _MANY or rate > self.pace.rate * _BELOW:
            self._begin_limit(now)
            return
        self._slowed_to = rate
        self.pace.cap(rate, now)
        self.rounds.forget()
        self.rounds.turn(now)

    def batch_sent(self, now: float) -> None:
        """Note that all of `batch` went out."""
        if self.limit is not None:
            self.batches += 1
            self.limit.sent(now, self.timing.timeout)

    def next_time(self, now: float) -> float | None:
        """Return when `turn` has something to do; None: when something can be sent."""
        if self.batch:
            return None
        if self.limit is not None:
            return max(min(self.limit.due, self._limited_since + self._patience), now)
        rounds = self.rounds
        if not rounds.left and self.check_attempt < rounds.attempt and self._is_doubtful:
            return now  # at once: a moment later there may be a token again
        return rounds.next_timeout()

    def stop(self) -> None:
        """Ask no more."""
        self.batch.clear()
        if self.limit is not None and not self.rounds.done:
            self._end_limit(self.limit)
        super().stop()

    def finish(self) -> None:
        """Close the books."""
        super().finish()
        if self._slowed_to:
            self.remarks.append(
                "it limits its ICMP errors; the scan went down to "
                f"{self._slowed_to:.0f} probes a second"
            )

    def _begin_limit(self, now: float) -> None:
        silent = [item for item in range(len(self.numbers)) if self.rounds.is_silent(item)]
        self.tries = dict.fromkeys(silent, self.rounds.attempt)
        # What is usually there first: an answer to that says most.
        silent.sort(key=lambda item: not probe_for(self.numbers[item]))
        self.limit = IcmpLimit(silent, self.closed, self.last_sent)
        self._limited_since = now

    def _advance_limit(self, limit: IcmpLimit, now: float) -> None:
        limit.turn(now)
        for item in limit.silent:
            self.table.set(item, SILENT, self.tries[item])
            self.rounds.given_up(item)
        limit.silent.clear()
        if self.rounds.done or self.batch:
            return
        if not limit.left or now >= self._limited_since + self._patience:
            self._end_limit(limit)
            self.rounds.stop()
            return
        self.batch = limit.next_batch(now, self.pace.rate)
        canary = len(self.batch) - 1
        for at, item in enumerate(self.batch):
            if at < canary:
                self.tries[item] += 1

    def _end_limit(self, limit: IcmpLimit) -> None:
        rate = "very few"
        if limit.interval:
            a_second = 1 / limit.interval
            rate = f"about {a_second:.{0 if a_second >= 10 else 1}f} a second"
        remark = f"it limits its ICMP errors to {rate}"
        if left := limit.left + limit.lost:
            self.table.limit("icmp")
            self.given_up = True
            ports = "1 port is" if left == 1 else f"{left} ports are"
            remark += f": {ports} not proved to be open or closed"
        self.remarks.append(remark)
