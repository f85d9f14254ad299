"""What is compared of a socket that ss(8) lists and one that we list.

ss runs before and after us. What it said both times we say as well, each value as it was one of the
times, or of a timer between: it may have gone off.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.sockets.diag.ss_listing import SsRow, read_listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.sockets.diag.population import Population

__all__ = ["NETIDS", "Told", "as_ss_tells", "disagreements", "is_between", "of_ss"]

NETIDS = {
    "tcp": {"tcp"},
    "mptcp": {"mptcp"},
    "udp": {"udp"},
    "raw": {"raw"},
    "sctp": {"sctp"},
    "unix": {"u_str", "u_dgr", "u_seq"},
    "packet": {"p_raw", "p_dgr"},
    "netlink": {"nl"},
    "vsock": {"v_str", "v_dgr"},
}
"""Our tables that ss has too, with what it calls their rows."""


class Told(NamedTuple):
    """What is compared of a socket; None and nothing for what ss does not tell."""

    netid: str
    state: str
    receive_queue: int
    send_queue: int
    local: str
    peer: str
    inode: int | None
    cookie: int | None
    uid: int | None
    timer: tuple[str, int] | None
    users: frozenset[tuple[str, int, int]]

    @property
    def identity(self) -> tuple[object, ...]:
        """What does not change; associations of SCTP share the inode and cookie of their socket."""
        return self.netid, self.local, self.peer, self.inode, self.cookie


def of_ss(machine: Population, *flags: str, nobody: bool = False) -> list[SsRow]:
    """Return what ``ss -n`` lists; with more than one kind of sockets, so that it says which."""
    return read_listing(machine.run("ss", "-HOn", *flags, nobody=nobody).stdout)


def as_ss_tells(row: Mapping[str, Any]) -> Told:
    """Return what ss would say about a row of ours, as ``--json`` has it."""
    protocol, local, peer, timer = row["protocol"], row["local"], row["peer"], row.get("timer")
    netid = protocol
    users = frozenset(
        # ss takes the name from /proc/PID/stat, up to the first ")"
        (one["name"].partition(")")[0], one["pid"], one["descriptor"])
        for one in row.get("processes", ())
    )
    if "local_port" in row and row.get("interface") and "%" not in local:
        local = f"%lo:{row['local_port'] or '*'}".join(local.rsplit(f":{row['local_port']}", 1))
    elif protocol == "unix":
        netid = {"stream": "u_str", "dgram": "u_dgr", "seqpacket": "u_seq"}[row["type"]]
        local, peer = row.get("path", "*"), str(row.get("peer_inode", 0))
    elif protocol == "packet":
        netid = {"raw": "p_raw", "dgram": "p_dgr"}[row["type"]]
        local = local.replace("if1", "lo")
    elif protocol == "vsock":
        netid = {"stream": "v_str", "dgram": "v_dgr"}[row["type"]]
    elif protocol == "netlink":
        # ss takes the port for a signed number, and tells the process in the address, if at all
        port = row["port_id"] - (row["port_id"] >> 31 << 32)
        netid, local, users = "nl", f"{row['netlink_protocol']}:{port}", frozenset()
    return Told(
        netid, row["state"], row["receive_queue"], row["send_queue"], local, peer, row["inode"],
        row["cookie"], row.get("uid"), (timer["name"], timer["retransmits"]) if timer else None,
        users,
    )  # fmt: skip


def is_between(value: object, before: object, after: object) -> bool:
    """Whether a value is one of two, or its numbers lie between theirs: counters count on."""
    if value in (before, after):
        return True
    texts = [str(one) for one in (value, before, after)]
    if len({re.sub(r"[\d.]+", "0", text) for text in texts}) > 1:
        return False
    numbers = ([float(found) for found in re.findall(r"[\d.]+", text)] for text in texts)
    return all(
        min(one, other) <= we <= max(one, other) for we, one, other in zip(*numbers, strict=True)
    )


def disagreements(
    before: Iterable[SsRow], ours: Iterable[Told], after: Iterable[SsRow]
) -> tuple[list[str], list[Told]]:
    """Return where we differ from ss, in words, and the rows that are ours alone."""
    first, last = (
        {row.identity: row for row in (_steady(Told(*one[:-1])) for one in rows)}
        for rows in (before, after)
    )
    untold: dict[str, dict[str, Any]] = {}
    for netid in {row.netid for row in first.values()}:
        rows = [row for row in first.values() if row.netid == netid]
        untold[netid] = {
            name: None
            for name in ("inode", "cookie", "uid", "timer")
            if all(getattr(row, name) is None for row in rows)
        }
    told = {
        row.identity: row
        for row in (_steady(one)._replace(**untold.get(one.netid, {})) for one in ours)
    }
    words = [f"not listed: {first[key]}" for key in first.keys() & last.keys() - told.keys()]
    for key in first.keys() & last.keys() & told.keys():
        for name, we, one, other in zip(
            Told._fields, told[key], first[key], last[key], strict=True
        ):
            if we not in (one, other) and not (name == "timer" and is_between(we, one, other)):
                words.append(f"{name} of {told[key]}: {we}, and ss: {one}, {other}")
    return words, [told[key] for key in told.keys() - first.keys() - last.keys()]


def _steady(row: Told) -> Told:
    """Return it without a count that goes up and down: each probe of a window gets an answer."""
    return row._replace(timer=("persist", 0)) if row.timer and row.timer[0] == "persist" else row
