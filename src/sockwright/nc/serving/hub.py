"""One end for many sessions: standard input and output of a listener, or the clients themselves.

    shared     what is read from standard input goes to every client, what any client sends is
               written to standard output
    broker     what one client sends goes to all others
    chat       the same, line by line, each after the name of its sender

Each session has a `Member` for its near end. Rules:

- nothing is lost on the way: sources pause while any member is full, with 256 KiB or 1024 pieces
  waiting for it. A piece is kept once, however many wait for it;
- one that is full while others wait, and takes too little, is let go once it has held them up for
  two seconds, or five where only standard input waits. Too little is less than a rate: a client
  that takes one octet now and then is no better than one that is stopped. New clients, of which
  there may be one after the other, hold up the others for no more than a tenth of the time in all;
- what is said in a chat is cleaned of what could act on the terminals of the others;
- standard input waits for the first client, and for another one once all have ended;
- nobody else is called while octets are given or taken, but `soon` after: whoever gives them is in
  the middle of moving octets, and those may be in the buffer of the loop.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from sockwright.nc.channels.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.engine.loop import Loop
    from sockwright.nc.terminal.cleaning import Cleaner

__all__ = ["Hub", "Member"]

_HIGH = 256 << 10  # octets waiting for one member, from which on the sources pause
_MANY = 1024  # pieces, likewise
_STALLED = 2.0  # seconds that a member may hold up the others
_STALLED_INPUT = 5.0  # the same, where only standard input waits
_LOOKS = 20  # in that time
_TOO_LITTLE = 1 << 20  # octets a second; who takes fewer holds up the others
_TOO_LITTLE_INPUT = 4096
_PROVEN = 16 << 20  # octets, more than the kernel takes for a client that takes none
_SHARE = 0.1  # of the time, for which members that have not taken so many may hold up the others
_LINE = 4096  # octets of a line of chat at most; a longer one comes in pieces


class Member(Channel):
    """The near end of one client's session.

    `progress` counts what its client has taken so far, and `on_stalled` is called when that has
    become too little for others to wait for; whoever makes the session sets both. `held` is for how
    many seconds it has held up the others, less what it has made up for.
    """

    def __init__(self, hub: Hub, number: int) -> None:
        super().__init__("standard input and output" if hub.output else "the other clients")
        self.number = number
        self.waiting = 0
        self.queue: deque[bytes] = deque()
        self.taken = 0
        self.ended = False
        self.due = False  # whether its session will be told of what it may read
        self.held = 0.0
        self.seen: int | None = None  # its progress when that was looked at
        self.line = b""
        self.cleaner: Cleaner | None = None
        self.progress: Callable[[], int] = lambda: self.taken
        self.on_stalled: Callable[[], None] = self.close
        self.readable: Callable[[], None] | None = None
        self.writable: Callable[[], None] | None = None
        self._hub = hub
        self._at = 0

    @property
    def full(self) -> bool:
        """Whether so much waits for it that sources pause."""
        return self.waiting >= _HIGH or len(self.queue) >= _MANY

    def attach(
        self,
        loop: Loop,  # noqa: ARG002 - the hub has it
        on_readable: Callable[[], None],
        on_writable: Callable[[], None],
    ) -> None:
        """Take part from now on."""
        self.readable, self.writable = on_readable, on_writable
        self._hub.join(self)

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive what the others gave; see `Channel`."""
        if not self.queue:
            return 0 if self.ended else None
        piece = memoryview(self.queue[0])[self._at :]
        count = min(len(piece), len(buffer))
        buffer[:count] = piece[:count]
        if count == len(piece):
            self.queue.popleft()
            self._at = 0
        else:
            self._at += count
        self.taken += count
        self.waiting -= count
        self._hub.took(self)
        return count

    def send(self, octets: memoryview) -> int:
        """Give to the others, or to standard output; see `Channel`."""
        return self._hub.take(self, octets)

    def send_eof(self) -> None:
        """Do nothing to the others: this client has ended, so nothing more is for it either."""
        self._hub.left_unfinished(self)
        self.ended = True
        if self.readable is not None:  # now: no octets are on their way between the two
            self.readable()

    def close(self) -> None:
        """Leave."""
        self._hub.leave(self)


