"""`dump` and `lookup`: which rows come, each once, and what is said beside them."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.open_files import open_files
from tests.sockets.diag.kernel_voice import answering, datagrams_of, done, with_flag
from tests.sockets.diag.own_network import as_nobody

from sockwright.errors import UsageError
from sockwright.filters import FilterError
from sockwright.lab import Lab
from sockwright.sockets import SocketRow, UnixSocket, dump, lookup
from sockwright.sockets.diag import listing
from sockwright.sockets.diag.inet import inet_request
from sockwright.sockets.diag.netlink import BOTH_FAMILIES, SockDiag
from sockwright.sockets.diag.states import ALL, BOUND_INACTIVE
from sockwright.sockets.diag.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sockets.diag.population import Population

    from sockwright.sockets import Dump
    from sockwright.sockets.diag.inet import TCPSocket
    from sockwright.sockets.diag.netlink import Messages

_LOOPBACK = ("127.0.0.1", 0)


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as opened:
        yield opened


def _inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def _only(rows: Dump[SocketRow], sock: socket.socket) -> Any:
    (found,) = (row for row in rows if row.inode == _inode(sock))
    return found


def _listeners(rows: Dump[TCPSocket]) -> list[int | None]:
    """Return the inodes of listeners: nothing else has such an address and port to itself.

    Connections of other tests may end there, or have the port with another address.
    """
    wanted = ("LISTEN", "127.0.0.1")
    return [row.inode for row in rows if (row.state, row.local_address) == wanted]


def _connection(stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    """Return the connecting and the accepted socket of a connection over loopback."""
    with socket.create_server(_LOOPBACK) as listener:
        ours = stack.enter_context(socket.create_connection(listener.getsockname()))
        return ours, stack.enter_context(listener.accept()[0])


# -- Which rows come -------------------------------------------------------------------------------


def test_a_listener_is_listed_with_the_places_of_its_queue(stack: contextlib.ExitStack) -> None:
    listener = stack.enter_context(socket.create_server(_LOOPBACK, backlog=7))
    waiting = stack.enter_context(socket.create_connection(listener.getsockname()))
    row = _only(dump("tcp"), listener)
    assert (row.protocol, row.family, row.state) == ("tcp", "inet", "LISTEN")
    assert (row.receive_queue, row.send_queue) == (1, 7)
    assert row.local == "{}:{}".format(*listener.getsockname())
    assert row.uid == os.geteuid()
    assert _only(dump("tcp"), waiting).peer == row.local


def test_rows_come_once_and_table_by_table(stack: contextlib.ExitStack) -> None:
    stack.enter_context(socket.create_server(_LOOPBACK))
    stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(_LOOPBACK)
    first, second = socket.socketpair()
    with first, second:
        rows = dump("tcp", "udp", "unix")
        assert next(rows).protocol == "tcp"
        order = [row.protocol for row in rows]
        assert sorted(order) == order
        assert set(order) >= {"udp", "unix"}
        assert list(rows) == []
        assert {row.protocol for row in dump()} >= {"tcp", "udp", "unix"}


def test_no_tables_are_all_tables_and_no_others_exist() -> None:
    with pytest.raises(UsageError, match="no table of sockets 'dccp'; there are tcp"):
        dump("tcp", "dccp")


def test_states_are_chosen_by_their_words_and_met_by_those_of_the_filter(
    stack: contextlib.ExitStack,
) -> None:
    listener = stack.enter_context(socket.create_server(_LOOPBACK))
    ours = stack.enter_context(socket.create_connection(listener.getsockname()))
    mine = {_inode(listener), _inode(ours)}

    def states(**settings: Any) -> list[str]:
        return [row.state for row in dump("tcp", **settings) if row.inode in mine]

    assert sorted(states()) == ["ESTAB", "LISTEN"]
    assert states(states="listening") == ["LISTEN"]
    assert sorted(states(states=["listening", "established"])) == ["ESTAB", "LISTEN"]
    assert states(states=[]) == []
    assert states(where="state established") == ["ESTAB"]
    assert states(where="state established", states="connected") == ["ESTAB"]
    assert states(where="state established", states="listening") == []
    with pytest.raises(UsageError, match="no state 'open'; there are established"):
        dump("tcp", states="open")


def test_states_hold_for_tables_that_the_kernel_does_not_select_from() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.bind((0, 0))
        assert _inode(sock) in {row.inode for row in dump("netlink", states="unconnected")}
        assert list(dump("netlink", states="listening")) == []


def test_a_socket_that_is_merely_bound_is_listed_for_those_who_ask(
    stack: contextlib.ExitStack,
) -> None:
    bound = stack.enter_context(socket.socket())
    bound.bind(_LOOPBACK)
    bound6 = stack.enter_context(socket.socket(socket.AF_INET6))
    bound6.bind(("::1", 0))
    found = {row.inode: row for row in dump("tcp", states="bound-inactive")}
    if not found:
        pytest.skip("this kernel does not list sockets that are merely bound (Linux 6.8 does)")
    assert found[_inode(bound)].local == "{}:{}".format(*bound.getsockname())
    assert found[_inode(bound)].state == "UNCONN"
    assert found[_inode(bound6)].family == "inet6"
    assert _only(dump("tcp", states="all"), bound) == found[_inode(bound)]
    assert _only(dump("tcp", where="state bound-inactive"), bound) == found[_inode(bound)]
    assert found[_inode(bound)] not in set(dump("tcp"))


def test_a_family_is_all_that_is_listed_of_a_table(stack: contextlib.ExitStack) -> None:
    four = stack.enter_context(socket.create_server(_LOOPBACK))
    six = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
    for family, there, absent in (("inet", four, six), ("inet6", six, four)):
        rows = list(dump("tcp", "unix", family=family))
        assert {row.family for row in rows} == {family}
        assert _inode(there) in {row.inode for row in rows}
        assert _inode(absent) not in {row.inode for row in rows}
    assert {row.protocol for row in dump(family="unix")} <= {"unix"}
    with pytest.raises(UsageError, match="no family 'ipv4'; there are inet, inet6"):
        dump("tcp", family="ipv4")


@pytest.mark.needs("namespaces", "root")
def test_one_walk_for_both_families_tells_what_two_walks_tell(machine: Population) -> None:
    everything = {"info": True, "memory": True, "options": True}
    asked: tuple[dict[str, Any], ...] = (
        {},
        everything,
        {"states": "all"},
        {"where": "sport gt :9"},
    )
    for settings in asked:
        both = _standing(dump("tcp", namespace=machine.pid, **settings))
        apart: dict[int, Any] = {}
        for family in ("inet", "inet6"):
            apart |= _standing(dump("tcp", family=family, namespace=machine.pid, **settings))
        assert both == apart
        assert len(both) > 10


def _standing(rows: Dump[SocketRow]) -> dict[int, Any]:
    """Return what rows tell, by their cookies, but for what changes from one listing to the next.

    That is the timer, how often and when, TCP_INFO, and what buffers hold: retransmissions go on.
    """
    return {
        row.cookie: (
            row.message[:2] + row.message[4:52] + row.message[56:72],
            {number: value for number, value in row.attributes.items() if number not in {1, 2, 7}},
        )
        for row in rows
    }


def test_more_is_told_when_asked(stack: contextlib.ExitStack) -> None:
    ours, _ = _connection(stack)
    plain = set(_only(dump("tcp"), ours).attributes)
    info = set(_only(dump("tcp", info=True), ours).attributes)
    memory = set(_only(dump("tcp", memory=True), ours).attributes)
    options = set(_only(dump("tcp", options=True), ours).attributes)
    assert {2, 4} <= info - plain  # INET_DIAG_INFO, _CONG
    assert {1, 7} <= memory - plain  # _MEMINFO, _SKMEMINFO
    assert 5 in options - plain  # _TOS
    everything = _only(dump("tcp", info=True, memory=True, options=True), ours)
    assert set(everything.attributes) == info | memory | options
    pair = socket.socketpair()
    with pair[0], pair[1]:
        assert _only(dump("unix", memory=True), pair[0]).memory is not None


# -- Filters ---------------------------------------------------------------------------------------


def test_a_filter_is_text_or_a_condition_or_both_parsed_once(stack: contextlib.ExitStack) -> None:
    from sockwright.sockets import parse_filter
    from sockwright.sockets.diag.filter import sport

    listener = stack.enter_context(socket.create_server(_LOOPBACK))
    other = stack.enter_context(socket.create_server(_LOOPBACK))
    port = listener.getsockname()[1]
    text = f"sport = :{port}"
    wheres = (text, parse_filter(text), sport == port, f"state listening {text}", f"  {text} ")
    for where in wheres:
        assert _listeners(dump("tcp", where=where)) == [_inode(listener)]
    inodes = {row.inode for row in dump("tcp", where=f"not {text}")}
    assert _inode(other) in inodes
    assert _inode(listener) not in inodes
    assert {row.inode for row in dump("tcp", where=" ")} >= {_inode(other), _inode(listener)}


def test_a_filter_holds_for_tables_that_the_kernel_does_not_filter(
    stack: contextlib.ExitStack, tmp_path: Path
) -> None:
    bound = stack.enter_context(socket.socket(socket.AF_UNIX))
    bound.bind(str(tmp_path / "socket"))
    bound.listen()
    rows = list(dump(where=f"src unix:{tmp_path}/socket"))
    assert [row.inode for row in rows] == [_inode(bound)]
    assert isinstance(rows[0], UnixSocket)


def test_a_wrong_filter_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(FilterError, match="99999"):
        dump("tcp", where="dport = :99999")


@pytest.mark.needs("namespaces", "root", "ip")
def test_names_of_interfaces_are_looked_up_where_the_sockets_are() -> None:
    with Lab() as lab:
        (host,) = lab.hosts("a")
        host.run(["ip", "link", "add", "only-there", "type", "veth"], check=True)
        with host.socket() as sock, host.popen(["cat"], stdin=subprocess.PIPE) as inside:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"only-there")
            sock.bind(("0.0.0.0", 80))
            sock.listen()
            rows = dump("tcp", where="dev only-there", namespace=inside.pid)
            assert [row.inode for row in rows] == [_inode(sock)]
            with pytest.raises(FilterError, match="only-there"):
                dump("tcp", where="dev only-there")


# -- Processes and namespaces ----------------------------------------------------------------------


def test_processes_are_found_for_those_who_ask(stack: contextlib.ExitStack) -> None:
    ours, accepted = _connection(stack)
    again = stack.enter_context(ours.dup())
    assert _only(dump("tcp"), ours).processes is None
    rows = {row.inode: row for row in dump("tcp", processes=True)}
    found = rows[_inode(ours)].processes
    assert found is not None
    assert {one.pid for one in found} == {os.getpid()}
    assert {one.descriptor for one in found} == {ours.fileno(), again.fileno()}
    assert len(rows[_inode(accepted)].processes or ()) == 1
    assert all(row.processes is not None for row in rows.values())


@pytest.mark.needs("root")
def test_owners_that_a_user_may_not_see_are_counted_and_said(
    stack: contextlib.ExitStack,
) -> None:
    listener = stack.enter_context(socket.create_server(_LOOPBACK))
    said = as_nobody(
        """
