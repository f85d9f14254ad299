"""One end for many sessions: standard input and output of a listener, or the clients themselves.

    shared     what is read from standard input goes to every client, what any client sends is
               written to standard output
    broker     what one client sends goes to all others
    chat       the same, line by line, each after the name of its sender

Each session has a `Member` for its near end. Rules:

- nothing is lost on the way: sources pause while any member is full, with 256 KiB or 1024 pieces
  waiting for it. A piece is kept once, however many wait for it;
- one that is full and takes nothing for five seconds is let go, so that a stopped client cannot
  stop the others for longer;
- standard input waits for the first client, and for another one once all have ended;
- nobody else is called while octets are given or taken, but `soon` after: whoever gives them is in
  the middle of moving octets, and those may be in the buffer of the loop.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sockwright.nc.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.loop import Loop

__all__ = ["Hub", "Member"]

_HIGH = 256 << 10  # octets waiting for one member, from which on the sources pause
_MANY = 1024  # pieces, likewise
_STALLED = 5.0  # seconds
_LOOKS = 5  # in that time
_LINE = 4096  # octets of a line of chat at most; a longer one comes in pieces


class Member(Channel):
    """The near end of one client's session.

    `progress` counts what its client has taken so far, and `on_stalled` is called when that does
    not change for long; whoever makes the session sets both.
    """

    def __init__(self, hub: Hub, number: int) -> None:
        super().__init__("standard input and output" if hub.output else "the other clients")
        self.number = number
        self.waiting = 0
        self.queue: deque[bytes] = deque()
        self.taken = 0
        self.ended = False
        self.due = False  # whether its session will be told of what it may read
        self.watched = False  # whether somebody looks if it stalls
        self.line = b""
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
        if member.line:
            line, member.line = member.line, b""
            self._give_all(_named(member, line) + b"\n", member)

    def _said(self, member: Member, octets: bytes) -> bytes:
        """Give whole lines, each after its sender's name, and keep what is not whole."""
        *lines, rest = (member.line + octets).split(b"\n")
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
            self._watch(member)

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

    def _watch(self, member: Member) -> None:
        """Let a member go that is full and takes nothing for a while."""
        if member.watched:
            return
        member.watched = True
        taken = member.progress()
        quiet = 0

        def look() -> None:
            nonlocal taken, quiet
            if member not in self._full:
                member.watched = False
                return
            before, taken = taken, member.progress()
            quiet = quiet + 1 if taken == before else 0
            if quiet == _LOOKS:
                member.on_stalled()
            else:
                self._loop.later(_STALLED / _LOOKS, look)

        self._loop.later(_STALLED / _LOOKS, look)

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


def _named(member: Member, line: bytes) -> bytes:
    return b"<user %d> %s" % (member.number, line)
