"""List the sockets of this machine, say what they do, watch them, close them.

Group: look
Stands in for: ss, netstat, lsof -i
"""

# Files of this verb: its flags (_ss_flags), what they ask for (_ss_request), names of fields
# (_ss_fields), closing (_ss_close), watching (_ss_watch), curves (_ss_graph). How things are shown:
# cli/pages/ss.py.

from __future__ import annotations

from sockwright.errors import UsageError
from sockwright.tools._ss_request import request, selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from typing import Any

    from sockwright.sockets.diag.listing import Remark
    from sockwright.sockets.diag.row import SocketRow
    from sockwright.tools._ss_request import Request

__all__ = ["EXAMPLES", "Aside", "Listing", "View", "arguments", "quick_arguments", "run"]

EXAMPLES = (
    ("sw ss", "what is connected"),
    ("sw ss -lntup", "who waits for peers, by TCP and UDP, and which process that is"),
    ("sw ss -tan state established '( dport = :443 or sport = :443 )'", "connections of HTTPS"),
    ("sw ss -tan --explain", "what each state means, and what to do about it"),
    ("sw ss -tmi dst 10.0.0.0/8", "memory, round trips, windows of connections to a network"),
    ("sw ss -tan --json", "one object a socket, for programs"),
    ("sw ss -ta --columns state,local,peer,info.rtt_us,info.total_retrans", "chosen fields"),
    ("sw ss --columns help", "the names of all fields"),
    ("sw ss -s", "how many there are, and what memory they take"),
)


class View:
    """How rows are to be shown: the arguments, and whether the sockets are of several kinds."""

    aside = True  # no row of the output
    __slots__ = ("args", "with_netid")

    def __init__(self, args: argparse.Namespace, *, with_netid: bool) -> None:
        self.args = args
        self.with_netid = with_netid

    def __str__(self) -> str:
        return ""


class Listing:
    """Rows of sockets that are to be shown as one table."""

    __slots__ = ("rows",)

    def __init__(self, rows: Sequence[SocketRow]) -> None:
        self.rows = rows


class Explained:
    """A socket for programs, with the sentence of --explain."""

    __slots__ = ("explanation", "row")

    def __init__(self, row: SocketRow, explanation: str) -> None:
        self.row = row
        self.explanation = explanation

    def as_dict(self) -> dict[str, object]:
        """Return the fields of the socket, and the explanation."""
        return self.row.as_dict() | {"explanation": self.explanation}


