"""What ss(8) says about the sockets of a machine, as values: the peer of the tests.

ss has no output for programs, so its lines are taken apart here, for iproute2 6.1. Known there:

- a name with a newline makes two lines of one row, and a name goes to the terminal as it is;
- a name of a process ends at its first ")", the rest is lost;
- the address of a UNIX socket is its path, a space and its inode; a path may hold spaces;
- of UNIX sockets ``-e`` says "ino:" of the file; the own stands behind the path; of netlink
  sockets it says nothing, and of raw ones only where the kernel has raw_diag;
- with raw_diag and beside other kinds it calls raw sockets "???", or "icmp6";
- associations of SCTP follow their socket, with "`- " before the state instead of "sctp".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SsRow", "read_listing"]

_NETIDS = (
    "tcp|mptcp|udplite|udp|raw|sctp|u_str|u_dgr|u_seq|p_raw|p_dgr|nl|v_str|v_dgr|icmp6?|[?]{3}"
)
_STATES = (
    "UNCONN|LISTEN|ESTAB|SYN-SENT|SYN-RECV|FIN-WAIT-1|FIN-WAIT-2|TIME-WAIT|CLOSE-WAIT|LAST-ACK"
    "|CLOSING|UNKNOWN"
)
_ROW = re.compile(
    rf"(?:(?P<netid>{_NETIDS})\s+)?(?:`- )?(?:(?P<state>{_STATES})\s+)?"
    r"(?P<receive>\d+)\s+(?P<send>\d+)\s+(?P<rest>\S.*)",
    re.DOTALL,
)
_UNIX = re.compile(r"(?P<path>.*) (?P<inode>\d+)\s+\* (?P<peer>\d+)(?P<more>\s.*|)", re.DOTALL)
_OTHER = re.compile(r"(?P<local>\S+)\s+(?P<peer>\S+?)(?P<more>\s.*|users:.*|)", re.DOTALL)
_USER = re.compile(r'\("(.*?)",pid=(\d+),fd=(\d+)\)', re.DOTALL)


class SsRow(NamedTuple):
    """One row. Empty text and None stand for what ss did not say."""

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
    """The name and how often it went off; not when it will."""
    users: frozenset[tuple[str, int, int]]
    """Name up to ")", process, descriptor."""
    more: str
    """The rest of the line, for a test's own search."""

    def number(self, pattern: str) -> int | None:
        """Return the number that the group of a regular expression finds in the rest."""
        found = re.search(pattern, self.more)
        return int(found[1], 0) if found else None


def read_listing(octets: bytes, *, netid: str = "", state: str = "") -> list[SsRow]:
    """Take the output of ``ss -HOn`` apart.

    `netid` and `state` are those of every row, where ss leaves out a column that has one value.
    """
    rows: list[SsRow] = []
    for line in _joined(octets.decode(errors="surrogateescape").split("\n")):
        is_part = line.startswith("`-")
        rows.append(_row(line, rows[-1].netid if is_part else netid, state))
    return rows


def _joined(lines: Iterable[str]) -> list[str]:
    """Put rows together again that a newline in a name has cut."""
    rows: list[str] = []
    for line in lines:
        if _ROW.fullmatch(line.strip()) or not rows:
            rows.append(line)
        else:
            rows[-1] += f"\n{line}"
    return [row.strip() for row in rows if row.strip()]


def _row(text: str, netid: str, state: str) -> SsRow:
    row = _ROW.fullmatch(text)
    assert row, text
    netid = row["netid"] or netid
    if netid[:1] in {"?", "i"}:
        netid = "raw"
    if netid.startswith("u_"):
        unix = _UNIX.fullmatch(row["rest"])
        assert unix, text
        local, peer, more = unix["path"].strip(), unix["peer"], unix["more"]
        inode: int | None = int(unix["inode"])
    else:
        other = _OTHER.fullmatch(row["rest"])
        assert other, text
        local, peer, more = other["local"], other["peer"], other["more"]
        inode = _number(r"\bino:(\d+)", more)
    timer = re.search(r"\btimer:\((\w+),[^,]*,(\d+)\)", more)
    extended = "sk:" in more and not netid.startswith("u_")
    return SsRow(
        netid=netid,
        state=row["state"] or state,
        receive_queue=int(row["receive"]),
        send_queue=int(row["send"]),
        local=local,
        peer=peer,
        inode=inode,
        cookie=_number(r"\bsk:([0-9a-f]+)", more, 16) if extended else None,
        # ss leaves out the user 0
        uid=(_number(r"\buid:(\d+)", more) or 0) if extended else None,
        timer=(timer[1], int(timer[2])) if timer else None,
        users=frozenset((name, int(pid), int(fd)) for name, pid, fd in _USER.findall(more)),
        more=more,
    )


def _number(pattern: str, text: str, base: int = 10) -> int | None:
    found = re.search(pattern, text)
    return int(found[1], base) if found else None
