"""What is known about the ports of one host, a few octets each.

A scan of all ports of a host, or of a hundred ports of 65 536 hosts, cannot afford an object for
each; rows are made when somebody looks at them.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from sockwright.scan.reasons import REASONS, UNKNOWN, number_of
from sockwright.scan.results import PortResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.scan.results import PortState, Protocol

__all__ = ["PortTable"]


_WITHOUT_PROBE = frozenset({"not-asked", "localhost-response"})
_LONGEST = 3_600_000_000  # microseconds that are kept: an hour


class PortTable:
    """The ports of one protocol of one host: a sequence of `PortResult` in the order asked.

    `tries` is how many probes each silent port was sent. Nothing is known until `set` is called.
    """

    __slots__ = (
        "_attempt",
        "_index",
        "_reason",
        "_rtt",
        "_senders",
        "_ttl",
        "host",
        "limited",
        "numbers",
        "protocol",
        "silent",
        "tries",
    )

    def __init__(
        self, host: str, protocol: Protocol, numbers: Sequence[int], silent: int = 0
    ) -> None:
        """Make a table of unknown ports; `silent` is the reason of those that stay so."""
        self.host = host
        self.protocol: Protocol = protocol
        self.numbers = numbers
        self.silent = silent
        self.tries = 0
        self.limited = ""
        self._reason = bytearray([UNKNOWN]) * len(numbers)
        # The rest is made when the first answer comes: most hosts of a large scan are silent.
        self._attempt = self._ttl = bytearray()
        self._rtt: array[int] = array("I")
        self._senders: dict[int, str] = {}
        self._index: dict[int, int] | None = None

    def __len__(self) -> int:
        """Count the ports."""
        return len(self.numbers)

    def set(  # noqa: PLR0917  # called for every answer: keywords cost as much as the rest
        self,
        at: int,
        reason: int,
        attempt: int,
        rtt_us: int | None = None,
        ttl: int | None = None,
        sender: str = "",
    ) -> None:
        """Note the answer for the port at an index; what was there is replaced.

        `rtt_us` is in microseconds (what a batch of probes can be timed by), kept up to an hour.
        """
        if not self._ttl:
            count = len(self.numbers)
            self._attempt = bytearray(count)
            self._ttl = bytearray(count)
            self._rtt = array("I", bytes(4 * count))
        self._reason[at] = reason
        # Comparisons instead of min() and max(): this runs for every answer of a scan.
        self._attempt[at] = min(255, attempt)
        # 0 stands for unknown: no packet arrives with a TTL of 0, and nothing takes no time.
        self._ttl[at] = ttl or 0
        if rtt_us is None:
            self._rtt[at] = 0
        else:
            self._rtt[at] = 1 if rtt_us < 1 else min(_LONGEST, rtt_us)
        if sender:
            self._senders[at] = sender
        elif self._senders:
            self._senders.pop(at, None)

    def known(self, at: int) -> bool:
        """Whether the port at an index has answered."""
        return self._reason[at] != UNKNOWN

    def reason(self, at: int) -> int:
        """Return the number of the reason (`REASONS`) of the port at an index."""
        number = self._reason[at]
        return self.silent if number == UNKNOWN else number

    def row(self, at: int) -> PortResult:
        """Make the row of the port at an index."""
        reason = REASONS[self.reason(at)]
        answered = self.known(at) and bool(self._ttl)
        attempt = self._attempt[at] if answered else 0
        rtt = self._rtt[at] if answered else 0
        tries = self.tries
        if answered:
            tries = attempt or int(reason.word not in _WITHOUT_PROBE)
        return PortResult(
            host=self.host,
            port=self.numbers[at],
            protocol=self.protocol,
            state=reason.state,
            reason=reason.word,
            tries=tries,
            attempt=attempt,
            rtt_ns=rtt * 1000 if rtt else None,
            ttl=(self._ttl[at] or None) if answered else None,
            sender=self._senders.get(at, ""),
            limited="" if answered else self.limited,
        )

    def __getitem__(self, port: int) -> PortResult:
        """Return the row of a port by its number. Raises: `KeyError`."""
        if self._index is None:
            self._index = {number: at for at, number in enumerate(self.numbers)}
        return self.row(self._index[port])

    def __iter__(self) -> Iterator[PortResult]:
        """Give all rows, in the order asked."""
        return map(self.row, range(len(self.numbers)))

    def at_reason(self, number: int) -> list[int]:
        """Return the indices of the ports whose reason has this number."""
        if number == self.silent:
            return [at for at in range(len(self.numbers)) if self.reason(at) == number]
        found, at = [], self._reason.find(number)
        while at >= 0:
            found.append(at)
            at = self._reason.find(number, at + 1)
        return found

    def indices(self, state: PortState) -> list[int]:
        """Return the indices of the ports in a state, in the order asked."""
        numbers = [at for at, reason in enumerate(REASONS) if reason.state == state]
        found: list[int] = []
        for number in numbers:
            found += self.at_reason(number)
        return sorted(found)

    def rows(self, state: PortState) -> list[PortResult]:
        """Make the rows of the ports in a state, sorted by number."""
        return sorted(map(self.row, self.indices(state)), key=lambda row: row.port)

    def counts(self) -> dict[int, int]:
        """Count the ports of each reason, by its number (`REASONS`)."""
        counts = {number: self._reason.count(number) for number in range(len(REASONS))}
        counts[self.silent] += self._reason.count(UNKNOWN)
        return {number: count for number, count in counts.items() if count}

    def open_ports(self) -> list[int]:
        """Return the numbers of the open ports, sorted."""
        return sorted(self.numbers[at] for at in self.indices("open"))

    def limit(self, what: str) -> None:
        """Say what held answers back from the ports that stayed silent."""
        self.limited = what
        if what == "icmp" and self.protocol == "udp":
            self.silent = number_of("unproven", "open|filtered")
