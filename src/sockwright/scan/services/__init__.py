"""What answers on open ports: greetings, probes, TLS, and what programs say of themselves.

The files in the order to read them: `identify` goes through many ports at once; `examining` is what
is done with one TCP port, `datagrams` with one of UDP; `probe` and `finding` are the two things
that they pass around; `protocols` has a file for each family of protocols, `data` what is known of
the programs that speak them. Below are `stream` (a connection with limits) and `waiting` (one
thread, many conversations).
"""

from __future__ import annotations

from sockwright.scan.services.iana import from_table
from sockwright.scan.services.identify import identify_services

__all__ = ["from_table", "identify_services"]
