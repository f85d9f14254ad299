"""The timer of a socket: what waits to happen, and when (idiag_timer of linux/inet_diag.h)."""

from __future__ import annotations

from sockwright.sockets.diag.value import Value

__all__ = ["Timer"]

_NAMES = ("off", "on", "keepalive", "timewait", "persist", "unknown")
_NONE = 0


class Timer(Value):
    """The timer of a socket that goes off next.

    `name` is "on" (retransmission), "keepalive" (a probe whether the peer is still there),
    "timewait" (the end of TIME-WAIT), "persist" (a probe of a zero window) or "unknown";
    `expires_ms` the time until then in milliseconds; `retransmits` how often it went off already
    without an answer.
    """

    __slots__ = ("expires_ms", "name", "retransmits")

    def __init__(self, name: str, expires_ms: int, retransmits: int) -> None:
        self.name = name
        self.expires_ms = expires_ms
        self.retransmits = retransmits

    @classmethod
    def of(cls, number: int, expires_ms: int, retransmits: int) -> Timer | None:
        """Return the timer that the kernel numbers so; None where none runs."""
        if number == _NONE:
            return None
        return cls(_NAMES[min(number, len(_NAMES) - 1)], expires_ms, retransmits)

    def as_dict(self) -> dict[str, object]:
        """Return its fields by their names."""
        return {
            "name": self.name,
            "expires_ms": self.expires_ms,
            "retransmits": self.retransmits,
        }

    def __str__(self) -> str:
        """Return it as ss(8) writes it: "keepalive,119min,0"."""
        return f"{self.name},{_duration(self.expires_ms)},{self.retransmits}"

    def __repr__(self) -> str:
        return f"<Timer {self}>"


def _duration(milliseconds: int) -> str:
    """Return a time as ss(8) writes it: "1min59sec", "27sec", "4.200ms", "080ms"."""
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    text = ""
    if minutes:
        rest = 0
        text += f"{minutes}min"
        if minutes > 9:
            seconds = 0
    if seconds:
        if seconds > 9:
            rest = 0
        text += f"{seconds}{'.' if rest else 'sec'}"
    if rest:
        text += f"{rest:03}ms"
    return text
