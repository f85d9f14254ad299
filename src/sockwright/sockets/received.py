"""Octets that have arrived and are not asked for yet: the buffer below `recv_exactly`.

No I/O in here: the blocking stream and the asyncio stream feed the same buffer.
"""

from __future__ import annotations

from sockwright.errors import EndOfStreamError, LimitError

__all__ = ["ReceivedOctets"]


class ReceivedOctets:
    """Octets in order of arrival, taken from the front.

    Rules: an error takes nothing away, so what has arrived can still be taken; a delimiter is
    looked for only in what is new, so a peer that sends octet by octet costs linear time. What is
    new for one delimiter is not for another: a call that was too late may be followed by any.
    """

    __slots__ = ("_ended", "_octets", "_searched", "_sought")

    def __init__(self) -> None:
        self._octets = bytearray()
        self._searched = 0
        self._sought: object = None
        self._ended = False

    def __len__(self) -> int:
        return len(self._octets)

    def feed(self, octets: bytes) -> None:
        """Append what has arrived; no octets at all is the end of the stream."""
        if octets:
            self._octets += octets
        else:
            self._ended = True

    def take(self, limit: int) -> bytes:
        """Take at most `limit` octets.

        Raises:
            ValueError: `limit` is less than 0.
        """
        _check_limit(limit)
        taken = bytes(self._octets[:limit])
        del self._octets[:limit]
        self._searched = 0
        return taken

    def exactly(self, count: int) -> bytes | None:
        """Take `count` octets, or None while some are still to come.

        Raises:
            ValueError: `count` is less than 0.
            EndOfStreamError: the stream has ended before them.
        """
        if count < 0:
            raise ValueError(f"count: {count} is less than 0")
        if len(self._octets) >= count:
            return self.take(count)
        if self._ended:
            text = f"the peer ended the stream after {len(self)} of {count} octets"
            raise EndOfStreamError(text, bytes(self._octets))
        return None

    def until(self, delimiter: bytes, limit: int) -> bytes | None:
        """Take everything up to and with `delimiter`, or None while it is still to come.

        Raises:
            ValueError: `limit` is less than 0, or the delimiter is empty.
            LimitError: more than `limit` octets, delimiter included, would be needed.
            EndOfStreamError: the stream has ended before the delimiter.
        """
        _check_limit(limit)
        if not delimiter:
            raise ValueError("the delimiter is empty")
        begin = max(0, self._looked_through_for(delimiter) - len(delimiter) + 1)
        found = self._octets.find(delimiter, begin)
        self._searched = len(self._octets)
        end = found + len(delimiter)
        if (end > limit) if found >= 0 else (len(self) >= limit):
            self._searched = 0
            raise LimitError(f"no {delimiter!r} within {limit} octets")
        if found >= 0:
            return self.take(end)
        if self._ended:
            self._searched = 0
            text = f"the peer ended the stream after {len(self)} octets, before {delimiter!r}"
            raise EndOfStreamError(text, bytes(self._octets))
        return None

    def _looked_through_for(self, sought: object) -> int:
        """Give how many octets, from the front, were looked through for the same in vain."""
        if sought != self._sought:
            self._sought, self._searched = sought, 0
        return self._searched

    def everything(self, limit: int) -> bytes | None:
        """Take all octets once the stream has ended, or None before.

        Raises:
            ValueError: `limit` is less than 0.
            LimitError: more than `limit` octets have arrived.
        """
        _check_limit(limit)
        if len(self) > limit:
            raise LimitError(f"the peer sent more than {limit} octets")
        return self.take(limit) if self._ended else None


def _check_limit(limit: int) -> None:
    if limit < 0:
        raise ValueError(f"limit: {limit} is less than 0")
