"""The first phase: which hosts are there. The others come out at once."""

from __future__ import annotations

import contextlib
from time import time_ns
from typing import TYPE_CHECKING

from sockwright.scan.engine.rounds import seen_loss
from sockwright.scan.results import HostResult
from sockwright.scan.running.asking import known_ports
from sockwright.scan.running.run import Host
from sockwright.scan.running.stepping import Estimate

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

    from sockwright.scan.discovery import Discovery
    from sockwright.scan.running.run import Run
    from sockwright.scan.scan import Event
    from sockwright.scan.targets import Target

__all__ = ["find_hosts"]


def find_hosts(run: Run, piece: list[Target], found: deque[Host]) -> Iterator[Event]:
    """Find out which hosts of a piece are up, and add them to `found`; give the others."""
    from sockwright.scan.discovery import Discovery

    started = time_ns()
    discovery = Discovery(
        piece,
        run.settings,
        shared=run.shared,
        seed=run.seed,
        privileged=None if run.record is None else True,  # the packets of connections are not ours
        record=run.record,
    )
    if not run.parts:  # there is no other method to tell of
        run.scan.why_methods = discovery.why
    with contextlib.closing(discovery):
        for now in run.stepping.through([discovery]):
            if discovery.failure and not run.stopped:
                run.scan.fail(discovery.failure)
            pending = discovery.pending
            loss = seen_loss(discovery.loss, discovery.answers)
            more = Estimate(discovery.probes, loss, pending)
            yield from run.stepping.progress(
                "discovery", now, len(piece) - pending, len(piece), more
            )
        up = discovery.found()
        run.books.discovery(discovery)
        run.remarks += discovery.remarks
        if discovery.loss is not None:
            for part in run.parts.values():
                part.expect(discovery.loss, discovery.answers)
    never = discovery.never_asked() if discovery.probes else set(piece)
    for target in piece:
        evidence = up.get(target)
        if evidence is None:
            silent = _silent(run, discovery, target, asked=target not in never)
            silent.started_ns = started
            if target.name:
                silent.names = (target.name,)
            yield run.out(silent)
            continue
        result = HostResult(
            target.host,
            "up",
            evidence.reason,
            ttl=evidence.ttl,
            rtt_ns=evidence.rtt_ns,
            mac=evidence.mac,
            started_ns=started,
        )
        found.append(Host(target, result))


def _silent(run: Run, discovery: Discovery, target: Target, *, asked: bool) -> HostResult:
    """Return what is known of an address that did not answer."""
    host = target.host
    known = run.scan.known
    earlier = None if known is None else known.begun(host)
    if earlier is not None and (ports := known_ports(run, host)):
        # What it answered to the scan that is gone on with is no less true for that.
        told = "it answers no more: the ports that are left were not asked"
        return HostResult(
            host,
            earlier.state,
            earlier.reason,
            mac=earlier.mac,
            ports=ports,
            complete=False,
            remarks=() if run.stopped else (told,),
            ended_early=not run.stopped,
        )
    if not asked:
        return HostResult(host, "unknown", "not-asked", complete=False)
    if run.stopped:  # before its silence meant anything
        return HostResult(host, "unknown", "no-response", complete=False)
    result = HostResult(host, "down", "no-response")
    if discovery.loss is None:  # nobody answered
        result.complete = None
    return result
