"""Move octets between any two sockets, processes, files and terminals: what `sw nc` is made of."""

from __future__ import annotations
