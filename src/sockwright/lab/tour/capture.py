"""The step with a packet socket: packets captured live, written to a file and read back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sockwright.lab.tour.datagram import PORT, datagram_client, datagram_server
from sockwright.lab.tour.step import Step
from sockwright.records import PcapWriter, Record, read_records
from sockwright.sockets import packet
from sockwright.sockets.privileges import Capability

if TYPE_CHECKING:
    from sockwright.lab.tour.stage import Ready, Stage

__all__ = ["STEPS"]

_IPV4 = 0x0800


def capture_to_file(
    interface: str,
    path: str,
    ready: Ready,
) -> list[Record]:
    """Write the next two frames that hold IPv4 to a pcap file."""
    records: list[Record] = []
    with (
        packet(interface, timeout=3) as sock,
        Path(path).open("wb") as file,
    ):
        ready()
        writer = PcapWriter(file)
        while len(records) < 2:
            frame = sock.receive()
            if frame.protocol == 0x0800:
                length = frame.original_length
                record = Record(frame.time_ns, frame.octets, length)
                writer.write(record)
                records.append(record)
    return records


def read_back(path: str) -> list[Record]:
    """Read the file."""
    with Path(path).open("rb") as file:
        return list(read_records(file))


def capture(stage: Stage) -> None:
    """Capture a question by UDP and its answer."""
    path = "/dev/shm/live.pcap"  # noqa: S108 - a file system of the lab's own
    capturing = stage.start(stage.a, capture_to_file, stage.a.interface, path)
    endpoint = f"udp://{stage.b.ipv4}:{PORT}"
    server = stage.start(stage.b, datagram_server, endpoint)
    stage.call(stage.a, datagram_client, f"udp://{stage.a.ipv4}:0", endpoint)
    server.result()
    written = capturing.result()
    read = stage.call(stage.a, read_back, path)
    stage.expect(read == written, "what was read back is not what was written")
    seen = [frame.octets for frame in stage.capture.frames if frame.protocol == _IPV4]
    stage.expect([one.octets for one in read] == seen, "the file holds other packets than the wire")
    size = stage.a.call(lambda: Path(path).stat().st_size)
    stage.notes.append(
        f"{len(read)} packets were written and read back, octet for octet and to the nanosecond; "
        f"the file has {size} octets."
    )


STEPS = (
    Step(
        "capture",
        "A capture, written and read back",
        "A packet socket sees whole frames, Ethernet header included, those that leave and those "
        "that arrive. Here it listens to a question by UDP and its answer.",
        capture,
        Capability.CAP_NET_RAW,
    ),
)
