"""Compare two scans, and call nothing a difference that loss explains.

Rules (those of ports stand in `port_changes`)
    1. A host that the old scan saw and the new one does not is gone if the new scan came to its
       end, and if it is complete by its own measure; else that is unproven. The same holds for a
       host that appears, and the old scan.
    2. What only one of the two asked is not compared, be it a port or a host. A scan has a row for
       each host that it asked, and so has its file: who is not in it was not asked. nmap's XML may
       only count the hosts that are down, and a file may end early: who is missing there may have
       been asked, and is unproven. That the old scan is not complete is said in the end, too.
    3. Another system is a difference where both scans were sure of theirs, and the two are of
       different families. Which version it is named by depends on what could be tested, so another
       name within the family is unproven; that one scan could not tell is none.
    4. Hosts of the new scan are compared as they come; only the old scan is kept in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.scan.reports.difference import Compared, Difference
from sockwright.scan.reports.kept import KeptSummary, kept_host
from sockwright.scan.reports.port_changes import PROTOCOLS, port_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.scan.reports.kept import KeptHost, KeptSystem
    from sockwright.scan.reports.kept_files import KeptScan
    from sockwright.scan.results import HostResult, Summary

__all__ = ["Compared", "Comparison", "Difference", "compare"]

_SURE = 0.8  # the confidence from which on a system counts as known


def compare(old: str, new: str) -> Iterator[Difference | Compared]:
    """Compare two files, each of them our JSON lines or nmap's XML; give `Compared` last.

    Raises: DecodeError for a file that is neither; OSError as open(2).
    """
    from sockwright.scan.reports.kept_files import KeptFile, read_kept

    comparison = Comparison(read_kept(old))
    with KeptFile(new) as file:
        for host in file:
            yield from comparison.kept(host)
        yield from comparison.finish(file.summary)


class Comparison:
    """Compares a scan with an `old` one while it goes on: `host` for each host, then `end`."""

    def __init__(self, old: KeptScan) -> None:
        self._old = old
        self._seen: set[str] = set()
        self._down: set[str] = set()
        self._counts = {True: 0, False: 0}
        self._hosts = 0  # that were compared
        self._not_compared = 0
        self._hosts_not_compared = 0

    def host(self, result: HostResult) -> Iterator[Difference]:
        """Compare a host, and give what differs."""
        return self.kept(kept_host(result))

    def end(self, summary: Summary) -> Iterator[Difference | Compared]:
        """Give the hosts that are there no more, and `Compared`."""
        why = "it was interrupted" if summary.interrupted else ""
        if summary.complete is False and not why:
            why = f"it expects to have missed {summary.expected_misses:.2g} open ports"
        return self.finish(KeptSummary(not why, why))

    def kept(self, new: KeptHost) -> Iterator[Difference]:
        """Compare a host that was read from a file."""
        if new.host in self._seen or new.state == "unknown":
            return
        self._seen.add(new.host)
        old = self._old.hosts.get(new.host)
        was_up = old is not None and old.state == "up"
        asked = old.state != "unknown" if old is not None else not self._old.summary.lists_all
        if not asked:
            if new.state == "up":
                self._leave_out(new)
            return
        self._hosts += 1
        if new.state == "down":
            if old is None or not was_up:
                return
            if new.reason == "no-response":
                self._down.add(new.host)
                return
            why = f"the new scan was told that the host cannot be reached: {new.reason}"
            yield self._count(_gone(new.host, new.reason, why, proven=True))
        elif old is None or not was_up:
            yield self._count(self._appeared(old, new))
        else:
            found, not_compared = port_changes(old, new)
            self._not_compared += not_compared
            if old.system and new.system and old.system.name != new.system.name:
                found.append(_another_system(new.host, old.system, new.system))
            for difference in found:
                yield self._count(difference)

    def finish(self, summary: KeptSummary) -> Iterator[Difference | Compared]:
        """Do what `end` does, for the summary of a file."""
        for host, old in self._old.hosts.items():
            down = host in self._down
            if old.state != "up" or (host in self._seen and not down):
                continue
            why = "the host did not answer" if down else "the host is not listed"
            if not down and summary.lists_all:
                self._leave_out(old)
                continue
            why += f" in the new scan, {_how_sure(summary, listed=down)}"
            reason = "no-response" if down else ""
            yield self._count(_gone(host, reason, why, proven=down and summary.complete))
        yield Compared(
            self._hosts,
            self._counts[True],
            self._counts[False],
            self._not_compared,
            self._hosts_not_compared,
            self._old.summary.why_not,
        )

    def _leave_out(self, host: KeptHost) -> None:
        self._hosts_not_compared += 1
        self._not_compared += sum(len(host.asked(name)) for name in PROTOCOLS)

    def _appeared(self, old: KeptHost | None, new: KeptHost) -> Difference:
        summary = self._old.summary
        listed = "is not listed" if old is None else "did not answer"
        why = f"the host {listed} in the old scan"
        if old is not None and old.reason != "no-response":
            why = f"the old scan was told that the host cannot be reached: {old.reason}"
        else:
            why += f", {_how_sure(summary, listed=old is not None)}"
        return Difference(
            host=new.host,
            what="host",
            old="down" if old is not None else "",
            new="up",
            proven=old is not None and (summary.complete or old.reason != "no-response"),
            why=why,
            old_reason=old.reason if old is not None else "",
            new_reason=new.reason,
        )

    def _count(self, difference: Difference) -> Difference:
        self._counts[difference.proven] += 1
        return difference


def _how_sure(summary: KeptSummary, *, listed: bool) -> str:
    """Say what the silence of a host is worth in a scan, by how that ended."""
    if not summary.complete:
        return f"but that is not complete: {summary.why_not}"
    if not listed:
        return "but that does not name who was down: it may not have been asked"
    return "which came to its end"


def _another_system(host: str, old: KeptSystem, new: KeptSystem) -> Difference:
    proven = False
    if old.family == new.family:
        why = "both are of one family; how far it can be told apart depends on what answered"
    elif min(old.confidence, new.confidence) < _SURE:
        why = f"a confidence of {min(old.confidence, new.confidence):.2f} is too low to go by"
    else:
        proven, why = True, "both scans were sure of the system that they named"
    return Difference(host, "system", old.name, new.name, proven, why)


def _gone(host: str, reason: str, why: str, *, proven: bool) -> Difference:
    new = "down" if reason else ""
    return Difference(host, "host", "up", new, proven, why, new_reason=reason)
