"""List the sockets of this machine, say what they do, watch them, close them.

Group: look
Stands in for: ss, netstat, lsof -i
"""

# Files of this verb: what the flags ask for (_ss_request), names of fields (_ss_fields), closing
# (_ss_close), watching (_ss_watch), curves (_ss_graph). What is shown how: cli/pages/ss.py.

from __future__ import annotations

from sockwright.errors import UsageError
from sockwright.tools._ss_request import FAMILIES, request, selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from typing import Any

    from sockwright.sockets.diag.listing import Remark
    from sockwright.sockets.diag.row import SocketRow
    from sockwright.tools._ss_request import Request

__all__ = ["EXAMPLES", "Aside", "Listing", "View", "arguments", "run"]

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

# What ss has and this verb has not, and why.
_ABSENT = (
    ("-d", "--dccp", "DCCP has left Linux, with 6.16"),
    ("-D", "--diag", "--json takes the place of raw dumps"),
    ("-Z", "--context", "contexts of SELinux are not told here"),
    ("-z", "--contexts", "contexts of SELinux are not told here"),
    ("-b", "--bpf", "filters of packet sockets are not told here"),
    ("--tipc", "--tipcinfo", "TIPC is not listed here"),
    ("--xdp", "", "XDP is not listed here"),
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
    # Groups: argparse looks up the size of the terminal for each option that is in none.
    _add_kinds(parser.add_argument_group("which sockets"))
    _add_details(parser.add_argument_group("what to tell of each"))
    _add_forms(
        parser.add_argument_group(
            "how",
            "Into a pipe each socket is a line. On a terminal that is too narrow for the table, of "
            "several processes the first is named and the others are counted; then queues that "
            "are 0 for every socket go; then processes stand below their socket; then the peer "
            "does, where addresses are long.",
        )
    )
    _add_others(parser.add_argument_group("instead of a list"))


def _add_kinds(group: argparse._ArgumentGroup) -> None:
    from argparse import SUPPRESS

    group.add_argument(
        "filter",
        nargs="*",
        metavar="FILTER",
        help="such as: state established dport = :443 and dst 10.0.0.0/8",
    )
    for letter, word, kind, meaning in (
        ("-t", "--tcp", "tcp", "TCP"),
        ("-u", "--udp", "udp", "UDP"),
        ("-w", "--raw", "raw", "raw IP"),
        ("-S", "--sctp", "sctp", "SCTP"),
        ("-M", "--mptcp", "mptcp", "Multipath TCP"),
    ):
        group.add_argument(
            letter, word, dest="kinds", action="append_const", const=kind, help=meaning
        )
    for letter, word, family, meaning in (
        ("-x", "--unix", "unix", "Unix domain"),
        ("-0", "--packet", "link", "packet sockets"),
        ("-4", "--ipv4", "inet", "IPv4"),
        ("-6", "--ipv6", "inet6", "IPv6"),
    ):
        group.add_argument(
            letter, word, dest="families", action="append_const", const=family, help=meaning
        )
    group.add_argument(
        "--vsock",
        dest="families",
        action="append_const",
        const="vsock",
        help="between virtual machines and their host",
    )
    group.add_argument(
        "-f",
        "--family",
        dest="families",
        action="append",
        choices=tuple(FAMILIES),
        metavar="FAMILY",
        help=", ".join(FAMILIES),
    )
    group.add_argument(
        "-A",
        "--query",
        "--socket",
        dest="queries",
        action="append",
        metavar="A,B",
        help="tables by name: tcp, udplite, unix_dgram ...; all is all, !tcp takes one away",
    )
    for letters, states, meaning in (
        (("-a", "--all"), "all", "in every state, not only connected"),
        (("-l", "--listening"), "listening", "listeners, and UDP sockets without a peer"),
        (("-B", "--bound-inactive"), "bound", "TCP sockets with a port that are neither"),
    ):
        group.add_argument(
            *letters, dest="states", action="store_const", const=states, help=meaning
        )
    group.add_argument(
        "-F", "--filter", dest="filter_file", metavar="FILE", help="read (more of) FILTER there"
    )
    group.add_argument(
        "-N",
        "--net",
        dest="namespace",
        metavar="PID|NAME",
        help="look into the network namespace of a process, or one of ip netns",
    )
    for short, long, why in _ABSENT:
        names = (name for name in (short, long) if name)
        group.add_argument(*names, dest="absent", action="append_const", const=f"{short}: {why}",
                           help=SUPPRESS)  # fmt: skip


def _add_details(group: argparse._ArgumentGroup) -> None:
    for letter, word, dest, meaning in (
        ("-p", "--processes", "processes", "the processes that hold it"),
        ("-T", "--threads", "processes", "the same: threads share what they hold"),
        ("-o", "--options", "timers", "its timer"),
        ("-e", "--extended", "extended", "owner, inode, cookie, control group, shutdown"),
        ("-m", "--memory", "memory", "what its buffers hold, and may hold"),
        ("-i", "--info", "info", "what TCP knows: round trips, windows, rates, losses"),
    ):
        group.add_argument(letter, word, dest=dest, action="store_true", help=meaning)
    for word, dest, meaning in (
        ("--tos", "tos", "type of service, traffic class, priority"),
        ("--cgroup", "cgroup", "control group"),
        ("--inet-sockopt", "sockopt", "options that are on"),
        ("--explain", "explain", "a sentence on what it does, and what that means"),
    ):
        group.add_argument(word, dest=dest, action="store_true", help=meaning)


def _add_forms(group: argparse._ArgumentGroup) -> None:
    from sockwright import __version__

    for letter, word, dest, meaning in (
        ("-n", "--numeric", "numeric", "numbers, no names of services; exact rates"),
        ("-r", "--resolve", "resolve", "names of hosts, as far as they come within 2 seconds"),
        ("-H", "--no-header", "no_header", "no line of heads"),
        ("-O", "--oneline", "one_line", "one line a socket, whatever is told of it"),
    ):
        group.add_argument(letter, word, dest=dest, action="store_true", help=meaning)
    group.add_argument(
        "--columns", metavar="A,B", help="these fields; --columns help lists their names"
    )
    group.add_argument("--csv", action="store_true", help="comma-separated (RFC 4180)")
    group.add_argument(
        "-V",
        "--version",
        action="version",
        version=f"sockwright {__version__}",
        help="print the version",
    )


def _add_others(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-s", "--summary", action="store_true", help="how many there are")
    group.add_argument(
        "--watch",
        nargs="?",
        const="",
        metavar="SECONDS",
        help="a live table, looked at anew every second, or every SECONDS",
    )
    group.add_argument("-E", "--events", action="store_true", help="sockets as they are closed")
    group.add_argument(
        "--graph", action="store_true", help="curves of the one TCP connection that FILTER selects"
    )
    group.add_argument("--count", type=int, metavar="N", help="end after N events or samples")
    group.add_argument("--duration", type=float, metavar="SECONDS", help="end after that time")
    group.add_argument(
        "-K", "--kill", action="store_true", help="close what FILTER selects, after a question"
    )
    group.add_argument("--yes", action="store_true", help="close without the question")


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

        yield summarize(args.namespace)
        if asked.is_everything and not args.filter:
            return 0
    chosen = selection(asked, args)
    if args.watch is not None or args.events or args.graph:
        return (yield from _live(asked, chosen, args, interval))
    if args.kill:
        from sockwright.tools._ss_close import closing

        return (yield from closing(asked, chosen, args))
    # Rows hold no cycles, and a collector that goes through thousands of them finds nothing.
    collects = gc.isenabled()
    gc.disable()
    try:
        return (yield from _list(asked, chosen, args))
    finally:
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
        yield from rows
    else:
        yield Listing(asked.in_order(rows))
    yield from _asides(found.remarks, asked)
    unlisted = {remark.table for remark in found.remarks if remark.kind == "unlisted"}
    return 5 if asked.named_tables and unlisted >= set(asked.tables) else 0


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
