"""List the sockets of this machine, say what they do, watch them, close them.

Group: look
Stands in for: ss, netstat, lsof -i
"""

# Files of this verb: its flags (_ss_flags), what they ask for (_ss_request), names of fields
# (_ss_fields), closing (_ss_close), watching (_ss_watch), curves (_ss_graph). How things are shown:
# cli/pages/ss.py.

from __future__ import annotations

from itertools import islice

from sockwright.errors import UsageError
from sockwright.tools._rows import Remark
from sockwright.tools._ss_request import request, selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from typing import Any

    from sockwright.sockets.diag.remarks import Remark as DumpRemark
    from sockwright.sockets.diag.row import SocketRow
    from sockwright.tools._ss_request import Request

__all__ = ["EXAMPLES", "Listing", "View", "arguments", "quick_arguments", "run"]

_BLOCK = 100  # rows that are written at once

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
    """Rows of sockets that are to be shown as one table.

    With `beside` on standard error, where a question about them follows.
    """

    __slots__ = ("beside", "rows")

    def __init__(self, rows: Sequence[SocketRow], *, beside: bool = False) -> None:
        self.rows = rows
        self.beside = beside


class Told:
    """A socket for programs, with what its message does not tell."""

    __slots__ = ("_more", "_row")

    def __init__(self, row: SocketRow, more: dict[str, object]) -> None:
        self._row = row
        self._more = more

    def as_dict(self) -> dict[str, object]:
        """Return the fields of the socket, and the others."""
        return self._row.as_dict() | self._more


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
        from sockwright.tools._ss_fields import fields_help

        yield from fields_help(args)
        return 0
    asked = request(args)
    _check_tables(asked, args)
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
    if args.columns is not None or args.csv:
        from sockwright.tools._ss_fields import chosen_fields

        fields = chosen_fields(args.columns, processes=args.processes, explain=args.explain)
        chosen |= fields.needs
    found = dump(*tables, **chosen)
    rows: Iterable[SocketRow] = asked.only_kinds(found)
    if fields is not None:
        yield from fields.of(rows, args)
    elif args.json:
        told = iter(_for_programs(rows, args))
        while some := list(islice(told, _BLOCK)):
            yield some
    else:
        listed = asked.in_order(rows)
        yield Listing(listed)
        if not listed and _is_seen():
            yield Remark(_nothing(chosen, args))
    yield from _asides(found.remarks, asked)
    unlisted = {remark.table for remark in found.remarks if remark.kind == "unlisted"}
    return 5 if asked.named_tables and unlisted >= set(asked.tables) else 0


def _for_programs(rows: Iterable[SocketRow], args: argparse.Namespace) -> Iterator[object]:
    """Yield rows, with the names of interfaces and the sentence of --explain where there are."""
    from sockwright.tools._ss_fields import Devices, explainer

    devices = Devices(args.namespace)
    explain = explainer(args.namespace) if args.explain else None
    for row in rows:
        more: dict[str, object] = {}
        if getattr(row, "interface", 0):
            more["local"] = devices.local(row)
        if explain is not None:
            more["explanation"] = explain(row)
        yield Told(row, more) if more else row


def _is_seen() -> bool:
    """Tell whether a person looks at both the table and what is said beside it."""
    import sys

    return sys.stdout.isatty() and sys.stderr.isatty()


def _nothing(chosen: dict[str, Any], args: argparse.Namespace) -> str:
    if args.states is not None or chosen["states"] is None:
        return "no socket matches" if chosen["where"] else "there is no such socket"
    what = "no socket that is connected matches" if chosen["where"] else "nothing is connected"
    return f"{what}; -l lists what waits for peers, -a everything"


def _asides(remarks: Iterable[DumpRemark], asked: Request) -> Iterator[Remark]:
    """Yield what is to be said."""
    return (Remark(str(remark)) for remark in remarks if _is_said(remark, asked))


def _is_said(remark: DumpRemark, asked: Request) -> bool:
    """Tell whether a remark is to be said.

    That /proc told instead, or that this kernel has no such protocol, only who named it wants to
    hear. Nor does anyone else about VSOCK, which many kernels have, and few machines use.
    """
    from sockwright.sockets.diag.remarks import has_protocol

    table = remark.table
    if not table or table in asked.named_tables or remark.kind not in {"fallback", "unlisted"}:
        return True
    return remark.kind == "unlisted" and table != "vsock" and has_protocol(table)


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
            says=lambda remark: _is_said(remark, asked),
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
    if live:
        _check_live(args)
    elif args.columns is not None or args.csv:
        _check_fields(args)
    for name, value in (("--count", args.count), ("--duration", args.duration)):
        if value is not None and not live:
            raise UsageError(f"{name} goes with --watch, -E and --graph alone")
        if value is not None and not value > 0:
            raise UsageError(f"{name} takes a number above 0, not {value}")
    if args.yes and not args.kill:
        raise UsageError("--yes goes with -K alone")


# What stands below a socket: the attribute, and the flag.
_BELOW = {
    "timers": "-o",
    "extended": "-e",
    "memory": "-m",
    "info": "-i",
    "tos": "--tos",
    "cgroup": "--cgroup",
    "sockopt": "--inet-sockopt",
}
# What a live view has no place for.
_NOT_LIVE = _BELOW | {"explain": "--explain", "no_header": "-H", "one_line": "-O"}


def _check_live(args: argparse.Namespace) -> None:
    """Refuse flags whose meaning would be lost in silence. Raises: UsageError."""
    view = "--graph" if args.graph else "-E" if args.events else "--watch"
    _refuse_lost(view, _NOT_LIVE, args)


def _check_fields(args: argparse.Namespace) -> None:
    """Refuse flags for more than the fields that are chosen. Raises: UsageError."""
    if args.columns is None:
        _refuse_lost("--csv", _BELOW, args)
    else:
        _refuse_lost("--columns", {"processes": "-p"} | _BELOW, args)


def _refuse_lost(view: str, flags: dict[str, str], args: argparse.Namespace) -> None:
    lost = [flag for name, flag in flags.items() if getattr(args, name)]
    if lost:
        raise UsageError(f"{view} does not show {' and '.join(lost)}; leave that out")


def _check_tables(asked: Request, args: argparse.Namespace) -> None:
    """Refuse what does not go with the kinds that are asked for. Raises: UsageError."""
    if args.graph and "tcp" not in asked.tables:
        kinds = ", ".join(asked.tables)
        raise UsageError(f"--graph follows a TCP connection, and {kinds} was asked for; add -t")
    if args.kill and args.yes and not args.filter and args.filter_file is None:
        # Typed in the wrong window it would cut off everyone, whoever types it among them.
        text = "-K --yes wants a FILTER; 'state all' is one that closes every socket"
        raise UsageError(text)
