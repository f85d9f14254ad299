"""One end for many sessions: standard input and output of a listener, or the clients themselves.

    shared     what is read from standard input goes to every client, what any client sends is
               written to standard output
    broker     what one client sends goes to all others
    chat       the same, line by line, each after the name of its sender

Each session has a `Member` for its near end. Nothing is lost on the way: sources pause while any
member has 256 KiB waiting. One that takes nothing for five seconds is let go, so that a stopped
client cannot stop the others for longer. A piece is kept once, however many wait for it. Standard
input waits for the first client.
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
_STALLED = 5.0  # seconds
_LINE = 4096  # octets of a line of chat at most; a longer one comes in pieces


class Member(Channel):
    """The near end of one client's session."""

    def __init__(self, hub: Hub, number: int) -> None:
        super().__init__("standard input and output" if hub.output else "the other clients")
        self.number = number
        self.waiting = 0
        self.queue: deque[bytes] = deque()
        self.taken = 0
        self.ended = False
        self.line = b""
        self.on_stalled: Callable[[], None] = self.close
        self.readable: Callable[[], None] | None = None
        self.writable: Callable[[], None] | None = None
        self._hub = hub
        self._at = 0

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
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
        before, self.waiting = self.waiting, self.waiting - count
        if before >= _HIGH > self.waiting:
            self._hub.drained()
        return count

    def give(self, octets: bytes) -> None:
        """Let octets wait for this member, and its session know."""
        self.queue.append(octets)
        self.waiting += len(octets)
        if self.readable is not None:
            self.readable()

    def send(self, octets: memoryview) -> int:
        """Give to the others, or to standard output; see `Channel`."""
        return self._hub.take(self, octets)

    def send_eof(self) -> None:
        """Do nothing to the others: this client has ended, so nothing more is for it either."""
        self._hub.left_unfinished(self)
        self.ended = True
        if self.readable is not None:
            self.readable()

    def close(self) -> None:
        """Leave."""
        self._hub.leave(self)


class Hub:
    """Joins members; `standard` is standard input and output for "shared", else None."""

    def __init__(self, loop: Loop, standard: Channel | None, *, chat: bool = False) -> None:
        self.output = standard
        self.on_output_failed: Callable[[OSError], None] | None = None
        self._loop = loop
        self._chat = chat
        self._members: dict[int, Member] = {}
        self._blocked: set[Member] = set()
        self._paused: list[Callable[[], None]] = []
        self._full: set[Member] = set()
        self._input_ended = standard is None or not standard.gives
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
            self._tell(member, f"<server> you are user {member.number}\n".encode())
        if self.output is not None and not self._attached:
            self._attached = True
            self.output.attach(self._loop, self._read, self._written)
        self._loop.soon(self._read)

    def leave(self, member: Member) -> None:
        """Let a member go, and with it what waits for it."""
        if self._members.pop(member.number, None) is None:
            return
        member.readable = member.writable = None
        member.queue.clear()
        member.waiting = 0
        self._blocked.discard(member)
        self.drained()

    def close(self) -> None:
        """Let go of standard input and output."""
        if self.output is not None:
            self.output.close()

    # -- from standard input -----------------------------------------------------------------------

    def _read(self) -> None:
        """Read standard input, while there is room with everybody."""
        output = self.output
        if output is None or self._input_ended:
            return
        for _ in range(8):
            if not self._members or self._crowded():
                return
            try:
                count = output.receive_into(self._loop.buffer[:65536])
            except OSError:
                count = 0
            if count is None:
                return
            if count == 0:
                self._input_ended = True
                for member in list(self._members.values()):
                    member.ended = True
                    if member.readable is not None:
                        member.readable()
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
        if self._crowded():
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

    def _tell(self, member: Member, octets: bytes) -> None:
        member.give(octets)

    def _give_all(self, octets: bytes, sender: Member | None) -> None:
        if not octets:
            return
        for member in list(self._members.values()):
            if member is not sender and not member.ended:
                member.give(octets)
                if member.waiting >= _HIGH:
                    self._watch(member)

    # -- who waits for whom ------------------------------------------------------------------------

    def _crowded(self) -> bool:
        return any(member.waiting >= _HIGH for member in self._full)

    def _watch(self, member: Member) -> None:
        """Let a member go that is full and takes nothing for a while."""
        if member in self._full:
            return
        self._full.add(member)
        taken = member.taken

        def look() -> None:
            nonlocal taken
            if member.waiting < _HIGH:
                self._full.discard(member)
                return
            if member.taken == taken:
                self._full.discard(member)
                member.on_stalled()
                return
            taken = member.taken
            self._loop.later(_STALLED, look)

        self._loop.later(_STALLED, look)

    def drained(self) -> None:
        """Go on where room was waited for."""
        self._full = {member for member in self._full if member.waiting >= _HIGH}
        if not self._full:
            self._loop.soon(self._read)
            self._written()

    def _written(self) -> None:
        """Let those go on whose octets were not taken."""
        blocked, self._blocked = self._blocked, set()
        for member in blocked:
            if member.writable is not None:
                member.writable()


def _named(member: Member, line: bytes) -> bytes:
    return b"<user %d> %s" % (member.number, line)
