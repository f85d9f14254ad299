"""What the phases of one run have in common."""

from __future__ import annotations

import os
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

from sockwright.scan.engine.pace import Pace
from sockwright.scan.reasons import REASONS
from sockwright.scan.running.books import Books
from sockwright.scan.running.stepping import Stepping

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sockwright.scan.asked_host import AskedHost
    from sockwright.scan.part import PortScan
    from sockwright.scan.reports.evidence import EvidenceWriter
    from sockwright.scan.results import HostResult, Protocol
    from sockwright.scan.scan import Course
    from sockwright.scan.sending.evidence import Record
    from sockwright.scan.settings import Settings
    from sockwright.scan.targets import Target
    from sockwright.scan.witness import Witness

__all__ = ["Host", "Run"]

_FEW_TARGETS: Final = 256
_NO_ANSWER: Final = frozenset({"no-response", "unproven", "not-asked", "no-route"})


class Host:
    """A host that is up: what is known of it, and what is under way (`waiting` parts)."""

    __slots__ = ("asked", "result", "target", "waiting")

    def __init__(self, target: Target, result: HostResult) -> None:
        self.target = target
        self.result = result
        self.asked: list[AskedHost] = []
        self.waiting = 0


class Run:
    """One run of a scan; `wake` is an eventfd that becomes readable when `scan.stop` is called.

    `shared` is the pace of everything that is sent, `parts` scan ports, `evidence` is there if
    packets are to be kept, and `witnesses` capture those that the kernel or others send.
    """

    def __init__(self, scan: Course, wake: int) -> None:
        self.scan = scan
        self.settings: Settings = scan.settings
        self.wake = wake
        seed = self.settings.seed
        self.seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
        targets = scan.targets
        # There is no network to be polite to where everything stays inside this machine.
        self.loopback = (
            self.settings.spare_loopback
            and len(targets) <= _FEW_TARGETS
            and all(_is_loopback(one.address) for one in targets)
        )
        scan.rate = rate = None if self.loopback else self.settings.rate
        self.shared = Pace(rate, now=monotonic(), adapts=False)
        self.books = Books(self.settings.max_miss)
        self.stepping = Stepping(self)
        self.remarks: list[str] = []
        self._kept: dict[str, tuple[int, int]] = {}
        self.parts: dict[Protocol, PortScan] = {}
        self.evidence = self._evidence()
        self.witnesses: list[Witness] = []
        self._unwritten = 0  # packets that there was no room for

    @property
    def stopped(self) -> bool:
        """Whether the user wants it to end."""
        return self.scan.stopped

    @property
    def record(self) -> Record | None:
        """Who is told every packet of raw sockets."""
        return None if self.evidence is None else self.evidence.frame

    @property
    def host_rate(self) -> float | None:
        """How many packets a second one host may be sent by all of this."""
        return None if self.loopback else self.settings.host_rate

    def _evidence(self) -> EvidenceWriter | None:
        """Return who writes the evidence, if there is to be any; `methods` opens the file."""
        if self.settings.evidence is None:
            return None
        from sockwright.scan.reports.evidence import EvidenceWriter

        path, force = str(self.settings.evidence), self.settings.overwrite
        return EvidenceWriter(path, complain=self._complain, force=force)

    @contextmanager
    def watching(self, targets: Iterable[Target], purpose: str) -> Iterator[None]:
        """Have in the evidence what others send to hosts meanwhile, and what they answer."""
        if self.evidence is None:
            yield
            return
        from sockwright.scan.witness import Witness

        watched = frozenset().union(*(one.protocols for one in self.witnesses))
        try:
            witness = Witness(self.evidence, frozenset(range(256)) - watched)
            witness.add(targets)
        except OSError as error:
            why = error.strerror or error
            self._complain(f"not in the evidence is what {purpose}: {why}")
            yield
            return
        self.witnesses.append(witness)
        for one in self.witnesses:
            one.asks(purpose)
        try:
            yield
        finally:
            self._dismiss(witness)
            for one in self.witnesses:
                one.asks("")

    def _dismiss(self, witness: Witness) -> None:
        self.witnesses.remove(witness)
        witness.close()
        self._unwritten += witness.dropped

    def _complain(self, text: str) -> None:
        """Take down that the file of evidence takes no more."""
        self.remarks.append(text)
        self.scan.evidence_failed = True

    def keep(self, result: HostResult, opens: int) -> None:
        """Remember what was sent to a host whose ports are known, until it comes `out`."""
        self._kept[result.host] = (result.probes, opens)

    @property
    def kept_probes(self) -> int:
        """How many probes went to hosts that are not counted yet, since more is asked of them."""
        return sum(probes for probes, _ in self._kept.values())

    @property
    def kept_opens(self) -> int:
        """How many open ports those have."""
        return sum(opens for _, opens in self._kept.values())

    def out(self, result: HostResult) -> HostResult:
        """Count a host that is finished."""
        self._kept.pop(result.host, None)
        if result.complete and result.probes and not _has_answered(result):
            result.complete = None
        self.books.host(result)
        return result

    def close(self) -> None:
        """Close everything."""
        for part in self.parts.values():
            part.close()
        self.parts.clear()
        self.close_evidence()

    def close_evidence(self, *, failed: bool = False) -> None:
        """Write what is left of the evidence, and close its file; a second time does nothing.

        Of a scan that has `failed` the file is taken away if no packet is in it.
        """
        while self.witnesses:
            self._dismiss(self.witnesses[-1])
        if self._unwritten:
            self._complain(
                f"{self._unwritten} packets came faster than they were written to the evidence"
            )
            self._unwritten = 0
        if self.evidence is not None and failed:
            self.evidence.discard()
        elif self.evidence is not None:
            self.evidence.close()


def _has_answered(result: HostResult) -> bool:
    """Whether any port of a host has answered, to this scan or to one before."""
    return bool(result.answers) or any(
        REASONS[number].word not in _NO_ANSWER
        for table in result.ports
        for number in table.counts()
    )


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
