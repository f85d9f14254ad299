"""Scan UDP ports; no privilege is needed, and many hosts are asked at once.

Rules
    1. A port is open when it answers, closed when its host says so by ICMP port unreachable, and
       filtered when ICMP says something else, or somebody else says it. A silent one is
       open|filtered when silence means something, and else `unproven` (`icmp_limit`).
    2. Each try leaves from a port of its own (`probe_sockets`). An answer has to come from the port
       that was asked, to the port that asked; where the protocol has a number, it has to repeat
       that. What does not repeat it counts only the second time, from another try: a service may
       be another than usual. It is then the answer to the first of these tries: none was lost.
    3. TFTP answers from a port of its own (RFC 1350 section 4), which is taken for the port asked.
    4. Asked on its own machine, the scan may meet its own sockets. Nobody else can have those
       ports, so they are called closed, and not asked.
"""

from __future__ import annotations

import errno
import os
from array import array
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from sockwright.scan.datagrams.datagram_host import DatagramHost
from sockwright.scan.datagrams.probe_sockets import Answer, ProbeSockets
from sockwright.scan.host_scan import HostScan
from sockwright.scan.reasons import number_of, unreachable
from sockwright.sockets.udp_probes import TOKEN_SIZE, is_answer, probe_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.asked_host import Assignment
    from sockwright.scan.engine.pace import Pace
    from sockwright.scan.settings import Settings
    from sockwright.sockets.error_queue import QueuedError

__all__ = ["DatagramScan"]

_MOST = 256  # probes in a row to one host
_TFTP = 69

_RESPONSE: Final = number_of("udp-response", "open")
_CLOSED: Final = number_of("port-unreach", "closed")
_REJECTED: Final = number_of("port-unreach", "filtered")
_PROHIBITED: Final = number_of("admin-prohibited", "filtered")
_FRAGMENTATION_NEEDED = (3, 4)  # ICMP type and code: no verdict about a port


