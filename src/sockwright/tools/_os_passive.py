"""What `sw os --passive FILE` and `sw os -i IFACE` do: overhear, and say what the hosts are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockwright.errors import DecodeError, SockwrightError
from sockwright.tools._rows import Progress, Remark

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from sockwright.identify.passive import Observer
    from sockwright.tools._flags import Arguments

__all__ = ["OverheardSummary", "overhear"]


@dataclass(frozen=True, slots=True)
class OverheardSummary:
    """What there was to hear: packets, those that told something, hosts, those forgotten."""

    kind: str
    packets: int
    telling: int
    hosts: int
    evicted: int


def overhear(args: Arguments) -> Generator[object, None, int]:
    """Yield a `HostIdentity` for each host, and a summary; live, each new `Evidence` before that.

    Raises: DecodeError for a capture that is none, or, at the end, that is cut; OSError. Of several
    captures the last of them that is so, when the others are done. SockwrightError: `args.p0f` has
    no signature.
    """
    observer = _observer(args)
    if args.interface:
        yield from _live(args, observer)
        error = None
    else:
        error = yield from _files(args.passive, observer)
    yield from observer.hosts()
    yield OverheardSummary(
        "summary", observer.packets, observer.telling, len(observer), observer.evicted
    )
    if observer.evicted:
        yield Remark(
            f"{observer.evicted} hosts were forgotten for lack of room; --most-hosts gives more"
        )
    if error is not None:
        raise error
    return 0


def _observer(args: Arguments) -> Observer:
    from sockwright.identify.database import load_signatures
    from sockwright.identify.passive import Observer

    signatures = load_signatures()
    if args.p0f:
        from sockwright.identify.passive.p0f import read_p0f

        with open(args.p0f, encoding="utf-8", errors="replace") as file:  # the user's word
            theirs = read_p0f(file.read(), args.p0f)
        if not theirs:
            raise SockwrightError(
                f"{args.p0f} has no signature: there is no line sig = ... below [tcp:request] or "
                "[tcp:response]"
            )
        signatures += theirs
    return Observer(signatures, most_hosts=args.most_hosts)


def _files(
    names: Sequence[str], observer: Observer
) -> Generator[object, None, SockwrightError | OSError | None]:
    """Show `observer` the captures, one by one; return what is wrong with the last broken one.

    Raises: DecodeError, OSError: the only one is no capture, or cannot be read.
    """
    if len(names) == 1:
        return (yield from _file(names[0], observer, 0, 1))
    last: SockwrightError | OSError | None = None
    for done, name in enumerate(names):
        error: SockwrightError | OSError | None
        try:
            error = yield from _file(name, observer, done, len(names))
        except (DecodeError, OSError) as broken:
            error = broken
        if isinstance(error, DecodeError):
            error = DecodeError(f"{name}: {error.layer}", error.offset, error.message)
        if error is not None:
            if last is not None:
                yield Remark(str(last))
            last = error
    return last


def _file(
    name: str, observer: Observer, done: int, count: int
) -> Generator[object, None, SockwrightError | None]:
    import os

    from sockwright.identify.passive import observe

    if name == "-":
        return observe(sys.stdin.buffer, observer)
    with open(name, "rb") as file:  # the user's word
        size = os.fstat(file.fileno()).st_size

        def share() -> float | None:
            return (done + file.tell() / size) / count if size and not file.closed else None

        yield Progress(share)
        return observe(file, observer)


def _live(args: Arguments, observer: Observer) -> Iterator[object]:
    from sockwright.identify.passive import listen
    from sockwright.tools._stopping import stopping

    with listen(observer, args.interface, duration=args.duration) as heard:
        until = f"for {args.duration:g} seconds" if args.duration else "until Ctrl-C"
        yield Remark(f"listening at {heard.live.interface} {until}; nothing is sent")
        with stopping(heard.live.stop):
            yield from heard
        if dropped := heard.live.statistics.dropped:
            yield Remark(f"the kernel dropped {dropped} packets that might have told something")
