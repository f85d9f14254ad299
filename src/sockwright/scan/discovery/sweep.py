"""Which addresses are asked, in which way, and what is expected to be missed; no input or output.

Rules
    1. A sweep is one `Rounds` over the addresses, so a host that stays silent takes some octets.
    2. A small one asks each address in every way in each round, as nmap does: a firewall lets one
       through if not another. In the first round the other ways follow the first one after a
       moment, for those who have not answered by then. A large one, where every packet counts, asks
       by echo first, and by SYN then. After that it asks mostly where somebody answered (`Rounds`,
       strata), in the way that has found most, and in the others by turns.
    3. Strata are networks of 256 addresses: people number hosts one behind the other.
    4. Most addresses are silent whatever the pace, and in some rounds more than in others, so
       `Pace` cannot see a limiter on the way by the part that is answered. But who answers does so
       in the first rounds: where a round finds more than half of what the one before found, packets
       are lost by the mass, and the next goes at an eighth of the pace. If as much is lost then, it
       is lost at random, and the pace stays.
    5. Who is still silent may be farther away than those who answered, whose round trips make the
       time-out; or its router may be asking for its link address, once a second, three times (RFC
       4861 section 10; Linux does so for ARP, too). So nobody is down before `_RESOLUTION` has
       passed after the last try, and if all tries went at once there is one more after such a rest
       (`Rounds`, rule 5). For the same reason a router has to say twice that a host is unreachable.
    6. What the round trip was is told by the time when an address was asked last, if the answer is
       to that try.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from sockwright.scan.discovery.kinds import Kind
from sockwright.scan.engine.pace import Pace
from sockwright.scan.engine.rounds import Rounds
from sockwright.scan.engine.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.discovery.ways import Hop
    from sockwright.scan.settings import Settings
    from sockwright.scan.targets.target import Target

__all__ = ["Sweep"]

SMALL: Final = 4096
"""Addresses of which each is asked in every way in each round."""

_LIVELY_SHARE = 8  # a part of the addresses so small may be asked in more than one way
_CLOCKS = 5e-5  # seconds by which the clocks of probes and answers may differ
_EVEN = 64  # probes in one batch
_FIRST_ON_LINK = 0.3  # seconds; a radio that saves power answers after its beacon, 0.1 s or so
_RESOLUTION = 1.05  # seconds; what a router needs that has to ask twice for a link address
_FIRST_KIND = 0.1  # seconds that the first kind of probe is ahead of the others, at most
_FASTEST = 100_000.0  # packets a second, where no bound is set
_MUCH_LOSS = 0.5  # of tries, from which on a limiter is supposed
_SLOWER = 8
_HELPED = 0.8  # of the loss before, or less
_SLOWEST = 20.0  # packets a second
_WORTH = 10  # a way that found less than this part of the best one's is left


class Sweep:
    """The addresses of `members`, asked by `kinds`; items are numbers of members.

    `hops` has the way to each.
    With one kind, `Kind.NEIGHBOUR`, they are all on links of this machine.
    """

    def __init__(
        self,
        members: Sequence[Target],
        hops: Sequence[Hop],
        kinds: Sequence[Kind],
        settings: Settings,
        *,
        seed: int,
        now: float,
    ) -> None:
        self.members = members
        self.hops = hops
        self.kinds = tuple(kinds)
        first = settings.first_timeout
        patience = min(max(first, _RESOLUTION), settings.max_timeout)
        if self.kinds == (Kind.NEIGHBOUR,):
            first = patience = min(first, _FIRST_ON_LINK)
        self.timing = Timing(
            first=first,
            shortest=settings.min_timeout,
            longest=settings.max_timeout,
        )
        count = len(members)
        self._small = count <= SMALL
        self._strata = array("L", (_stratum(one.packed) for one in members))
        self.rounds = Rounds(
            count,
            seed=seed,
            retries=settings.retries,
            max_miss=settings.max_miss,
            timing=self.timing,
            strata=None if self._small else self._strata,
            rest=patience,
            patience=patience,
        )
        self.pace = Pace(settings.rate or _FASTEST, now=now, adapts=False)
        self._asked = {kind: array("d", [0.0]) * count for kind in kinds}
        self._began = self._ended = now  # when this round was sent
        self._packets = 0  # of this round
        self._loss_before: float | None = None
        self._lively: set[int] = set()
        self._found_by = dict.fromkeys(kinds, 0)
        self._waiting: list[tuple[Kind, list[int]]] = []
        self._held: list[int] = []  # asked by the first kind, and not yet by the others
        self._denied = bytearray(count)  # the round in which a router said that nobody is there

    # -- what to ask ----------------------------------------------------------------------------

    def take(self, most: int, now: float) -> tuple[Kind, list[int]] | None:
        """Return what to ask now: a kind and at most so many items; None: wait, or done."""
        rounds = self.rounds
        while True:
            while self._waiting:
                kind, items = self._waiting.pop(0)
                items = [item for item in items if rounds.is_silent(item)]
                if len(items) > most:
                    self._waiting.insert(0, (kind, items[most:]))
                    items = items[:most]
                if items:
                    return kind, items
            packets = len(self.kinds) if self._small and rounds.attempt > 1 else 1
            items = rounds.take(max(most // packets, 1))
            if not items:
                return None
            rounds.sent(now)
            self._waiting = self._by_kind(items)

    def _by_kind(self, items: list[int]) -> list[tuple[Kind, list[int]]]:
        kinds, attempt = self.kinds, self.rounds.attempt
        if attempt == 1:
            if self._small:
                self._held += items
            return [(kinds[0], items)]
        if self._small:
            return [(kind, items) for kind in kinds]
        order = self._best()
        if attempt == 2:
            # The quiet ones have had one kind, and will hardly be asked in a third.
            ways = {False: (kinds[1],), True: (order[0], kinds[1])}
        elif attempt <= len(kinds):
            ways = {False: (order[0],), True: (order[0], kinds[attempt - 1])}
        else:
            useful = [kind for kind in order if self._found_by[kind] * _WORTH >= self._most]
            one = (useful or order)[attempt % max(len(useful), 1)]
            ways = {False: (one,), True: (one,)}
        if len(self._lively) * 256 * _LIVELY_SHARE > len(self.members):
            # Nearly everywhere is somebody: then a second packet would cost a whole round.
            ways[True] = ways[True][-1:] if attempt <= len(kinds) else ways[True]
        found: dict[Kind, list[int]] = {}
        for item in items:
            for kind in dict.fromkeys(ways[self._strata[item] in self._lively]):
                found.setdefault(kind, []).append(item)
        return list(found.items())

    def _best(self) -> list[Kind]:
        return sorted(self.kinds, key=lambda kind: -self._found_by[kind])

    @property
    def _most(self) -> int:
        return max(self._found_by.values())

    def put_back(self, kind: Kind, items: list[int]) -> None:
        """Take items back that could not be sent; they come next."""
        if items:
            self._waiting.insert(0, (kind, items))

    def sent(self, kind: Kind, items: Sequence[int], began: float, now: float) -> None:
        """Note that items were asked one after the other from `began` until now."""
        # What a packet takes differs too much for a few of them to be reckoned evenly.
        step = (now - began) / len(items) if len(items) >= _EVEN else 0.0
        asked = self._asked[kind]
        for at, item in enumerate(items):
            asked[item] = began + at * step
        if not self._packets:
            self._began = began
        self._packets += len(items)
        self._ended = now
        self.pace.sent(len(items), now)
        self.rounds.sent(now)

    # -- what came ------------------------------------------------------------------------------

    def answered(self, item: int, kind: Kind, attempt: int, arrived: float) -> float | None:
        """Note an answer; return the round-trip time in seconds, None where it cannot be told.

        Raises:
            LookupError: this host has answered before.
        """
        rounds = self.rounds
        attempt = min(attempt or rounds.attempt, rounds.attempt)
        if not rounds.answered(item, attempt, open=True):
            raise LookupError(item)
        self._lively.add(self._strata[item])
        self._found_by[kind] = self._found_by.get(kind, 0) + 1
        asked = self._asked[kind][item] if kind in self._asked else 0.0
        # Neighbours also answer the kernel, before this asks them or instead.
        if attempt != rounds.attempt or not asked or arrived < asked - _CLOCKS:
            return None
        rtt = max(arrived - asked, 1e-6)
        self.timing.sample(rtt)
        return rtt

    def denied(self, item: int, attempt: int) -> None:
        """Note that a router said, about a try, that there is no way to a host."""
        if not self._denied[item]:
            self._denied[item] = self.rounds.attempt
            self.rounds.doubted()
        elif attempt > self._denied[item]:  # it has asked for the link address anew
            self.rounds.given_up(item)

    # -- time -----------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether nothing more is asked."""
        return self.rounds.done

    def turn(self, now: float) -> None:
        """Begin the next round when this one has had its time, or end."""
        if self._waiting:
            return
        if self._held and not self.rounds.left:
            if now >= self._others_due:
                self._waiting = [(kind, self._held) for kind in self.kinds[1:]]
                self._held = []
            return
        if self.rounds.turn(now) and not self.done:
            self._slow_down(now)
            self._packets = 0

    @property
    def _others_due(self) -> float:
        """When the other kinds follow the first one."""
        return self._ended + min(self.timing.timeout, _FIRST_KIND) if self.rounds.pending else 0.0

    def _slow_down(self, now: float) -> None:
        """Go slower where something on the way seems to let only so many packets pass."""
        loss = self.rounds.loss
        if loss is None and self._loss_before is not None:
            loss = _MUCH_LOSS  # what one round at the new pace cannot tell; a step more is safe
        if loss is None or loss < _MUCH_LOSS or self.rounds.attempt < 3:
            return
        if self._loss_before is not None and loss > _HELPED * self._loss_before:
            return
        self._loss_before = loss
        rate = min(self.pace.rate, self._packets / max(self._ended - self._began, 0.01))
        self.pace = Pace(max(rate / _SLOWER, _SLOWEST), now=now, adapts=False)
        self.rounds.forget()

    @property
    def slowed(self) -> float | None:
        """The pace that a limiter on the way made necessary, in packets a second."""
        return None if self._loss_before is None else self.pace.rate

    def next_time(self, now: float, shared: Pace) -> float | None:
        """Return when there is something to do; None: never."""
        if self.done:
            return None
        if self._waiting:
            due = None
        elif self._held and not self.rounds.left:
            due = self._others_due
        else:
            due = self.rounds.next_timeout()
        if due is None:
            return max(self.pace.next_time(now), shared.next_time(now))
        return due


def _stratum(packed: bytes) -> int:
    """Return what the 256 addresses around one have in common, as far as 63 bits go."""
    return int.from_bytes(packed[-9:-1], "big") & (1 << 63) - 1
