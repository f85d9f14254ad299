"""The steps in their order, and the two hosts that they are played on."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from sockwright.lab.lab import Lab
from sockwright.lab.tour import capture, datagram, mistakes, privilege, raw, stream
from sockwright.lab.tour.counters import Counters
from sockwright.lab.tour.step import Step, StepResult, play

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Tour", "all_steps"]

_DISCARD = 9


def all_steps() -> dict[str, Step]:
    """Return every step by its name, in the order of the tour."""
    steps = [
        *stream.STEPS,
        *datagram.STEPS,
        *raw.STEPS,
        *mistakes.STEPS,
        *privilege.STEPS,
        *capture.STEPS,
    ]
    return {step.name: step for step in steps}


class Tour:
    """Two hosts, a and b, for as long as the ``with`` block lasts.

    Raises: `NotPossibleError` from the ``with`` if this machine refuses the lab to this user.
    """

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            lab = stack.enter_context(Lab())
            self._a, self._b = lab.hosts("a", "b")
            self._counters = Counters(self._b)
            stack.callback(self._counters.close)
            self._a.call(_meet, (self._b.ipv4, self._b.ipv6))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def play(self, step: Step) -> StepResult:
        """Play a step and say what came of it; nothing that a step does raises here."""
        return play(step, self._a, self._b, self._counters)


def _meet(addresses: tuple[str, ...]) -> None:
    """Have both hosts learn each other's Ethernet address, so that no step starts with asking."""
    for address in addresses:
        with contextlib.suppress(OSError):
            socket.create_connection((address, _DISCARD), timeout=1).close()
