"""`dump` tells what ss(8) tells of a machine with sockets of every kind; how, see `agreement.py`.

What we list and ss does not is accounted for here:

- TCP sockets that have a port, and neither listen nor are connected: iproute2 6.1 does not ask for
  that state, which Linux has since 6.8;
- the netlink socket that the listing itself asks by;
- UDP-Lite, which ss does not know: /proc/net/udplite is the peer.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.sockets.diag.agreement import (
    NETIDS,
    Told,
    as_ss_tells,
    disagreements,
    is_between,
    of_ss,
)
from tests.sockets.diag.population import NOBODY
from tests.sockets.diag.ss_facts import facts_of_row, facts_of_ss

from sockwright.lab import call
from sockwright.sockets.diag.inet import SCTPSocket
from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.states import STATES
from sockwright.sockets.diag.tables import TABLES

if TYPE_CHECKING:
    from tests.sockets.diag.population import Population
    from tests.sockets.diag.ss_listing import SsRow

pytestmark = pytest.mark.needs("ss", "nsenter", "unshare", "namespaces")


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
            listing = dump(table, states="all", processes=True)
            ours[table] = [as_ss_tells(row.as_dict()) for row in listing]
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


@pytest.mark.needs("root")
def test_sctp_rows_tell_every_address_that_ss_tells(
    machine: Population, listings: Listings
) -> None:
    if "sctp" in listings.unlisted:
        pytest.skip(f"this kernel: {listings.unlisted['sctp']}")
    by_ss = Counter(
        (*row[1:6], facts["locals"], facts["peers"])
        for row in of_ss(machine, "-aiS", "-d")
        for facts in [facts_of_ss(row.more)]
    )
    with machine.inside():
        rows = list(dump("sctp", info=True))
    ours = Counter(
        (
            *as_ss_tells(row.as_dict())[1:6],
            ",".join(row.local_addresses) or None,
            ",".join(row.peer_addresses) or None,
        )
        for row in rows
        if isinstance(row, SCTPSocket)
    )
    assert ours == by_ss
    assert any("127.0.0.1,127.0.0.2" in row for row in ours)


def _users_as_nobody(machine: Population) -> tuple[list[Told], list[str]]:
    """List TCP and UNIX sockets with their processes as a user who may look into few of them."""

    def listing() -> tuple[list[Told], list[str]]:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        found = dump("tcp", "unix", processes=True)
        return [as_ss_tells(row.as_dict()) for row in found], [
            remark.kind for remark in found.remarks
        ]

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
