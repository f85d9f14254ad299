"""Scan TCP ports by raw probes: SYN, ACK, FIN, NULL, Xmas; many hosts at once.

The parts: `Rounds` says what to ask, `Pace` how fast, a `Courier` sends, the packet ring receives,
and this joins them. `step` does what can be done now and never waits; whoever drives it waits for
`descriptors` and until `next_time`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from array import array
from collections import deque
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from sockwright.scan.engine.rounds import HIGHEST_ATTEMPT
from sockwright.scan.host_scan import HostScan
from sockwright.scan.reasons import REASONS, number_of
from sockwright.scan.sending.answers import answer_ring, quoted, segments
from sockwright.scan.sending.cookies import PROOF, SHIFT, Cookies, Groups
from sockwright.scan.sending.courier import GROUP, MOST, Courier, CourierThread, Load
from sockwright.scan.sending.probe_kind import ACK, KINDS, RST, SYN
from sockwright.scan.sending.raw_host import RawHost
from sockwright.scan.sending.source_ports import SourcePorts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.asked_host import Assignment
    from sockwright.scan.engine.pace import Pace
    from sockwright.scan.sending.courier import Failure
    from sockwright.scan.sending.evidence import Record
    from sockwright.scan.settings import Method, Settings
    from sockwright.sockets.ring import Block

__all__ = ["RawScan"]

_BUFFER = 1 << 24
_BLOCKS_A_STEP = 32  # what one step reads at most: a flood does not keep it from sending
_COURIERS = 2
_FAST = 60_000.0  # packets a second above which couriers work in threads
_REPEATED = 0.9  # seconds after which an answer is a repetition, where others come much sooner
_AGAIN_PORTS = 8  # source ports of what is asked again
_RESETS = 4096  # half-open connections that wait for their RST
_TINY_WINDOW = 64  # octets; a tarpit announces less, to hold its victims (RFC 9293 section 3.8.6)


class RawScan(HostScan[RawHost]):
    """The raw TCP part of a scan; see `HostScan`. `record` is told every packet.

    Raises:
        PermissionError: CAP_NET_RAW is missing.
        OSError: there are not enough descriptors or source ports.
    """

    grace = 0.0  # a round waits for its answers, and for those that come late

    def __init__(
        self,
        method: Method,
        ports: Sequence[int],
        settings: Settings,
        *,
        shared: Pace,
        seed: int,
        record: Record | None = None,
    ) -> None:
        super().__init__(ports, settings, shared=shared, seed=seed)
        self._kind = KINDS[method]
        self._record = record
        self._cookies = Cookies()
        self._groups = Groups()
        self._position = array("i", [-1]) * 65536
        for at, port in enumerate(ports):
            self._position[port] = at
        self._by_number: dict[int | bytes, RawHost] = {}
        # Hosts of one link-local address that several links have, beside the first of them.
        self._twins: dict[int | bytes, list[RawHost]] = {}
        self._blocks = self._agains = 0
        self._resets: deque[tuple[RawHost, int, int, int]] = deque(maxlen=_RESETS)
        self._wake = -1
        self._threads: list[CourierThread] = []
        with contextlib.ExitStack() as undo:
            ports_held = SourcePorts(HIGHEST_ATTEMPT + _AGAIN_PORTS)
            self._source_ports = undo.enter_context(ports_held)
            self._ring = answer_ring(
                ports_held.first,
                ports_held.first + ports_held.count - 1,
                buffer=_BUFFER,
                whole=record is not None,
            )
            undo.callback(self._ring.close)
            self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            undo.pop_all()
        self._courier = self._new_courier()

    # -- hosts ----------------------------------------------------------------------------------

    def _new_host(self, given: Assignment) -> RawHost:
        host = RawHost(given, self._kind, self._cookies.of_host(given.target.host.encode()))
        if host.source == host.packed:
            self._settle_own_ports(host)
        number = self._number(host)
        if self._by_number.setdefault(number, host) is not host:
            self._twins.setdefault(number, []).append(host)
        return host

    def _forget(self, host: RawHost) -> None:
        number = self._number(host)
        twins = self._twins.get(number, [])
        if host in twins:
            twins.remove(host)
        elif twins:
            self._by_number[number] = twins.pop(0)
        else:
            self._by_number.pop(number, None)

    def _settle_own_ports(self, host: RawHost) -> None:
        """Say of this scan's own source ports what is so without it: nobody listens there.

        Nobody else can, on any address of this machine, since they could be bound for all.
        """
        own = number_of("localhost-response", REASONS[self._kind.reset].state)
        first = self._source_ports.first
        for port in range(first, first + self._source_ports.count):
            if (item := self._position[port]) >= 0:
                host.table.set(item, own, 0)
                host.rounds.given_up(item)

    @staticmethod
    def _number(host: RawHost) -> int | bytes:
        return int.from_bytes(host.packed, "big") if len(host.packed) == 4 else host.packed

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when `step` has something to do."""
        return (self._ring.fileno(), self._wake)

    @property
    def _has_more(self) -> bool:
        return self._ring.ready

    @property
    def _ready_at(self) -> float:
        return inf if self._full else 0.0  # a courier says when it has room

    def close(self) -> None:
        """Close everything; a second time does nothing."""
        super().close()
        for thread in self._threads:
            thread.close()
        self._threads.clear()
        self._courier.close()
        self._ring.close()
        self._source_ports.close()
        wake, self._wake = self._wake, -1
        if wake >= 0:
            os.close(wake)

    # -- sending --------------------------------------------------------------------------------

    def _new_courier(self, *, whole: bool = False) -> Courier:
        record = None if self._record is None else self._record_sent
        return Courier(
            self._kind,
            self._cookies,
            self._groups,
            self._source_ports.first,
            interface=self._settings.interface,
            whole=whole,
            record=record,
        )

    @property
    def _full(self) -> bool:
        return bool(self._threads) and all(thread.queued > 1 for thread in self._threads)

    def _ask(self, host: RawHost, most: int, now: float) -> None:
        rounds, pace = host.rounds, host.pace
        while most > 0 and not self._full and (items := rounds.take(min(most, MOST))):
            most -= len(items)
            threaded = (
                self._record is None
                and len(items) >= GROUP
                and min(pace.rate, self._shared.rate) >= _FAST
            )
            epoch = pace.epoch
            again, counted = host.canaries.take(len(items))
            host.sent(len(items), now, again=counted, under_way=threaded)
            self._shared.sent(len(items) + len(again), now)
            load = Load(host, items, rounds.attempt, epoch, again, self._again_attempt())
            if threaded:
                self._hand_over(load)
                continue
            failure = self._courier.carry(load)
            rounds.sent(monotonic())
            if failure is None:
                host.has_way()
            else:
                self._failed(failure, now)
            return  # what came in meanwhile, and the other hosts

    def _again_attempt(self) -> int:
        """Return the number of a try that stands for asking again: a source port of its own.

        From the port of the first answer it could draw a challenge instead of another one.
        """
        self._agains += 1
        return HIGHEST_ATTEMPT + 1 + self._agains % _AGAIN_PORTS

    def _hand_over(self, load: Load) -> None:
        if not self._threads:
            self._threads = [
                CourierThread(self._new_courier(whole=True), self._wake) for _ in range(_COURIERS)
            ]
        min(self._threads, key=lambda thread: thread.queued).carry(load)

    def _take_done(self, now: float) -> None:
        for thread in self._threads:
            for load, when, failure in thread.taken():
                load.host.pace.gone(load.epoch, when)
                load.host.rounds.sent(when)
                if failure is None:
                    load.host.has_way()
                else:
                    self._failed(failure, now)

    def _failed(self, failure: Failure, now: float) -> None:
        """Deal with probes that the kernel did not take."""
        host, number = failure.host, failure.errno
        if host.rounds.done:
            return
        why = f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"
        if failure.refused:
            for item in failure.refused:
                host.table.set(item, _REFUSED, 1, sender="localhost")
                host.rounds.given_up(item)
            remark = "a firewall of this machine refuses probes: Operation not permitted (EPERM)"
            if remark not in host.remarks:
                host.remarks.append(remark)
        if failure.items:
            host.rounds.put_back(failure.items)
            host.no_way(why, now)

    # -- receiving ------------------------------------------------------------------------------

    def _receive(self, now: float) -> bool:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        up_to_date = self._read_ring()
        self._take_done(now)
        # Within the bound that all packets share. Who gets no RST repeats its SYN-ACK, and gets it.
        allowed = max(0, min(len(self._resets), self._shared.allowance(now)))
        for _ in range(allowed):
            self._courier.reset(*self._resets.popleft())
        self._shared.sent(allowed, now)
        return up_to_date

    def _read_ring(self) -> bool:
        """Read what is in the ring, up to a bound; return whether that was all."""
        ring = self._ring
        for _ in range(_BLOCKS_A_STEP):
            block = ring.take()
            if block is None:
                return True
            self._blocks += 1
            try:
                self._read(block)
            finally:
                ring.release()
        return False

    def _read(self, block: Block) -> None:
        hosts, position = self._by_number, self._position
        of_port, of_group = self._cookies.of_port, self._cookies.of_group
        first_port, kind = self._source_ports.first, self._kind
        consumed, acknowledges = kind.consumed, kind.acknowledges
        for segment in segments(block, self._other):
            ttl, source, port, local, sequence, number, flags, window, arrived, packet = segment
            host = hosts.get(source)
            if host is None or (item := position[port]) < 0:
                continue
            cookie = sequence if acknowledges else number - consumed & 0xFFFFFFFF
            group = cookie >> SHIFT
            if (cookie ^ of_port[port ^ of_group[group]] ^ host.key) & PROOF:
                if (claim := self._claim(source, port, sequence, number)) is None:
                    continue
                host, cookie = claim
                group = cookie >> SHIFT
            attempt = local - first_port + 1
            if attempt > HIGHEST_ATTEMPT:
                host.canaries.answered(item)
                if flags & SYN:
                    self._resets.append((host, port, attempt, number))
                if self._record is not None:
                    self._record_answer(packet, arrived, f"answers {_AGAIN}")
                continue
            if attempt > host.rounds.attempt:
                host.unsent += 1
                continue
            if flags & RST:
                reason = kind.reset
            elif flags & SYN and kind.method == "syn":
                reason = _SYN_ACK if flags & ACK else _SYN_ONLY
                host.small_windows += window < _TINY_WINDOW
                self._resets.append((host, port, attempt, number))
            else:
                continue
            self._answered(host, item, attempt, reason, group, arrived, ttl)
            if self._record is not None:
                proved = f"{port}/tcp {REASONS[reason].state}"
                self._record_answer(packet, arrived, f"answers try {attempt}, proves {proved}")

    def _claim(
        self, source: int | bytes, port: int, sequence: int, number: int
    ) -> tuple[RawHost, int] | None:
        """Return whom an unusual answer is from, and its cookie; None: it answers no probe."""
        consumed = self._kind.consumed
        cookies = [sequence]
        if not self._kind.acknowledges:
            # Some stacks do not count what the probe consumed, or count what it did not.
            cookies = [number - one & 0xFFFFFFFF for one in (consumed, 1 - consumed)]
        for host in (self._by_number[source], *self._twins.get(source, ())):
            for cookie in cookies:
                if self._cookies.proves(cookie, port, host.key):
                    return host, cookie
        return None

    def _answered(  # noqa: PLR0917  # for every packet: keywords would cost as much as the work
        self,
        host: RawHost,
        item: int,
        attempt: int,
        reason: int,
        group: int,
        arrived: float,
        ttl: int | None,
        sender: str = "",
    ) -> None:
        """Note the answer to a try."""
        is_open = reason in _OPEN
        by_icmp = reason != self._kind.reset and not is_open
        if not host.rounds.answered(item, attempt, open=is_open, counts=not by_icmp):
            return
        rtt: float | None = arrived - self._groups.times[group]
        usual = host.timing.smoothed
        if rtt is not None and rtt > _REPEATED and usual is not None and usual < _REPEATED / 3:
            rtt = None  # the host has said it before, and that was lost: RFC 6298 section 2.1
        host.answers += 1
        if not by_icmp:
            host.canaries.note(item, is_open=is_open)
        host.pace.answered(self._groups.epochs[group])
        microseconds = None if rtt is None else int(rtt * 1e6)
        host.table.set(item, reason, attempt, microseconds, ttl, sender)
        if host.sampled != self._blocks and rtt is not None:
            host.sampled = self._blocks
            host.timing.sample(arrived - self._groups.likely[group])
            host.rounds.heard(arrived)
            if not sender:
                host.ttl = ttl
        if is_open:
            host.opens += 1
            self.opened.append((host, item))

    def _other(self, packet: memoryview, arrived: float) -> None:
        """Look whether an ICMP error quotes one of our probes."""
        error = quoted(packet)
        if error is None or (first := self._by_number.get(error.destination)) is None:
            return
        item, attempt = self._position[error.port], error.source_port - self._source_ports.first + 1
        if item < 0 or not 0 < attempt <= self._source_ports.count:
            return
        for host in (first, *self._twins.get(error.destination, ())):
            if self._cookies.proves(error.cookie, error.port, host.key):
                break
        else:
            return
        if attempt > HIGHEST_ATTEMPT:
            if self._record is not None:
                self._record_answer(packet, arrived, f"ICMP error for {_AGAIN}")
            return
        if attempt > host.rounds.attempt:
            host.unsent += 1
            return
        group = error.cookie >> SHIFT
        self._answered(host, item, attempt, error.reason, group, arrived, error.ttl, error.sender)
        if self._record is not None:
            proved = f"{error.port}/tcp {REASONS[error.reason].state}"
            comment = f"ICMP error for try {attempt}, proves {proved}"
            self._record_answer(packet, arrived, comment)

    # -- evidence -------------------------------------------------------------------------------

    def _record_sent(self, host: RawHost, segment: bytes, time_ns: int) -> None:
        if self._record is None:
            return
        from sockwright.scan.sending.evidence import with_ip_header

        attempt = int.from_bytes(segment[:2], "big") - self._source_ports.first + 1
        again = attempt > HIGHEST_ATTEMPT
        if segment[_FLAGS_AT] & RST:
            comment = f"ends the connection of {_AGAIN if again else f'try {attempt}'}"
        else:
            comment = "asked again" if again else f"try {attempt}"
        packet = with_ip_header(host.source, host.packed, segment)
        self._record(packet, time_ns, comment, outgoing=True)

    def _record_answer(self, packet: memoryview, arrived: float, comment: str) -> None:
        if self._record is not None:
            self._record(bytes(packet), _epoch_ns(arrived), comment, outgoing=False)

    # -- the end --------------------------------------------------------------------------------

    def _end(self, now: float) -> None:
        if not self.remarks and self._ring.statistics().dropped:
            self.remarks.append(
                "this machine received more than it could look at: answers were lost here"
            )
        super()._end(now)


def _epoch_ns(moment: float) -> int:
    """Return a moment of `time.monotonic` in nanoseconds since 1970.

    Where this is held up between the clocks it is rather too late: no answer before its probe.
    """
    passed = monotonic() - moment
    return time.time_ns() - int(passed * 1e9)


_AGAIN: Final = "what was asked again"
_FLAGS_AT: Final = 13  # in a TCP header
_REFUSED: Final = number_of("admin-prohibited", "filtered")
_SYN_ACK: Final = number_of("syn-ack", "open")
_SYN_ONLY: Final = number_of("syn", "open")
_OPEN: Final = frozenset({_SYN_ACK, _SYN_ONLY, number_of("reset", "unfiltered")})
