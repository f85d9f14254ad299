"""What happens to sockets, as the kernel and its listings tell it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.open_files import open_files
from tests.sockets.diag.own_network import as_nobody, cookie, own_network
from tests.sockets.diag.watched import Net, until

from sockwright.errors import UsageError
from sockwright.sockets.diag.inet import TCPSocket
from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.watching import watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.sockets.diag.changes import Event

pytestmark = pytest.mark.needs("namespaces", "unshare")

_SOON = 0.02
_NEVER = 3600.0
_ABORT = b"\1\0\0\0\0\0\0\0"  # struct linger: on, 0 seconds


@pytest.fixture
def net() -> Iterator[Net]:
    with own_network() as pid:
        made = Net(pid)
        yield made
        made.close()


def _of(events: list[Event], sock: socket.socket | int) -> list[str]:
    number = sock if isinstance(sock, int) else cookie(sock)
    return [event.kind for event in events if event.row.cookie == number]


def _until_dropped(net: Net) -> None:
    """Return when the kernel has dropped messages of a netlink socket in the network."""
    table = Path(f"/proc/{net.pid}/net/netlink")
    end = time.monotonic() + 20
    while not any(int(line.split()[8]) for line in table.read_text().splitlines()[1:]):
        assert time.monotonic() < end


def test_a_listener_opens_changes_and_closes(net: Net) -> None:
    with watch("tcp", namespace=net.pid, interval=_SOON) as sockets:
        listener = net.listener()
        number = cookie(listener)
        until(sockets, lambda events: _of(events, number) == ["opened"])
        client = net.open()
        client.connect(listener.getsockname())
        events = until(sockets, lambda events: "changed" in _of(events, number))
        changed = next(
            event for event in events if (event.kind, event.row.cookie) == ("changed", number)
        )
        assert changed.row.receive_queue == 1, "a connection waits to be accepted"
        listener.close()
        events = until(sockets, lambda events: "closed" in _of(events, number))
        closed = next(event for event in events if event.row.cookie == number)
        assert closed.before is not None
        assert closed.before.state == "LISTEN"


def test_what_is_there_at_first_is_no_event(net: Net) -> None:
    listener = net.listener()
    with watch("tcp", namespace=net.pid, interval=_NEVER) as sockets:
        assert cookie(listener) in {row.cookie for row in sockets.rows}
        assert sockets.wait(0) == []


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_connection_that_no_listing_saw_is_told_with_its_tcp_info(net: Net, family: int) -> None:
    listener = net.listener(family)
    with watch("tcp", namespace=net.pid, interval=_NEVER) as sockets:
        assert sockets.sees_ends
        client, accepted = net.connect(listener)
        number = cookie(client)
        client.sendall(b"x" * 1000)
        assert len(accepted.recv(2000)) == 1000
        accepted.close()
        client.close()
        events = until(sockets, lambda events: _of(events, number))
    closed = next(event for event in events if event.row.cookie == number)
    assert (closed.kind, closed.before, closed.row.state) == ("closed", None, "UNCONN")
    assert isinstance(closed.row, TCPSocket)
    assert closed.row.info is not None
    assert closed.row.info.bytes_sent == 1000


def test_a_udp_socket_that_closes_is_told_at_once_with_its_owner(net: Net) -> None:
    sock = net.open(kind=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    inode, number = os.fstat(sock.fileno()).st_ino, cookie(sock)
    with watch("udp", namespace=net.pid, interval=_NEVER) as sockets:
        sock.close()
        (event,) = until(sockets, len)
    assert (event.kind, event.row.cookie, event.row.inode) == ("closed", number, inode)
    assert event.row.send_queue == 0


def test_a_unix_socket_closes_by_comparing(net: Net) -> None:
    with watch("unix", namespace=net.pid, interval=_SOON) as sockets:
        sock = net.open(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind("")  # autobind: an abstract name
        number = cookie(sock)
        until(sockets, lambda events: _of(events, number) == ["opened"])
        sock.close()
        until(sockets, lambda events: _of(events, number) == ["closed"])


def test_time_wait_is_told_apart_from_its_connection(net: Net) -> None:
    listener = net.listener()
    client, accepted = net.connect(listener)
    number = cookie(client)
    with watch("tcp", namespace=net.pid, interval=_SOON) as sockets:
        client.close()
        accepted.close()
        events = until(
            sockets,
            lambda events: [event for event in events if event.row.state == "TIME-WAIT"],
        )
    story = [event for event in events if event.row.cookie == number]
    kinds = [event.kind for event in story]
    assert kinds.index("closed") < kinds.index("opened"), story
    opened = story[kinds.index("opened")]
    assert opened.before is not None


def test_the_filter_holds_for_events_too(net: Net) -> None:
    one, other = net.listener(), net.listener()
    port = one.getsockname()[1]
    with watch("tcp", where=f"sport = :{port}", namespace=net.pid, interval=_NEVER) as sockets:
        assert [row.cookie for row in sockets.rows] == [cookie(one)]
        for listener in (other, one):
            for sock in net.connect(listener):
                sock.close()
        events = until(sockets, len)
    assert [event.row.local for event in events] == [f"127.0.0.1:{port}"]


def test_a_connection_that_its_program_aborts_has_forgotten_the_port_of_its_peer(net: Net) -> None:
    client, _ = net.connect(net.listener())
    peer = "{}:{}".format(*client.getpeername())
    number = cookie(client)
    with watch("tcp", states="established", namespace=net.pid, interval=_NEVER) as sockets:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        client.close()
        events = until(sockets, lambda events: _of(events, number))
    event = next(event for event in events if event.row.cookie == number)
    assert event.row.peer == "127.0.0.1:*"
    assert event.row.send_queue == 0, "its sequence numbers were moved on, nothing waits"
    assert event.before is not None
    assert event.before.peer == peer


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [(("", None), False), (("", "all"), True), (("state bound-inactive", None), True)],
)
def test_what_has_a_port_and_nothing_else_is_watched_where_a_listing_has_it(
    net: Net, selection: tuple[str, str | None], *, wanted: bool
) -> None:
    bound = net.open()
    bound.bind(("127.0.0.1", 0))
    number = cookie(bound)
    where, states = selection
    listed = dump("tcp", where=where, states=states, namespace=net.pid)
    assert wanted == (number in {row.cookie for row in listed})
    watched = watch("tcp", where=where, states=states, namespace=net.pid, interval=_NEVER)
    with watched as sockets:
        assert wanted == (number in {row.cookie for row in sockets.rows})
        bound.listen()
        sockets.refresh()
        (event,) = until(sockets, len)
        assert event.kind == ("changed" if wanted else "opened")
        assert event.listed == (not where)


def test_a_socket_without_a_port_is_in_no_listing_and_no_event(net: Net) -> None:
    with watch("tcp", "udp", namespace=net.pid, interval=_NEVER) as sockets:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            net.open(kind=kind).close()
        listener = net.listener()
        number = cookie(listener)
        listener.close()
        events = until(sockets, len)
    assert [event.row.cookie for event in events] == [number]


def test_a_listener_that_closes_is_not_told_where_connections_are_wanted(net: Net) -> None:
    with watch("tcp", states="established", namespace=net.pid, interval=_NEVER) as sockets:
        listener = net.listener()
        client, accepted = net.connect(listener)
        numbers = {cookie(client), cookie(accepted)}
        listener.close()
        for sock in (client, accepted):
            sock.close()
        events = until(sockets, lambda events: len(events) > 1)
    assert {event.row.cookie for event in events} == numbers


def test_a_socket_that_leaves_the_states_that_are_watched_changes_a_last_time(net: Net) -> None:
    client, accepted = net.connect(net.listener())
    with watch("tcp", states="established", namespace=net.pid, interval=_SOON) as sockets:
        client.shutdown(socket.SHUT_WR)
        number = cookie(accepted)
        events = until(sockets, lambda events: _of(events, number))
        event = next(event for event in events if event.row.cookie == number)
        assert (event.kind, event.row.state, event.listed) == ("changed", "CLOSE-WAIT", False)
        assert number not in {row.cookie for row in sockets.rows}


def test_lost_events_are_counted_and_the_sockets_listed_again(net: Net) -> None:
    with net.many(300) as held:
        numbers = {cookie(sock) for sock in held}
        # There is room for a few events, and nobody reads them while the sockets close.
        with watch("udp", namespace=net.pid, interval=_NEVER, buffer=4096) as sockets:
            for sock in held:
                sock.close()
            _until_dropped(net)
            events = until(sockets, lambda events: len(events) >= 300)
            assert sockets.overruns > 0
            (remark,) = sockets.remarks
            assert remark.kind == "overrun"
            times = "once" if sockets.overruns == 1 else f"{sockets.overruns} times"
            assert f"were lost {times};" in remark.text
            assert sockets.rows == []
    assert [event.kind for event in events] == ["closed"] * 300
    assert {event.row.cookie for event in events} == numbers


def test_processes_are_found_for_sockets_that_open(net: Net) -> None:
    with watch("tcp", processes=True, namespace=net.pid, interval=_SOON) as sockets:
        listener = net.listener()
        number = cookie(listener)
        (opened, *_) = until(sockets, lambda events: _of(events, number))
        assert opened.row.processes is not None
        assert [(one.pid, one.descriptor) for one in opened.row.processes] == [
            (os.getpid(), listener.fileno())
        ]
        listener.close()
        closed = until(sockets, lambda events: "closed" in _of(events, number))[-1]
        assert closed.row.processes == opened.row.processes


def test_names_in_a_filter_are_those_of_the_network_that_is_watched(net: Net) -> None:
    with watch("udp", where="dev lo", namespace=net.pid, interval=_NEVER) as sockets:
        for bound in (False, True):
            sock = net.open(kind=socket.SOCK_DGRAM)
            if bound:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            sock.bind(("127.0.0.1", 0))
            number = cookie(sock)
            sock.close()
        (event,) = until(sockets, len)
        assert event.row.cookie == number


def test_a_closed_watch_tells_nothing(net: Net) -> None:
    with watch("tcp", namespace=net.pid, interval=_SOON) as sockets:
        net.listener()
    assert list(sockets) == []
    assert sockets.wait() == []


def test_watching_is_not_told_of_itself(net: Net) -> None:
    net.connect(net.listener())
    with watch(namespace=net.pid, processes=True, interval=_NEVER) as sockets:
        assert {row.protocol for row in sockets.rows} >= {"tcp", "netlink"}
        for _ in range(5):
            sockets.refresh()
            assert sockets.wait(0) == []


def test_refresh_looks_at_once(net: Net) -> None:
    with watch("tcp", namespace=net.pid, interval=_NEVER) as sockets:
        listener = net.listener()
        assert sockets.wait(0) == []
        sockets.refresh()
        (event,) = sockets.wait(0)
        assert event.row.cookie == cookie(listener)


def test_stop_ends_the_iteration_from_another_thread(net: Net) -> None:
    with watch("tcp", namespace=net.pid, interval=_NEVER) as sockets:
        stopper = threading.Timer(_SOON, sockets.stop)
        stopper.start()
        assert list(sockets) == []
        stopper.join()


def test_leaving_a_loop_early_leaves_no_descriptor_open(net: Net) -> None:
    before = open_files()
    sockets = watch("tcp", namespace=net.pid, interval=_SOON)
    assert sockets.wait(0) == []
    net.listener()
    for event in sockets:
        assert event.kind == "opened"
        break
    del sockets
    assert len(open_files() - before) == 1  # the listener


def test_a_coroutine_is_told_the_same(net: Net) -> None:
    async def story() -> list[str]:
        kinds: list[str] = []
        async with watch("tcp", namespace=net.pid, interval=_SOON) as sockets:
            listener = net.listener()
            async for event in sockets:
                kinds.append(event.kind)
                if event.kind == "closed":
                    return kinds
                listener.close()
        return kinds

    assert asyncio.run(asyncio.wait_for(story(), 20)) == ["opened", "closed"]


def test_a_cancelled_wait_loses_nothing_and_leaves_nothing(net: Net) -> None:
    async def story() -> None:
        async with watch("tcp", namespace=net.pid, interval=_NEVER) as sockets:
            waiting = asyncio.ensure_future(anext(sockets))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            listener = net.listener()
            listener.close()
            event = await asyncio.wait_for(anext(sockets), 20)
            assert event.kind == "closed"
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others

    async def counted() -> None:
        await asyncio.to_thread(int)  # the thread is there to stay
        before = open_files()
        await story()
        assert open_files() <= before

    asyncio.run(counted())


def test_stop_ends_an_asynchronous_iteration(net: Net) -> None:
    async def story() -> list[Event]:
        async with watch("tcp", namespace=net.pid, interval=_NEVER) as sockets:
            asyncio.get_running_loop().call_soon(sockets.stop)
            return [event async for event in sockets]

    assert asyncio.run(asyncio.wait_for(story(), 20)) == []


def test_an_ordinary_user_is_told_of_ends_too() -> None:
    told = as_nobody("""
