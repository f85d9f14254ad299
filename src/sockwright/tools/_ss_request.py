"""What the flags of `sw ss` ask for: which kinds of sockets, of which families, in which states.

The rules are those of ss(8), found by watching what it asks the kernel for:

- a flag for a kind adds that kind, with the states that it has by default; a flag for a family adds
  the family, with all its kinds where none of them was named, and its states;
- the states of everything that was added hold for all of it: ``-t -u`` lists connected TCP and
  connected UDP, ``-t -0`` also unconnected TCP;
- ``-a`` and ``-l`` take their place, the last of them wins; ``state`` and ``exclude`` of the filter
  take the place of both;
- with neither a kind nor a family everything is listed that is connected.
"""

from __future__ import annotations

from sockwright.errors import UsageError
from sockwright.sockets.diag.states import ALL, CONNECTED, STATE_WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from typing import Any

    from sockwright.sockets.diag.filter import SocketFilter
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["FAMILIES", "KINDS", "QUERIES", "Request", "request", "selection"]

_ESTABLISHED = STATE_WORDS["established"]
_CLOSE = STATE_WORDS["close"]
# What -a, -l and -B ask for.
_STATES = {
    "all": ALL,
    "listening": STATE_WORDS["listening"] | _CLOSE,
    "bound": STATE_WORDS["bound-inactive"],
}


class Kind:
    """One kind of sockets: its name in the first column, its table, families and default states."""

    __slots__ = ("families", "netid", "states", "table")

    def __init__(self, netid: str, table: str, families: frozenset[str], states: int) -> None:
        self.netid = netid
        self.table = table
        self.families = families
        self.states = states


_INET = frozenset({"inet", "inet6"})

# In the order in which ss lists them.
KINDS = {
    netid: Kind(netid, table, frozenset(families.split()), states)
    for netid, table, families, states in (
        ("nl", "netlink", "netlink", _CLOSE),
        ("p_raw", "packet", "link", _CLOSE),
        ("p_dgr", "packet", "link", _CLOSE),
        ("u_str", "unix", "unix", CONNECTED),
        ("u_dgr", "unix", "unix", CONNECTED),
        ("u_seq", "unix", "unix", CONNECTED),
        ("raw", "raw", "inet inet6", _ESTABLISHED),
        ("udp", "udp", "inet inet6", _ESTABLISHED),
        ("udplite", "udplite", "inet inet6", _ESTABLISHED),
        ("tcp", "tcp", "inet inet6", CONNECTED),
        ("sctp", "sctp", "inet inet6", CONNECTED),
        ("v_str", "vsock", "vsock", CONNECTED),
        ("v_dgr", "vsock", "vsock", _CLOSE),
        ("mptcp", "mptcp", "inet inet6", CONNECTED),
    )
}
"""Every kind of sockets by its Netid."""

# What -A takes, in the words of ss.
QUERIES = {
    "all": tuple(KINDS),
    "inet": tuple(kind.netid for kind in KINDS.values() if kind.families == _INET),
    "tcp": ("tcp",),
    "mptcp": ("mptcp",),
    "udp": ("udp",),
    "udplite": ("udplite",),
    "raw": ("raw",),
    "sctp": ("sctp",),
    "unix": ("u_str", "u_dgr", "u_seq"),
    "unix_stream": ("u_str",),
    "unix_dgram": ("u_dgr",),
    "unix_seqpacket": ("u_seq",),
    "packet": ("p_raw", "p_dgr"),
    "packet_raw": ("p_raw",),
    "packet_dgram": ("p_dgr",),
    "netlink": ("nl",),
    "vsock": ("v_str", "v_dgr"),
    "vsock_stream": ("v_str",),
    "vsock_dgram": ("v_dgr",),
}
"""Names of tables for -A, with the kinds that each stands for."""

# Default states of a family, where -f names it.
FAMILIES = {
    "inet": CONNECTED,
    "inet6": CONNECTED,
    "unix": CONNECTED,
    "link": _CLOSE,
    "netlink": _CLOSE,
    "vsock": CONNECTED,
}
"""Names of families for -f, with the states that each has by default."""


