"""`sw ss -K`: close sockets, after what matches was shown and somebody said yes.

Rules: nothing is closed that was not shown. A socket is known again by its cookie, so that between
the question and the answer no other can take its place.
"""

from __future__ import annotations

import sys

from sockwright.errors import NotPossibleError, SockwrightError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Iterator
    from typing import Any

    from sockwright.sockets.diag.row import SocketRow
    from sockwright.tools._ss_request import Request

__all__ = ["Closed", "closing"]

_CLOSABLE = {"tcp", "udp", "raw"}
_GOES_ON = "its next call fails with ECONNABORTED, then it receives as before: it keeps its port"


class Closed:
    """What became of one socket.

    `local` is its own address with the interface; `outcome` is "closed", "told" (it was, and goes
    on: a UDP socket that is bound to its port), "gone" (by itself) or "failed" (it is still there).
    """

    __slots__ = ("local", "outcome", "reason", "row")

    def __init__(self, row: SocketRow, local: str, outcome: str, reason: str = "") -> None:
        self.row = row
        self.local = local
        self.outcome = outcome
        self.reason = reason

    def as_dict(self) -> dict[str, object]:
        """Return the outcome, and the fields of the socket."""
        found: dict[str, object] = {"outcome": self.outcome}
        if self.reason:
            found["reason"] = self.reason
        return found | self.row.as_dict() | {"local": self.local}


def closing(
    asked: Request, chosen: dict[str, Any], args: argparse.Namespace
) -> Generator[object, None, int]:
    """Yield a listing of what matches, then what became of each; return the exit status.

    Raises:
        UsageError: nobody could be asked.
        NotPossibleError: this kernel closes no sockets, or not for this user.
    """
    from sockwright.sockets.diag.listing import dump
    from sockwright.tools._rows import Remark
    from sockwright.tools.ss import Listing

    if not args.yes and args.json and _can_ask():
        raise UsageError("-K --json wants --yes: it closes without a question")
    if not args.yes and not _can_ask():
        raise UsageError("there is no terminal to ask on; --yes closes without a question")
    found = dump(*asked.tables, **chosen)
    rows = asked.in_order(asked.only_kinds(found))
    closable = [row for row in rows if row.protocol in _CLOSABLE]
    if len(closable) < len(rows):
        others = len(rows) - len(closable)
        yield Remark(
            f"{_sockets(others)} of other kinds {'is' if others == 1 else 'are'} left alone: "
            "the kernel closes TCP, UDP and raw sockets for others"
        )
    if not closable:
        yield Remark("nothing to close: no socket matches")
        return 1
    if not args.yes:
        # Both where somebody reads the question, wherever standard output goes.
        yield Listing(closable, beside=not sys.stdout.isatty())
        if not _ask(f"Close {_these(len(closable))}? [y/N] "):
            yield Remark("nothing was closed")
            return 1
    left = 0
    for closed in _close(closable, args.namespace):
        left += closed.outcome in {"failed", "told"}
        yield closed
    return 1 if left else 0


def _close(rows: list[SocketRow], namespace: str | None) -> Iterator[Closed]:
    """Close sockets, and yield what became of each.

    Raises: NotPossibleError, PermissionError where none can be closed.
    """
    from sockwright.sockets.diag.destroy import destroy
    from sockwright.sockets.diag.netlink import SockDiag
    from sockwright.tools._ss_fields import Devices

    local = Devices(namespace).local
    impossible: list[tuple[SocketRow, NotPossibleError]] = []
    with SockDiag(namespace) as diag:
        left, any_closed = rows, True
        while left and any_closed:
            any_closed = False
            # Of sockets that share an address the kernel finds one at a time, see `destroy`.
            again = []
            for row in left:
                try:
                    is_gone = destroy(row, diag)
                except FileNotFoundError:
                    again.append(row)
                except NotPossibleError as error:
                    impossible.append((row, error))
                except PermissionError:
                    raise
                except (OSError, SockwrightError) as error:
                    yield Closed(row, local(row), "failed", str(error))
                else:
                    any_closed = True
                    outcome = ("closed",) if is_gone else ("told", _GOES_ON)
                    yield Closed(row, local(row), *outcome)
            left = again
    if len(impossible) == len(rows):
        raise impossible[0][1]
    for row, reason in impossible:
        yield Closed(row, local(row), "failed", str(reason))
    there = _cookies(left, namespace)
    for row in left:
        outcome = ("failed", _not_found(row)) if row.cookie in there else ("gone",)
        yield Closed(row, local(row), *outcome)


def _cookies(rows: list[SocketRow], namespace: str | None) -> set[int]:
    """Return the cookies of all sockets that are there now, of the tables that `rows` are of."""
    from sockwright.sockets.diag.listing import dump

    tables = dict.fromkeys(row.protocol for row in rows)
    if not tables:
        return set()
    return {row.cookie for row in dump(*tables, states="all", namespace=namespace)}


def _not_found(row: SocketRow) -> str:
    """Say why the kernel, asked to close a socket that is there, finds none."""
    if row.protocol == "udp" or row.state == "LISTEN":
        return "the kernel finds another socket that shares its port (SO_REUSEPORT)"
    if row.protocol == "tcp" and row.state == "UNCONN":
        return "it is merely bound to its port; the kernel finds only listeners and connections"
    return "the kernel does not find it by its addresses"


def _can_ask() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _ask(question: str) -> bool:
    sys.stdout.flush()
    sys.stderr.write(question)
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):  # the end of input is no answer
        sys.stderr.write("\n")
    return answer.strip().lower() in {"y", "yes"}


def _sockets(number: int) -> str:
    return f"{number} socket{'' if number == 1 else 's'}"


def _these(number: int) -> str:
    return "this socket" if number == 1 else f"these {number} sockets"
