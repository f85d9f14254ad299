"""What becomes of a port that is checked, in a row, in states and in words."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import ClassVar

from sockwright.sockets.explain import PATH_REFUSED, explained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Protocol = Literal["tcp", "udp", "unix"]
    State = Literal["open", "closed", "filtered", "open|filtered"]

__all__ = ["PortCheck", "said", "unix_verdict", "verdict"]

_CLOSED = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})


@dataclass(slots=True)
class PortCheck:
    """What became of one port, or of one UNIX socket.

    `host` is as it was asked for, `address` what it stands for and was tried (for a UNIX socket its
    path, with an @ before an abstract name), `rtt_ns` the time until the answer, or None where
    there was none, `service` the name that services(5) gives to the port.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "address", "port", "protocol", "state", "service", "reason",
    )  # fmt: skip
    live: ClassVar[bool] = True

    host: str
    address: str
    port: int | None
    protocol: Protocol
    state: State
    reason: str
    rtt_ns: int | None
    service: str

    @property
    def least_widths(self) -> dict[str, int]:
        """How wide columns are from the start, since rows are shown as they come."""
        state = "open|filtered" if self.protocol == "udp" else "filtered"
        return {"port": 5, "state": len(state), "service": 12}


def verdict(code: int) -> tuple[State, str]:
    """Return the state and the reason for the errno of a connection, or of a datagram's answer."""
    if not code:
        return "open", "it answers"
    return "closed" if code in _CLOSED else "filtered", said(code)


def unix_verdict(code: int) -> tuple[State, str]:
    """Return the state and the reason for the errno of connect(2) on a path or an abstract name."""
    if code == errno.EAGAIN:
        return "open", "it listens, but accepts nobody: its backlog is full"
    if code in _FORBIDDEN:
        return "filtered", said(code, PATH_REFUSED)
    if code == errno.ECONNREFUSED:
        return "closed", said(code, "nobody listens there: it was left behind, or is no socket")
    return ("closed", said(code)) if code else ("open", "it answers")


def said(code: int, cause: str = "") -> str:
    """Return what the kernel said, in words, and the likely cause."""
    return str(explained(OSError(code, ""), "", hint=cause).strerror).removeprefix(": ")
