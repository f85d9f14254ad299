"""Runs a `Job`: opens or awaits its two ends, joins them, and tells of it as it goes.

    events = run(job)        # a generator: Event after Event, while octets go by
    status = yield from events

Three shapes of a job:

    both ends are opened                     one session
    one end listens, for one client          the same, once the client is there
    one end listens and goes on (-k)         a session for each client, with the other end opened
                                             anew for each; standard input and output are a hub

Everything runs in one thread and one `Loop`; the only threads are those that look up names. What
goes wrong with one client of many is one line, and never the end of the others.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from sockwright.errors import SockwrightError
from sockwright.nc.channels.descriptors import standard_channel
from sockwright.nc.ends import (
    DiscardEnd,
    EchoEnd,
    ExecEnd,
    FileEnd,
    PtyEnd,
    SocketEnd,
    StandardEnd,
)
from sockwright.nc.engine.dressing import addresses_of, dressed, variables_of
from sockwright.nc.engine.loop import Loop
from sockwright.nc.engine.outcome import DONE, Outcome, outcome_of
from sockwright.nc.engine.session import Session
from sockwright.nc.engine.telling import Telling
from sockwright.nc.opening.opening import begin_file, check_file, open_here
from sockwright.nc.opening.openings import Openings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sockwright.nc.channels.channel import Channel
    from sockwright.nc.channels.datagrams import PeerChannel
    from sockwright.nc.ends import End
    from sockwright.nc.engine.events import Event
    from sockwright.nc.engine.loop import Timer
    from sockwright.nc.engine.settings import Job, Side
    from sockwright.nc.programs.process_channel import ProcessChannel
    from sockwright.nc.serving.hub import Hub, Member
    from sockwright.nc.serving.listening import Listening

__all__ = ["run"]

_PEER_SILENCE = 60.0  # seconds after which a peer of datagrams is forgotten, unless -w says
_OF_A_PROGRAM = 5  # descriptors: the client, two pipes or a terminal, the process
_PROGRAMS_END = 1.5  # seconds that programs are waited for: SIGKILL comes after one


def run(job: Job) -> Generator[Event, None, int]:
    """Do the job; yields events and returns the exit status.

    Whatever way it ends, Ctrl-C and closing the generator included, all that it opened is closed.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        SockwrightError, OSError: an end cannot be listened on, or is not possible here.
    """
    with Loop() as loop:
        engine = _Engine(loop, job)
        told = engine.telling.events
        try:
            engine.begin()
            while engine.busy():
                while told:
                    yield told.popleft()
                loop.step()
            engine.telling.sum_up()
            yield from told
        finally:
            engine.close()
        return engine.status or 0


class _Engine:
    def __init__(self, loop: Loop, job: Job) -> None:
        self.status: int | None = None
        self._loop, self._job = loop, job
        self.telling = Telling(loop, 0 if job.verbose else 2 if job.quiet else 1)
        self._tell = self.telling.tell
        self._sessions: set[Session] = set()
        self._openings = Openings(loop, job.limits)
        self._listening: Listening | None = None
        self._hub: Hub | None = None
        self._programs: set[ProcessChannel] = set()  # those that have not ended yet
        self._last_wait: Timer | None = None
        self._keep = job.serving.keep
        self._begun: Side | None = None  # what clients come for, once the first has come

    # -- begin and end -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Open what can be opened, listen where that is asked for."""
        near, far = self._job.near, self._job.far
        try:
            check_file(near)
            check_file(far)
        except OSError as error:
            self._fail(outcome_of(error))
            return
        if self._keep and (near.listen or far.listen):
            listening, other = (near, far) if near.listen else (far, near)
            if isinstance(other.end, StandardEnd) or self._job.serving.hub:
                self._hub = self._make_hub()
            self._listen(listening, lambda channel, left: self._join(channel, other, left))
        else:
            # The end that waits for somebody first: the other is wanted only once they are there.
            first, second = (near, far) if near.listen else (far, near)
            self._open(
                first,
                lambda one: self._open(second, lambda two: self._pair(first, one, two), beside=one),
            )

    def busy(self) -> bool:
        """Whether there is something left to do; programs that end a little later are part."""
        if self.status is None:
            return True
        if not self._programs:
            return False
        if self._last_wait is None:
            self._last_wait = self._loop.later(_PROGRAMS_END, self._programs.clear)
        return True

    def close(self) -> None:
        """Close everything, in whatever state it is."""
        for session in list(self._sessions):
            session.finish(DONE)
        self._openings.close()
        if self._listening is not None:
            self._listening.close()
        for program in list(self._programs):  # all were told to end already
            program.finish()
        if self._hub is not None:
            self._hub.close()

    def _make_hub(self) -> Hub:
        from sockwright.nc.serving.hub import Hub

        hub = self._job.serving.hub
        hub_made = Hub(self._loop, None if hub else self._standard(), chat=hub == "chat")
        hub_made.on_output_failed = self._output_failed
        hub_made.on_input_failed = lambda error: self.telling.note(
            outcome_of(error, "read from standard input").text
        )
        return hub_made

    def _output_failed(self, error: OSError) -> None:
        if self.status is not None:
            return
        outcome = outcome_of(error, "write to standard output")
        if isinstance(error, BrokenPipeError):
            self.status = 141
            return
        self.telling.tell_last(outcome.text, outcome.status)
        self.status = outcome.status

    def _standard(self) -> Channel:
        job = self._job
        if job.replay is not None:
            from sockwright.nc.taps.replay_channel import ReplayChannel

            return ReplayChannel(job.replay, self._console(reads=False, writes=job.receives))
        return self._console(reads=job.sends and job.console.reads, writes=job.receives)

    def _console(self, *, reads: bool, writes: bool) -> Channel:
        job = self._job
        if os.isatty(0) or os.isatty(1):
            from sockwright.nc.terminal.console import open_console

            console = open_console(job.console, reads=reads, writes=writes)
            self.telling.above = console.announce
            return console
        return standard_channel(reads=reads, writes=writes)

    def _fail(self, outcome: Outcome) -> None:
        """End the run."""
        if outcome.text:
            self.telling.tell_last(outcome.text, outcome.status)
        self.status = outcome.status

    # -- one end -----------------------------------------------------------------------------------

    def _open(
        self,
        side: Side,
        then: Callable[[Channel], None],
        *,
        beside: Channel | None = None,
    ) -> None:
        """Open one end, or wait for its one client; `beside` is reset if that fails."""

        def failed(outcome: Outcome) -> None:
            if beside is not None:
                _reset(beside)
            self._fail(outcome)

        end = side.end
        if side.listen and isinstance(end, SocketEnd):
            self._listen(side, lambda channel, _left: then(channel))
        elif isinstance(end, SocketEnd):
            self._connect(side, then, failed, beside=beside)
        else:
            try:
                channel = self._open_local(side, beside)
            except (OSError, SockwrightError) as error:
                failed(outcome_of(error, _opening(end)))
                return
            far = side is self._job.far
            then(dressed(self._job, side, channel) if far else channel)

    def _open_local(self, side: Side, peer: Channel | None) -> Channel:
        if isinstance(side.end, StandardEnd):
            return self._standard()
        if isinstance(side.end, EchoEnd):
            from sockwright.nc.channels.echo import EchoChannel

            return EchoChannel()
        channel = open_here(side, variables_of(peer))
        if isinstance(side.end, ExecEnd | PtyEnd):
            self._tell_status_of(channel)
        return channel

    def _tell_status_of(self, program: Channel) -> None:
        """Tell how a program has ended: with -v, or if it failed by itself."""
        from sockwright.nc.programs.process import describe_status
        from sockwright.nc.programs.process_channel import ProcessChannel

        def ended(status: int) -> None:
            self._programs.discard(program)
            if status:
                self._tell("note", f"{program.name} {describe_status(status)}", int(status > 0))

        if isinstance(program, ProcessChannel):
            self._programs.add(program)
            program.on_exit = ended

    def _connect(
        self,
        side: Side,
        then: Callable[[Channel], None],
        failed: Callable[[Outcome], None],
        *,
        beside: Channel | None = None,
    ) -> None:
        def opened(channel: Channel) -> None:
            local, remote = addresses_of(channel)
            self._tell("connected", f"connected to {channel.name}", 0, local=local, remote=remote)
            self._tell_tls(side, channel)
            then(dressed(self._job, side, channel))

        self._openings.begin(side, opened, failed, client=beside)

    def _tell_tls(self, side: Side, channel: Channel) -> None:
        """Tell what TLS agreed on, and whose certificate was trusted without a reason."""
        connection = channel.innermost.tls
        if connection is None:
            return
        from sockwright.nc.tls.options import describe

        agreed, peer = describe(connection)
        if side.tls is not None and not side.tls.verify and not side.listen:
            self._tell("note", f"not verified: {peer}", 1)
        else:
            self._tell("note", peer, 0)
        self._tell("note", f"{channel.name}: {agreed}", 0)

    # -- listening ---------------------------------------------------------------------------------

    def _listen(self, side: Side, on_client: Callable[[Channel, Callable[[], None]], None]) -> None:
        from sockwright.nc.serving.listening import Listening

        def came(channel: Channel, left: Callable[[], None]) -> None:
            bound = listening.bound
            on_client(dressed(self._job, side, channel, accepted=True, bound=bound), left)

        def crowded(peer: PeerChannel) -> None:
            for session in list(self._sessions):
                if peer in {session.near.innermost, session.far.innermost}:
                    session.finish(DONE)

        listening = self._listening = Listening(
            self._loop,
            self._job,
            side,
            self.telling,
            came,
            each=self._descriptors_of_a_client(side),
            on_crowd=crowded,
            on_output_failed=self._output_failed,
        )
        listening.output = None if self._hub is None else self._hub.output
        listening.begin()

    def _descriptors_of_a_client(self, side: Side) -> int:
        other = self._job.far if side is self._job.near else self._job.near
        if self._hub is not None or isinstance(other.end, EchoEnd | DiscardEnd | StandardEnd):
            return 1
        return _OF_A_PROGRAM if isinstance(other.end, ExecEnd | PtyEnd) else 2

    # -- sessions ----------------------------------------------------------------------------------

    def _pair(self, first: Side, one: Channel, two: Channel) -> None:
        """Join the two ends of a job that has only these."""
        near, far = (one, two) if first is self._job.near else (two, one)

        def over(session: Session, outcome: Outcome) -> None:
            self._tell_end(session, outcome)
            self.status = outcome.status

        self._begin_session(near, far, over)

    def _join(self, client: Channel, other: Side, left: Callable[[], None]) -> None:
        """Join a client of a listener that goes on to what it came for."""
        member: Member | None = None

        def over(session: Session, outcome: Outcome) -> None:
            left()
            self._tell_end(session, outcome, of_many=True)

        def opened(channel: Channel) -> None:
            if other is self._job.near:
                session = self._begin_session(channel, client, over)
            else:
                session = self._begin_session(client, channel, over)
            if member is not None:
                member.progress = lambda: session.outward.moved
                stalled = member
                member.on_stalled = lambda: session.finish(
                    Outcome(
                        1,
                        f"{client.name} took too little for {stalled.held:.1g} s while others "
                        "waited for it: closed",
                    )
                )

        def failed(outcome: Outcome) -> None:
            _reset(client)
            left()
            self._tell("failed", outcome.text, 2, status=outcome.status)

        if self._hub is not None:
            member = self._hub.member()
            opened(member)
        elif isinstance(other.end, SocketEnd):
            self._connect(other, opened, failed, beside=client)
        else:
            try:
                if self._begun is None:  # a file is made or emptied once, then gone on with
                    self._begun = begin_file(other)
                channel = self._open_local(self._begun, client)
            except (OSError, SockwrightError) as error:
                failed(outcome_of(error, _opening(other.end)))
                return
            opened(channel)

    def _begin_session(
        self, near: Channel, far: Channel, over: Callable[[Session, Outcome], None]
    ) -> Session:
        job = self._job
        limits = job.limits
        client = near if job.near.listen else far
        if self._keep and client.endless and limits.idle is None:
            limits = replace(limits, idle=_PEER_SILENCE)
        session = Session(
            self._loop, near, far, limits, over,
            person=isinstance(job.near.end, StandardEnd) and not self._keep,
            shy=job.far.listen and isinstance(job.near.end, StandardEnd),
            patient=job.far.proxy is not None,
        )  # fmt: skip
        self._sessions.add(session)
        session.start()
        return session

    def _tell_end(self, session: Session, outcome: Outcome, *, of_many: bool = False) -> None:
        self._sessions.discard(session)
        # Peers of datagrams never say that they leave: their silence is no failure.
        endless = session.far.endless or session.near.endless
        quiet = of_many and endless and outcome.status == 3
        if outcome.text and not quiet:
            self._tell("failed", outcome.text, 2, status=outcome.status)
        if self.telling.lowest == 0:
            sent, received = session.outward.moved, session.inward.moved
            took = monotonic() - session.started
            self._tell(
                "ended",
                f"{session.far.name}: {sent} octets sent, {received} received in {took:.3g} s",
                0,
                remote=session.far.name,
                sent=sent,
                received=received,
                duration_ns=int(took * 1e9),
                status=outcome.status,
            )


def _reset(client: Channel) -> None:
    """Close a client's connection by RST: what it came for failed, which is no end as usual."""
    sock = client.innermost.socket
    if sock is not None and sock.type == socket.SOCK_STREAM:
        with suppress(OSError):  # it is gone already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
    client.close()


def _opening(end: End) -> str:
    """Give what an error is about; that of a file says so itself."""
    return "" if isinstance(end, FileEnd) else f"open {end}"
