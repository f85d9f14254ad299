"""The tour: every kind of socket between two hosts, with the code that ran and what it sent.

    with Tour() as tour:
        for step in all_steps().values():
            print(step.name, tour.play(step).ok)

A family of steps is a file here: functions that people read, short enough for a page, and a tuple
``STEPS``. They run in the hosts as they are shown; `stage` sees to that, and `played` tells it.
`step` plays one and judges it, `ladder` puts what went over the wire into words, `counters` reads
what the peer's kernel thought of it, `observe` asks the sockets what they are, `tour` has the order
and the hosts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockwright.lab.tour.step import Step, StepResult, not_played
    from sockwright.lab.tour.tour import Tour, all_steps

__all__ = ["Step", "StepResult", "Tour", "all_steps", "not_played"]

_MODULE_OF = {
    "Step": "step",
    "StepResult": "step",
    "Tour": "tour",
    "all_steps": "tour",
    "not_played": "step",
}


if not TYPE_CHECKING:  # seen by a type checker, it would make every misspelt name an object

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(__all__)
