"""Faults of the way between two hosts: loss, delay, a pulled cable, a removed interface.

Each segment of a lab is a switch with one cable for each host. `Lab.link(a, b)` is the way from a
to b and back. Loss and delay belong to that way alone, whoever else is on the segment; for them
the segment's switch is a process instead of the kernel's bridge (see `switch`), for as long as any
of its ways has a fault. Frames that pass in the moment of that change may be lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from sockwright.lab.host import Host
    from sockwright.lab.segment import Segment

__all__ = ["Cable", "Link"]


class Link:
    """The way between two hosts of one segment, in both directions."""

    __slots__ = ("_segment", "first", "second")

    def __init__(self, segment: Segment, first: Host, second: Host) -> None:
        self._segment = segment
        self.first = first
        self.second = second

    def __repr__(self) -> str:
        return f"<Link {self.first.name}-{self.second.name}>"

    def loss(self, share: float, *, towards: Host | None = None, seed: int | None = None) -> Self:
        """Lose this `share` of the frames, 0 to 1, by chance; `towards` one host or both.

        The same seed loses the same frames again: the first, the fifth and so on of a direction.

        Raises: `ValueError`.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"loss is a share from 0 to 1, not {share!r}")
        for source, target in self._directions(towards):
            fault = self._segment.fault(source, target)
            fault.loss, fault.seed = share, seed
        self._segment.apply()
        return self

    def delay(self, seconds: float, *, towards: Host | None = None) -> Self:
        """Keep each frame for this long, one way; `towards` one host or both.

        Raises: `ValueError`.
        """
        if not 0 <= seconds <= 3600:
            raise ValueError(f"delay is a time of 0 to 3600 seconds, not {seconds!r}")
        for source, target in self._directions(towards):
            self._segment.fault(source, target).delay_ns = round(seconds * 1e9)
        self._segment.apply()
        return self

    def clear(self) -> Self:
        """Take loss and delay away in both directions."""
        return self.loss(0).delay(0)

    def down(self) -> Self:
        """Pull the cable: both hosts lose the carrier and keep addresses and routes.

        Raises: `ValueError` if more hosts are on the segment: theirs would be the same cables, so
        say which one, ``lab.cable(a).down()``.
        """
        self._set_up(up=False)
        return self

    def up(self) -> Self:
        """Plug the cable in again; returns when both hosts have the carrier.

        Raises: `ValueError` as `down` does.
        """
        self._set_up(up=True)
        return self

    def remove(self) -> None:
        """Remove the interfaces at both ends, with their addresses and routes.

        Raises: `ValueError` as `down` does.
        """
        for host in self._only_two():
            self._segment.remove(host)

    def _set_up(self, *, up: bool) -> None:
        hosts = self._only_two()
        for host in hosts:
            self._segment.set_up(host, up=up)
        if up:
            for host in hosts:
                self._segment.wait(host)

    def _only_two(self) -> tuple[Host, Host]:
        others = [
            host.name for host in self._segment.hosts if host not in {self.first, self.second}
        ]
        if others:
            raise ValueError(
                f"{self.first.name} and {self.second.name} share their segment with "
                f"{', '.join(others)}: use lab.cable() with one of them"
            )
        return self.first, self.second

    def _directions(self, towards: Host | None) -> list[tuple[Host, Host]]:
        both = [(self.first, self.second), (self.second, self.first)]
        if towards is None:
            return both
        if towards not in {self.first, self.second}:
            raise ValueError(f"{towards.name} is not at an end of {self!r}")
        return [direction for direction in both if direction[1] is towards]


class Cable:
    """The cable between one host and the switch of its segment."""

    __slots__ = ("_segment", "host")

    def __init__(self, segment: Segment, host: Host) -> None:
        self._segment = segment
        self.host = host

    def down(self) -> Self:
        """Pull it: the host loses the carrier and keeps addresses and routes."""
        self._segment.set_up(self.host, up=False)
        return self

    def up(self) -> Self:
        """Plug it in again; returns when the host has the carrier."""
        self._segment.set_up(self.host, up=True)
        self._segment.wait(self.host)
        return self

    def remove(self) -> None:
        """Remove the interface at its end, with its addresses and routes."""
        self._segment.remove(self.host)
