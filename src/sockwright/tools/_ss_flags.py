"""The flags of `sw ss`: the letters, and most of the words, are those of ss(8)."""

from __future__ import annotations

from sockwright.tools._ss_request import FAMILIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["add_arguments", "quick"]

# Flags that take no value, by group: letter, word, attribute, value, meaning. A value of True is
# set, a text in `states` takes the place of the one before, other texts are gathered in a list.
_WHICH = (
    ("t", "tcp", "kinds", "tcp", "TCP"),
    ("u", "udp", "kinds", "udp", "UDP"),
    ("w", "raw", "kinds", "raw", "raw IP"),
    ("S", "sctp", "kinds", "sctp", "SCTP"),
    ("M", "mptcp", "kinds", "mptcp", "Multipath TCP"),
    ("x", "unix", "families", "unix", "Unix domain"),
    ("0", "packet", "families", "link", "packet sockets"),
    ("", "vsock", "families", "vsock", "between virtual machines and their host"),
    ("4", "ipv4", "families", "inet", "IPv4"),
    ("6", "ipv6", "families", "inet6", "IPv6"),
    ("a", "all", "states", "all", "in every state, not only connected"),
    ("l", "listening", "states", "listening", "listeners, and UDP sockets without a peer"),
    ("B", "bound-inactive", "states", "bound", "TCP sockets with a port and nothing else"),
)
_DETAILS = (
    ("p", "processes", "processes", True, "the processes that hold it"),
    ("T", "threads", "processes", True, "the same: threads share what they hold"),
    ("o", "options", "timers", True, "its timer"),
    ("e", "extended", "extended", True, "owner, inode, cookie, control group, shutdown"),
    ("m", "memory", "memory", True, "what its buffers hold, and may hold"),
    ("i", "info", "info", True, "what TCP knows: round trips, windows, rates, losses"),
    ("", "tos", "tos", True, "type of service, traffic class, priority"),
    ("", "cgroup", "cgroup", True, "control group"),
    ("", "inet-sockopt", "sockopt", True, "options that are on"),
    ("", "explain", "explain", True, "a sentence on what it does, and what that means"),
)
_FORMS = (
    ("n", "numeric", "numeric", True, "numbers, no names of services; exact rates"),
    ("r", "resolve", "resolve", True, "names of hosts, as far as they come within 2 seconds"),
    ("H", "no-header", "no_header", True, "no line of heads"),
    ("O", "oneline", "one_line", True, "one line a socket, whatever is told of it"),
    ("", "csv", "csv", True, "comma-separated (RFC 4180)"),
)
_INSTEAD = (
    ("s", "summary", "summary", True, "how many there are"),
    ("E", "events", "events", True, "sockets as they are closed"),
    ("", "graph", "graph", True, "curves of the one TCP connection that FILTER selects"),
    ("K", "kill", "kill", True, "close what FILTER selects, after a question"),
    ("", "yes", "yes", True, "close without the question"),
)
# What ss has and this verb has not, and why.
_ABSENT = (
    ("d", "dccp", "absent", "-d: DCCP has left Linux, with 6.16", ""),
    ("D", "diag", "absent", "-D: --json takes the place of raw dumps", ""),
    ("Z", "context", "absent", "-Z: contexts of SELinux are not told here", ""),
    ("z", "contexts", "absent", "-z: contexts of SELinux are not told here", ""),
    ("b", "bpf", "absent", "-b: filters of packet sockets are not told here", ""),
    ("", "tipc", "absent", "--tipc: TIPC is not listed here", ""),
    ("", "tipcinfo", "absent", "--tipcinfo: TIPC is not listed here", ""),
    ("", "xdp", "absent", "--xdp: XDP is not listed here", ""),
)
_FLAGS = (*_WHICH, *_DETAILS, *_FORMS, *_INSTEAD, *_ABSENT)
_WITH_VALUES = (
    "queries", "filter_file", "namespace", "columns", "watch", "count", "duration",
)  # fmt: skip
_HOW = (
    "Into a pipe each socket is a line. On a terminal that is too narrow for the table, of several "
    "processes the first is named and the others are counted; then queues that are 0 for every "
    "socket go; then processes stand below their socket; then the peer does, where addresses are "
    "long."
)