class Aside:
    """Something to say beside the rows, on standard error."""

    aside = True
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb; the letters, and most words, are those of ss."""
    from sockwright.tools._ss_flags import add_arguments

    add_arguments(parser)


def quick_arguments(words: Sequence[str]) -> Any:
    """Return what `arguments` would make of `words`; None where that is for argparse to say.

    It knows flags without a value and the words of a filter, and spares a run that has nothing else
    the time to load argparse and to describe every option to it.
    """
    from sockwright.tools._ss_flags import quick

    return quick(words)


def run(args: argparse.Namespace) -> Generator[object, None, int]:
    """Yield rows for programs, or a listing to be shown; return the exit status.

    Raises:
        UsageError: the arguments do not go together; FilterError for a wrong filter.
        NotPossibleError: a namespace is closed to this user, and the like.
        OSError: as the kernel says.
    """
    import gc

    interval = _interval(args)
    _check(args)
    if args.columns == "help":
        from sockwright.tools._ss_fields import all_fields

        yield from all_fields()
        return 0
    asked = request(args)
    yield View(args, with_netid=len(asked.kinds) > 1)
    if args.summary:
        from sockwright.sockets.diag.summary import summarize

        summary = summarize(args.namespace)
        yield summary
        yield from _asides(summary.remarks, asked)
        if asked.is_everything and not args.filter:
            return 0
    chosen = selection(asked, args)
    if args.watch is not None or args.events or args.graph:
        return (yield from _live(asked, chosen, args, interval))
    if args.kill:
        from sockwright.tools._ss_close import closing

        return (yield from closing(asked, chosen, args))
    # Rows hold no cycles: a collector that goes through thousands of them finds nothing. Nor is
    # there a point in its going through all that was imported when the process ends, right away.
    collects = gc.isenabled()
    gc.disable()
    try:
        return (yield from _list(asked, chosen, args))
    finally:
        gc.freeze()
        if collects:
            gc.enable()


def _list(
    asked: Request, chosen: dict[str, Any], args: argparse.Namespace
) -> Generator[object, None, int]:
    from sockwright.sockets.diag.listing import dump

    tables = () if asked.is_everything else asked.tables
    fields = None
    if args.columns or args.csv:
        from sockwright.tools._ss_fields import chosen_fields

        fields = chosen_fields(args.columns, processes=args.processes)
        chosen |= fields.needs
    found = dump(*tables, **chosen)
    rows: Iterable[SocketRow] = asked.only_kinds(found)
    if fields is not None:
        yield from fields.of(rows, args)
    elif args.json:
        yield from _explained(rows, args.namespace) if args.explain else rows
    else:
        yield Listing(asked.in_order(rows))
    yield from _asides(found.remarks, asked)
    unlisted = {remark.table for remark in found.remarks if remark.kind == "unlisted"}
    return 5 if asked.named_tables and unlisted >= set(asked.tables) else 0


def _explained(rows: Iterable[SocketRow], namespace: str | None) -> Iterator[Explained]:
    from sockwright.sockets.diag.explain import explain
    from sockwright.sockets.diag.machine import Machine

    machine = Machine.gather(namespace)
    for row in rows:
        yield Explained(row, explain(row, machine))


def _asides(remarks: Iterable[Remark], asked: Request) -> Iterator[Aside]:
    """Yield what is to be said.

    That /proc told instead, or that this kernel has no such protocol, only who named it wants to
    hear.
    """
    from sockwright.sockets.diag.remarks import has_protocol

    for remark in remarks:
        minor = remark.kind == "fallback" or not (remark.table and has_protocol(remark.table))
        if remark.table in asked.named_tables or not remark.table or not minor:
            yield Aside(str(remark))


def _live(
    asked: Request, chosen: dict[str, Any], args: argparse.Namespace, interval: float | None
) -> Generator[object, None, int]:
    keys = ("where", "states", "family", "processes", "namespace")
    some = {key: chosen[key] for key in keys}
    limits: dict[str, Any] = {"count": args.count, "duration": args.duration}
    if args.graph:
        from sockwright.tools._ss_graph import graphing

        return (yield from graphing(some, interval=interval or 0.1, **limits))
    from sockwright.tools._ss_watch import wants_frames, watching

    return (
        yield from watching(
            asked.tables,
            some,
            interval=interval or 1.0,
            unwanted=asked.unwanted,
            frames=wants_frames(json=args.json) and not args.events,
            title=" ".join(args.filter),
            kinds=("closed",) if args.events else ("opened", "changed", "closed"),
            **limits,
        )
    )


def _interval(args: argparse.Namespace) -> float | None:
    """Return the SECONDS of --watch; a word that is no number is the first of the filter."""
    if not args.watch:
        return None
    try:
        seconds = float(args.watch)
    except ValueError:
        args.filter.insert(0, args.watch)
        return None
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--watch takes a number of seconds above 0, not {args.watch}")
    return seconds


def _check(args: argparse.Namespace) -> None:
    """Refuse what does not go together. Raises: UsageError."""
    if args.absent:
        raise UsageError(f"{args.absent[0]}")
    asked = {
        "--watch": args.watch is not None,
        "-E": args.events,
        "--graph": args.graph,
        "-K": args.kill,
        "-s": args.summary,
        "--columns": args.columns is not None,
        "--csv": args.csv,
    }
    several = [name for name, there in asked.items() if there]
    if len(several) > 1 and several != ["--columns", "--csv"]:
        raise UsageError(f"{' and '.join(several)} do not go together; choose one")
    if args.csv and args.json:
        raise UsageError("--csv and --json do not go together; choose one")
    live = args.watch is not None or args.events or args.graph
    for name, value in (("--count", args.count), ("--duration", args.duration)):
        if value is not None and not live:
            raise UsageError(f"{name} goes with --watch, -E and --graph alone")
        if value is not None and not value > 0:
            raise UsageError(f"{name} takes a number above 0, not {value}")
    if args.yes and not args.kill:
        raise UsageError("--yes goes with -K alone")
