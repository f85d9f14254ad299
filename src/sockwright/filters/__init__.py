"""The capture-filter language of tcpdump, pcap-filter(7): text -> tree -> classic BPF.

One program serves the kernel (`sockwright.sockets.attach_filter`), a packet (`Filter.matches`) and,
compiled, whole captures. The files in the order to read them: `lexer.py`, `tree.py`, `parser.py`;
`condition.py`, `layers.py`, then the terms in `addresses.py`, `ports.py`, `protocols.py`,
`arithmetic.py`, `encapsulation.py`; `compiler.py`; `interpreter.py`.
"""

from __future__ import annotations

from sockwright.filters.failure import FilterError
from sockwright.filters.filter import Filter, compile_filter
from sockwright.filters.instruction import Instruction
from sockwright.filters.interpreter import MEMORY_WORDS, run
from sockwright.filters.link_types import LINK_TYPES, LinkType, named

__all__ = [
    "LINK_TYPES",
    "MEMORY_WORDS",
    "Filter",
    "FilterError",
    "Instruction",
    "LinkType",
    "compile_filter",
    "named",
    "run",
]
