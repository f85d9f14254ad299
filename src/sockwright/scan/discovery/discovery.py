"""Which hosts are there: the part of a scan that comes before their ports.

    discovery = Discovery(targets, settings, shared=pace, seed=1)
    while not discovery.done:
        discovery.step(monotonic())
        ...  # wait for `discovery.descriptors` and until `discovery.next_time`
    discovery.found()

Neighbours on a link are asked for their link address (ARP, ND), which no firewall refuses. Hosts
behind a router are asked by ICMP echo and timestamp, by SYN to port 443 and by ACK to port 80;
where raw sockets are not allowed, by connections to those ports, and by echo if that is allowed;
of a neighbour the kernel says then whether it told its link address.
What this machine itself has for an address is there without being asked.
"""

from __future__ import annotations

import errno
import os
from time import monotonic
from typing import TYPE_CHECKING, Final

from sockwright.scan.discovery.connect_way import ConnectWay
from sockwright.scan.discovery.kinds import Found, Kind
from sockwright.scan.discovery.raw_way import RawWay
from sockwright.scan.discovery.sweep import Sweep
from sockwright.scan.discovery.ways import Hop, Ways

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.discovery.kinds import Answer
    from sockwright.scan.engine.pace import Pace
    from sockwright.scan.sending.evidence import Record
    from sockwright.scan.settings import Settings
    from sockwright.scan.targets.target import Target

__all__ = ["Discovery"]

_BUSY: Final = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)
_CLOSED_WAYS: Final = (errno.ENETDOWN, errno.ENODEV, errno.ENXIO)
_GIVE_UP = 3.0  # seconds without a way out until addresses are left as they are


