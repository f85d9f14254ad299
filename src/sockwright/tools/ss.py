"""List the sockets of this machine.

Group: look
Stands in for: ss, netstat
"""

from __future__ import annotations

from sockwright.tools._ss_request import request

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from sockwright.sockets.diag.row import SocketRow

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = (
    ("sw ss", "what is connected"),
    ("sw ss -lntu", "who waits for peers, by TCP and by UDP"),
    ("sw ss -tan --json", "every TCP socket, for programs"),
)


class Listing:
    """Rows of sockets to be shown as a table, and how."""

    __slots__ = ("args", "rows", "with_netid")

    def __init__(
        self, rows: list[SocketRow], args: argparse.Namespace, *, with_netid: bool
    ) -> None:
        self.rows = rows
        self.args = args
        self.with_netid = with_netid


class Aside:
    """Something to say beside the rows, on standard error."""

    aside = True
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb; the letters are those of ss."""
    which = parser.add_argument_group("which sockets")
    for letter, word, kind, meaning in (
        ("t", "tcp", "tcp", "TCP"),
        ("u", "udp", "udp", "UDP"),
        ("w", "raw", "raw", "raw IP"),
        ("S", "sctp", "sctp", "SCTP"),
        ("M", "mptcp", "mptcp", "Multipath TCP"),
    ):
        which.add_argument(
            f"-{letter}",
            f"--{word}",
            dest="kinds",
            action="append_const",
            const=kind,
            help=meaning,
        )
    for letter, word, family, meaning in (
        ("x", "unix", "unix", "UNIX, of all types"),
        ("0", "packet", "link", "packet sockets"),
        ("4", "ipv4", "inet", "IPv4"),
        ("6", "ipv6", "inet6", "IPv6"),
    ):
        which.add_argument(
            f"-{letter}",
            f"--{word}",
            dest="families",
            action="append_const",
            const=family,
            help=meaning,
        )
    which.add_argument("-A", "--query", "--socket", dest="queries", action="append", metavar="A,B")
    which.add_argument("-a", "--all", dest="states", action="store_const", const="all")
    which.add_argument("-l", "--listening", dest="states", action="store_const", const="listening")
    parser.add_argument("-n", "--numeric", action="store_true", help="no names of services")
    parser.add_argument("-p", "--processes", action="store_true", help="who holds it")
    parser.add_argument("-H", "--no-header", action="store_true", help="no line of heads")
    parser.add_argument("filter", nargs="*", metavar="FILTER", help="only what this accepts")


def run(args: argparse.Namespace) -> Iterator[object]:
    """Yield the rows for programs, or a listing to be shown."""
    from sockwright.sockets.diag.listing import dump

    asked = request(args)
    found = dump(
        *asked.tables,
        where=" ".join(args.filter),
        states=asked.state_words,
        family=asked.family,
        processes=args.processes,
    )
    unwanted = asked.unwanted
    rows = (row for row in found if row.netid not in unwanted) if unwanted else found
    if args.json:
        yield from rows
    else:
        yield Listing(list(rows), args, with_netid=len(asked.kinds) > 1)
    for remark in found.remarks:
        yield Aside(str(remark))
