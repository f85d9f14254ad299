"""What a scan keeps to: rates of everything it sends, time for each host, descriptors, a stop."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from tests.open_files import open_descriptors
from tests.scan.topology import TARGET, Network, listen

from sockwright.identify.probing import ask
from sockwright.scan import HostResult, Scan, Settings, Summary
from sockwright.scan.descriptors import Descriptors, raise_limit
from sockwright.scan.reports.resumed import read_resume
from sockwright.scan.targets import Target, parse_targets
from sockwright.scan.tracing import trace
from sockwright.tools._scan_flags import read_words
from sockwright.tools._scan_run import Asked, scanning
from sockwright.tools._scan_settings import make_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sockwright.scan.port_table import PortTable
    from sockwright.scan.scan import Event
    from sockwright.sockets.packet_socket import Frame

pytestmark = pytest.mark.needs("namespaces", "nft")

_NET = "10.62.0.20-23"
_SOON: dict[str, Any] = {"first_timeout": 0.2, "max_timeout": 0.2}


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Ten addresses of one target, on which port 50 is open."""
    with Network() as network:
        network.start(network.target, listen, [50])
        index = network.target.links.index("net")
        for last in range(20, 30):
            network.target.links.add_address(index, f"10.62.0.{last}/24")
        # While a link address is asked for packets wait in the kernel, and then go in one burst.
        network.scanner.call(_connect, TARGET)
        yield network


def _connect(address: str) -> None:
    with socket.socket() as sock:
        sock.settimeout(10)
        sock.connect((address, 50))


def scanned(target: str, ports: str | None, **how: Any) -> list[Event]:
    with Scan(target, ports=ports, **how) as scan:
        return list(scan)


def hosts_of(events: list[Event]) -> list[HostResult]:
    return [event for event in events if isinstance(event, HostResult)]


def summary_of(events: list[Event]) -> Summary:
    summary = events[-1]
    assert isinstance(summary, Summary)
    return summary


# -- what the summary tells -----------------------------------------------------------------------


def test_discovery_alone_tells_its_loss_and_the_hosts_it_may_have_missed(
    network: Network,
) -> None:
    network.lose(0.3)
    try:
        events = network.scanner.call(
            scanned, "10.62.0.2,20-60", None, discovery="only", rate=None, retries=1, **_SOON
        )
    finally:
        network.lose(0.0)
    summary = summary_of(events)
    assert summary.loss is not None
    assert 0 <= summary.loss < 0.8  # the one host may answer at once
    assert summary.expected_misses > 0.01
    assert not summary.complete


# -- hosts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["syn", "connect"])
def test_a_host_is_begun_when_the_rate_has_room_for_it(network: Network, method: str) -> None:
    events = network.scanner.call(
        scanned,
        _NET,
        "1-500",
        methods=(method,),
        rate=100.0,
        discovery="none",
        host_timeout=1.0,
        **_SOON,
    )
    hosts = hosts_of(events)
    assert len(hosts) == 4
    for host in hosts:  # each has had its time, one after the other: all at once it would be 25
        assert 30 <= host.probes <= 150, host.host
        assert not host.complete
        assert host.ports[0].counts()
    assert (summary_of(events).ended_ns - summary_of(events).started_ns) / 1e9 > 3.5


def test_hosts_are_scanned_at_once_where_the_rate_allows(network: Network) -> None:
    events = network.scanner.call(
        scanned, "10.62.0.100-139", "1-20", rate=10_000.0, discovery="none", retries=1, **_SOON
    )
    seconds = (summary_of(events).ended_ns - summary_of(events).started_ns) / 1e9
    assert seconds < 8  # one after the other it would be 16


# -- rates ----------------------------------------------------------------------------------------


def test_the_rate_of_a_host_holds_for_tcp_and_udp_together(network: Network) -> None:
    # As they leave: on their way packets may be held, and then go on together.
    with network.scanner.capture(interface="net") as capture:
        network.scanner.call(
            scanned,
            TARGET,
            "T:1-100,U:1-20",
            methods=("connect", "udp"),
            rate=None,
            host_rate=200.0,
            discovery="none",
            patience=0.1,
            **_SOON,
        )
        times = sorted(
            frame.time_ns
            for frame in capture.frames
            if frame.octets[12:14] == b"\x08\x00"
            and frame.octets[30:34] == socket.inet_aton(TARGET)
            and (frame.octets[23] == 17 or (frame.octets[23] == 6 and frame.octets[47] == 0x02))
        )
    assert len(times) >= 120
    for width in (50, 100):
        for at in range(len(times) - width):
            seconds = (times[at + width] - times[at]) / 1e9
            assert width - 2 <= 200 * (seconds + 0.040) + 2