class Arguments:
    """What the words of a command line say, as argparse would tell it."""

    def __init__(self) -> None:
        self.filter: list[str] = []
        self.json = False
        for _, _, name, value, _ in _FLAGS:
            setattr(self, name, False if value is True else None)
        for name in _WITH_VALUES:
            setattr(self, name, None)


def quick(words: Sequence[str]) -> Arguments | None:
    """Return the arguments, None where a word is not known here."""
    by_name = {f"--{word}": (name, value) for _, word, name, value, _ in _FLAGS}
    by_name["--json"] = ("json", True)
    by_letter = {letter: (name, value) for letter, _, name, value, _ in _FLAGS if letter}
    found = Arguments()
    for word in words:
        if not word.startswith("-"):
            found.filter.append(word)
            continue
        flags = [by_name[word]] if word in by_name else [by_letter.get(one) for one in word[1:]]
        for flag in flags or [None]:
            if flag is None:
                return None
            name, value = flag
            if value is True or name == "states":
                setattr(found, name, value)
            else:
                setattr(found, name, [*(getattr(found, name) or ()), value])
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all of them to `parser`."""
    # To groups: argparse looks at the size of the terminal for each option that is in none.
    which = parser.add_argument_group("which sockets")
    which.add_argument(
        "filter",
        nargs="*",
        metavar="FILTER",
        help="such as: state established dport = :443 and dst 10.0.0.0/8",
    )
    _add(which, _WHICH)
    which.add_argument(
        "-f",
        "--family",
        dest="families",
        action="append",
        choices=tuple(FAMILIES),
        metavar="FAMILY",
        help=", ".join(FAMILIES),
    )
    which.add_argument(
        "-A",
        "--query",
        "--socket",
        dest="queries",
        action="append",
        metavar="A,B",
        help="tables by name: tcp, udplite, unix_dgram ...; all is all, !tcp takes one away",
    )
    which.add_argument(
        "-F", "--filter", dest="filter_file", metavar="FILE", help="read (more of) FILTER there"
    )
    which.add_argument(
        "-N",
        "--net",
        dest="namespace",
        metavar="PID|NAME",
        help="look into the network namespace of a process, or one of ip netns",
    )
    _add(which, _ABSENT)
    _add(parser.add_argument_group("what to tell of each"), _DETAILS)
    _add_forms(parser.add_argument_group("how", _HOW))
    _add_others(parser.add_argument_group("instead of a list"))


def _add_forms(group: argparse._ArgumentGroup) -> None:
    from sockwright import __version__

    _add(group, _FORMS)
    group.add_argument(
        "--columns", metavar="A,B", help="these fields; --columns help lists their names"
    )
    group.add_argument(
        "-V",
        "--version",
        action="version",
        version=f"sockwright {__version__}",
        help="print the version",
    )


def _add_others(group: argparse._ArgumentGroup) -> None:
    _add(group, _INSTEAD)
    group.add_argument(
        "--watch",
        nargs="?",
        const="",
        metavar="SECONDS",
        help="a live table, looked at anew every second, or every SECONDS",
    )
    group.add_argument("--count", type=int, metavar="N", help="end after N events or samples")
    group.add_argument("--duration", type=float, metavar="SECONDS", help="end after that time")


def _add(
    group: argparse._ArgumentGroup, flags: Sequence[tuple[str, str, str, str | bool, str]]
) -> None:
    from argparse import SUPPRESS

    for letter, word, name, value, meaning in flags:
        names = (f"-{letter}", f"--{word}") if letter else (f"--{word}",)
        action = "store_true" if value is True else "append_const"
        if name == "states":
            action = "store_const"
        const = {} if value is True else {"const": value}
        group.add_argument(
            *names,
            dest=name,
            action=action,
            help=meaning or SUPPRESS,
            **const,  # type: ignore[arg-type]
        )