become_nobody()
mine = socket.create_server(("127.0.0.1", 0))
rows = dump("tcp", states="listening", processes=True)
closed = [row for row in rows if row.inode and not row.processes]
print(len(closed), *(row.local for row in closed))
print(*rows.remarks)
"""
    )
    sockets, remark = said.splitlines()
    count, *addresses = sockets.split()
    assert "{}:{}".format(*listener.getsockname()) in addresses
    noun = "socket has" if count == "1" else "sockets have"
    assert remark.startswith(f"{count} {noun} no process that this user may see (")
    assert "processes are closed" in remark
    assert remark.endswith("takes root, or CAP_SYS_PTRACE with CAP_DAC_READ_SEARCH")
    where = "state listening src {}:{}".format(*listener.getsockname())
    rows = dump("tcp", where=where, processes=True)
    assert [(len(row.processes or ()), rows.remarks) for row in rows] == [(1, [])]


def test_a_dump_shows_its_remarks_and_keeps_its_rows() -> None:
    rows = dump("netlink")
    assert repr(rows) == "<Dump, an iterator of rows; remarks=[]>"
    assert list(rows)


def test_the_socket_that_a_listing_is_made_by_has_this_process() -> None:
    rows = [row for row in dump("netlink", processes=True) if row.local == f"4:{os.getpid()}"]
    assert {one.pid for row in rows for one in row.processes or ()} == {os.getpid()}
    assert all(row.processes for row in rows)


@pytest.mark.needs("root")
def test_what_no_process_can_have_is_not_counted_as_hidden() -> None:
    # A network of its own has a socket of the kernel for most subjects of netlink, and ours.
    said = as_nobody(
        """
