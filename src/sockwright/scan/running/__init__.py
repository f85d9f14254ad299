"""A scan while it runs: who does what when, without any packet of its own.

`running` is the whole; `run` holds what its phases have in common. The phases: `methods` (which
parts there are), `finding` (which hosts are there), `asking` (their ports), `more` (services,
systems, routes, names). `stepping` waits for parts and tells how far they are, `books` adds up.
"""

from sockwright.scan.running.running import Running

__all__ = ["Running"]
