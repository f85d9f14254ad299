"""Identify systems by what is overheard: a capture, or an interface; nothing is sent.

Read `opening.py` for what the first segments of TCP tell, `observer.py` for what is kept of each
host, `conclusion.py` for what follows from it. The signatures are those of active identification.
"""

from __future__ import annotations

from sockwright.identify.passive.conclusion import Evidence, HostIdentity
from sockwright.identify.passive.listening import (
    Listening,
    Overheard,
    identify_capture,
    listen,
    observe,
)
from sockwright.identify.passive.observer import Observer
from sockwright.identify.passive.sieve import CAPTURE_FILTER

__all__ = [
    "CAPTURE_FILTER",
    "Evidence",
    "HostIdentity",
    "Listening",
    "Observer",
    "Overheard",
    "identify_capture",
    "listen",
    "observe",
]