become_nobody()
rows = dump("netlink", processes=True)
print(sum(row.is_kernel for row in rows) > 5, rows.remarks)
""",
        wrapper=("unshare", "--net"),
    )
    assert said == "True []"


@pytest.mark.needs("namespaces", "setpriv")
def test_root_is_not_told_to_be_root() -> None:
    # Root of a user namespace may not look into what is outside, for all its capabilities.
    code = """
from sockwright.sockets.diag.remarks import hidden
print(hidden(2, 1, more=False))
"""
    users = ["unshare", "--user", "--map-root-user"]
    bounds = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]
    told = [
        subprocess.run(
            [*wrapper, sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        for wrapper in (users, [*users, *bounds])
    ]
    begin = "2 sockets have no process that this user may see (1 process is closed); "
    assert told == [
        f"{begin}they are closed to root as well, by their user namespace or a security module",
        f"{begin}to see them takes CAP_SYS_PTRACE, which root has not got here",
    ]


@pytest.mark.needs("root")
def test_owners_that_proc_does_not_show_are_said() -> None:
    said = as_nobody(
        """
subprocess.run(["mount", "-t", "proc", "-o", "hidepid=2", "proc", "/proc"], check=True)
become_nobody()
print(*dump("unix", "netlink", processes=True).remarks)
""",
        wrapper=("unshare", "--mount"),
    )
    assert "which is mounted with hidepid" in said


@pytest.mark.needs("namespaces", "root")
def test_another_namespace_is_listed_and_left_again(machine: Population) -> None:
    here = Path("/proc/thread-self/ns/net").readlink()
    for target in (machine.pid, str(machine.pid), f"/proc/{machine.pid}/ns/net"):
        inodes = {row.inode for row in dump(namespace=target)}
        assert inodes >= {machine.inode("tcp4 listen"), machine.inode("tcp4 close-wait")}
        assert Path("/proc/thread-self/ns/net").readlink() == here
    assert not inodes & {row.inode for row in dump("tcp") if row.inode}
    with pytest.raises(UsageError):
        dump("tcp", namespace="no-such-namespace")


# -- What cannot be listed -------------------------------------------------------------------------


def _kernel_lists(table: str) -> bool:
    of = TABLES[table]
    with SockDiag() as diag:
        try:
            diag.dump(of.request(of.families[0], ALL))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return False
        return True


@pytest.mark.needs("root")
def test_raw_sockets_are_read_from_proc_where_the_kernel_has_no_diag_for_them() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, 253) as sock:
        rows = dump("raw")
        assert _only(rows, sock).local == "0.0.0.0:253"
        if _kernel_lists("raw"):
            assert rows.remarks == []
        else:
            (remark,) = rows.remarks
            assert (remark.kind, remark.table) == ("fallback", "raw")
            assert "lacks raw_diag (CONFIG_INET_RAW_DIAG)" in str(remark)
            assert "modprobe raw_diag" in str(remark)
        # States and filters hold for these rows as well.
        assert _inode(sock) in {row.inode for row in dump("raw", where="sport = :253")}
        assert _inode(sock) not in {row.inode for row in dump("raw", where="sport = :254")}
        assert _inode(sock) not in {row.inode for row in dump("raw", states="established")}


@pytest.mark.parametrize("table", ["sctp", "vsock", "mptcp", "udplite"])
def test_a_table_that_someone_asks_for_and_nothing_lists_is_said(table: str) -> None:
    rows = dump(table)
    kinds = [remark.kind for remark in rows.remarks]
    if _kernel_lists(table):
        assert kinds == []
    else:
        assert kinds in (["unlisted"], ["fallback"])
        assert rows.remarks[0].table == table
        assert rows.remarks[0].as_dict()["text"] == str(rows.remarks[0])


def test_protocols_that_the_kernel_has_not_got_are_not_missed_by_those_who_list_all() -> None:
    names = Path("/proc/net/protocols").read_text().split()
    told = {remark.table for remark in dump().remarks}
    assert ("sctp" in told) <= ("SCTP" in names)
    assert dump("tcp", "udp").remarks == []


def test_without_sock_diag_everything_comes_from_proc(
    monkeypatch: pytest.MonkeyPatch, stack: contextlib.ExitStack
) -> None:
    # No kernel within reach lacks sock_diag: this is what opening its socket says there.
    def refuse(namespace: object = None) -> SockDiag:
        raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))

    listener = stack.enter_context(socket.create_server(_LOOPBACK))
    monkeypatch.setattr(listing, "SockDiag", refuse)
    rows = dump("tcp", "udp", states="listening")
    assert [remark.kind for remark in rows.remarks] == ["fallback", "fallback"]
    row = _only(rows, listener)
    assert (row.state, row.local) == ("LISTEN", "{}:{}".format(*listener.getsockname()))


# -- Dumps that are no snapshots -------------------------------------------------------------------
# No kernel interrupts a dump on demand: these are this kernel's own datagrams, repeated by a
# thread, with the flag or the change that is wanted.

_BOTH = bytes(4) + bytes(40) + b"\xff" * 8 + ALL.to_bytes(4, sys.byteorder) + bytes(4)


@pytest.fixture
def told(stack: contextlib.ExitStack) -> list[bytes]:
    """What this kernel tells of TCP, two listeners among it."""
    stack.enter_context(socket.create_server(_LOOPBACK))
    stack.enter_context(socket.create_server(_LOOPBACK))
    datagrams = datagrams_of(_BOTH, BOTH_FAMILIES)
    assert datagrams
    return [octets for octets in datagrams if octets[4] == BOTH_FAMILIES]


def _whole(datagrams: list[bytes]) -> list[bytes]:
    """Return them without the message DONE that the last may end with."""
    if datagrams[-1][-20:-14] == done()[:6]:
        return [*datagrams[:-1], datagrams[-1][:-20]]
    return datagrams


@pytest.mark.parametrize("interruptions", [1, 2, 3])
def test_an_interrupted_dump_is_repeated_and_said_after_the_third_time(
    interruptions: int, told: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _whole(told)
    uneven = [*whole[:-1], with_flag(whole[-1], 0), done()]
    answers = [uneven] * interruptions + [[*whole, done()]] * (3 - interruptions)
    with answering(*answers) as diag:
        monkeypatch.setattr(listing, "SockDiag", lambda namespace=None: diag)
        rows = dump("tcp", states="established")
        count = len(list(rows))
    said = [(remark.kind, remark.table) for remark in rows.remarks]
    assert said == ([("interrupted", "tcp")] if interruptions == 3 else [])
    assert count == sum(1 for octets in whole for _ in _messages(octets))


def _messages(octets: bytes) -> Iterator[int]:
    at = 0
    while at < len(octets):
        yield at
        at += int.from_bytes(octets[at : at + 4], sys.byteorder)


def test_a_socket_that_was_told_of_twice_is_one_row_the_later_one(
    told: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _whole(told)
    first = whole[0][: whole[0][0]]
    later = bytearray(first)
    later[17] = 8  # its state: CLOSE-WAIT
    with answering([*whole, bytes(later), done()]) as diag:
        monkeypatch.setattr(listing, "SockDiag", lambda namespace=None: diag)
        rows = list(dump("tcp", states="established"))
    assert len(rows) == len(set(rows)) == sum(1 for octets in whole for _ in _messages(octets))
    (found,) = (row for row in rows if row.cookie == int.from_bytes(first[60:68], sys.byteorder))
    assert found.state == "CLOSE-WAIT"


def test_sockets_that_differ_in_the_upper_half_of_their_cookies_are_two(
    told: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _whole(told)
    other = bytearray(whole[0][: whole[0][0]])
    other[64] ^= 1
    with answering([*whole, bytes(other), done()]) as diag:
        monkeypatch.setattr(listing, "SockDiag", lambda namespace=None: diag)
        rows = list(dump("tcp", states="established"))
    assert len(rows) == 1 + sum(1 for octets in whole for _ in _messages(octets))


# -- Descriptors, memory, pickles ------------------------------------------------------------------


def test_a_listing_leaves_nothing_open_even_if_nobody_reads_it(
    stack: contextlib.ExitStack,
) -> None:
    stack.enter_context(socket.create_server(_LOOPBACK))
    before = open_files()
    unread = dump("tcp", "unix", processes=True)
    half = dump("tcp")
    next(half)
    with pytest.raises(UsageError):
        dump("tcp", namespace="no-such-namespace")
    assert open_files() <= before
    del unread, half
    assert open_files() <= before


def test_a_row_is_pickled_without_the_datagram_that_it_came_in(
    stack: contextlib.ExitStack,
) -> None:
    listener = stack.enter_context(socket.create_server(_LOOPBACK))
    for processes in (False, True):
        row = _only(dump("tcp", processes=processes), listener)
        octets = pickle.dumps(row)
        assert len(octets) < 500
        again = pickle.loads(octets)
        assert again == row
        assert str(again.as_dict()) == str(row.as_dict())
        assert again.processes == row.processes


@pytest.mark.needs("namespaces")
def test_rows_come_back_from_a_host_of_a_lab() -> None:
    def listeners() -> list[SocketRow]:
        with socket.create_server(("0.0.0.0", 4000)):
            return list(dump("tcp", states="listening", processes=True))

    with Lab() as lab:
        (host,) = lab.hosts("a")
        (row,) = host.call(listeners)
        assert row.local == "0.0.0.0:4000"
        assert row.processes is not None
        assert len(row.processes) == 1


def test_listing_loads_neither_numpy_nor_asyncio_nor_ctypes() -> None:
    code = "import sys; from sockwright.sockets import dump; list(dump(where='dport = 1'))"
    never = "{'numpy', 'asyncio', 'ctypes', 'rich', 'dataclasses', 'ipaddress', 'pathlib'}"
    code += f"; print(*({never} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


# -- One socket again ------------------------------------------------------------------------------


def _tcp(stack: contextlib.ExitStack) -> socket.socket:
    return _connection(stack)[0]


def _tcp6(stack: contextlib.ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))


def _udp(stack: contextlib.ExitStack) -> socket.socket:
    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.bind(_LOOPBACK)
    return sock


def _udp6(stack: contextlib.ExitStack) -> socket.socket:
    sock = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    sock.connect(("::1", 9))
    return sock


def _unix(stack: contextlib.ExitStack) -> socket.socket:
    first, second = socket.socketpair()
    stack.enter_context(second)
    return stack.enter_context(first)


def _netlink(stack: contextlib.ExitStack) -> socket.socket:
    kind = socket.SOCK_RAW
    sock = stack.enter_context(socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE))
    sock.bind((0, 0))
    return sock


@pytest.mark.parametrize("make", [_tcp, _tcp6, _udp, _udp6, _unix, _netlink])
def test_a_socket_is_found_again_until_it_is_gone(
    make: Callable[[contextlib.ExitStack], socket.socket], stack: contextlib.ExitStack
) -> None:
    sock = make(stack)
    (row,) = (row for row in dump() if row.inode == _inode(sock))
    with SockDiag() as diag:
        assert lookup(row) == lookup(row, diag=diag) == row
        again = lookup(row, memory=True, diag=diag)
        assert again is not None
        assert again.inode == row.inode
        sock.close()
        now = lookup(row, diag=diag)
        # A connection outlives its socket for a while, as the same record with no owner.
        assert now is None or (row.protocol == "tcp" and now.inode == 0)


def test_a_socket_is_found_again_in_its_later_state(stack: contextlib.ExitStack) -> None:
    ours, accepted = _connection(stack)
    row = _only(dump("tcp"), ours)
    assert row.state == "ESTAB"
    accepted.close()
    ours.recv(1)
    now: Any = lookup(row, info=True)
    assert now.state == "CLOSE-WAIT"
    assert now.info is not None


def test_listeners_that_share_a_port_are_told_apart(stack: contextlib.ExitStack) -> None:
    first = stack.enter_context(socket.create_server(_LOOPBACK, reuse_port=True))
    address = first.getsockname()
    others = [stack.enter_context(socket.create_server(address, reuse_port=True)) for _ in range(3)]
    rows = list(dump("tcp", where="state listening src {}:{}".format(*address)))
    assert {row.inode for row in rows} == {_inode(sock) for sock in (first, *others)}
    for row in rows:
        again = lookup(row)
        assert again is not None
        assert again.inode == row.inode
    gone = _only(dump("tcp"), others[0])
    others[0].close()
    assert lookup(gone) is None


def test_the_request_for_both_families_is_the_one_for_one_family_in_another_order(
    stack: contextlib.ExitStack,
) -> None:
    # The states that the kernel looks for in a table of their own are part of either.
    stack.enter_context(socket.create_server(_LOOPBACK))
    stack.enter_context(socket.socket()).bind(_LOOPBACK)
    _connection(stack)
    request = inet_request(socket.AF_INET, socket.IPPROTO_TCP, ALL, 2)
    assert int.from_bytes(request[4:8], sys.byteorder) & BOUND_INACTIVE
    with SockDiag() as diag:
        before = _cookies(diag.dump(request))
        both = _cookies(diag.dump(_BOTH, BOTH_FAMILIES))
        after = _cookies(diag.dump(request))
    standing = before & after  # sockets of other tests come and go
    assert standing
    assert standing <= both


def _cookies(datagrams: list[Messages]) -> set[bytes]:
    return {bytes(octets[at + 60 : at + 68]) for octets, ats in datagrams for at in ats}
