"""What a header's `advance` does, as data: the way from one header to the next.

Compiled columns cannot call methods. So each header class that does more than go on by the number
in its `following` field says in a `Walk` what it does::

    class UDP(Header, layer="udp", carried_by={"ip_protocol": 17}):
        walk = Walk(end="length", least=8)

`columns.layout` turns these into tables for the kernels; a test walks drawn packets and strangers'
captures both ways and compares layers, offsets, ends and errors. A class with an `advance` of its
own and no `walk` ends a compiled walk, and that test names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Choice", "Step", "Walk"]

Step = Literal[
    "",
    "cooked",
    "gre",
    "ipv6",
    "length_or_type",
    "mpls",
    "records",
    "snap",
    "swapped",
]
"""What no field says by itself; each is a few lines in the kernel `columns.kernels.dissect`.

``cooked``           a hardware type may mean that `protocol` is no EtherType; 4 announces LLC
``gre``              flags announce optional fields; a version that is not known ends the walk
``ipv6``             a payload length of 0: nothing at all, a jumbo payload, or left to the card
``length_or_type``   up to 1500 the number is a length in octets, and LLC follows
``mpls``             under the bottom of the stack IP, by its version
``records``          as many records as the field says, each with addresses of `unit` octets
``snap``             the number is an EtherType only under two organisations
``swapped``          the number is in the octet order of little-endian machines
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the forms of a header octets hold, told by a number at their start.

    The number is the `width` octets at octet `at`. The first of `cases` (mask, value, class name)
    that fits decides, else it is `otherwise`; with fewer than `needs` octets it is `short`. A class
    so chosen may have a choice of its own.
    """

    at: int
    width: int
    needs: int
    short: str
    cases: tuple[tuple[int, int, str], ...]
    otherwise: str


@dataclass(frozen=True, slots=True)
class Walk:
    """Where decoding goes on behind a header. Fields are given by name.

    By default a header has its fixed size, lets all that is left be its content, and is followed by
    what its `following` field announces.
    """

    size: tuple[str, ...] = ()
    """Fields whose sum, times `unit` and plus `more`, is the size of the header in octets.

    Less than the fixed size counts as that; what is not there is an error.
    """
    unit: int = 1
    more: int = 0
    takes_rest: bool = False
    """All octets that are left belong to the header itself."""

    end: str = ""
    """Field that says how many octets there are, counted from the start of this header.

    Octets behind them are a trailer; fewer that are there, an error.
    """
    behind: bool = False
    """`end` counts from the end of the fixed part instead."""
    least: int | None = None
    """A smaller `end` says nothing. None: the size that the header claims, or without `size` 0."""
    closes: bool = False
    """What lies behind the header is a trailer."""

    offset: str = ""
    """Field with the place of a fragment: behind all but the first, content has no headers."""
    more_fragments: tuple[str, int] = ("", 0)
    """Field and mask of its bits that say that what follows is a piece as well."""

    following: tuple[str, str] = ("", "")
    """Field and registry namespace that say what follows, where no `following` field does."""
    always: tuple[str, int] = ("", 0)
    """Registry namespace and number of what follows every time."""

    forms: Choice | None = None
    step: Step = ""
    asks: str = ""
    """Field that the step looks at."""
