"""A scan as programs use it: events in order, numbers that add up, and every way to end early."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, assert_type

import pytest
from tests.scan.topology import SCANNER, TARGET, TARGET6, Network, listen

from sockwright import TCP, Ethernet, IPv4
from sockwright.errors import ClosedError, SettingError, TargetError
from sockwright.scan import HostResult, PortResult, Progress, Scan, Settings, Summary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from sockwright.scan.scan import Event
    from sockwright.scan.settings import Method

pytestmark = pytest.mark.needs("namespaces", "nft")

_OPEN = list(range(50, 1001, 50))
_ASKED = "1-1000"
_FAST: dict[str, Any] = {"rate": None, "host_rate": None, "discovery": "none"}
_SLOW: dict[str, Any] = {"rate": 400.0, "discovery": "none"}  # 2.5 seconds for all ports
METHODS = pytest.mark.parametrize("method", ["syn", "connect"])


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A target with 20 open ports of 1 000."""
    with Network() as network:
        network.start(network.target, listen, _OPEN)
        yield network


def counts() -> tuple[int, int]:
    """Count descriptors and threads of this process."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208


def blocking(target: str, **how: Any) -> list[Event]:
    """Scan to the end."""
    with Scan(target, ports=_ASKED, **how) as scan:
        return list(scan)


def kinds(events: list[Event]) -> list[type]:
    return [type(event) for event in events]


def is_right(events: list[Event]) -> None:
    (host,) = (event for event in events if isinstance(event, HostResult))
    assert host.ports[0].open_ports() == _OPEN
    assert sorted(event.port for event in events if isinstance(event, PortResult)) == _OPEN


# -- the two forms --------------------------------------------------------------------------------


@METHODS
@pytest.mark.parametrize("target", [TARGET, TARGET6])
def test_open_ports_come_first_then_the_host_then_the_summary(
    network: Network, method: str, target: str
) -> None:
    events = network.scanner.call(blocking, target, methods=(method,), **_FAST)
    is_right(events)
    found = [kind for kind in kinds(events) if kind is not Progress]
    assert found == [PortResult] * len(_OPEN) + [HostResult, Summary]


@METHODS
def test_the_numbers_of_the_summary_add_up(network: Network, method: str) -> None:
    events = network.scanner.call(blocking, f"{TARGET} 10.62.0.1", methods=(method,), **_FAST)
    hosts = [event for event in events if isinstance(event, HostResult)]
    summary = events[-1]
    assert isinstance(summary, Summary)
    assert {host.host for host in hosts} == {TARGET, "10.62.0.1"}
    assert (summary.hosts, summary.up, summary.open_ports) == (2, 2, len(_OPEN))
    assert summary.probes == sum(host.probes for host in hosts) >= 2000
    assert summary.answers == sum(host.answers for host in hosts) == 2000
    assert summary.expected_misses == pytest.approx(sum(host.expected_misses for host in hosts))
    assert summary.complete
    assert not summary.interrupted
    assert summary.methods == (method,)
    assert summary.started_ns <= min(host.started_ns for host in hosts)
    assert max(host.ended_ns for host in hosts) <= summary.ended_ns <= time.time_ns()
    for host in hosts:
        assert host.state == "up"
        assert sum(host.ports[0].counts().values()) == 1000


async def collected(target: str, **how: Any) -> tuple[list[Event], bool]:
    """Scan to the end, in the asynchronous form."""
    async with Scan(target, ports=_ASKED, **how) as scan:
        return [event async for event in scan], scan.stopped


def run(function: Callable[..., Any], *args: Any, **how: Any) -> tuple[Any, Any, Any]:
    """Run a coroutine function; return what it did, and the counts before and after it."""
    before = counts()
    result = asyncio.run(function(*args, **how))
    return result, before, counts()


@METHODS
def test_the_asynchronous_form_gives_the_same(network: Network, method: str) -> None:
    (events, stopped), before, after = network.scanner.call(
        run, collected, TARGET, methods=(method,), **_FAST
    )
    is_right(events)
    assert kinds(events)[-2:] == [HostResult, Summary]
    assert not stopped
    assert before == after


async def beside(target: str) -> int:
    """Scan while something else goes on in the same loop; return how often it had its turn."""
    turns = 0
    over = asyncio.Event()

    async def turn() -> None:
        nonlocal turns
        while not over.is_set():
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(turn())
    async with Scan(target, ports=_ASKED, **_SLOW) as scan:
        async for _ in scan:
            pass
    over.set()
    await other
    return turns


def test_the_loop_goes_on_while_a_scan_waits(network: Network) -> None:
    assert network.scanner.call(run, beside, TARGET)[0] > 100


# -- ending early ---------------------------------------------------------------------------------


def stopped_by(how: str, target: str, **settings: Any) -> tuple[list[Event], float, bool]:
    """Stop a slow scan at its first open port: by itself, a thread, or a signal handler."""
    at = 0.0
    slow = {**_SLOW, "rate": 100.0, "seed": 1}  # ten seconds, and one of the first ports is open
    with Scan(target, ports=_ASKED, **slow, **settings) as scan:
        if how == "signal":
            signal.signal(signal.SIGUSR1, lambda *_: scan.stop())
        events: list[Event] = []
        for event in scan:
            events.append(event)
            if isinstance(event, PortResult) and not at:
                at = time.monotonic()
                if how == "thread":
                    threading.Thread(target=scan.stop).start()
                elif how == "signal":
                    os.kill(os.getpid(), signal.SIGUSR1)
                else:
                    scan.stop()
        return events, time.monotonic() - at, scan.stopped


@METHODS
@pytest.mark.parametrize("how", ["itself", "thread", "signal"])
def test_a_scan_that_is_stopped_tells_what_it_knows(
    network: Network, how: str, method: str
) -> None:
    events, seconds, stopped = network.scanner.call(stopped_by, how, TARGET, methods=(method,))
    assert seconds < 3  # of ten
    assert stopped
    host, summary = events[-2:]
    assert isinstance(host, HostResult)
    assert isinstance(summary, Summary)
    assert summary.interrupted
    assert not summary.complete
    assert not host.complete
    (table,) = host.ports
    assert len(table) == 1000
    assert set(table.open_ports()) <= set(_OPEN)
    reasons = [row.reason for row in table]
    assert reasons.count("not-asked") > 300
    assert summary.open_ports == len(table.open_ports()) >= 1
    told = {event.port for event in events if isinstance(event, PortResult)}
    assert told == set(table.open_ports())


def stopped_before(target: str) -> list[Event]:
    with Scan(target, ports=_ASKED, **_SLOW) as scan:
        scan.stop()
        return list(scan)


def test_a_scan_that_is_stopped_before_it_begins_asks_nothing(network: Network) -> None:
    with network.target.capture(interface="net") as capture:
        (summary,) = network.scanner.call(stopped_before, TARGET)
        packets = [Ethernet.decode(frame.octets) for frame in capture.frames]
    assert isinstance(summary, Summary)
    assert (summary.hosts, summary.probes, summary.interrupted) == (0, 0, True)
    # The target may still repeat what it said to the scans of tests before.
    asked = [one for one in packets if IPv4 in one and str(one[IPv4].src) == SCANNER]
    assert not [one for one in asked if TCP not in one or one[TCP].flags == 0x02]


def test_a_stop_while_a_scan_ends_writes_to_no_other_file() -> None:
    """A thread is held where it is about to wake a scan, which ends meanwhile or waits for it."""
    held, go = threading.Event(), threading.Event()
    scan = Scan("192.0.2.1", discovery="list")
    next(iter(scan))

    def hold(_frame: object, event: str, what: object) -> None:
        if event == "c_call" and what is os.eventfd_write:
            held.set()
            go.wait(10)

    def stop() -> None:
        sys.setprofile(hold)
        scan.stop()

    stopping, closing = threading.Thread(target=stop), threading.Thread(target=scan.close)
    stopping.start()
    assert held.wait(10)
    closing.start()
    closing.join(0.05)
    other = os.eventfd(0, os.EFD_NONBLOCK)
    try:
        go.set()
        stopping.join(10)
        closing.join(10)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(other)
    finally:
        os.close(other)


def left(how: str, target: str, **settings: Any) -> tuple[Any, Any]:
    """Leave a scan of all ports in the middle, in several ways; return counts."""
    before = counts()
    if how == "closed twice":
        scan = Scan(target, ports="-", **settings)
        next(iter(scan))
        scan.close()
        scan.close()
        scan.stop()
    elif how == "an exception":
        with suppress(ZeroDivisionError), Scan(target, ports="-", **settings) as scan:
            for _ in scan:
                1 / 0  # noqa: B018
    elif how == "a break":
        with Scan(target, ports="-", **settings) as scan:
            for _ in scan:
                break
    elif how == "forgotten":
        events = iter(Scan(target, ports="-", **settings))
        next(events)
        del events
    elif how == "never begun":
        with Scan(target, ports="-", **settings):
            pass
    return before, counts()


@METHODS
@pytest.mark.parametrize(
    "how", ["closed twice", "an exception", "a break", "forgotten", "never begun"]
)
def test_a_scan_that_is_left_in_the_middle_leaves_nothing_behind(
    network: Network, how: str, method: str
) -> None:
    before, after = network.scanner.call(left, how, TARGET, methods=(method,), **_FAST)
    assert before == after


def forgotten_without_collector(**settings: Any) -> tuple[int, int]:
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        events = iter(Scan(TARGET, ports="-", **settings))
        next(events)
        del events
        return before, len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    finally:
        gc.enable()


@METHODS
def test_a_forgotten_scan_is_closed_at_once_and_not_when_garbage_is_collected(
    network: Network, method: str
) -> None:
    """The collector would close its sockets in any order, before what needs them."""
    before, after = network.scanner.call(forgotten_without_collector, methods=(method,), **_FAST)
    assert before == after


def gone_on(target: str) -> list[Event]:
    with Scan(target, ports=_ASKED, **_FAST) as scan:
        events = [next(iter(scan))]
        events.extend(scan)
        return events


def test_a_second_loop_goes_on_where_the_first_was_left(network: Network) -> None:
    events = network.scanner.call(gone_on, TARGET)
    is_right(events)
    assert kinds(events).count(Summary) == 1


def test_a_closed_scan_says_so_when_it_is_asked_for_more(network: Network) -> None:
    def closed() -> str:
        scan = Scan(TARGET, ports="-", **_FAST)
        next(iter(scan))
        scan.close()
        with pytest.raises(ClosedError, match="this scan is closed") as told:
            iter(scan)
        return str(told.value)

    assert "make a new Scan" in network.scanner.call(closed)


def test_a_closed_scan_says_so_in_the_asynchronous_form_too(network: Network) -> None:
    async def closed() -> None:
        async with Scan(TARGET, ports="-", **_FAST) as scan:
            await anext(aiter(scan))
        with pytest.raises(ClosedError, match="inside its `with` block"):
            aiter(scan)

    network.scanner.call(run, closed)


async def broken_off(target: str, how: str) -> tuple[bool, float]:
    """Leave the asynchronous form in the middle."""
    began = time.monotonic()
    if how == "a break":
        async with Scan(target, ports=_ASKED, **_SLOW) as scan:
            async for _ in scan:
                break
    elif how == "an exception":
        with suppress(ZeroDivisionError):
            async with Scan(target, ports=_ASKED, **_SLOW) as scan:
                async for _ in scan:
                    1 / 0  # noqa: B018
    elif how == "cancelled":
        first = asyncio.Event()

        async def scanning() -> None:
            nonlocal scan
            async with Scan(target, ports=_ASKED, **_SLOW) as scan:
                async for _ in scan:
                    first.set()

        task = asyncio.create_task(scanning())
        await first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    elif how == "a time limit":
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3), Scan(target, ports=_ASKED, **_SLOW) as scan:
                async for _ in scan:
                    pass
    return scan.stopped, time.monotonic() - began


@pytest.mark.parametrize("how", ["a break", "an exception", "cancelled", "a time limit"])
def test_the_asynchronous_form_may_be_left_in_the_middle(network: Network, how: str) -> None:
    (stopped, seconds), before, after = network.scanner.call(run, broken_off, TARGET, how)
    assert stopped
    assert seconds < 2
    assert before == after


def forgotten(target: str) -> tuple[str, tuple[int, int], tuple[int, int]]:
    """Leave the asynchronous form in the middle, and never close it."""

    async def begun() -> None:
        async for _ in Scan(target, ports=_ASKED, **_SLOW):
            break

    before = counts()
    with pytest.warns(ResourceWarning) as told:
        asyncio.run(begun())
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(10)
    return str(told[0].message), before, counts()


def test_a_scan_that_nobody_closed_says_so_and_leaves_nothing_behind(network: Network) -> None:
    told, before, after = network.scanner.call(forgotten, TARGET)
    assert "`async with` closes it" in told
    assert before == after


async def stopped_meanwhile(target: str) -> list[Event]:
    events: list[Event] = []
    async with Scan(target, ports=_ASKED, **_SLOW) as scan:
        async for event in scan:
            if not events:
                scan.stop()
            events.append(event)
    return events


def test_stopping_the_asynchronous_form_tells_what_is_known(network: Network) -> None:
    events, before, after = network.scanner.call(run, stopped_meanwhile, TARGET)
    assert kinds(events)[-2:] == [HostResult, Summary]
    assert events[-1].interrupted
    assert before == after


async def failing(target: str, **how: Any) -> AsyncIterator[Event]:
    async with Scan(target, ports=_ASKED, **how) as scan:
        return [event async for event in scan]  # type: ignore[return-value]


def test_an_error_of_a_scan_comes_through_the_asynchronous_form(network: Network) -> None:
    with pytest.raises(PermissionError):
        network.scanner.call_unprivileged(run, failing, TARGET, methods=("syn",), **_FAST)


# -- what is asked for ----------------------------------------------------------------------------


def test_without_ports_it_is_the_thousand_that_are_open_most_often() -> None:
    with Scan("127.0.0.1") as scan:
        assert len(scan.settings.tcp_ports) == 1000
        assert not scan.settings.udp_ports
    with Scan("127.0.0.1", methods=("udp",)) as scan:
        assert not scan.settings.tcp_ports
        assert len(scan.settings.udp_ports) == 100
    with Scan("127.0.0.1", methods=("syn", "udp")) as scan:
        assert (len(scan.settings.tcp_ports), len(scan.settings.udp_ports)) == (1000, 100)
    with Scan("127.0.0.1", discovery="only") as scan:
        assert not scan.settings.tcp_ports


def test_keywords_change_settings_and_ports_are_read_as_text() -> None:
    settings = Settings(rate=5.0, seed=3)
    with Scan(["127.0.0.1", "::1"], settings, ports="22,80-82,U:53", rate=7.0) as scan:
        assert scan.settings.rate == 7.0
        assert scan.settings.seed == 3
        assert scan.settings.tcp_ports == (22, 80, 81, 82)
        assert scan.settings.udp_ports == (53,)
        assert len(scan.targets) == 2
    assert settings.rate == 5.0


@pytest.mark.parametrize(
    ("ports", "methods", "tcp", "udp"),
    [
        (22, None, (22,), ()),
        ([80, 22, "8000-8001"], "connect", (22, 80, 8000, 8001), ()),
        (range(5, 7), "udp", (), (5, 6)),
        ([53, "T:80"], ["udp"], (80,), (53,)),
        ([53, "U:69"], iter(["syn", "udp"]), (53,), (53, 69)),
        ("22,U:53", ("udp", "syn"), (22,), (22, 53)),
        ("ssh,U:53,69", "syn", (22,), (53, 69)),
    ],
)
def test_ports_and_methods_may_be_one_or_several(
    ports: Any, methods: Any, tcp: tuple[int, ...], udp: tuple[int, ...]
) -> None:
    with Scan("127.0.0.1", ports=ports, methods=methods) as scan:
        assert (scan.settings.tcp_ports, scan.settings.udp_ports) == (tcp, udp)


def test_type_checkers_take_what_fits() -> None:
    numbers: list[int] = [22]
    words: tuple[str, ...] = ("ssh", "U:53")
    methods: list[Method] = ["syn", "udp"]
    assert Scan("127.0.0.1", ports=numbers, methods="connect", rate=None).settings.rate is None
    assert Scan(["::1"], ports=words, methods=methods).settings.methods == ("syn", "udp")
    with Scan("127.0.0.1", ports=range(1, 3), methods=("udp",), services=True, seed=1) as scan:
        assert_type(scan, Scan)
        assert_type(iter(scan), "Iterator[PortResult | HostResult | Progress | Summary]")
        assert_type(scan.rate, float | None)


def test_a_method_that_there_is_not_is_repeated_whole() -> None:
    with pytest.raises(SettingError, match="not 'conect'"):
        Scan("127.0.0.1", methods="conect")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="not 'sin'"):
        Scan("127.0.0.1", methods=["sin"])  # type: ignore[list-item]


def test_arguments_of_a_wrong_kind_are_an_error_of_type_that_says_what_fits() -> None:
    """And type checkers see each of them, or the comments here were superfluous for mypy."""
    with pytest.raises(TypeError, match="targets takes text, or several texts, not 5"):
        Scan(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="methods takes text, or several texts, not 5"):
        Scan("127.0.0.1", methods=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a port is a whole number or text, not 2"):
        Scan("127.0.0.1", ports=[2.5])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"ports takes text, numbers, or several of them, not 2\.5"):
        Scan("127.0.0.1", ports=2.5)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="rate takes a number above 0, not 'fast'"):
        Scan("127.0.0.1", rate="fast")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="rates"):
        Scan("127.0.0.1", rates=5)  # type: ignore[call-arg]


@pytest.mark.parametrize("bad", [{"targets": "10.0.0.1/99"}, {"ports": "1-99999"}])
def test_what_is_not_well_formed_is_said_before_anything_is_opened(bad: dict[str, str]) -> None:
    before = counts()
    with pytest.raises(TargetError):
        Scan(bad.get("targets", "127.0.0.1"), ports=bad.get("ports"))
    assert counts() == before


def test_one_host_named_twice_is_scanned_once(network: Network) -> None:
    events = network.scanner.call(blocking, f"{TARGET} {TARGET}/32 {TARGET}", **_FAST)
    is_right(events)
    assert kinds(events).count(HostResult) == 1


def test_own_addresses_are_scanned_without_a_rate(network: Network) -> None:
    events = network.scanner.call(blocking, "127.0.0.1 ::1", rate=50.0, discovery="none")
    hosts = [event for event in events if isinstance(event, HostResult)]
    assert {host.host for host in hosts} == {"127.0.0.1", "::1"}
    assert {host.ports[0].counts().get(2) for host in hosts} == {1000}
    assert events[-1].ended_ns - events[-1].started_ns < 5 * 10**9  # type: ignore[union-attr]


def test_own_addresses_of_a_network_are_bounded_as_all_others(network: Network) -> None:
    def few() -> float:
        with Scan(SCANNER, ports="1-100", rate=200.0, discovery="none") as scan:
            summary = list(scan)[-1]
        assert isinstance(summary, Summary)
        return (summary.ended_ns - summary.started_ns) / 1e9

    assert 0.4 < network.scanner.call(few) < 10


# -- whom it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        ("10.0.0.0/8", "these are 16777216 addresses; many=True says that they are meant"),
        ("224.0.0.1", "224.0.0.1 is multicast"),
        ("no-such-name.invalid", "no-such-name.invalid does not resolve"),
        ("", "no target is named"),
        ([], "no target is named"),
    ],
)
def test_nobody_and_a_network_by_mistake_are_refused_before_anything_is_sent(
    targets: str | list[str], told: str
) -> None:
    with pytest.raises(TargetError, match=told):
        Scan(targets)


def test_a_network_that_is_meant_is_not_refused_nor_one_that_is_only_listed() -> None:
    assert len(Scan("10.0.0.0/8", many=True).targets) == 1 << 24
    assert len(Scan("10.0.0.0/16", discovery="list").targets) == 1 << 16
