"""How fast probes go out: as fast as was asked for, and as the network stands.

Two things look alike from here, packets without answers, and want opposite things. A line that
loses every tenth packet loses it at any speed: slowing down, as TCP does, wins nothing. A policer,
a full queue or a limit on RST lets so many packets a second pass: whatever is sent beyond that is
lost, and only slowing down helps. They are told apart by sending at more than one speed:

1. Probes are counted in epochs, pieces of time in which the rate is the same. Each is judged when
   its answers have had their time. Things are asked in random order, so every epoch is a sample of
   the same population: the part of it that is answered, the yield, is the same for each, whatever
   is filtered, closed or lost at random.
2. A yield near 1 needs nothing to compare it with: the rate grows. With a lower one the pace looks
   below, at a quarter of the rate. If the yield is the same there, loss is random (or ports are
   filtered): the rate grows from where it was.
3. If the yield is better below, there is a limiter. The pace goes down until the yield is near 1
   or gets no better; the limiter's rate is that at which the yield would be just so. From then on
   the pace stays a little below that, and feels upward by small steps.
4. Where most ports are silent, the yield of new questions tells little, and some things that have
   answered before are asked again among the new ones: theirs is the yield then.
5. Before packets are lost they wait: answers come late where a queue fills. A verdict that late
   answers overturn is taken back, later epochs are judged later, the rate does not grow while round
   trips do. No verdict sets the pace below that at which answers do come in.
6. Where nothing at all comes back of what answered before, it is no limiter, which lets some pass:
   an interface is down, a firewall shut, a host gone. The pace waits, with a few packets a second,
   and goes on from a quarter of the rate when it hears something; behind a limiter that it knew
   well from the rate that went well there. After ten seconds it is `silent`.

A rate that the user set is never exceeded: a token bucket that holds 20 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

__all__ = ["Pace"]

START_RATE: Final = 20_000.0
"""Packets a second to begin with, where no bound was set."""

_FASTEST = 4e6  # packets a second: no bound at all in practice
_SLOWEST = 20.0  # packets a second: no limiter makes a scan slower than this
_DEPTH = 0.02  # seconds of the bound's tokens that may pile up
_SHALLOW = 0.002  # the same where there is a limiter: many let no more than 5 packets pile up
_EPOCH = 0.01  # seconds, at least, or two round trips
_SAMPLE = 40  # probes that a verdict needs
_FEW = 20  # probes that are not all lost but by an outage, where it is slow enough for a limiter
_ENOUGH = 200  # probes that any verdict has to do with
_WHOLE = 0.9  # a yield that needs no lower rate beside it
_HALF = 0.5  # a yield below which things are asked again
_POOR = 0.3  # a yield below which no two can be told apart: only going down helps
_AGAIN = 16  # new questions for each that is asked again
_AGAIN_BELOW = 4  # the same while the pace looks below, which should not take long
_FELL = 0.85  # a yield below this part of the other has fallen, if chance cannot explain it
_FELL_HELD = 0.96  # the same, for many epochs together
_HELD = 200  # probes that they have at least
_BELOW = 0.95  # of the limiter's rate
_FEEL = 1.08  # how far upward a limited pace feels
_FEEL_EVERY = 1.0  # seconds
_SLACK = 0.02  # seconds that answers may be late
_MOST_SLACK = 1.0
_QUEUE = 0.02  # seconds by which a round trip may grow beyond twice the shortest
_REMEMBERED = 64  # judged epochs that late answers still count for
_DARK = 100.0  # packets a second while nothing comes back
_GONE = 10.0  # seconds of that
_OUTAGE = 1.0  # seconds from which on it was more than a limiter that lets next to nothing pass
_WINDOW = 0.1  # seconds, at least, over which arrivals are measured


@dataclass(slots=True)
class _Sample:
    """What was sent at one rate since the pace last changed, as far as it was judged."""

    rate: float
    began: float
    sent: int = 0
    answered: int = 0
    again: int = 0
    echoed: int = 0

    def counts(self) -> tuple[int, int]:
        """Return the probes and answers to judge by: of things asked again, if there are any.

        New questions, silent ports among them, cannot have the better yield but by chance.
        """
        new = (self.sent, self.answered)
        again = (self.again, self.echoed)
        return (
            again if self.again and self.echoed * self.sent >= self.answered * self.again else new
        )

    @property
    def got(self) -> float:
        """The yield."""
        sent, answered = self.counts()
        return min(answered / sent, 1.0) if sent else 0.0


@dataclass(slots=True)
class _Epoch:
    sample: _Sample
    began: float
    ended: float = 0.0
    sent: int = 0
    answered: int = 0
    again: int = 0
    echoed: int = 0
    under_way: int = 0  # loads that were handed over and have not gone out

    @property
    def waits(self) -> bool:
        return self.answered < self.sent or self.echoed < self.again


class Pace:
    """The pace of one way: towards a host, or of a whole sweep.

    `limited` is ``policer`` when a limiter was found. In packets a second, `limit` is the rate at
    which the pace expects it, `passed` the most that went through it, as measured. `slowed` is set
    when a limiter was found, or an outage is over, for whoever counts losses: those so far say
    nothing. `outages` counts the times that nothing came back for a second or more; `silent` says
    that nothing does any more.
    """

    __slots__ = (
        "_above",
        "_again",
        "_arrivals",
        "_arrived",
        "_bound",
        "_cap",
        "_clean",
        "_clock",
        "_dark_epoch",
        "_dark_since",
        "_epochs",
        "_felt",
        "_first",
        "_late",
        "_least",
        "_lights",
        "_lit",
        "_mark",
        "_may_ask_again",
        "_now",
        "_past",
        "_queued",
        "_sample",
        "_slack",
        "_steady",
        "_step",
        "_tokens",
        "_top",
        "_unheard",
        "_verdict",
        "adapts",
        "limit",
        "limited",
        "outages",
        "passed",
        "rate",
        "silent",
        "slowed",
    )

    def __init__(
        self, rate: float | None, *, now: float, adapts: bool = True, asks_again: bool = False
    ) -> None:
        """Begin; `rate` bounds the packets a second, None leaves that to the answers.

        Without `adapts` the bound is all there is: for a pace that several ways share. With
        `asks_again` its user does what `wants_again` says.
        """
        self._bound = _FASTEST if rate is None else rate
        self._cap = _FASTEST
        self.adapts = adapts
        self.rate = min(self._bound, START_RATE) if adapts else self._bound
        self.limited = ""
        self.limit: float | None = None
        self.passed = 0.0
        self.slowed = False
        self.outages = 0
        self.silent = False
        self._dark_since: float | None = None
        self._dark_epoch = 0  # the first that was sent in the dark
        self._lights = False  # whether one of those was answered
        self._lit = self.rate  # the rate before
        self._unheard = 0  # things asked again since the last answer to anything
        self._steady: tuple[float, float] | None = None  # rate and limit, when it went well
        self._tokens = min(1.0, self.rate)
        self._clock = now
        self._sample = _Sample(self.rate, now)
        self._now = _Epoch(self._sample, now)
        self._first = 0  # the number of the first epoch in the list
        self._epochs: list[_Epoch] = []
        self._past: dict[int, _Sample] = {}  # of epochs that were judged, for late answers
        self._clean: _Sample | None = None  # sent slowly enough for its yield to be the best
        self._above: _Sample | None = None  # what is compared with a slower one now
        self._top = self.rate  # where growing goes on after a look below
        self._verdict: tuple[_Sample, _Sample] | None = None
        self._may_ask_again = asks_again
        self._again = False
        self._felt = now
        self._step = _FEEL
        self._slack = _SLACK
        self._late = self._arrived = 0
        self._mark = (now, 0)
        self._arrivals = 0.0  # a second
        self._least = 3600.0  # the shortest round trip seen, in seconds
        self._queued = False  # whether packets wait on the way: growing would only fill the queue

    # -- sending --------------------------------------------------------------------------------

    @property
    def most(self) -> float:
        """How many packets a second are the bound."""
        return self._bound

    def bound(self, rate: float, now: float) -> None:
        """Set another bound; a pace that the old one held back goes on at the new one."""
        held = self._dark_since is None and self.rate >= min(self._bound, self._cap)
        self._bound = rate
        if held or self.rate > rate:
            self._change(rate, now)

    def cap(self, rate: float, now: float) -> None:
        """Never be above `rate` from now on, whatever the bound."""
        self._cap = rate
        self._change(min(self.rate, rate), now)

    @property
    def epoch(self) -> int:
        """The number of the epoch that probes sent now belong to."""
        return self._first + len(self._epochs)

    def allowance(self, now: float) -> int:
        """Return how many packets may go now."""
        passed = now - self._clock
        if passed > 0:
            self._clock = now
            depth = max(self.rate * (_DEPTH if self.limit is None else _SHALLOW), 1.0)
            self._tokens = min(self._tokens + passed * self.rate, depth)
        return int(self._tokens)

    def next_time(self, now: float) -> float:
        """Return when the next packet may go."""
        if self._tokens >= 1:
            return now
        # A millisecond's worth at once: waking up for each packet costs more than sending it.
        wanted = max(min(self.rate * 0.001, self.rate * _DEPTH), 1.0)
        return self._clock + max(wanted - self._tokens, 0.0) / self.rate

    def wants_again(self, count: int) -> int:
        """Return how many things that have answered are to be asked again beside `count` new."""
        among = _AGAIN if self._above is None else _AGAIN_BELOW
        if not self._again or self._now.again * among > self._now.sent:
            return 0
        return min(-(-count // among), _AGAIN)

    def sent(self, count: int, now: float, *, again: int = 0, under_way: bool = False) -> None:
        """Note that packets went out, `again` more of them to things that have answered.

        If they are `under_way` only, `gone` will say when.
        """
        self._tokens -= count + again
        if self.adapts:
            self._now.sent += count
            self._now.again += again
            self._now.ended = now
            self._now.under_way += under_way

    def gone(self, epoch: int, now: float) -> None:
        """Note that packets of an epoch, which were under way, have gone out."""
        at = epoch - self._first
        if 0 <= at <= len(self._epochs):
            one = self._now if at == len(self._epochs) else self._epochs[at]
            one.ended = now
            one.under_way -= 1

    # -- answers --------------------------------------------------------------------------------

    def answered(self, epoch: int, count: int = 1) -> None:
        """Note answers to new questions of an epoch."""
        self._arrived += count
        self._light(epoch)
        self._unheard = 0
        at = epoch - self._first
        if at == len(self._epochs):
            self._now.answered += count
        elif 0 <= at < len(self._epochs):
            self._epochs[at].answered += count
        elif (past := self._past.get(epoch)) is not None:
            past.answered += count
            self._late += count

    def echoed(self, epoch: int) -> None:
        """Note the answer of something that was asked again."""
        self._arrived += 1
        self._light(epoch)
        self._unheard = 0
        at = epoch - self._first
        if at == len(self._epochs):
            self._now.echoed += 1
        elif 0 <= at < len(self._epochs):
            self._epochs[at].echoed += 1
        elif (past := self._past.get(epoch)) is not None:
            past.echoed += 1
            self._late += 1

    def judge(self, now: float, timeout: float, round_trip: float) -> None:
        """Close the epoch that is long enough, and look at those whose answers have had time.

        `timeout` is how long an answer may take, `round_trip` how long it usually does (0: nobody
        has answered yet), in seconds.
        """
        if not self.adapts:
            return
        if round_trip:
            self._least = min(self._least, round_trip)
            self._queued = round_trip > 2 * self._least + _QUEUE
        self._look_back(now, round_trip)
        self._watch(now)
        current = self._now
        if current.sent >= _SAMPLE and now - current.began >= max(_EPOCH, 2 * round_trip):
            self._epochs.append(current)
            self._now = _Epoch(self._sample, now)
        while self._epochs:
            oldest = self._epochs[0]
            if oldest.under_way or (oldest.waits and now < oldest.ended + timeout + self._slack):
                break
            del self._epochs[0]
            sample = oldest.sample
            self._past[self._first] = sample
            self._past.pop(self._first - _REMEMBERED, None)
            self._first += 1
            sample.sent += oldest.sent
            sample.answered += oldest.answered
            sample.again += oldest.again
            sample.echoed += oldest.echoed
            if not (oldest.answered or oldest.echoed):
                self._unheard += oldest.again
            if self._dark_since is None and self._unheard >= (_FEW if self.limit else _SAMPLE):
                self._darken(now)
            elif sample is self._sample:
                self._learn(sample, now)

    def _look_back(self, now: float, round_trip: float) -> None:
        """Measure how many answers come in, and see whether late ones overturn a verdict."""
        then, before = self._mark
        if now - then >= max(_WINDOW, 2 * round_trip):
            self._arrivals = (self._arrived - before) / (now - then)
            if self._late * 20 > self._arrived - before:
                self._slack = min(self._slack * 2, _MOST_SLACK)
            self._late = 0
            self._mark = (now, self._arrived)
        if self._verdict is not None and not _fell(*self._verdict, _FELL):
            slow, fast = self._verdict
            self._verdict = self._above = self.limit = None
            self.limited = ""
            self._clean = fast
            self._change(max(self.rate, min(fast.rate, max(self._arrivals, slow.rate))), now)

    # -- verdicts -------------------------------------------------------------------------------

    def _learn(self, sample: _Sample, now: float) -> None:
        """Judge what was sent at this rate, if it is enough."""
        if self._dark_since is not None:
            return
        if self._again:
            if sample.again < _SAMPLE:
                return
        elif sample.sent < _SAMPLE:
            return
        elif self._may_ask_again and sample.answered < _HALF * sample.sent:
            # From here on by what is known to answer; nothing before can be compared with that.
            self._again = True
            self._clean = self._above = None
            self._start_again(now)
            return
        if self.limit is not None:
            self._hold(sample, now)
        elif self._above is not None:
            self._compare(sample, self._above, now)
        elif sample.got >= _WHOLE or (
            self._clean is not None and not _fell(self._clean, sample, _FELL)
        ):
            if sample.got >= _WHOLE:
                self._clean = sample
            self._grow(now)
            if sample is self._sample and sample.counts()[0] >= _ENOUGH:
                self._start_again(now)  # as fast as can be: what happens now counts, not long ago
        elif self._clean is not None:
            self._limit(self._clean, sample, now)
        elif sample.got < _HALF or sample.counts()[0] >= 3 * _SAMPLE:
            self._top = self.rate
            self._look_below(sample, now)

    def _darken(self, now: float) -> None:
        """Go slowly: nothing comes back."""
        self._dark_since, self._lit, self._lights = now, self.rate, False
        self._unheard = 0
        # What looked like a limiter, or like a narrower one, was the beginning of this.
        if self._steady is not None:
            self._lit, self.limit = self._steady
        elif self._verdict is not None:
            self._lit = self._verdict[1].rate
            self._verdict = self.limit = None
            self.limited = ""
        self._change(min(self.rate, _DARK), now)
        self._start_again(now)
        self._dark_epoch = self.epoch

    def _light(self, epoch: int) -> None:
        """Note that something has come back; `_watch` goes on from there."""
        if self._dark_since is not None and epoch >= self._dark_epoch:
            self._lights = True

    def _watch(self, now: float) -> None:
        """End an outage, one way or the other."""
        since = self._dark_since
        if since is None or self.silent:
            return
        if self._lights:
            self._dark_since = self._above = None
            self.outages += now - since >= _OUTAGE
            self.slowed = True
            again = self._lit
            if self.limit is None:
                self._clean = None
                again = max(self._lit / 4, min(self._lit, _DARK))
            self._change(again, now)
            self._start_again(now)
        elif now - since > _GONE:
            self.silent = True

    def _look_below(self, sample: _Sample, now: float) -> None:
        self._above = sample
        self._change(max(self.rate / 4, _SLOWEST), now)

    def _compare(self, slow: _Sample, fast: _Sample, now: float) -> None:
        """Compare with a faster sample, and go further down while that helps."""
        lowest = self.rate <= _SLOWEST
        better = _limited(slow, fast)
        if better is None:
            return  # a few more will tell
        if not lowest and (slow.got < _POOR or (better and slow.got < _WHOLE)):
            self._look_below(slow, now)
            return
        self._above = None
        self._clean = slow
        if better:
            self._limit(slow, fast, now)
        else:
            self._change(max(self._top, self.rate), now)

    def _hold(self, held: _Sample, now: float) -> None:
        """Stay below the limiter."""
        clean = self._clean
        sent, answered = held.counts()
        if clean is None or sent < _HELD:
            return
        if now > held.began:
            through = (held.answered + held.echoed) / (now - held.began)
            self.passed = max(self.passed, through)
        if _fell(clean, held, _FELL_HELD):
            self._limit(clean, held, now)
            return
        self._steady = (self.rate, self.limit or self.rate)
        if sent >= 2 * _HELD and now - self._felt > _FEEL_EVERY:
            # The longer it goes well the larger the steps: perhaps the limiter is gone.
            if answered >= clean.got * sent:
                self._clean = held
            self._felt = now
            self._change(self.rate * self._step, now)
            self._step = min(1 + (self._step - 1) * 1.5, 2.0)
        elif sent >= 4 * _HELD:
            self._start_again(now)

    def _limit(self, slow: _Sample, fast: _Sample, now: float) -> None:
        """Go below the limiter that lets the slow sample pass, and the fast one in part."""
        if self.limit is None:
            self._verdict = (slow, fast)
            self._steady = None
        passed = fast.rate * fast.got / max(slow.got, 0.001)
        self.slowed = self.limit is None
        self.limit = passed
        self.limited = "policer"
        self._felt = now
        self._step = _FEEL
        arrivals = 0.0 if self._again else self._arrivals * _WHOLE
        at_least = max(arrivals, fast.rate / 8, _SLOWEST)
        self._change(max(min(passed * _BELOW, fast.rate / 1.05), at_least), now)

    def _grow(self, now: float) -> None:
        if not self._queued:
            self._change(self.rate * 4, now)

    def _change(self, rate: float, now: float) -> None:
        rate = min(rate, self._bound, self._cap)
        if rate != self.rate:
            self.rate = rate
            self._tokens = min(self._tokens, rate * _DEPTH)
            self._start_again(now)

    def _start_again(self, now: float) -> None:
        """Begin a new sample: what is under way belongs to the one before."""
        if self._now.sent:
            self._epochs.append(self._now)
        self._sample = _Sample(self.rate, now)
        self._now = _Epoch(self._sample, now)


def _fell(slow: _Sample, fast: _Sample, part: float) -> bool:
    """Whether the yield of the fast sample is below that part of the slow one's, chance aside."""
    low, high = slow.got, fast.got
    few, many = max(slow.counts()[0], 1), max(fast.counts()[0], 1)
    chance = 3 * sqrt(low * (1 - low) / few + high * (1 - high) / many)
    return high < low * part and low - high > chance + 1 / few


def _limited(slow: _Sample, fast: _Sample) -> bool | None:
    """Whether the two yields speak for a limiter, or for loss that is the same at any rate.

    A limiter would give the slow sample as many answers a second, so a yield that is larger by the
    ratio of the rates. None: too few were sent to tell one from the other.
    """
    low, high = slow.got, fast.got
    expected = min(high * fast.rate / slow.rate, 1.0)
    few, many = max(slow.counts()[0], 1), max(fast.counts()[0], 1)
    middle = (high + expected) / 2
    chance = sqrt(middle * (1 - middle) / few + high * (1 - high) / many)
    if expected - high < 4 * chance and few < _ENOUGH:
        return None
    return low > middle
