"""Join any two sockets, programs or files, for one conversation or many at once.

Group: talk
Stands in for: socat, ncat --sh-exec, stunnel, ssh -L on one machine
"""

# The flags are a choice of those of `sw nc` (_nc_flags), and so is most of the rest.

from __future__ import annotations

from dataclasses import dataclass, replace
from time import time_ns
from typing import TYPE_CHECKING, ClassVar

from sockwright.errors import UsageError
from sockwright.nc.ends import FileEnd, SocketEnd, StandardEnd, is_end, parse_end
from sockwright.nc.engine.events import Event
from sockwright.nc.engine.settings import Console, Job, Side
from sockwright.tools._nc_checks import check_company
from sockwright.tools._nc_flags import add_arguments, read_words
from sockwright.tools._nc_job import limits, read_proxy, serving, socket_options, tls_options
from sockwright.tools._nc_values import framing
from sockwright.tools._nc_where import check_names, family, wants_tls

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Sequence

    from sockwright.nc.ends import End
    from sockwright.tools._flags import Arguments

__all__ = ["EXAMPLES", "Happened", "arguments", "quick_arguments", "run"]

EXAMPLES = (
    ("echo hello | sw relay - exec:'tr a-z A-Z'", "standard input and output, and a program"),
    ("sw relay file:capture.pcap file:copy.pcap", "a file into a new one"),
    (
        "timeout 0.5 sw relay -k tcp://:0 tcp://127.0.0.1:80 || true",
        "pass connections on, each as it comes, and many at once",
    ),
    (
        "timeout 0.5 sw relay -k tls://:0 unix:/run/app.sock || true",
        "put TLS before a program that has none",
    ),
)


@dataclass(slots=True)
class Happened:
    """What a relay tells of itself, for programs.

    `kind` is listening, connected, ended, refused, failed or note. Of a conversation that has ended
    `sent` and `received` count the octets that went to `remote`, and came from there.
    """

    live: ClassVar[bool] = True

    time_ns: int
    kind: str
    text: str
    local: str | None
    remote: str | None
    sent: int | None
    received: int | None
    duration_ns: int | None
    status: int | None


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_arguments(parser, relay=True)


def quick_arguments(words: Sequence[str]) -> Arguments | None:
    """Return what `arguments` would make of `words`; None where it asks for help."""
    return read_words(words, relay=True)


def run(args: Arguments) -> Generator[object, None, int]:
    """Yield what happens beside the octets, as rows for programs; return the exit status.

    Raises:
        UsageError: the line cannot be understood.
        NotPossibleError: what it wants is not here.
        OSError: as the kernel says.
    """
    from sockwright.tools._nc_talk import do

    events = do(_job(args), args)
    if not args.json:
        return (yield from events)
    try:
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                status: int = end.value
                return status
            yield _row(event) if isinstance(event, Event) else event
    finally:
        events.close()


def _job(args: Arguments) -> Job:
    """Return what the engine is to do. Raises: UsageError, NotPossibleError, OSError."""
    args.listen = args.listen or args.keep
    check_company(args, "relay")
    first, second = _ends(args)
    near, far = _side(first, args, listen=args.listen), _side(second, args)
    if wants_tls(args) and not (near.tls or far.tls):
        raise UsageError(f"{wants_tls(args)} goes with TLS, and neither end is tls://HOST:PORT")
    if near.tls and far.tls:
        # What is said of certificates is said of the side that shows one to everybody.
        one = replace(far.tls, certificate=None, key=None, client_ca=None)
        if near.listen:
            far = replace(far, tls=one)
            near = replace(near, tls=replace(near.tls, fingerprint=None))
    far = replace(far, proxy=read_proxy(args, second))
    if isinstance(second, FileEnd):
        far = replace(far, writes="anew" if args.force else "new")
    if not isinstance(second, SocketEnd) and isinstance(first, SocketEnd):
        near, far = far, near  # the engine looks at, and paces, what goes to the far end
    return Job(
        near,
        far,
        limits(args),
        serving(args),
        Console(edit=False),
        verbose=args.verbose or int(args.json),
        quiet=args.quiet,
    )


def _ends(args: Arguments) -> tuple[End, End]:
    if len(args.words) != 2:
        found = f"{len(args.words)} are there" if args.words else "there is none"
        raise UsageError(
            f"two ends are joined, {found}: sw relay -k tcp://:8080 tcp://127.0.0.1:80"
        )
    for word in args.words:
        if not is_end(word):
            host, _, port = word.rpartition(":")
            fits = f"tcp://{word}" if host and port.isdecimal() else f"tcp://:{word}"
            fits = fits if port.isdecimal() else f"tcp://{word}:PORT, unix:{word}"
            raise UsageError(f"{word!r} names no kind of end; what fits: {fits}")
    first, second = map(parse_end, args.words)
    if first == second == StandardEnd():
        raise UsageError("- is standard input and output; only one of the two ends can be that")
    if args.json and StandardEnd() in {first, second}:
        raise UsageError("--json writes rows to standard output, and - is that, too")
    if args.listen and not isinstance(first, SocketEnd):
        turned = f"sw relay -l {second} {first}" if isinstance(second, SocketEnd) else ""
        hint = f"; the end to listen at comes first: {turned}" if turned else ""
        raise UsageError(f"nobody can connect to {first}{hint}")
    return first, second


def _side(end: End, args: Arguments, *, listen: bool = False) -> Side:
    side = Side(end, listen=listen, options=socket_options(args))
    if not isinstance(end, SocketEnd):
        return side
    side = replace(side, family=family(args), numeric=args.numeric)
    check_names(end.endpoint, args)
    if end.tls:
        side = replace(side, tls=tls_options(args))
    if args.frame is not None and end.keeps_boundaries:
        side = replace(side, framing=framing(args.frame))
    return side


def _row(event: Event) -> Happened:
    names = ("kind", "text", "local", "remote", "sent", "received", "duration_ns", "status")
    return Happened(time_ns(), *(getattr(event, name) for name in names))
