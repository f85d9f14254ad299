"""What a run of the engine is asked to do, as plain values: `Job` and its parts.

The command line fills these in; nothing here opens, looks up or checks anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.ends import End
    from sockwright.nc.proxy import Proxy
    from sockwright.nc.taps.replay import Replay
    from sockwright.nc.taps.tap import Tap
    from sockwright.nc.tls.options import TLSOptions
    from sockwright.sockets.endpoint import Endpoint

__all__ = ["Console", "Framing", "Job", "Limits", "Serving", "Side", "SocketOptions"]

Hub = Literal["broker", "chat"]
Framing = Literal["line", "chunk"] | int


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how fast; times in seconds, None is for ever.

    `connect` is for one connection with its names, proxy and TLS, `idle` the time without an octet
    either way. `quit_after` is how long to wait for the peer's end after the end of the input; of
    datagrams, whose peers have no end, it is 1 s where nothing is said. `half_close` tells the peer
    of the end of the input (FIN). `delay` is waited between the lines that are sent, `rate` the
    octets a second that are sent at most. `quit_after` below 0 is for ever, for datagrams, too.
    `messages` ends the conversation after so many pieces have come from the peer (-W).
    """

    connect: float | None = None
    idle: float | None = None
    quit_after: float | None = None
    half_close: bool = True
    delay: float = 0.0
    rate: float | None = None
    messages: int | None = None


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """What is set on sockets before they are bound or connected; None is the kernel's default.

    Sizes of buffers in octets, `tos` the octet of IP_TOS and IPV6_TCLASS, `ttl` what is sent with
    and `min_ttl` what is accepted (IP_TTL, IP_MINTTL and those of IPv6), `broadcast` SO_BROADCAST.
    """

    receive_buffer: int | None = None
    send_buffer: int | None = None
    tos: int | None = None
    ttl: int | None = None
    min_ttl: int | None = None
    broadcast: bool = False


@dataclass(frozen=True, slots=True)
class Serving:
    """How a listening end serves.

    `keep` goes on after the first client and serves many at once, `max_connections` of them at
    most; the others wait in the backlog. `allow` and `deny` are the texts of `nc.access.Access`.
    `hub` passes what one client sends to all others.
    """

    keep: bool = False
    max_connections: int = 10_000
    backlog: int = 4096
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    hub: Hub | None = None


@dataclass(frozen=True, slots=True)
class Console:
    """How standard input and output are treated.

    `raw` leaves octets to a terminal as they came, `raw_terminal` also gives each key to the peer,
    `edit` is line editing, `history` whether lines of earlier runs come back and those of this one
    are kept. `reads` is False where standard input is left alone (-d).
    """

    raw: bool = False
    raw_terminal: bool = False
    edit: bool = True
    history: bool = True
    reads: bool = True


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two ends that are joined, and how it is opened.

    `listen` waits for a peer instead of connecting. `local` is the endpoint to connect from,
    `family` 4 or 6 where only one is wanted (0 for both), `numeric` forbids names. `tls` is for
    ends whose scheme is tls. `framing` says where a datagram ends. `writes` is for a file that is
    written to: "new" makes it, "anew" empties it, "append" goes on at its end; None reads it. Of
    many clients only the first finds it so made or emptied; the others go on at its end.
    """

    end: End
    listen: bool = False
    local: Endpoint | None = None
    family: Literal[0, 4, 6] = 0
    numeric: bool = False
    tls: TLSOptions | None = None
    proxy: Proxy | None = None
    framing: Framing = "chunk"
    telnet: bool = False
    crlf: bool = False
    options: SocketOptions | None = None
    writes: Literal["new", "anew", "append"] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Join `near` and `far`, octet by octet, until both have ended.

    `sw nc` has standard input and output, or a program, at `near`, and the network at `far`;
    ``sw relay A B`` has A at `near`, which may listen, and B at `far`. One of the two may listen
    with ``serving.keep``; the other is then opened anew for each client, except that standard input
    and output are one for all: what is read goes to every client, what they send is written there.

    `taps` makes the taps of one conversation (see `nc.taps.tap.Tap`), or is None. `sends` and
    `receives` are False where octets of `near`, or of `far`, are not wanted (--recv-only,
    --send-only). `verbose` is the number of -v, `quiet` leaves out what is no failure. `replay`
    takes the place of standard input.
    """

    near: Side
    far: Side
    limits: Limits = field(default_factory=Limits)
    serving: Serving = field(default_factory=Serving)
    console: Console = field(default_factory=Console)
    taps: Callable[[], tuple[Tap, ...]] | None = None
    sends: bool = True
    receives: bool = True
    verbose: int = 0
    quiet: bool = False
    replay: Replay | None = None
