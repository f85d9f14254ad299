"""What a conversation has received and nobody has asked for yet: lines, patterns, given back.

`sockwright.sockets.received` has the buffer, this adds what people who talk to a prompt want of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.errors import EndOfStreamError, LimitError
from sockwright.sockets.received import ReceivedOctets

if TYPE_CHECKING:
    import re

__all__ = ["Received"]


class Received(ReceivedOctets):
    """Octets in order of arrival; the rules of `ReceivedOctets` hold."""

    __slots__ = ()

    @property
    def ended(self) -> bool:
        """Whether the peer has ended."""
        return self._ended

    @property
    def octets(self) -> bytes:
        """All of them, as they are; none is taken."""
        return bytes(self._octets)

    def give_back(self, octets: bytes) -> None:
        """Put `octets` in front of everything."""
        self._octets[:0] = octets
        self._searched = 0

    def until_any(self, delimiters: tuple[bytes, ...], limit: int) -> bytes | None:
        """Take everything up to and with the delimiter that is whole first; else as `until`.

        The first to end, not the first to begin: so it does not matter in which pieces they come.
        """
        if len(delimiters) == 1:
            return self.until(delimiters[0], limit)
        if not delimiters or not all(delimiters):
            raise ValueError("there is no delimiter, or an empty one")
        begin = max(0, self._looked_through_for(delimiters) - max(map(len, delimiters)) + 1)
        self._searched = len(self._octets)
        ends = [
            place + len(delimiter)
            for delimiter in delimiters
            if (place := self._octets.find(delimiter, begin)) >= 0
        ]
        if (min(ends) > limit) if ends else (len(self) >= limit):
            self._searched = 0
            raise LimitError(f"none of {_listed(delimiters)} within {limit} octets")
        if ends:
            return self.take(min(ends))
        if self._ended:
            self._searched = 0
            raise EndOfStreamError(
                f"the peer ended the stream after {len(self)} octets, before any of "
                f"{_listed(delimiters)}",
                bytes(self._octets),
            )
        return None

    def matching(self, pattern: re.Pattern[bytes], limit: int) -> re.Match[bytes] | None:
        """Take everything up to the end of the first match, or None while there is none.

        Nobody knows where a match may begin, so all that is here is looked through each time.
        """
        looked_through = self._looked_through_for(pattern)
        if len(self) > looked_through or self._ended or not looked_through:
            self._searched = len(self)
            found = pattern.search(self._octets, 0, limit)
            if found is not None:
                # Matched again, so that `string` of the match is what was taken and no more. Where
                # that is no match any more, as it looked at what follows, it is all that was here.
                seen, end = bytes(self._octets[:limit]), found.end()
                taken = self.take(end)
                return pattern.search(taken) or pattern.search(seen)
        if len(self) >= limit:
            self._searched = 0
            raise LimitError(f"nothing matches {pattern.pattern!r} within {limit} octets")
        if self._ended:
            self._searched = 0
            raise EndOfStreamError(
                f"the peer ended the stream after {len(self)} octets, and nothing matches "
                f"{pattern.pattern!r}",
                bytes(self._octets),
            )
        return None

    def line(self, limit: int) -> bytes | None:
        """Take a line with its end, or what stands at the end of the stream without one."""
        if self._ended and self._octets.find(b"\n") < 0:
            return self.take(limit)
        return self.until(b"\n", limit)


def _listed(delimiters: tuple[bytes, ...]) -> str:
    return ", ".join(map(repr, delimiters))
