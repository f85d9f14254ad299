"""Ask many things again and again, until silence means something.

A scan of a network that loses packets has one question: when is a silent port silent because it
is filtered, and not because its probe or its answer was lost? One try per port cannot tell, and a
fixed number of tries is too many on a good network and too few on a bad one. So:

1. Everything is asked once, in random order: a round. What has answered is never asked again; what
   has not is asked in the next round, once the last probe of this one has had its time.
2. Which try was answered tells how much is lost: if each try of a thing that does answer goes
   unanswered with the probability q, the answers of one round are q times those of the round
   before. `loss` is that ratio over all rounds, with half an answer added, so that "nothing was
   lost" is never certain after few answers.
3. Of A things that answered within k rounds, A * q**k / (1 - q**k) more are expected to be there
   that have not. Rounds end when of those that matter (open ports, hosts) fewer than `max_miss`
   are expected to be missed; and, where what remains is little, when hardly any state at all is
   expected to be wrong. There are at least two rounds, where anything is silent after the first.
4. A limiter that lets a burst pass and then nothing would make silence look like proof. So from
   the second round on a few things that have answered are asked again among the others
   (`wants_again`). Their loss counts into the estimate; and a round that lost clearly more of them
   than others did proves less.
5. A limit on one port (so many connections a second) is no matter of chance either: all tries of a
   moment meet it. So the last few silent things are asked once more after a rest, and again as long
   as that brings anything new. Where things answer each in a time of its own (hosts), all that were
   asked quickly are, and at the end they are waited for with `patience`: the time-out is that of
   those who have answered. Where a round takes longer than that anyway, the try before the last
   was waited for already.
   Where nothing at all has answered, some are asked again until two seconds have passed: for so
   long the kernel or a router may be asking for the link address, once a second (RFC 4861 section
   10; Linux does so for ARP, too), while it drops what is sent.
6. What was lost to a limiter on the way says nothing about random loss: `forget` starts the
   estimate anew when the pace has been brought below the limit.

Things may lie in strata, subnets for instance. Answers come in clusters: who has neighbours that
answer is asked first, and strata that stayed silent are asked no more when the rounds tell that
hardly anything is there. This is what finds the hosts of a /16 with few probes.

Nothing here waits, sends or looks at a clock. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from array import array
from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.engine.timing import Timing

__all__ = ["HIGHEST_ATTEMPT", "Rounds", "seen_loss"]

HIGHEST_ATTEMPT: Final = 24
"""Rounds that there are at most: with half of all tries unanswered, one in 16 million is missed."""

_ASSUMED_LOSS = 0.1  # of a network that has not answered at all: two tries of silence are enough
_MOST_LOSS = 0.95  # what is above cannot be told from a host that has gone
_WEIGHT = 8  # answers that the assumed loss weighs as much as
_FEW = 1024  # things that may be asked once more at next to no cost
_ASKED_AGAIN = 24  # things that have answered, in each round from the second on
_NAMED = 16  # things that somebody may have named one by one
_REST = 0.25  # seconds: a limiter of a few packets a second has let some pass by then
_RESOLUTION = 1.05  # seconds after which a link address is asked for again, three times in all
_LOOKS_AT_SILENCE = 2
_NONE_SEEN = 0.75  # answers lost, as `Rounds.loss` reckons where none was: half of one
_WRONG_STATES = 0.05  # expected number of wrong states to end with, where few things remain


class Rounds:
    """The things 0 to count - 1, asked in rounds; see above.

    `attempt` is the number of the round, from 1. When `done`, `complete` says whether fewer than
    `max_miss` open things are expected to be missed; it is False where `retries` or
    `HIGHEST_ATTEMPT` ended the rounds before.
    """

    __slots__ = (
        "_again",
        "_answers",
        "_at",
        "_base",
        "_began",
        "_echoed",
        "_ends",
        "_first",
        "_fresh",
        "_gaps",
        "_heard",
        "_items",
        "_last",
        "_looks",
        "_open_answers",
        "_out",
        "_patience",
        "_pending",
        "_random",
        "_rest",
        "_rests",
        "_retries",
        "_settled",
        "_silent",
        "_strata",
        "_strata_answers",
        "_surprises",
        "assumed_loss",
        "attempt",
        "complete",
        "count",
        "done",
        "max_miss",
        "rested",
        "timing",
    )

    def __init__(
        self,
        count: int,
        *,
        seed: int,
        retries: int | None,
        max_miss: float,
        timing: Timing,
        strata: Sequence[int] | None = None,
        rest: float = _REST,
        patience: float = 0.0,
    ) -> None:
        """Begin the first round; `strata` has the number of the stratum of each thing.

        `rest` is how long silent things are left alone before the last round, and `patience` how
        long they are waited for after it at least, both in seconds.
        """
        self.count = count
        self.timing = timing
        self.attempt = 1
        self.done = self.complete = count == 0
        self.assumed_loss = _ASSUMED_LOSS
        """The loss that is reckoned with while there are few answers to tell it from."""
        self.max_miss = max_miss
        self._retries = (
            HIGHEST_ATTEMPT - 1 if retries is None else min(retries, HIGHEST_ATTEMPT - 1)
        )
        self._random = Random(seed)  # noqa: S311  # it is to be repeatable, not secret
        self._silent = bytearray(b"\1") * count
        self._pending = count
        self._items = self._shuffled(range(count))
        self._at = 0
        self._gaps = False  # whether this round has things that are not to be asked
        self._first: float | None = None  # when the first of this round went out
        self._last: float | None = None
        self._began = 0.0  # when the first of all went out
        self._heard = 0.0
        self._out = False  # whether every thing of this round has been taken
        self._base = 0  # rounds that no longer count, see `forget`
        # How many answered try 1, 2, …; index 0 is of tries before `forget`.
        self._answers = [0] * (HIGHEST_ATTEMPT + 1)
        self._again = [0] * (HIGHEST_ATTEMPT + 1)
        self._echoed = [0] * (HIGHEST_ATTEMPT + 1)
        self._settled = 0  # rounds, since `forget`, that have had their time
        self._open_answers = 0
        self._strata = strata
        self._strata_answers: dict[int, int] = {}
        self._fresh = 0  # answers of this round
        self._rest = rest
        self._patience = patience
        self._looks = 0  # rounds that were put off since nothing at all had answered
        self._rests = False  # whether the next round is put off for a moment
        self._ends = False  # whether this round is the last, unless something new comes
        self.rested = False
        """Whether this round was put off: what is silent in it meets no limiter."""
        self._surprises = 0  # answers of this round from strata that were silent before it

    def take(self, most: int) -> list[int]:
        """Return at most so many things to ask now; none: the round is out, or all is done."""
        taken: list[int] = []
        while most > 0 and self._at < len(self._items):
            part = self._items[self._at : self._at + most].tolist()
            self._at += len(part)
            if self.attempt > 1 or self._gaps:
                silent = self._silent
                part = [item for item in part if silent[item]]
            taken += part
            most -= len(part)
        if self._at >= len(self._items):
            self._out = True
        return taken

    def heard(self, now: float) -> None:
        """Note that answers are coming in: a round does not end in the middle of them."""
        self._heard = now

    def put_back(self, items: list[int]) -> None:
        """Take things back that could not be sent; they come next."""
        self._items[self._at : self._at] = array("I", items)
        self._out = False

    def sent(self, now: float) -> None:
        """Note that what was taken went out now."""
        if self._first is None:
            self._first = now
            if self.attempt == 1:
                self._began = now
        self._last = now

    def answered(
        self,
        item: int,
        attempt: int,
        *,
        open: bool = False,  # noqa: A002
        counts: bool = True,
    ) -> bool:
        """Note the answer to a try; return whether it is the first of this thing.

        `open` marks what must not be missed: an open port, a host. The expected misses are theirs.
        An answer that does not count tells nothing about loss: ICMP errors, which hosts and routers
        send only so many of.
        """
        if not self._silent[item]:
            return False
        self._silent[item] = 0
        self._pending -= 1
        self._fresh += 1
        if counts:
            self._answers[max(0, attempt - self._base)] += 1
        if open:
            self._open_answers += 1
            if self._strata is not None:
                stratum = self._strata[item]
                before = self._strata_answers.get(stratum, 0)
                self._strata_answers[stratum] = before + 1
                self._surprises += not before
        return True

    def wants_again(self, count: int) -> int:
        """Return how many things that have answered are to be asked again beside `count` others."""
        asked = self._again[self._index]
        if self.attempt == 1 or self.rested or asked >= _ASKED_AGAIN:
            return 0
        return min(-(-count * _ASKED_AGAIN // max(len(self._items), 1)), _ASKED_AGAIN - asked)

    def asked_again(self, count: int) -> None:
        """Note that so many things that have answered are asked again in this round."""
        self._again[self._index] += count

    def echoed(self, attempt: int) -> None:
        """Note the answer to a try of something that was asked again."""
        index = max(attempt - self._base, 0)
        self._echoed[index] = min(self._echoed[index] + 1, self._again[index])

    @property
    def _index(self) -> int:
        return max(self.attempt - self._base, 0)

    def given_up(self, item: int) -> None:
        """Ask this thing no more; it counts neither as an answer nor as silent."""
        if self._silent[item]:
            self._silent[item] = 0
            self._pending -= 1
            self._gaps = True

    def doubted(self) -> None:
        """Note that a silent thing may answer yet: a rest that ends now was too short."""
        self._fresh += 1

    def is_silent(self, item: int) -> bool:
        """Whether a thing has not answered, and was not given up."""
        return bool(self._silent[item])

    @property
    def pending(self) -> int:
        """How many have not answered."""
        return self._pending

    @property
    def left(self) -> int:
        """How many of this round are still to be taken."""
        return len(self._items) - self._at

    def forget(self) -> None:
        """Start the estimate of loss anew: what was lost so far, a limiter took."""
        self._base = self.attempt
        self._answers = [sum(self._answers)] + [0] * HIGHEST_ATTEMPT
        self._again = [0] * (HIGHEST_ATTEMPT + 1)
        self._echoed = [0] * (HIGHEST_ATTEMPT + 1)
        self._settled = 0

    @property
    def not_asked(self) -> list[int]:
        """What has never been taken: some of the first round, while it lasts."""
        if self.attempt > 1:
            return []
        return [item for item in self._items[self._at :] if self._silent[item]]

    def stop(self) -> None:
        """End here and now: time is up."""
        self.complete = self.complete or not self._pending
        self.done = True

    def next_timeout(self) -> float | None:
        """Return when `turn` has something to do; None while things can be taken, or if done."""
        if self.done or not (self._out or not self._pending):
            return None
        if not self._pending:
            return 0.0
        return self._end_of_round

    @property
    def _end_of_round(self) -> float:
        timeout = self.timing.timeout
        wait = timeout
        if self._rests and not any(self._answers):
            wait = max(timeout, self._began + (self._looks + 1) * _RESOLUTION - (self._last or 0.0))
        elif self._rests:
            wait = max(timeout, self._rest)
        elif self._ends and (self.attempt == 1 or self._was_quick):
            wait = max(timeout, self._patience)
        return max((self._last or 0.0) + wait, self._heard + timeout / 2)

    def turn(self, now: float) -> bool:
        """Begin the next round if this one has had its time, or end; return whether it did."""
        if self.done:
            return False
        if not self._pending:
            self.done = self.complete = True
            return True
        if not self._out or now < self._end_of_round:
            return False
        self._settled = self._index
        self.complete = self.expected_misses < self.max_miss
        enough = self.complete and self._states_stand()
        if self.attempt > self._retries or (enough and not self._looks_again()):
            self._ends, self._rests = True, False
            self.done = now >= self._end_of_round
            return self.done
        self._ends = False
        if enough and not self._rests:
            self._rests = True
            if now < self._end_of_round:
                return False
        self._begin()
        self.rested = enough
        return True

    def _looks_again(self) -> bool:
        """Whether the few silent things are to be asked once more, after a rest."""
        if not any(self._answers):
            if self._patience:
                return self.count <= _NAMED and not self._looks
            return (self._first or 0.0) - self._began < _LOOKS_AT_SILENCE * _RESOLUTION
        few = self._pending <= _FEW and self._strata is None
        if self._patience:
            # Where a round takes long, what is asked in the next has had its rest.
            few = self._was_quick
        return few and any(self._answers) and (not self.rested or self._fresh > 0)

    @property
    def _was_quick(self) -> bool:
        """Whether this round was sent in less time than things are left alone for."""
        return (self._last or 0.0) - (self._first or 0.0) < self._rest

    @property
    def loss(self) -> float | None:
        """The estimated part of tries that go unanswered, 0 to 1; None where nothing tells it."""
        tries = self._tries
        answers = self._answers[1 : tries + 1]
        if not sum(self._answers) or not tries:
            return None
        # A round's loss is known when it has had its time, not before.
        settled = min(self._settled, tries)
        again = sum(self._again[1 : settled + 1])
        lost = again - sum(self._echoed[1 : settled + 1])
        if not again and len(answers) < 2:
            return 0.5 / (sum(answers) + 1) if self._pending else 0.0
        unanswered = sum(answers[1:]) + lost + 0.5
        return min(unanswered / (sum(answers[:-1]) + again + 1), _MOST_LOSS)

    @property
    def expected_misses(self) -> float:
        """How many open things are expected among those that have not answered."""
        if not self._pending or not self.count:
            return 0.0
        if not self._out and self.attempt == 1:
            # Not everything has been asked: as many of the rest are open as of what has answered.
            answered = sum(self._answers)
            return self._pending * (self._open_answers + 0.5) / (answered + 1)
        return min(self._hidden(max(self._open_answers, 0.5)), float(self._pending))

    @property
    def _tries(self) -> int:
        """Count the tries that every silent thing has had since `forget`."""
        whole = self.attempt - self._base
        return max(whole if self._out else whole - 1, 0)

    def _hidden(self, answered: float) -> float:
        tries = self._tries
        if not tries:  # since `forget`: those left are as many as of what has answered
            return self._pending * (answered + 0.5) / (sum(self._answers) + 1)
        loss = self.loss
        answers = sum(self._answers)
        # What is assumed weighs as much as so many answers.
        loss = max(loss or 0.0, self.assumed_loss * _WEIGHT / (_WEIGHT + answers))
        unanswered = 1.0
        for index in range(1, tries + 1):
            unanswered *= max(loss, self._surely_lost(index))
        if tries == 1:
            # One try of each: the loss is not known yet, only that most were answered or none.
            unanswered = max(unanswered, self.assumed_loss)
        return answered * unanswered / (1 - unanswered)

    def _surely_lost(self, index: int) -> float:
        """Return the loss of one round, if of what was asked again it was clearly more than usual.

        Usual is what the first answers tell: a host that has gone loses all that is asked again, in
        each round, and that is no chance.
        """
        again = self._again[index]
        if not again or index > self._settled:
            return 0.0
        answers = self._answers[1 : self._tries + 1]
        usual = min((sum(answers[1:]) + 0.5) / (sum(answers[:-1]) + 1), _MOST_LOSS)
        lost = again - self._echoed[index]
        if lost <= again * usual + 3 * (again * usual) ** 0.5 + 1:
            return 0.0
        return min(lost / again, _MOST_LOSS)

    def _states_stand(self) -> bool:
        """Whether another round could hardly change any state, or would cost much."""
        if self._pending > max(_FEW, self.count // 32):
            return True
        return self._hidden(max(sum(self._answers), 0.5)) < _WRONG_STATES

    def _begin(self) -> None:
        """Begin the next round."""
        silent = [item for item in range(self.count) if self._silent[item]]
        if self._strata is None:
            items = self._shuffled(silent)
            if self._rests and not any(self._answers):
                items = items[:_FEW]
                self._looks += 1
        else:
            items = self._by_stratum(silent, self._strata)
        self.attempt += 1
        self._items = items
        self._at = 0
        self._out = not items
        self._surprises = self._fresh = 0
        self._first = None
        self._rests = self._ends = False

    def _by_stratum(self, items: list[int], strata: Sequence[int]) -> array[int]:
        """Put those first whose neighbours answered; leave silent strata when that is safe."""
        lively = [item for item in items if strata[item] in self._strata_answers]
        quiet = [item for item in items if strata[item] not in self._strata_answers]
        if self.attempt > 1 and self._tries:
            # What one more try finds in them is q times what this one did.
            loss = self.loss
            found = (self._surprises + 0.5) * (self.assumed_loss if loss is None else loss)
            if self._strata_answers and found < max(1.0, 0.001 * self._open_answers):
                quiet = []
        return self._shuffled(lively) + self._shuffled(quiet)

    def _shuffled(self, items: Sequence[int]) -> array[int]:
        # A sort by random keys takes half the time of Random.shuffle. The result is kept as plain
        # numbers: there are as many orders as hosts that are scanned at once.
        keys = array("I", self._random.randbytes(4 * len(items)))
        if isinstance(items, range):
            return array("I", sorted(items, key=keys.__getitem__))
        return array("I", [items[at] for at in sorted(range(len(items)), key=keys.__getitem__)])


def seen_loss(loss: float | None, answers: int) -> float | None:
    """Return an estimate of loss for people: 0 where nothing shows any, as it never is by itself.

    From n answers to the first try, and none to a later one, `Rounds.loss` has 0.5 / n.
    """
    return 0.0 if loss is not None and loss * answers <= _NONE_SEEN else loss
