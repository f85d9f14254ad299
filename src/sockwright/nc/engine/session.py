"""Two channels joined, and the rules by which their conversation ends.

`near` is this side: standard input and output, a program, the first end of a relay; `far` is the
peer. Each direction ends for itself, as RFC 9293 section 3.6 has it:

- The near end has ended: the peer is told (FIN), and what it still says is waited for, until it
  ends too. `quit_after` limits that. Datagrams have no end: after a second without one it is over.
- Through a proxy FIN is held back until the peer has been silent for three seconds, or has ended:
  of five proxies that were tried four drop what the peer has yet to say when they see it.
- A listener whose input was empty from the start (</dev/null) has nothing to end: its FIN follows
  the peer's. Several clients (ncat among them) would leave at ours, whatever they had yet to send.
- The peer has ended: what it sent is delivered, and the near end is told. A conversation with a
  person ends there; so does one with an input that stays silent for a second, since a peer that
  is gone altogether looks the same as one that only listens. But a listener that has said
  nothing yet owes an answer: it waits for its input for five seconds, or for `quit_after`, if the
  peer is still there (`nc.channels.presence`). Not for ever: many a listener has an input that is
  open and means nothing. Any other conversation goes on until both have ended.
  Octets that the peer has not taken yet are waited for, however long it takes them.
- A program has ended: what the other end still sends is dropped, so that the program's last words
  arrive. An end that stays silent for a second is left, though it has not ended, and one that does
  not stop after two.
- Both have ended, but the peer's kernel has not acknowledged all: that is waited for, a second at
  most, since it may answer with RST, and then octets were lost.
- Sending fails: what the peer said before is still received and delivered, and then it is told how
  many octets were lost.
"""

from __future__ import annotations

import math
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from sockwright.errors import SockwrightError
from sockwright.nc.engine.flow import Flow
from sockwright.nc.engine.outcome import DONE, Outcome, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.channels.channel import Channel
    from sockwright.nc.engine.loop import Loop, Timer
    from sockwright.nc.engine.settings import Limits

__all__ = ["Session"]

_SILENCE = 1.0  # seconds; see the rules above
_DATAGRAM_SILENCE = 1.0
_PROXY_SILENCE = 3.0
_ANSWER = 5.0
_ON_THE_WAY, _LOOKS = 1.0, 50  # how long, in seconds, and how often to look at the last octets
_OUTPUT_CLOSED = 141  # as a program that SIGPIPE ended