class Charging:
    """Says that the next packet may go a while later, and when packets went."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self.calls: list[tuple[int, float]] = []

    def __call__(self, count: int, now: float) -> float:
        self.calls.append((count, now))
        return now + self._pause

    @property
    def least(self) -> float:
        """The shortest time between two."""
        times = [when for _, when in self.calls]
        return min(later - when for when, later in pairwise(times))


def test_a_trace_waits_until_the_next_packet_may_go(network: Network) -> None:
    def traced() -> tuple[int, float]:
        charging = Charging(0.05)
        result = HostResult(TARGET, "up", "echo-reply", ttl=63)
        trace(Target(TARGET, socket.AF_INET), result, Settings(first_timeout=0.2), charge=charging)
        return len(charging.calls), charging.least

    count, least = network.scanner.call(traced)
    assert count >= 2
    assert least >= 0.049


def test_the_probes_of_a_system_wait_until_they_may_go(network: Network) -> None:
    def asked() -> tuple[int, float]:
        charging = Charging(0.03)
        ask(
            TARGET,
            open_port=50,
            closed_port=51,
            closed_udp_port=None,
            charge=charging,
        )
        # Before the first packet it asks when that may go.
        assert [count for count, _ in charging.calls] == [0] + [1] * (len(charging.calls) - 1)
        return len(charging.calls), charging.least

    count, least = network.scanner.call(asked)
    assert count >= 15
    assert least >= 0.029


def test_the_ports_that_the_probes_of_a_system_need_are_asked_at_the_rate(
    network: Network,
) -> None:
    with network.scanner.capture(interface="net") as capture:
        # No open port is known, so some are tried: 40 that are often open, some high ones.
        network.scanner.call(
            scanned, TARGET, "51", identify_os=True, rate=None, host_rate=200.0, discovery="none"
        )
        times = sorted(
            frame.time_ns
            for frame in capture.frames
            if frame.octets[12:14] == b"\x08\x00"
            and frame.octets[30:34] == socket.inet_aton(TARGET)
            and frame.octets[23] == 6
            and frame.octets[47] & 0x12 == 0x02
        )
    assert len(times) >= 40
    for at in range(len(times) - 20):
        seconds = (times[at + 20] - times[at]) / 1e9
        assert 200 * (seconds + 0.040) + 2 >= 18


# -- descriptors ----------------------------------------------------------------------------------


def few_descriptors(soft: int, hard: int, **how: Any) -> tuple[tuple[str, ...], str, list[int]]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    before = open_descriptors()
    with Scan(TARGET, ports="45-54", discovery="none", **how) as scan:
        (host,) = hosts_of(list(scan))
    assert not open_descriptors() - before
    return scan.methods, scan.why_methods, host.ports[0].open_ports()


def raised(soft: int, hard: int) -> list[tuple[bool, int]]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return [(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0]) for _ in range(2)]


def test_the_soft_limit_is_raised_once_to_what_may_be_had(network: Network) -> None:
    assert network.scanner.call(raised, 40, 4096) == [(True, 4096), (False, 4096)]


def test_the_soft_limit_of_descriptors_is_raised_for_a_syn_scan(network: Network) -> None:
    methods, _, found = network.scanner.call(few_descriptors, 40, 4096)
    assert (methods, found) == (("syn",), [50])


def test_without_descriptors_for_a_syn_scan_it_is_a_connect_scan_that_says_why(
    network: Network,
) -> None:
    methods, why, found = network.scanner.call(few_descriptors, 40, 40)
    assert (methods, found) == (("connect",), [50])
    assert why == (
        "a connect scan, since this process may not open the descriptors that a SYN scan takes"
    )


class _Grabbing:
    """Knows nothing of any host, and holds all descriptors while one is asked."""

    def __init__(self) -> None:
        self._held: list[int] = []

    def finished(self, host: str) -> None:
        """Know nothing."""

    def begun(self, host: str) -> None:
        """Take all descriptors that are left."""
        with contextlib.suppress(OSError):
            while True:
                self._held.append(os.dup(0))

    def fill(self, table: PortTable) -> int:
        """Let go of them, when the host is done."""
        while self._held:
            os.close(self._held.pop())
        return 0


def starved(folder: str) -> tuple[list[Any], int]:
    """Let `sw scan` ask a host without a single descriptor; return its rows and status."""
    os.chdir(folder)
    limit = len(os.listdir("/proc/self/fd")) + 30  # noqa: PTH208
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    Descriptors.patience = 0.1  # in a process of its own
    args = read_words(["-sT", "-Pn", "-p", "45-54", "--json", TARGET])
    assert args is not None
    settings = make_settings(args)
    targets = parse_targets([TARGET])
    running = scanning(Asked(settings, targets, ([TARGET], []), {}, _Grabbing()), args, None)
    rows: list[Any] = []
    while True:
        try:
            row = next(running)
        except StopIteration as end:
            return rows, end.value
        several = row if isinstance(row, list) else [row]
        rows += [one.as_dict() if hasattr(one, "as_dict") else str(one) for one in several]


def test_a_scan_without_a_single_descriptor_ends_with_what_is_known_and_can_go_on(
    network: Network, tmp_path: Path
) -> None:
    rows, status = network.scanner.call(starved, str(tmp_path))
    assert status == 1
    host = next(row for row in rows if isinstance(row, dict) and row["kind"] == "host")
    assert not host["complete"]
    assert [(part["reason"], part["ports"]) for part in host["not_shown"]] == [
        ("not-asked", "45-54")
    ]
    assert not [row for row in rows if isinstance(row, dict) and row["kind"] == "port"]
    summary = next(row for row in rows if isinstance(row, dict) and row["kind"] == "summary")
    assert summary["interrupted"]
    assert any("RLIMIT_NOFILE" in remark and "ulimit" in remark for remark in summary["remarks"])
    (told,) = [row for row in rows if isinstance(row, str) and "--resume" in row]
    assert told.startswith("the scan could not go on")
    (kept,) = tmp_path.glob("*.resume")
    with read_resume(str(kept)) as resumed:
        known = resumed.begun(TARGET)
    assert known is not None
    assert not known.complete


def test_a_syn_scan_that_was_asked_for_is_an_error_without_descriptors(network: Network) -> None:
    with pytest.raises(OSError, match="Too many open files"):
        network.scanner.call(few_descriptors, 40, 40, methods=("syn",))


# -- a stop is heard everywhere -------------------------------------------------------------------


def stopped_when(told: int, ports: str, **how: Any) -> tuple[list[Event], float]:
    """Stop when an octet can be read from `told`; return how long that took."""
    at = 0.0

    def stop() -> None:
        nonlocal at
        os.read(told, 1)
        at = time.monotonic()
        scan.stop()

    with Scan(TARGET, ports=ports, discovery="none", rate=None, **how) as scan:
        threading.Thread(target=stop, daemon=True).start()
        events = list(scan)
        assert at, "it was over before it was stopped"
        return events, time.monotonic() - at


@contextlib.contextmanager
def asked_for_service(network: Network) -> Iterator[Callable[[], object]]:
    """Give what waits until port 60, which says nothing, has been connected to."""
    with network.target.socket(socket.AF_INET, socket.SOCK_STREAM) as mute:
        mute.bind(("", 60))
        mute.listen(64)
        mute.settimeout(20)
        with contextlib.ExitStack() as opened:
            yield lambda: opened.enter_context(mute.accept()[0])


@contextlib.contextmanager
def asked_for_system(network: Network) -> Iterator[Callable[[], object]]:
    """Give what waits until a SYN has come with more options than those that ask ports have."""
    with network.target.capture(interface="net") as capture:
        yield lambda: capture.until(_has_many_options, 20)


def _has_many_options(frame: Frame) -> bool:
    is_tcp = frame.octets[12:14] == b"\x08\x00" and frame.octets[23] == socket.IPPROTO_TCP
    return is_tcp and frame.octets[47] & 0x02 > 0 and frame.octets[46] >> 4 > 6


@pytest.mark.parametrize(
    ("phase", "ports", "how"),
    [
        (asked_for_service, "60", {"services": True}),
        (asked_for_system, "50,51", {"identify_os": True, "host_rate": 2.0}),
    ],
)
def test_a_stop_is_heard_while_more_is_asked(
    network: Network,
    phase: Callable[[Network], contextlib.AbstractContextManager[Callable[[], object]]],
    ports: str,
    how: dict[str, Any],
) -> None:
    with contextlib.ExitStack() as opened:
        begun = opened.enter_context(phase(network))
        told, tell = os.pipe()
        opened.callback(os.close, told)
        opened.callback(os.close, tell)
        call = network.scanner.start(stopped_when, told, ports, **how)
        begun()
        os.write(tell, b"!")
        events, seconds = call.result(30)
    assert seconds < 3  # of 8 for a system, 11 for services
    (host,) = hosts_of(events)
    assert len(host.ports[0].open_ports()) == 1
    assert host.os is None
    assert summary_of(events).interrupted


def test_a_trace_ends_when_it_is_woken(network: Network) -> None:
    def woken() -> float:
        wake = os.eventfd(1)
        began = time.monotonic()
        result = HostResult("10.62.0.250", "up", "echo-reply", ttl=40)
        settings = Settings(first_timeout=10.0, max_timeout=10.0)
        trace(Target("10.62.0.250", socket.AF_INET), result, settings, wake=wake)
        os.close(wake)
        return time.monotonic() - began

    assert network.scanner.call(woken) < 2
