"""`dump` and `sw ss` tell what ss(8) tells, of a machine with sockets of every kind.

ss runs before and after us. What it said both times we say as well, each value as it was one of the
times, or between: a timer may have gone off. What we list and ss does not is accounted for here:

- TCP sockets that have a port, and neither listen nor are connected: iproute2 6.1 does not ask for
  that state, which Linux has since 6.8;
- the netlink socket that the listing itself asks by;
- UDP-Lite, which ss does not know: /proc/net/udplite is the peer.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.sockets.diag.population import NOBODY
from tests.sockets.diag.ss_facts import facts_of_row, facts_of_ss
from tests.sockets.diag.ss_listing import SsRow, read_listing

from sockwright.lab import call
from sockwright.sockets.diag import inet, netlink_table, packet, unix
from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.states import STATES
from sockwright.sockets.diag.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.sockets.diag.population import Population

    from sockwright.sockets.diag.row import SocketRow

pytestmark = pytest.mark.needs("ss", "nsenter", "unshare", "namespaces")

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


def as_ss_tells(row: SocketRow) -> Told:
    """Return what ss would say about our row, where it says everything."""
    local, peer, timer = row.local, row.peer, None
    names = frozenset(
        # ss takes the name from /proc/PID/stat, up to the first ")"
        (one.name.partition(")")[0], one.pid, one.descriptor)
        for one in row.processes or ()
    )
    if isinstance(row, inet.InetSocket):
        local = row.local_on("lo" if row.interface else "")  # the machine has no other interface
        if row.timer is not None:
            timer = row.timer.name, row.timer.retransmits
    elif isinstance(row, unix.UnixSocket):
        local, peer = row.path or "*", str(row.peer_inode or 0)
    elif isinstance(row, packet.PacketSocketRow):
        local = row.local.replace("if1", "lo")
    elif isinstance(row, netlink_table.NetlinkSocket):
        # ss takes the port for a signed number, and tells the process in the address, if at all
        port = row.port_id - (row.port_id >> 31 << 32)
        local, names = f"{row.netlink_protocol}:{port}", frozenset()
    return Told(
        row.netid, row.state, row.receive_queue, row.send_queue, local, peer, row.inode,
        row.cookie, row.uid, timer, names,
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
        {row.identity: row for row in (Told(*one[:-1]) for one in rows)} for rows in (before, after)
    )
    untold: dict[str, Any] = {
        name: None
        for name in ("inode", "cookie", "uid", "timer")
        if all(getattr(row, name) is None for row in first.values())
    }
    told = {row.identity: row for row in (one._replace(**untold) for one in ours)}
    words = [f"not listed: {first[key]}" for key in first.keys() & last.keys() - told.keys()]
    for key in first.keys() & last.keys() & told.keys():
        for name, we, one, other in zip(
            Told._fields, told[key], first[key], last[key], strict=True
        ):
            if we not in (one, other) and not (name == "timer" and is_between(we, one, other)):
                words.append(f"{name} of {told[key]}: {we}, and ss: {one}, {other}")
    return words, [told[key] for key in told.keys() - first.keys() - last.keys()]


class Listings(NamedTuple):
    """What was listed of the whole machine: by ss, by us table by table, and by ss again."""

    before: list[SsRow]
    ours: dict[str, list[Told]]
    unlisted: dict[str, str]
    after: list[SsRow]


@pytest.fixture(scope="module")
def listings(machine: Population) -> Listings:
    before = of_ss(machine, "-aepo", "-A", "all")
    ours: dict[str, list[Told]] = {}
    unlisted: dict[str, str] = {}
    with machine.inside():
        for table in TABLES:
            listing = dump(table, processes=True)
            ours[table] = [as_ss_tells(row) for row in listing]
            unlisted |= {one.table: one.text for one in listing.remarks if one.kind == "unlisted"}
    return Listings(before, ours, unlisted, of_ss(machine, "-aepo", "-A", "all"))


@pytest.mark.needs("root")
@pytest.mark.parametrize("table", NETIDS)
def test_rows_of_dump_equal_those_of_ss(
    machine: Population, listings: Listings, table: str
) -> None:
    before, after = (
        [row for row in rows if row.netid in NETIDS[table]]
        for rows in (listings.before, listings.after)
    )
    if table in listings.unlisted:
        assert not before
        pytest.skip(f"this kernel: {listings.unlisted[table]}")
    assert len(before) > 2
    wrong, alone = disagreements(before, listings.ours[table], after)
    assert not wrong, "\n".join(wrong)
    if table == "tcp":
        bound = {machine.inode("tcp4 bound"), machine.inode("tcp6 bound")}
        alone = [row for row in alone if row.inode not in bound]
    if table == "netlink":
        alone = [row for row in alone if row.local != f"4:{os.getpid()}"]
    assert not alone


@pytest.mark.needs("root")
def test_udplite_is_listed_as_proc_has_it(listings: Listings, machine: Population) -> None:
    lines = [
        line.split()
        for name in ("udplite", "udplite6")
        for line in machine.run("cat", f"/proc/self/net/{name}").stdout.splitlines()[1:]
    ]
    known = {int(words[9]): (int(words[4].partition(b":")[2], 16), words[7]) for words in lines}
    told = {
        row.inode: (row.receive_queue, str(row.uid).encode()) for row in listings.ours["udplite"]
    }
    assert told == known
    assert machine.inode("udplite6 bound") in told


@pytest.mark.needs("root")
def test_every_socket_that_was_made_is_listed(machine: Population, listings: Listings) -> None:
    listed = {row.inode for rows in listings.ours.values() for row in rows}
    unlisted = {name for name, made in machine.sockets.items() if made.inode not in listed}
    expected = {name for name in machine.sockets if name.endswith(" closed")}  # without a port
    expected -= {"unix closed"}
    expected |= {"netlink unbound", "ping4", "ping6"}  # no table of diag has these
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 8):
        expected |= {"tcp4 bound", "tcp6 bound"}
    expected |= {"sctp bound"} & machine.sockets.keys()
    if "vsock" in listings.unlisted:
        expected |= {name for name in machine.sockets if name.startswith("vsock")}
    assert unlisted == expected


@pytest.mark.needs("root")
@pytest.mark.parametrize("family", ["inet", "inet6"])
def test_tcp_is_listed_in_every_state(machine: Population, family: str) -> None:
    with machine.inside():
        rows = list(dump("tcp", family=family))
    assert {row.state for row in rows} >= set(STATES.values()) - {"UNCONN"}
    nobodys = {row.state for row in rows if row.inode == 0}
    assert nobodys == {"ESTAB", "FIN-WAIT-1", "TIME-WAIT", "SYN-RECV"}


@pytest.mark.needs("root")
@pytest.mark.parametrize("table", ["tcp", "mptcp", "udp", "packet", "unix"])
def test_rows_tell_what_ss_tells_behind_the_addresses(machine: Population, table: str) -> None:
    def facts() -> dict[int | None, dict[str, str | None]]:
        rows = of_ss(machine, "-aemi", "--tos", "-A", "all")
        return {
            row.cookie or row.inode: facts_of_ss(row.more)
            for row in rows
            if row.netid in NETIDS[table]
        }

    before = facts()
    with machine.inside():
        ours = list(dump(table, info=True, memory=True, options=True))
    after = facts()
    told = {row.inode if table == "unix" else row.cookie: row for row in ours}
    assert before.keys() & after.keys() <= told.keys()
    wrong = []
    for key, row in told.items():
        if key in before and key in after:
            for name, value in facts_of_row(row).items():
                by_ss = before[key][name], after[key][name]
                if not is_between(value, *by_ss):
                    wrong.append(f"{name} of {row}: {value}, and ss: {by_ss}")
    assert not wrong, "\n".join(wrong)
    assert before.keys() & after.keys() <= {row.inode for row in ours} | {
        row.cookie for row in ours
    }


def _users_as_nobody(machine: Population) -> tuple[list[Told], list[str]]:
    """List TCP and UNIX sockets with their processes as a user who may look into few of them."""

    def listing() -> tuple[list[Told], list[str]]:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        found = dump("tcp", "unix", processes=True)
        return [as_ss_tells(row) for row in found], [remark.kind for remark in found.remarks]

    network = os.open(f"/proc/{machine.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return call.start("nobody", (network,), listing).result(10)
    finally:
        os.close(network)


@pytest.mark.needs("root", "setpriv")
def test_an_ordinary_user_sees_the_processes_that_ss_shows_him(machine: Population) -> None:
    flags = ("-apO", "-A", "tcp,unix_stream,unix_dgram,unix_seqpacket")
    by_ss = {
        (row.local, row.peer): row.users
        for row in of_ss(machine, *flags, nobody=True)
        if row.state != "SYN-RECV"
    }
    told, remarks = _users_as_nobody(machine)
    ours = {(row.local, row.peer): row.users for row in told}
    assert {name: users for name, users in by_ss.items() if ours.get(name) != users} == {}
    holders = {pid for row in told for _, pid, _ in row.users}
    assert holders == {machine.processes["other user"]}
    assert "hidden" in remarks
