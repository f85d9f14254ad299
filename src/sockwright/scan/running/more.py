"""The last phase: what else is asked of hosts whose ports are known, many of them together.

Nothing else is under way meanwhile, and each of these looks whether the scan is stopped.
"""

from __future__ import annotations

import contextlib
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Final

from sockwright.errors import NotPossibleError
from sockwright.scan.engine.pace import Pace
from sockwright.scan.reasons import number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sockwright.scan.port_table import PortTable
    from sockwright.scan.results import HostResult, PortResult, PortState
    from sockwright.scan.running.run import Host, Run
    from sockwright.scan.scan import Event
    from sockwright.scan.settings import Settings

__all__ = ["asks_more", "finish", "named"]

_A_SYSTEM: Final = 20.0  # packets a second that go to a host whose system is asked for


def asks_more(settings: Settings) -> bool:
    """Whether anything is asked of hosts beside their ports."""
    return settings.services or settings.identify_os or settings.traceroute or settings.names


def finish(run: Run, hosts: Sequence[Host]) -> Iterator[Event]:
    """Ask what else is wanted of hosts whose ports are known, and let them out."""
    settings = run.settings
    if hosts and not run.stopped:
        for wanted, ask, purpose in (
            (settings.services, _services, "asks what the service is"),
            (settings.identify_os, _systems, "asks what the system is"),
            (settings.traceroute, _routes, "asks for the way"),
        ):
            if wanted:
                with run.watching((host.target for host in hosts), purpose):
                    yield from ask(run, hosts)
    if settings.services and run.stopped:
        run.books.services_left += sum(_without_service(host.result) for host in hosts)
    for host in hosts:
        if host.target.name:
            host.result.names = (host.target.name,)
    yield from named(run, [host.result for host in hosts])


def named(run: Run, results: Iterable[HostResult]) -> Iterator[Event]:
    """Ask for names if they are wanted, and let hosts out."""
    results = list(results)
    if results and run.settings.names and not run.stopped:
        from sockwright.scan.naming import reverse_names

        names = reverse_names([one.host for one in results], stopped=lambda: run.stopped)
        for result in results:
            name = names.get(result.host)
            if name and name not in result.names:
                result.names += (name,)
    yield from map(run.out, results)


def _services(run: Run, hosts: Sequence[Host]) -> Iterator[Event]:
    from sockwright.scan.services import identify_services

    tables = {
        (host.result.host, table.protocol): table for host in hosts for table in host.result.ports
    }
    ports = [
        (address, number, protocol)
        for (address, protocol), table in tables.items()
        for number in (*table.open_ports(), *_perhaps_open(table))
    ]
    if not ports:
        return
    results = {host.result.host: host.result for host in hosts}
    names = {host.result.host: host.target.name for host in hosts if host.target.name}
    found = identify_services(ports, settings=run.settings, names=names, wake=run.wake)
    with contextlib.closing(found):
        for done, ((address, number, protocol), service) in enumerate(found, 1):
            results[address].services[protocol, number] = service
            results[address].ended_ns = time_ns()
            if protocol == "udp" and service.method == "probed":
                yield from _proven(tables[address, protocol], number)
            yield from run.stepping.ended("services", done, len(ports))
            if run.stopped:
                break


def _without_service(result: HostResult) -> int:
    """Count the open ports of which nobody found out what they are."""
    return sum(
        (table.protocol, number) not in result.services
        for table in result.ports
        for number in table.open_ports()
    )


def _perhaps_open(table: PortTable) -> list[int]:
    """Return the UDP ports that said nothing yet, and may answer a question of their own."""
    if table.protocol != "udp":
        return []
    return sorted(table.numbers[at] for at in table.indices("open|filtered"))


def _proven(table: PortTable, number: int) -> Iterator[PortResult]:
    """Call a UDP port open that has answered at last."""
    at = table.numbers.index(number)
    if table.row(at).state != "open":
        table.set(at, number_of("udp-response", "open"), 1)
        yield table.row(at)


def _systems(run: Run, hosts: Sequence[Host]) -> Iterator[Event]:
    """Ask for systems, of so many hosts at once as the rate has room for."""
    from sockwright.identify.finding import Ports, find_ports
    from sockwright.identify.many import AT_ONCE, probe_hosts

    results = {host.result.host: host.result for host in hosts}

    def find(
        address: str, *, charge: Callable[[int, float], float] | None, wake: int | None
    ) -> Ports:
        tables = {table.protocol: table for table in results[address].ports}
        return find_ports(
            address,
            open_port=_first(tables.get("tcp"), "open"),
            closed_port=_first(tables.get("tcp"), "closed"),
            closed_udp_port=_first(tables.get("udp"), "closed"),
            charge=charge,
            wake=wake,
        )

    rate = None if run.loopback else run.settings.rate
    at_once = AT_ONCE if rate is None else max(min(int(rate / _A_SYSTEM), AT_ONCE), 1)
    try:
        rows = probe_hosts(
            results, find=find, at_once=at_once, charge=_charging(run), wake=run.wake
        )
    except NotPossibleError as error:
        for result in results.values():
            result.remarks += (f"the system was not identified: {error}",)
        return
    with contextlib.closing(rows):
        for done, row in enumerate(rows, 1):
            result = results[row.host]
            result.os = row.found
            result.ended_ns = time_ns()
            if row.error is not None:
                result.remarks += (f"the system was not identified: {row.error}",)
            yield from run.stepping.ended("systems", done, len(hosts))
            if run.stopped:
                return


def _routes(run: Run, hosts: Sequence[Host]) -> Iterator[Event]:
    from sockwright.scan.tracing import trace

    charging = _charging(run)
    for done, host in enumerate(hosts, 1):
        if run.stopped:
            return
        result = host.result
        charge = charging(result.host)
        try:
            hops = trace(host.target, result, run.settings, charge=charge, wake=run.wake)
        except (OSError, NotPossibleError) as error:
            result.remarks += (f"the route was not traced: {error}",)
        else:
            result.hops = tuple(hops)
            if result.reason == "localhost-response":
                result.remarks += ("no router is on the way: this is an address of this machine",)
        result.ended_ns = time_ns()
        yield from run.stepping.ended("routes", done, len(hosts))


def _charging(run: Run) -> Callable[[str], Callable[[int, float], float]]:
    """Let packets that others send keep to the rates; several threads may ask.

    For each host it gives what is told how many packets went there, and says when more may go.
    """
    from threading import Lock

    lock = Lock()

    def of_host(_: str) -> Callable[[int, float], float]:
        paces = [run.shared, Pace(run.host_rate, now=monotonic(), adapts=False)]

        def charge(count: int, now: float) -> float:
            with lock:
                for pace in paces:
                    pace.allowance(now)
                    pace.sent(count, now)
                return max(pace.next_time(now) for pace in paces)

        return charge

    return of_host


def _first(table: PortTable | None, state: PortState) -> int | None:
    """Return the lowest port in a state."""
    if table is None:
        return None
    return min((table.numbers[at] for at in table.indices(state)), default=None)
