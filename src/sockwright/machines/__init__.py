"""State machines without I/O: what arrives goes in, events come out.

They open, read and wait for nothing, and know no clock but the times that they are given.
"""

from __future__ import annotations

from sockwright.machines.tcp_stream import (
    Data,
    End,
    Gap,
    Segment,
    StreamHalf,
    TcpStream,
    TcpStreams,
)

__all__ = ["Data", "End", "Gap", "Segment", "StreamHalf", "TcpStream", "TcpStreams"]
