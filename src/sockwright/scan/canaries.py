"""Ports that have answered, asked again among the silent ones to see what gets through.

Where most ports are silent, their silence says nothing of a limiter on the way; that of a port that
has answered before does. `Pace` and `Rounds` say how many they want to know of. Closed ports are
taken if there are any, since RST is what costs a host least and what it limits first; a few open
ones beside them tell a limit on RST from one on all packets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockwright.scan.engine.pace import Pace
    from sockwright.scan.engine.rounds import Rounds

__all__ = ["Canaries"]

_KNOWN = 256  # open ports and others of a host, at most, that are asked again
_COMPARED = 512  # epochs in which open ports and others are compared
_ENOUGH_LOST = 8.0  # answers of open ports that would be lost if not only RST were limited
_CLOSED, _OPEN = 0, 1
_PATIENCE = 3  # epochs, of two round trips at least, that the answer of one is waited for


class Canaries:
    """Those of one host, by the index of their ports."""

    __slots__ = ("_asked", "_closed", "_compared", "_open", "_pace", "_rounds", "_turn")

    def __init__(self, pace: Pace, rounds: Rounds) -> None:
        self._pace = pace
        self._rounds = rounds
        self._turn = 0
        self._open: list[int] = []
        self._closed: list[int] = []
        # Of epochs in which both kinds were asked: closed and open ones, and how many answered.
        self._compared: dict[int, list[int]] = {}
        # Those whose answer is still to come: in which epoch they were asked, and whether they are
        # open.
        self._asked: dict[int, tuple[int, bool]] = {}

    def note(self, item: int, *, is_open: bool) -> None:
        """Note that a port has answered by itself, so that it can be asked again."""
        ports = self._open if is_open else self._closed
        if len(ports) < _KNOWN:
            ports.append(item)

    def take(self, count: int) -> tuple[list[int], int]:
        """Return the ports that are to be asked again beside `count` others.

        The number tells how many of them the pace counts (`again` of `Pace.sent`).
        """
        wanted = max(self._pace.wants_again(count), self._rounds.wants_again(count))
        if not wanted or self._rounds.rested:
            return [], 0
        ports = self._due(self._closed or self._open, wanted)
        counted = len(ports)
        self._rounds.asked_again(counted)
        if self._closed and self._open and self._pace.limit is None:
            opened = self._due(self._open, -(-wanted // 4))
            ports += opened
            epoch = self._pace.epoch
            if epoch not in self._compared and len(self._compared) < _COMPARED:
                self._compared[epoch] = [0, 0, 0, 0]
            if (counts := self._compared.get(epoch)) is not None:
                counts[_CLOSED] += counted
                counts[_OPEN] += len(opened)
        return ports, counted

    def _due(self, known: list[int], wanted: int) -> list[int]:
        """Return some of these ports, each in its turn, and not before its last answer came.

        Or before that is given up.
        """
        asked, epoch = self._asked, self._pace.epoch
        ports: list[int] = []
        for _ in range(min(len(known), 4 * wanted)):
            self._turn += 1
            item = known[self._turn % len(known)]
            if item not in asked or asked[item][0] + _PATIENCE <= epoch:
                asked[item] = (epoch, known is self._open)
                ports.append(item)
                if len(ports) == wanted:
                    break
        return ports

    def answered(self, item: int) -> None:
        """Note the answer of a port that was asked again; any answer will do."""
        asked = self._asked.pop(item, None)
        if asked is None:
            return
        epoch, is_open = asked
        if (counts := self._compared.get(epoch)) is not None:
            counts[2 + is_open] += 1
        if not is_open or not self._closed:
            self._pace.echoed(epoch)
            self._rounds.echoed(self._rounds.attempt)

    @property
    def limit_resets(self) -> bool:
        """Whether open ports answered where as many closed ones did not: only RST are limited."""
        expected = lost = 0.0
        for closed, opened, closed_answers, open_answers in self._compared.values():
            if closed:
                expected += opened * max(closed - closed_answers, 0) / closed
                lost += max(opened - open_answers, 0)
        return expected >= _ENOUGH_LOST and lost < expected / 4