from sockwright.sockets.diag.watching import watch
import sockwright.sockets.diag.filter
become_nobody()
with watch("udp", interval=3600) as sockets:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    sock.close()
    events = []
    while port not in {event.row.local_port for event in events}:
        events += sockets.wait(20)
    print(sockets.sees_ends)
""")
    assert told == "True"


def test_an_unknown_table_and_an_interval_of_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="no table"):
        watch("tpc")
    for interval in (0, -1, 1e-5, float("nan")):
        with pytest.raises(UsageError, match=r"0\.01 seconds or more, not"):
            watch("tcp", interval=interval)


def test_a_wait_ends_in_time_where_listing_takes_longer_than_the_interval(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with 100 000 sockets: the next listing is due when the last one is done.
    monkeypatch.setattr("sockwright.sockets.diag.watching._LEAST_S", 0)
    with watch("tcp", interval=1e-9, namespace=net.pid) as sockets:
        too_late = threading.Timer(10, sockets.stop)
        too_late.start()
        assert sockets.wait(0.05) == []
        assert not sockets.stopped
        too_late.cancel()
        too_late.join()


def test_an_interval_may_be_longer_than_the_kernel_waits_at_once(net: Net) -> None:
    with watch("tcp", interval=1e9, namespace=net.pid) as sockets:
        timer = threading.Timer(0.05, sockets.stop)
        timer.start()
        assert sockets.wait() == []
        timer.join()


def test_asyncio_is_not_loaded_for_a_blocking_watch() -> None:
    code = """
import sys
before = set(sys.modules)
from sockwright.sockets.diag.watching import watch
with watch("tcp") as sockets:
    sockets.wait(0)
assert not {"asyncio", "dataclasses", "typing", "subprocess"} & (set(sys.modules) - before)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
