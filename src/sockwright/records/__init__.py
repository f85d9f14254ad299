"""Capture files: octets <-> records. Opens nothing; every function takes a binary file object.

A format is one file of this package, found by the octets that its files start with (`reading.py`).
"""

from __future__ import annotations

from sockwright.records.compression import decompressed
from sockwright.records.contents import Contents, Interface, InterfaceStatistics, Secrets, Section
from sockwright.records.pcap import PcapWriter
from sockwright.records.pcapng_writer import PcapngWriter
from sockwright.records.reading import Identity, RecordReader, identify, read_records
from sockwright.records.record import Record
from sockwright.records.record_file import RecordFile
from sockwright.records.source import Readable

# For type checkers only: it needs the whole of wire, which reading records does not.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.records.captured_packet import CapturedPacket

__all__ = [
    "CapturedPacket",
    "Contents",
    "Identity",
    "Interface",
    "InterfaceStatistics",
    "PcapWriter",
    "PcapngWriter",
    "Readable",
    "Record",
    "RecordFile",
    "RecordReader",
    "Secrets",
    "Section",
    "decompressed",
    "identify",
    "read_records",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load `CapturedPacket` when it is first asked for."""
        if name != "CapturedPacket":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from sockwright.records.captured_packet import CapturedPacket

        return CapturedPacket


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(__all__)