class Request:
    """What to list: `kinds` by their Netid in order, `families`, a mask of `states`.

    `named_tables` are those that somebody named: that one of them cannot be listed is no aside.
    """

    __slots__ = ("families", "kinds", "named_tables", "states")

    def __init__(
        self,
        kinds: tuple[str, ...],
        families: frozenset[str],
        states: int,
        named_tables: frozenset[str],
    ) -> None:
        self.kinds = kinds
        self.families = families
        self.states = states
        self.named_tables = named_tables

    @property
    def is_everything(self) -> bool:
        """Whether all kinds are wanted."""
        return self.kinds == tuple(KINDS)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables to dump, each once, in order."""
        return tuple(dict.fromkeys(KINDS[netid].table for netid in self.kinds))

    @property
    def family(self) -> str | None:
        """The one family that is wanted; None where there are several."""
        return next(iter(self.families)) if len(self.families) == 1 else None

    @property
    def unwanted(self) -> frozenset[str]:
        """The kinds that come with their table, but were not asked for."""
        of_tables = {kind.netid for kind in KINDS.values() if kind.table in self.tables}
        return frozenset(of_tables - set(self.kinds))

    def only_kinds(self, rows: Iterable[SocketRow]) -> Iterable[SocketRow]:
        """Leave out rows whose kind or family was not asked for."""
        unwanted = self.unwanted
        if unwanted:
            rows = (row for row in rows if row.netid not in unwanted)
        if self.family is None and len(self.families & _INET) == 1:
            rows = (row for row in rows if row.family in self.families)
        return rows

    def in_order(self, rows: Iterable[SocketRow]) -> list[SocketRow]:
        """Return `rows` table by table, in the order of `KINDS`."""
        found = list(rows)
        if self.is_everything:
            places = {table: place for place, table in enumerate(self.tables)}
            found.sort(key=lambda row: places[row.protocol])
        return found

    @property
    def state_words(self) -> tuple[str, ...]:
        """The states as words that `sockwright.sockets.dump` takes."""
        if self.states == ALL:
            return ("all",)
        return tuple(
            word
            for word, mask in STATE_WORDS.items()
            if mask & self.states and not mask & (mask - 1)
        )


def request(args: argparse.Namespace) -> Request:
    """Return what the flags ask for. Raises: UsageError."""
    kinds: set[str] = set(args.kinds or ())
    families: set[str] = set(args.families or ())
    states = 0
    for kind in kinds:
        states |= KINDS[kind].states
    for family in families:
        states |= FAMILIES[family]
    named = {KINDS[kind].table for kind in kinds}
    for query in args.queries or ():
        states |= _query(query, kinds)
        words = {word.strip() for word in query.split(",")} - {"all", "inet"}
        named |= {KINDS[kind].table for word in words for kind in QUERIES.get(word, ())}
    if not (kinds or families or args.queries):
        kinds, states = set(KINDS), CONNECTED
    for kind in kinds:
        if not KINDS[kind].families & families:
            families |= KINDS[kind].families
    for family in families:
        if not any(family in KINDS[kind].families for kind in kinds):
            kinds |= {kind.netid for kind in KINDS.values() if family in kind.families}
    if not kinds:
        raise UsageError("no table of sockets is left; -A all lists every one")
    if args.states is not None:
        states = _STATES[args.states]
    ordered = tuple(netid for netid in KINDS if netid in kinds)
    return Request(ordered, frozenset(families), states, frozenset(named))


def _query(query: str, kinds: set[str]) -> int:
    """Add to `kinds`, or take away, what a list for -A names; return the states of the added."""
    states = 0
    for word in query.split(","):
        name = word.strip().removeprefix("!")
        found = QUERIES.get(name)
        if found is None:
            raise UsageError(f"there is no table of sockets '{name}'; {_near(name, QUERIES)}")
        if word.strip().startswith("!"):
            kinds -= set(found)
            continue
        kinds |= set(found)
        for netid in found:
            states |= KINDS[netid].states
    return states


def _near(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    names = list(known)
    close = get_close_matches(word, names, n=2, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names)}"


def selection(asked: Request, args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments for `sockwright.sockets.dump` beside the tables.

    Raises:
        FilterError: the filter is wrong; UsageError: its file is not there.
        OSError: the file cannot be read.
    """
    where: SocketFilter | str = ""
    words = " ".join(args.filter)
    if args.filter_file is not None:
        words = f"{words} {_read(args.filter_file)}".strip()
    states: tuple[str, ...] | None = asked.state_words
    if words:
        from sockwright.sockets.diag.filter import parse_filter

        last = args.families[-1] if args.families else None
        where = parse_filter(words, family=last, protocols=asked.tables)
        if where.states is not None:
            states = None
    explain = args.explain
    return {
        "where": where,
        "states": states,
        "family": asked.family,
        "info": args.info or explain,
        "memory": args.memory or explain,
        "options": args.tos,
        "processes": args.processes or explain,
        "namespace": args.namespace,
    }


def _read(path: str) -> str:
    """Return the filter in a file. Raises: UsageError, OSError, both with the name of the file."""
    import sys

    from sockwright.sockets.diag.filter.lexer import MAX_EXPRESSION

    if path == "-" and sys.stdin is None:
        raise UsageError("-F -: standard input is closed")
    source = 0 if path == "-" else path
    try:
        with open(source, encoding="utf-8", errors="surrogateescape", closefd=path != "-") as file:
            text = file.read(MAX_EXPRESSION + 1)  # a device may have no end
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise UsageError(f"-F {path}: {error.strerror}") from None
    except OSError as error:
        error.filename = f"-F {path}"  # an error of reading does not say where
        raise
    if len(text) > MAX_EXPRESSION:
        raise UsageError(f"-F {path}: a filter has {MAX_EXPRESSION} characters at most")
    return text
