"""Send again what one side of a captured conversation sent: a machine without I/O.

Rules
    1. Pieces go in their order, one for each segment or datagram that was captured.
    2. At the pace "answers", a piece goes once as much has been received as the other side had sent
       before it in the capture: octets of a stream, or datagrams. An answer may be shorter today:
       when nothing has come for `patience`, the replay goes on, and counts that.
    3. At the pace "times", a piece goes as long after the first one as it did in the capture.
    4. The end of the side (FIN) is one more piece: only then the replay is `done`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.errors import SockwrightError
from sockwright.nc.taps.captured import CapturedPiece, find_conversation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Literal

    from sockwright.nc.taps.captured import CapturedConversation, Protocol, Role

    Pace = Literal["answers", "times"]

__all__ = ["PATIENCE_NS", "Replay", "open_replay"]

PATIENCE_NS = 3_000_000_000
_NEVER = 1 << 80
_END = CapturedPiece("client", None, ended=True)


def open_replay(
    path: str,
    *,
    side: Role = "client",
    pace: Pace = "answers",
    number: int | None = None,
    protocol: Protocol | None = None,
    force: bool = False,
    patience_ns: int | None = PATIENCE_NS,
) -> Replay:
    """Return a replay of what `side` sent in a conversation of the capture at `path`.

    That is conversation `number`, or the first that carries octets; see `find_conversation`. With
    `force` it is taken even if octets are missing in it, or if it is TLS.

    Raises: SockwrightError where there is none, or it cannot be sent again as it was; DecodeError
    for a file that is no capture; OSError.
    """
    found = find_conversation(path, number=number, protocol=protocol)
    if not force:
        refusal = _refusal(found, side)
        if refusal:
            raise SockwrightError(f"{path}: {refusal}; --force sends what is there")
    if not found.octets[side]:
        other: Role = "server" if side == "client" else "client"
        raise SockwrightError(
            f"{path}: the {side} {_place(found, side)} sent nothing; "
            f"the {other} sent {found.octets[other]} octets (--replay-side {other})"
        )
    return Replay(
        found.pieces(),
        side,
        pace=pace,
        keeps_boundaries=found.protocol == "udp",
        patience_ns=patience_ns,
        name=f"{found.client} to {found.server}",
    )


def _refusal(found: CapturedConversation, side: Role) -> str:
    """Return why a conversation cannot be sent again as it was, or nothing."""
    if found.tls:
        return (
            f"{found.client} to {found.server} is TLS, whose octets fit no other session "
            "(--record on a TLS end keeps them in clear text)"
        )
    if found.missing[side]:
        return f"{found.missing[side]} octets that the {side} sent were not captured"
    if not found.whole_start:
        return f"{found.client} to {found.server} began before the capture did"
    return found.damaged


def _place(found: CapturedConversation, side: Role) -> str:
    return found.client if side == "client" else found.server


class Replay:
    """Says what to send when, given what was received and what time it is.

    Times are nanoseconds of any one clock. Ask `next_piece` until it gives None, then again after
    `wait_ns`, and whenever something was `received`. `keeps_boundaries` is whether each piece is
    one datagram; `name` tells people what is replayed.

    What `pieces` raises comes out of `next_piece`.
    """

    def __init__(
        self,
        pieces: Iterable[CapturedPiece],
        side: Role = "client",
        *,
        pace: Pace = "answers",
        keeps_boundaries: bool = False,
        patience_ns: int | None = PATIENCE_NS,
        name: str = "",
    ) -> None:
        self.keeps_boundaries = keeps_boundaries
        self.name = name
        self.done = False
        """Whether everything has been sent, and the end is to be told."""
        self.hurried = 0
        """Pieces that were sent although their answer had not come in full."""
        self._pieces = _own(pieces, side, keeps_boundaries=keeps_boundaries)
        self._next: CapturedPiece | None = None
        self._pace = pace
        self._patience_ns = patience_ns
        self._expected = 0  # what the other side had sent before the next piece
        self._received = 0
        self._quiet_since_ns: int | None = None
        self._start: tuple[int, int] | None = None  # time of the first piece: now, and then

    def next_piece(self, now_ns: int) -> bytes | None:
        """Return what is to be sent now; None: nothing now, or no more at all (`done`)."""
        if self.done:
            return None
        if self._next is None:
            self._expected, self._next = next(self._pieces, (self._expected, _END))
        if self._due_ns(now_ns) > now_ns:
            return None
        piece, self._next = self._next, None
        if self._pace == "answers" and self._received < self._expected:
            self.hurried += 1
            self._received = self._expected  # waited for once is enough
        if piece.ended:
            self.done = True
            return None
        self._quiet_since_ns = now_ns
        if self._start is None and piece.time_ns is not None:
            self._start = now_ns, piece.time_ns
        return piece.octets

    def wait_ns(self, now_ns: int) -> int | None:
        """Return after how long to ask again; None: not before something is received."""
        if self.done or self._next is None:
            return None if self.done else 0
        due = self._due_ns(now_ns)
        return None if due == _NEVER else max(0, due - now_ns)

    def received(self, octets: int, now_ns: int) -> None:
        """Take note of so many octets of a stream from the other side, or of one datagram."""
        self._received += 1 if self.keeps_boundaries else octets
        self._quiet_since_ns = now_ns

    def _due_ns(self, now_ns: int) -> int:
        """Return when the next piece is to be sent, in the past or now if at once."""
        assert self._next is not None
        if self._pace == "answers":
            if self._received >= self._expected:
                return now_ns
            if self._quiet_since_ns is None:
                self._quiet_since_ns = now_ns
            return _NEVER if self._patience_ns is None else self._quiet_since_ns + self._patience_ns
        if self._start is None or self._next.time_ns is None:
            return now_ns
        begin, captured = self._start
        return begin + self._next.time_ns - captured


def _own(
    pieces: Iterable[CapturedPiece], side: Role, *, keeps_boundaries: bool
) -> Iterator[tuple[int, CapturedPiece]]:
    """Yield the pieces of `side` up to its end, each behind what the other one sent before it.

    It knows no `Replay`: one that is given up takes this along, and so the file is closed.
    """
    expected = 0
    for piece in pieces:
        if piece.sender != side:
            expected += 1 if keeps_boundaries else len(piece.octets) + piece.missing
        elif piece.octets or piece.ended or (keeps_boundaries and not piece.missing):
            yield expected, piece
            if piece.ended:
                return
    yield expected, _END