class DatagramScan(HostScan[DatagramHost]):
    """The UDP part of a scan, see `HostScan`."""

    def __init__(
        self, ports: Sequence[int], settings: Settings, *, shared: Pace, seed: int
    ) -> None:
        super().__init__(ports, settings, shared=shared, seed=seed)
        self._secret = os.urandom(8)
        self._position = array("i", [-1]) * 65536
        for at, port in enumerate(ports):
            self._position[port] = at
        self._sockets = ProbeSockets(settings.interface)
        self._hosts: dict[tuple[str, int], DatagramHost] = {}

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when `step` has something to do."""
        return (self._sockets.fileno(),)

    def close(self) -> None:
        """Close everything; a second time does nothing."""
        self._sockets.close()
        self._hosts.clear()
        super().close()

    def _new_host(self, given: Assignment) -> DatagramHost:
        host = DatagramHost(given)
        self._hosts[host.key, host.scope] = host
        return host

    # -- asking ---------------------------------------------------------------------------------

    def _ask(self, host: DatagramHost, most: int, now: float) -> None:  # noqa: ARG002  # it is past
        most = min(most, _MOST)
        if host.batch:
            sent = self._send(host, host.batch[:most], host.attempt)
            del host.batch[:sent]
            if not host.batch:
                host.batch_sent(monotonic())
        elif items := host.rounds.take(most):
            sent = self._send(host, items, host.attempt)
            if sent < len(items) and not host.rounds.done:
                host.rounds.put_back(items[sent:])

    def _send(self, host: DatagramHost, items: list[int], attempt: int) -> int:
        """Send probes to these ports; return how many are dealt with."""
        count = 0
        now = monotonic()
        for item in items:
            port = host.numbers[item]
            if self._sockets.uses(host.family, port) and host.is_own:
                self._settle_own(host, item, attempt)
                count += 1
                continue
            octets = probe_for(port, self._token(host, port, attempt))
            try:
                code = self._sockets.send(host.family, attempt, octets, host.place(item))
            except OSError as error:  # no descriptor for one more socket
                code = error.errno or errno.EMFILE
            if code in {errno.EACCES, errno.EPERM}:
                host.table.set(item, _PROHIBITED, attempt, sender="localhost")
                host.rounds.given_up(item)
                if host.limit is not None:
                    host.limit.open(item)
            elif code:
                host.no_way(os.strerror(code), now)
                break
            now = monotonic()
            host.sent_at[item] = now
            count += 1
        host.sent_attempt = attempt
        if count:
            self._shared.sent(count, now)
            host.sent(count, now)
            host.has_way()
        return count

    def _settle_own(self, host: DatagramHost, item: int, attempt: int) -> None:
        """Say of a port that probes leave from what is so without the scan: nobody is there."""
        host.table.set(item, _CLOSED, attempt)
        host.rounds.given_up(item)
        if host.limit is not None:
            host.limit.open(item)

    def _token(self, host: DatagramHost, port: int, attempt: int) -> bytes:
        """Return what nobody can guess who has not seen the probe."""
        number = hash((self._secret, host.host, port, attempt))
        return (number & 0xFFFFFFFFFFFFFFFF).to_bytes(TOKEN_SIZE, "big")

    # -- answers --------------------------------------------------------------------------------

    def _receive(self, now: float) -> bool:  # noqa: ARG002  # the sockets know
        for came in self._sockets.receive():
            if isinstance(came, Answer):
                self._answer(came)
            else:
                self._error(*came)
        return True

    @property
    def _has_more(self) -> bool:
        return self._sockets.has_more

    def _find(self, address: tuple[Any, ...]) -> DatagramHost | None:
        scope = address[3] if len(address) > 3 else 0
        return self._hosts.get((address[0], scope))

    def _answer(self, answer: Answer) -> None:
        """Take in a datagram."""
        host = self._find(answer.source)
        if host is None or host.rounds.done:
            return
        attempt, port = answer.attempt, answer.source[1]
        item = self._position[port]
        if item < 0 or not host.sent_at[item]:
            item = self._tftp(answer.octets)
            if item < 0 or not host.sent_at[item]:
                return
        elif not is_answer(port, self._token(host, port, attempt), answer.octets):
            first = host.strays.setdefault(item, attempt)
            if first == attempt:
                return
            attempt = first
        self._note(host, item, attempt, _RESPONSE, answer.ttl)

    def _tftp(self, octets: bytes) -> int:
        """Return the index of the port of TFTP if these octets may come from it, else -1."""
        # RFC 1350 section 5: DATA or ERROR.
        return self._position[_TFTP] if octets[:2] in {b"\0\3", b"\0\5"} else -1

    def _error(self, attempt: int, error: QueuedError) -> None:
        """Take in an ICMP error."""
        host = self._find(error.to) if error.icmp and error.to else None
        if host is None or host.rounds.done:
            return
        if host.version == 4 and (error.kind, error.code) == _FRAGMENTATION_NEEDED:
            return
        reason = unreachable(host.version, error.kind, error.code, udp=True)
        item = self._position[error.to[1]]
        if reason is None or item < 0:
            return
        if reason == _CLOSED and error.sender != host.key:
            reason = _REJECTED
        sender = "" if error.sender == host.key else error.sender
        self._note(host, item, attempt, reason, error.ttl, sender)

    def _note(  # noqa: PLR0917  # what an answer is made of
        self,
        host: DatagramHost,
        item: int,
        attempt: int,
        reason: int,
        ttl: int | None,
        sender: str = "",
    ) -> None:
        """Note what is known of a port."""
        is_open = reason == _RESPONSE
        limit = host.limit
        if limit is not None:
            limit.open(item) if is_open else limit.answered(item)
        tries = host.count_try(item, attempt)
        first = host.rounds.answered(item, min(tries, host.rounds.attempt), open=is_open)
        if not first:
            if not is_open:
                host.canary_answered(attempt)
            return
        rtt = monotonic() - host.sent_at[item]
        host.answers += 1
        if attempt == host.sent_attempt:
            host.timing.sample(rtt)
        host.table.set(item, reason, tries, int(rtt * 1e6), ttl, sender)
        if is_open:
            host.opens += 1
            self.opened.append((host, item))
        else:
            host.remember_closed(item)
        if not sender:
            host.ttl = ttl

    def _forget(self, host: DatagramHost) -> None:
        del self._hosts[host.key, host.scope]
