"""States of sockets: the kernel's numbers, the names that ss(8) made common, sets of them.

TCP's are those of RFC 9293 section 3.3.2; every other protocol borrows a few. A set of states is a
mask with bit ``1 << number``, which is what sock_diag(7) takes.
"""

from __future__ import annotations

from sockwright.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ALL",
    "BOUND_INACTIVE",
    "CONNECTED",
    "LISTENING",
    "STATES",
    "STATE_WORDS",
    "state_mask",
    "state_name",
]

# include/net/tcp_states.h. 12 is another way to wait for the last segment of the handshake, which
# the kernel reports as 3; 13 a TCP socket that has a port, but neither listens nor is connected.
STATES = {
    1: "ESTAB",
    2: "SYN-SENT",
    3: "SYN-RECV",
    4: "FIN-WAIT-1",
    5: "FIN-WAIT-2",
    6: "TIME-WAIT",
    7: "UNCONN",
    8: "CLOSE-WAIT",
    9: "LAST-ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "SYN-RECV",
    13: "UNCONN",
}
"""The name of each state, by its number."""

_ESTABLISHED, _SYN_SENT, _SYN_RECV, _TIME_WAIT, _CLOSE, _LISTEN = 1, 2, 3, 6, 7, 10

BOUND_INACTIVE = 1 << 13
"""TCP sockets that have a port, but neither listen nor have a peer; from Linux 6.8 on."""
ALL = sum(1 << number for number in range(1, 12)) | BOUND_INACTIVE
"""Every state that the kernel can be asked for."""
LISTENING = 1 << _LISTEN | 1 << _CLOSE | BOUND_INACTIVE
"""What `ss -l` lists: LISTEN, and the sockets without a peer."""
CONNECTED = ALL & ~(LISTENING | 1 << _TIME_WAIT | 1 << _SYN_RECV)
"""What ss lists when it is asked for nothing else: no listeners, no sockets without a process."""

_BUCKET = 1 << _SYN_RECV | 1 << _TIME_WAIT

STATE_WORDS = {
    "established": 1 << _ESTABLISHED,
    "syn-sent": 1 << _SYN_SENT,
    "syn-recv": 1 << _SYN_RECV,
    "fin-wait-1": 1 << 4,
    "fin-wait-2": 1 << 5,
    "time-wait": 1 << _TIME_WAIT,
    "unconnected": 1 << _CLOSE,
    "close": 1 << _CLOSE,
    "closed": 1 << _CLOSE,
    "close-wait": 1 << 8,
    "last-ack": 1 << 9,
    "listening": 1 << _LISTEN,
    "listen": 1 << _LISTEN,
    "closing": 1 << 11,
    "bound-inactive": BOUND_INACTIVE,
    "all": ALL,
    "connected": ALL & ~LISTENING,
    "synchronized": ALL & ~LISTENING & ~(1 << _SYN_SENT),
    "bucket": _BUCKET,
    "big": ALL & ~_BUCKET,
}
"""The words for states in filters, with the mask of each."""


# As `SocketRow.state` has them, where that is no word of filters. A socket that is merely bound is
# shown like any other without a peer.
_SHORT = {"estab": STATE_WORDS["established"], "unconn": STATE_WORDS["close"] | BOUND_INACTIVE}


def state_mask(words: str | Iterable[str]) -> int:
    """Return the mask of the states that one word names, or several, in any case.

    Words are those of filters, such as "established", and those of rows, such as "ESTAB".

    Raises:
        UsageError: there is no such state.
        TypeError: `words` is something else.
    """
    mask = 0
    try:
        for word in (words,) if isinstance(words, str) else words:
            lower = word.lower()
            mask |= STATE_WORDS[lower] if lower in STATE_WORDS else _SHORT[lower]
    except KeyError:
        known = ", ".join((*STATE_WORDS, *_SHORT))
        raise UsageError(f"there is no state {word!r}; there are {known}") from None
    except (AttributeError, TypeError):
        raise TypeError(
            f"states are named by words such as 'listening', not by {words!r}"
        ) from None
    return mask


def state_name(number: int) -> str:
    """Return the name of a state, or its number where a later kernel gave it one of its own."""
    return STATES.get(number) or str(number)
