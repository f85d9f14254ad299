"""Trace the way to a host by the kind of packet that it is known to answer."""

from __future__ import annotations

import errno
import select
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING

from sockwright.scan.engine.timing import Timing
from sockwright.scan.tracing.machine import Trace, distance
from sockwright.scan.tracing.probing import ConnectProber, EchoProber, UDPProber

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.scan.results import Hop, HostResult
    from sockwright.scan.settings import Settings
    from sockwright.scan.targets.target import Target
    from sockwright.scan.tracing.machine import Probe
    from sockwright.scan.tracing.probing import Prober

__all__ = ["trace"]

_LONGEST_S = 1.0  # of one wait: routers answer at once or not at all
_BUSY = (errno.EAGAIN, errno.ENOBUFS)
_BY_TCP = frozenset({"syn-ack", "reset", "conn-accept", "conn-refused"})


def trace(
    target: Target,
    result: HostResult,
    settings: Settings,
    *,
    charge: Callable[[int, float], float] | None = None,
    wake: int | None = None,
) -> list[Hop]:
    """Return the hops to a host, the host itself last if it answered; it may take seconds.

    A SYN goes to a port that is known to be closed, where no service sees it, or else open; without
    either it is ICMP echo, and UDP where that is not allowed. To an address of this machine there
    is no way. `charge` is told how many packets went out and when, and says when the next may go.
    It ends with what is known when the descriptor `wake` becomes readable.

    Raises:
        OSError: there is no route to it any more, or no interface of the name in `settings`.
    """
    if result.reason == "localhost-response":
        return []
    timing = Timing(
        first=min(settings.first_timeout, _LONGEST_S),
        shortest=max(settings.min_timeout, 0.05),
        longest=min(settings.max_timeout, _LONGEST_S),
    )
    machine = Trace(distance(result.ttl), timing)
    with closing(_prober(target, result, settings.interface)) as prober:
        _drive(machine, prober, charge, wake)
    return machine.hops()


def _drive(
    machine: Trace,
    prober: Prober,
    charge: Callable[[int, float], float] | None,
    wake: int | None,
) -> None:
    """Send and hear until the machine is done, or `wake` becomes readable."""
    waiting, waking = select.poll(), select.poll()
    waiting.register(prober.fileno(), select.POLLIN | select.POLLERR)
    if wake is not None:
        waiting.register(wake, select.POLLIN)
        waking.register(wake, select.POLLIN)
    free = 0.0  # when the next packet may go
    while not (machine.done or waking.poll(0)):
        for probe in machine.take():
            if waking.poll(max(0.0, (free - monotonic()) * 1000)):
                break
            now = monotonic()
            _send(prober, probe)
            machine.sent(probe, now)
            if charge is not None:
                free = charge(1, now)
            # At once, so that the first hop's time has nothing of the last probe's in it.
            _hear(machine, prober)
        _hear(machine, prober)
        now = monotonic()
        machine.turn(now)
        due = machine.next_time()
        if due is not None:
            waiting.poll(max(0.0, (due - now) * 1000 + 0.5))


def _send(prober: Prober, probe: Probe) -> None:
    """Send a probe; where the kernel has no room it is lost, as on the way."""
    try:
        prober.send(probe)
    except OSError as error:
        if error.errno not in _BUSY:
            raise


def _hear(machine: Trace, prober: Prober) -> None:
    for probe, sender, reached in prober.receive():
        machine.answered(probe, sender, monotonic(), reached=reached)


def _prober(target: Target, result: HostResult, interface: str = "") -> Prober:
    """Choose how the hops are asked."""
    port = _port(result)
    if port is not None:
        return ConnectProber(target, port, interface)
    try:
        return EchoProber(target, interface)
    except PermissionError:
        return UDPProber(target, interface)


def _port(result: HostResult) -> int | None:
    """Return a TCP port that is known to answer: a closed one, or else an open one."""
    for table in result.ports:
        if table.protocol == "tcp":
            for ports in ([row.port for row in table.rows("closed")], table.open_ports()):
                if ports:
                    return ports[0]
    if not result.ports and result.reason in _BY_TCP:
        return 443
    return None