class Session:
    """Moves octets both ways between `near` and `far`, until `on_end(session, outcome)`.

    `person` is whether the near end is standard input and output; `shy` whether an empty input says
    nothing of its end, `patient` whether FIN is held back for a proxy; see the rules
    above. The two channels are closed at the end, `near` too.
    """

    __slots__ = (
        "_failure",
        "_limits",
        "_looks",
        "_loop",
        "_on_end",
        "_patience",
        "_timers",
        "ended",
        "far",
        "inward",
        "near",
        "outward",
        "patient",
        "person",
        "shy",
        "started",
    )

    def __init__(
        self,
        loop: Loop,
        near: Channel,
        far: Channel,
        limits: Limits,
        on_end: Callable[[Session, Outcome], None],
        *,
        person: bool = False,
        shy: bool = False,
        patient: bool = False,
    ) -> None:
        self.near, self.far = near, far
        self.person, self.shy, self.patient = person, shy, patient
        self.outward = Flow(loop, near, far, self)
        self.inward = Flow(loop, far, near, self)
        self.ended = False
        self.started = monotonic()
        self._loop, self._limits, self._on_end = loop, limits, on_end
        self._looks = _LOOKS
        quit_after = _ANSWER if limits.quit_after is None else limits.quit_after
        # Seconds after the first one; what is below 0 never gets to 0.
        self._patience = -1 if quit_after < 0 else max(0, math.ceil(quit_after - _SILENCE))
        self._failure: Outcome | None = None
        self._timers: list[Timer] = []

    def start(self) -> None:
        """Begin: what is there already is moved at once."""
        if self._limits.idle is not None:
            # Of all the time, by each of many: a look now and then will do.
            self._watch_for_silence(self._limits.idle, self._idle, looks=2)
        try:
            self.near.attach(self._loop, self.outward.pump, self._near_writable)
            # Many clients have said all when they are accepted: those need not be watched at all.
            self.inward.pump()
            if not self.ended:
                self.far.attach(self._loop, self.inward.pump, self._far_writable)
                self.outward.pump()
        except OSError as error:  # epoll_ctl(2): ENOMEM, ENOSPC
            self.finish(outcome_of(error, f"watch {self.far.name}"))

    def finish(self, outcome: Outcome) -> None:
        """End it now, whatever is under way; a second call does nothing."""
        if self.ended:
            return
        self.ended = True
        for timer in self._timers:
            timer.cancel()
        for flow in (self.outward, self.inward):
            flow.stop()
        self.far.close()
        self.near.close()
        self._on_end(self, self._failure or outcome)

    # -- what the flows tell -----------------------------------------------------------------------

    def flow_ended(self, flow: Flow) -> None:
        """Hear that one direction has ended; see the rules above."""
        if flow is self.inward:
            self._peer_ended()
        else:
            self._input_ended()

    def _input_ended(self) -> None:
        if self.inward.done:
            self._both_ended()
            return
        held_back = self.shy and self.outward.moved == 0
        if self._limits.half_close and not held_back:
            if self.patient:
                self._watch_for_silence(_PROXY_SILENCE, lambda: self._tell_end(self.far))
            elif not self._tell_end(self.far):
                return
        quit_after = self._limits.quit_after
        if self.far.endless:
            wait = _DATAGRAM_SILENCE if quit_after is None else quit_after
            if wait >= 0:
                self._watch_for_silence(wait, lambda: self.finish(DONE))
        elif quit_after is not None and quit_after >= 0:
            self._timers.append(self._loop.later(quit_after, self._gave_up))
        elif self.near.gone is not None:
            self._watch_for_silence(_SILENCE, self._leave_if_gone)
        if self.near.unread is not None:
            self._limit_dropping(self.near, self.inward, looks=2)

    def _leave_if_gone(self) -> None:
        """Take leave of a peer that has not ended, if nobody would take what it says."""
        if self.near.gone:
            self.inward.stop()
            self._both_ended()
        else:
            self._watch_for_silence(_SILENCE, self._leave_if_gone)

    def _limit_dropping(self, program: Channel, flow: Flow, *, looks: int) -> None:
        """Stop `flow` after so many seconds in which the program that it leads to is gone."""

        def look() -> None:
            nonlocal looks
            looks -= bool(program.gone)
            if looks > 0:
                self._timers.append(self._loop.later(_SILENCE, look))
                return
            if program.unread and program is self.far:
                left = _octets(program.unread)
                text = f"{program.name} has ended, and did not take all: {left} not read"
                self._failure = self._failure or Outcome(1, text)
            flow.stop()
            self._both_ended()

        self._timers.append(self._loop.later(_SILENCE, look))

    def _peer_ended(self) -> None:
        if self.outward.done:
            self._both_ended()
            return
        if not self._tell_end(self.near):
            return
        if self.far.unread is not None:
            self._limit_dropping(self.far, self.outward, looks=1)
        if self.near.endless:
            self._watch_for_silence(_DATAGRAM_SILENCE, lambda: self.finish(DONE))
        elif self.person:
            enough = self._limits.messages is not None
            at_once = self.near.terminal or not self.near.gives or enough
            if at_once and not self.outward.blocked:
                self._leave()
            else:
                self._watch_for_silence(_SILENCE, self._leave_unless_awaited, blocked=self.outward)

    def _leave_unless_awaited(self) -> None:
        owes = self.shy and not self.outward.moved and self.near.gives and not self.near.terminal
        if owes and self._patience and self.far.still_there():
            self._patience -= 1
            self._watch_for_silence(_SILENCE, self._leave_unless_awaited, looks=4)
        else:
            self._leave()

    def _leave(self) -> None:
        """Take leave of a peer that has ended, though the near end has not."""
        self.outward.stop()
        self._both_ended()

    def _both_ended(self) -> None:
        for channel in (self.near, self.far):
            if not channel.closing_tells and not self._tell_end(channel):
                return
        self._settle()

    def _tell_end(self, channel: Channel) -> bool:
        """Tell one end that nothing more will come; False: the session is over for that."""
        try:
            channel.send_eof()
        except (OSError, SockwrightError) as error:
            self.flow_failed(self.outward if channel is self.far else self.inward, channel, error)
            return False
        return not self.ended

    def _far_writable(self) -> None:
        if self.outward.done:
            self._settle()
        else:
            self.outward.pump()

    def _near_writable(self) -> None:
        if self.inward.done:
            self._settle()
        else:
            self.inward.pump()

    def _settle(self) -> None:
        """Finish, if both directions are over and the kernel has all of it."""
        over = self.outward.done and self.inward.done and not self.ended
        if over and not self.far.unsent and not self.near.unsent and self._arrived():
            doubt = self.far.doubt or self.near.doubt
            self.finish(Outcome(1, doubt) if doubt else DONE)

    def _arrived(self) -> bool:
        """Tell whether the peer has all that was sent, for which a person is let wait a little."""
        if not self.person or not self.outward.moved or self._failure is not None:
            return True
        verdict = self.far.verdict()
        if isinstance(verdict, OSError):
            doing = f"send the last octets to {self.far.name}"
            self._failure = outcome_of(verdict, doing)
        elif not verdict and self._looks:
            self._looks -= 1
            self._timers.append(self._loop.later(_ON_THE_WAY / _LOOKS, self._settle))
            return False
        return True

    def flow_failed(self, flow: Flow, channel: Channel, error: Exception) -> None:
        """Hear that a direction failed: the other may still have something to deliver."""
        # A connection that broke while it was read takes with it what was not written yet.
        lost = (self.outward if channel is self.far else self.inward).waiting
        flow.stop()
        if self.ended:
            return
        if channel is self.near and self.person and isinstance(error, BrokenPipeError):
            self.finish(Outcome(_OUTPUT_CLOSED))
            return
        doing = ("write to " if channel is flow.sink else "read from ") + channel.name
        failure = outcome_of(error, doing)
        if lost:
            failure = replace(failure, text=f"{failure.text}; {_octets(lost)} not delivered")
        self._failure = self._failure or failure
        if flow is self.outward and channel is self.far and not self.inward.done:
            # A person's screen may take its time. Any other near end may have stopped taking octets
            # because nobody takes its own any more.
            blocked = self.inward if self.person else None
            self._watch_for_silence(_SILENCE, self._deliver_no_more, blocked=blocked)
            self.inward.pump()
        else:
            self.finish(failure)

    def _deliver_no_more(self) -> None:
        failure = self._failure or DONE
        if self.inward.waiting:
            left = _octets(self.inward.waiting)
            text = f"{failure.text}; of what came from there {left} not delivered"
            self._failure = failure = replace(failure, text=text)
        self.finish(failure)

    # -- time --------------------------------------------------------------------------------------

    def _watch_for_silence(
        self,
        seconds: float,
        then: Callable[[], object],
        *,
        looks: int = 8,
        blocked: Flow | None = None,
    ) -> None:
        """Call `then` when nothing was moved either way for so long, or up to 1/`looks` longer.

        It is no silence while octets of the flow `blocked` wait to be taken.
        """
        moved = self.outward.moved + self.inward.moved
        quiet = 0

        def look() -> None:
            nonlocal moved, quiet
            now = self.outward.moved + self.inward.moved
            silent = now == moved and not (blocked is not None and blocked.blocked)
            quiet = quiet + 1 if silent else 0
            moved = now
            if quiet == looks:
                then()
            else:
                self._timers.append(self._loop.later(seconds / looks, look))
                self._timers = [timer for timer in self._timers if timer.call is not None]

        self._timers.append(self._loop.later(seconds / looks, look))

    def _idle(self) -> None:
        self.finish(
            Outcome(3, f"{self.far.name}: nothing came or went for {self._limits.idle:g} s")
        )

    def _gave_up(self) -> None:
        self.finish(
            Outcome(
                3,
                f"{self.far.name}: the peer had not ended {self._limits.quit_after:g} s after the "
                "end of the input (-q)",
            )
        )


def _octets(number: int) -> str:
    return "1 octet was" if number == 1 else f"{number} octets were"