class Discovery:
    """Finds out which of `targets` are there. A part of a scan, see `sockwright.scan.part`.

    `shared` is the pace of the whole scan. `privileged` says whether raw sockets are used; None
    tries. `record` is told every packet of raw sockets. `why` says in words how is asked.

    Raises:
        PermissionError: raw sockets were asked for and are not allowed.
        OSError: as the kernel says.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        settings: Settings,
        *,
        shared: Pace,
        seed: int,
        now: float | None = None,
        privileged: bool | None = None,
        record: Record | None = None,
    ) -> None:
        self._shared = shared
        self._targets = targets
        self._found: dict[Target, Found] = {}
        self.remarks: list[str] = []
        self.unreachable: set[Target] = set()
        """Targets that nothing was sent to, since this machine knows no way to them."""
        self.probes = 0
        self.answers = 0
        self._failing_since: float | None = None
        self._stopped = False
        self.failure = ""
        """Why nothing more can be asked of anybody, if that is so."""
        # Where an address (and the number of its zone) is asked: the item there, then two bits for
        # the number of the sweep. Whatever is kept for an address counts 65 536 times.
        self._places: dict[bytes, int] = {}
        self._sweeps: list[Sweep] = []
        self._way = self._open(privileged, record, settings.interface)
        self.why = self._way.why
        try:
            self._divide(targets, settings, seed, monotonic() if now is None else now)
        except BaseException:
            self._way.close()
            raise

    @staticmethod
    def _open(
        privileged: bool | None, record: Record | None, interface: str
    ) -> RawWay | ConnectWay:
        if privileged is False:
            return ConnectWay(interface)
        try:
            return RawWay(record, interface)
        except PermissionError:
            if privileged:
                raise
            return ConnectWay(interface)

    def _divide(self, targets: Sequence[Target], settings: Settings, seed: int, now: float) -> None:
        """Put each target into the sweep that its way asks for."""
        parts: dict[tuple[int, bool], tuple[list[Target], list[Hop]]] = {}
        why: dict[str, list[Target]] = {}
        ways = Ways(settings.interface)
        try:
            for target in targets:
                packed = target.packed
                hop = ways.to(packed, target.zone)
                if hop.kind == "local":
                    self._found[target] = Found(target, "localhost-response")
                    continue
                if hop.kind == "none":
                    why.setdefault(hop.why, []).append(target)
                    continue
                link = hop.kind == "neighbour" and self._way.privileged
                members, hops = parts.setdefault((len(packed), link), ([], []))
                zone = hop.interface if target.zone else 0
                self._places[_place(packed, zone)] = len(members) << 2 | list(parts).index(
                    (len(packed), link)
                )
                members.append(target)
                hops.append(hop)
        finally:
            ways.close()
        for words, those in why.items():
            self.unreachable.update(those)
            hosts = "1 address" if len(those) == 1 else f"{len(those)} addresses"
            self.remarks.append(f"{hosts} cannot be reached from here: {words}")
        for (size, link), (members, hops) in parts.items():
            kinds = self._way.kinds4 if size == 4 else self._way.kinds6
            if link:
                kinds = (Kind.NEIGHBOUR,)
            self._sweeps.append(
                Sweep(members, hops, kinds, settings, seed=seed ^ size ^ link, now=now)
            )

    # -- what is known --------------------------------------------------------------------------

    def found(self) -> dict[Target, Found]:
        """Return the hosts that are there, with what proves it."""
        return self._found

    def never_asked(self) -> set[Target]:
        """Return those that not a single probe went to."""
        never = set(self.unreachable)
        for sweep in self._sweeps:
            never.update(sweep.members[item] for item in sweep.rounds.not_asked)
        return never

    @property
    def pending(self) -> int:
        """How many addresses may still be asked."""
        return sum(sweep.rounds.pending for sweep in self._sweeps if not sweep.done)

    @property
    def loss(self) -> float | None:
        """The estimated part of tries that go unanswered, 0 to 1; None before any answer."""
        known = [sweep.rounds.loss for sweep in self._sweeps]
        return max((loss for loss in known if loss is not None), default=None)

    @property
    def expected_misses(self) -> float:
        """How many hosts are expected to be there and not found."""
        return sum(sweep.rounds.expected_misses for sweep in self._sweeps)

    @property
    def complete(self) -> bool:
        """Whether hardly any host is expected to be missed."""
        return not self._stopped and all(sweep.rounds.complete for sweep in self._sweeps)

    @property
    def done(self) -> bool:
        """Whether there is nothing to do."""
        return all(sweep.done for sweep in self._sweeps)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when `step` has something to do."""
        return self._way.descriptors

    def next_time(self, now: float) -> float | None:
        """Return when `step` has something to do, whatever comes in; None: never."""
        if self._way.ready:
            return now
        times = [sweep.next_time(now, self._shared) for sweep in self._sweeps]
        times.append(self._way.next_time())
        due = [one for one in times if one is not None]
        if self._failing_since is not None:
            due = [max(one, now + 0.05) for one in due]
        return min(due, default=None)

    # -- the steps ------------------------------------------------------------------------------

    def step(self, now: float) -> None:
        """Take in what came, send what may go."""
        for answer, arrived in self._way.receive():
            self._answered(answer, arrived)
        if self._way.ready:
            return  # where answers wait to be read, silence would be taken for loss
        for sweep in self._sweeps:
            if not sweep.done:
                sweep.turn(now)
                self._ask(sweep, now)
        if self.done:
            self._end()

    def _end(self) -> None:
        if self._way.lost:
            self._remark("this machine received more than it could look at: answers were lost here")
        for sweep in self._sweeps:
            if sweep.slowed is not None:
                self._remark(
                    "most probes were lost on the way, as by a limiter; the last rounds went at "
                    f"{sweep.slowed:.0f} packets a second"
                )

    def _ask(self, sweep: Sweep, now: float) -> None:
        most = min(
            sweep.pace.allowance(now),
            self._shared.allowance(now),
            self._way.room(sweep.timing.timeout),
        )
        while most > 0 and not sweep.done:
            taken = sweep.take(most, now)
            if taken is None:
                return
            kind, items = taken
            most -= len(items)
            members, hops = sweep.members, sweep.hops
            asked = [(members[item].packed, hops[item]) for item in items]
            gone, number = self._way.send(kind, asked, sweep.rounds.attempt)
            self.probes += gone
            now = monotonic()
            sweep.sent(kind, items[:gone], self._way.began, now)
            self._shared.sent(gone, now)
            if gone:
                self._failing_since = None
            if gone < len(items):
                self._failed(sweep, kind, items[gone:], number, now)
                return

    def _failed(self, sweep: Sweep, kind: Kind, items: list[int], number: int, now: float) -> None:
        """Deal with probes that the kernel did not take; `number` is the errno of the first."""
        if number in {0, *_BUSY}:
            sweep.put_back(kind, items)
            self.failure = self._way.failure
            self._way.wait_for_room(kind, sweep.members[items[0]].family)
            return
        if number in _CLOSED_WAYS:
            sweep.put_back(kind, items)
            if self._failing_since is None:
                self._failing_since = now
            elif now - self._failing_since > _GIVE_UP:
                self._remark(f"probes could not be sent any more: {os.strerror(number)}")
                self.stop()
            return
        # A firewall of this machine, or no route any more: this probe only, others may get through.
        self._remark(f"some probes were refused by this machine: {os.strerror(number)}")
        sweep.put_back(kind, items[1:])

    def _remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

    def _answered(self, answer: Answer, arrived: float) -> None:
        place = self._places.get(answer.about)
        if place is None:
            place = self._places.get(_place(answer.about, answer.interface))
        if place is None or not self._way.believes(answer):
            return
        sweep, item = self._sweeps[place & 3], place >> 2
        target, hop = sweep.members[item], sweep.hops[item]
        if answer.kind == Kind.NEIGHBOUR and (
            hop.kind != "neighbour" or hop.interface != answer.interface
        ):
            return
        if answer.sender and not answer.gone:
            return  # a router refuses the probe, which says nothing about the host
        if answer.gone:
            if answer.sender or not self._way.privileged:
                sweep.denied(item, answer.attempt)
            return
        try:
            rtt = sweep.answered(item, answer.kind, answer.attempt, arrived)
        except LookupError:
            return
        self.answers += 1
        self._found[target] = Found(
            target,
            answer.reason,
            None if rtt is None else max(int(rtt * 1e9), 1),
            answer.ttl,
            answer.mac,
            answer.attempt or sweep.rounds.attempt,
        )
        self._way.settle(answer, hop, answer.interface)

    # -- the end --------------------------------------------------------------------------------

    def stop(self) -> None:
        """End with what is known."""
        self._stopped = self._stopped or not self.done
        for sweep in self._sweeps:
            sweep.rounds.stop()

    def close(self) -> None:
        """Close everything; a second time does nothing."""
        self._way.close()


def _place(packed: bytes, zone: int) -> bytes:
    return packed + zone.to_bytes(4, "big") if zone else packed
