"""Capture files: octets <-> records. Opens nothing; every function takes a binary file object.

A format is one file of this package, found by the octets that its files start with (`reading.py`).
"""

from __future__ import annotations

from sockwright.records.pcap import PcapWriter
from sockwright.records.reading import read_records
from sockwright.records.record import Record

__all__ = ["PcapWriter", "Record", "read_records"]