class Hub:
    """Joins members; `standard` is standard input and output for "shared", else None."""

    def __init__(self, loop: Loop, standard: Channel | None, *, chat: bool = False) -> None:
        self.output = standard
        self.on_output_failed: Callable[[OSError], None] | None = None
        self.on_input_failed: Callable[[OSError], None] | None = None
        self._loop = loop
        self._chat = chat
        self._members: dict[int, Member] = {}
        self._blocked: set[Member] = set()
        self._due: list[Member] = []
        self._full: set[Member] = set()
        self._reads = standard is not None and standard.gives
        self._input_ended = False
        self._numbers = 0
        self._attached = False
        # Standard input has nobody to be fair to.
        self._patience = _STALLED if standard is None else _STALLED_INPUT
        self._too_little = _TOO_LITTLE if standard is None else _TOO_LITTLE_INPUT
        self._looking = False
        self._looked = 0.0
        self._credit = self._patience  # seconds for which new members may hold up the others
        self._credited = monotonic()

    def member(self) -> Member:
        """Make the near end for a new client; numbers start with 1."""
        self._numbers += 1
        return Member(self, self._numbers)

    def join(self, member: Member) -> None:
        """Let a member take part."""
        self._members[member.number] = member
        if self._chat:
            self._give(member, b"<server> you are user %d\n" % member.number)
        member.ended = self._input_ended  # its session looks when it has begun
        if self.output is not None and not self._attached:
            self._attached = True
            self.output.attach(self._loop, self._read, self._written)
        if self._reads:
            self._loop.soon(self._read)

    def leave(self, member: Member) -> None:
        """Let a member go, and with it what waits for it."""
        if self._members.pop(member.number, None) is None:
            return
        member.readable = member.writable = None
        if not _proven(member):
            self._credit = max(0.0, self._credit_now() - member.held)
        member.queue.clear()
        member.waiting = 0
        self._blocked.discard(member)
        self.took(member)

    def close(self) -> None:
        """Let go of standard input and output."""
        if self.output is not None:
            self.output.close()

    # -- from standard input -----------------------------------------------------------------------

    def _read(self) -> None:
        """Read standard input, while there is room with everybody."""
        output = self.output
        if output is None or not self._reads:
            return
        for _ in range(8):
            if self._full or all(member.ended for member in self._members.values()):
                return
            try:
                count = output.receive_into(self._loop.buffer[:65536])
            except OSError as error:
                count = 0
                if self.on_input_failed is not None:
                    self.on_input_failed(error)
            if count is None:
                return
            if count == 0:
                self._reads = False
                self._input_ended = True
                for member in self._members.values():
                    self.end(member)
                return
            self._give_all(bytes(self._loop.buffer[:count]), None)
        self._loop.soon(self._read)

    # -- from a member -----------------------------------------------------------------------------

    def take(self, member: Member, octets: memoryview) -> int:
        """Take octets from a member, or none of them while somebody has too much waiting."""
        if self.output is not None:
            try:
                taken = self.output.send(octets)
            except OSError as error:
                if self.on_output_failed is None:
                    raise
                self.on_output_failed(error)
                return 0
            if taken < len(octets):
                self._blocked.add(member)
            return taken
        if self._full:
            self._blocked.add(member)
            return 0
        self._give_all(self._said(member, bytes(octets)) if self._chat else bytes(octets), member)
        return len(octets)

    def left_unfinished(self, member: Member) -> None:
        """Pass on the beginning of a line whose sender has ended."""
        if member.cleaner is not None:
            member.line += member.cleaner.finish()
        if member.line:
            line, member.line = member.line, b""
            self._give_all(_named(member, line) + b"\n", member)

    def _said(self, member: Member, octets: bytes) -> bytes:
        """Give whole lines, each after its sender's name, and keep what is not whole."""
        if member.cleaner is None:
            from sockwright.nc.terminal.cleaning import Cleaner

            member.cleaner = Cleaner()
        *lines, rest = (member.line + member.cleaner.clean(octets)).split(b"\n")
        while len(rest) > _LINE:
            lines.append(rest[:_LINE])
            rest = rest[_LINE:]
        member.line = rest
        return b"".join(_named(member, line) + b"\n" for line in lines)

    def _give_all(self, octets: bytes, sender: Member | None) -> None:
        if octets:
            for member in self._members.values():
                if member is not sender and not member.ended:
                    self._give(member, octets)

    def _give(self, member: Member, octets: bytes) -> None:
        member.queue.append(octets)
        member.waiting += len(octets)
        self._tell(member)
        if member.full:
            self._full.add(member)
            self._watch()

    def end(self, member: Member) -> None:
        """Let nothing more come for a member."""
        member.ended = True
        self._tell(member)

    def _tell(self, member: Member) -> None:
        """Let a member's session know soon that there is something to read."""
        if not member.due:
            member.due = True
            if not self._due:
                self._loop.soon(self._tell_due)
            self._due.append(member)

    def _tell_due(self) -> None:
        due, self._due = self._due, []
        for member in due:
            member.due = False
            if member.readable is not None:
                member.readable()

    # -- who waits for whom ------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look at those that hold up the others, for as long as there are any."""
        if not self._looking:
            self._looking = True
            self._looked = monotonic()
            self._loop.later(self._patience / _LOOKS, self._look)

    def _look(self) -> None:
        """Let members go that have held up the others for too long."""
        between = self._patience / _LOOKS
        now = monotonic()
        # What is longer is the fault of this process, which was stopped, or busy.
        passed = min(now - self._looked, 2 * between)
        self._looked = now
        others_wait = self._reads if self.output is not None else bool(self._blocked)
        for member in list(self._full):
            before, member.seen = member.seen, member.progress()
            if before is not None and others_wait:
                made_up = (member.seen - before) / self._too_little
                member.held = max(0.0, member.held + passed - made_up)
                patience = self._patience if _proven(member) else self._credit_now()
                if member.held > max(patience, between):
                    member.on_stalled()
        self._looking = bool(self._full)
        if self._looking:
            self._loop.later(between, self._look)

    def _credit_now(self) -> float:
        """Return for how many seconds new members may hold up the others."""
        now = monotonic()
        self._credit = min(self._patience, self._credit + _SHARE * (now - self._credited))
        self._credited = now
        return self._credit

    def took(self, member: Member) -> None:
        """Go on where room was waited for, if this member made the last of it."""
        if member in self._full and not member.full:
            self._full.discard(member)
            if not self._full:
                self._loop.soon(self._read)
                self._loop.soon(self._written)

    def _written(self) -> None:
        """Let those go on whose octets were not taken."""
        blocked, self._blocked = self._blocked, set()
        for member in blocked:
            if member.writable is not None:
                member.writable()


def _proven(member: Member) -> bool:
    """Tell whether somebody takes what the kernel takes for a client."""
    return member.seen is not None and member.seen >= _PROVEN


def _named(member: Member, line: bytes) -> bytes:
    return b"<user %d> %s" % (member.number, line)
