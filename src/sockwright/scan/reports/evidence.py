"""Keep the packets that prove what a scan says, as pcapng: both directions, with comments.

Rules
    1. One interface of LINKTYPE_RAW (101), whose packets start with their IP header, for whatever
       was routed. What was asked of neighbours and answered by them (ARP, ND) is link addresses:
       each link has an interface of LINKTYPE_ETHERNET (1) by its name, from its first frame on.
    2. Times are nanoseconds since 1970. A comment says what a packet was for ("try 2 of SYN to
       80/tcp") or what it proves ("proves 80/tcp open"); it is shown by every reader of pcapng.
    3. Only whole packets reach the file, at most 64 KiB or a second late. When the disk is full the
       file ends behind a whole packet, that is told once, and the scan goes on without it.
"""

from __future__ import annotations

from contextlib import suppress
from os import strerror, unlink
from os.path import lexists
from typing import TYPE_CHECKING

from sockwright.nc.taps.output import open_output
from sockwright.records.contents import Interface
from sockwright.records.pcapng_writer import PcapngWriter
from sockwright.records.record import MAX_CAPTURED, Record
from sockwright.records.record_file import RecordFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

__all__ = ["EvidenceWriter"]

_RAW = 101  # LINKTYPE_RAW: an IPv4 or IPv6 header, told apart by its version
_ETHERNET = 1  # LINKTYPE_ETHERNET
_INBOUND, _OUTBOUND = 1, 2  # epb_flags, pcapng section 4.3.1
_NAME = "sockwright"


class EvidenceWriter:
    """Writes packets to the pcapng file at `path`, from `open` on; before that they are dropped.

    `complain` is given one line if the file takes no more; no method raises for that. A file that
    is there is an error unless `force` replaces it. As a context it is opened and closed.
    """

    def __init__(
        self,
        path: str,
        *,
        complain: Callable[[str], object],
        force: bool = False,
        about: str = "",
    ) -> None:
        self._complain = complain
        self._name = path
        self._force = force
        self._about = about
        self._links: dict[str, int] = {}  # the number of the interface of each link
        self._file: RecordFile | None = None
        self._is_new = False

    def open(self) -> None:
        """Make the file.

        Raises:
            FileExistsError: it is there, and `force` is not given.
            OSError: as open(2).
        """
        is_new = not lexists(self._name)
        self._raw = open_output(self._name, force=self._force)
        self._is_new = is_new
        self._file = RecordFile(self._raw, self._name)
        try:
            self._writer = PcapngWriter(self._file, comment=self._about or None)
            self._writer.add_interface(
                Interface(0, _RAW, MAX_CAPTURED, _NAME, description="probes and answers of a scan")
            )
        except OSError as error:
            self._give_up(error)

    def frame(
        self,
        octets: bytes,
        time_ns: int,
        comment: str = "",
        *,
        outgoing: bool | None = None,
        link: str = "",
    ) -> None:
        """Write one packet, from its IP header on, or from its Ethernet header on as of `link`.

        `outgoing` is None where the direction is not known.
        """
        if self._file is None:
            return
        flags = None
        if outgoing is not None:
            flags = _OUTBOUND if outgoing else _INBOUND
        kind, name, number = _RAW, _NAME, 0
        try:
            if link:
                kind, name, number = _ETHERNET, link, self._link(link)
            self._writer.write(
                Record(
                    max(time_ns, 0), octets, len(octets), kind, name, comment or None, number, flags
                )
            )
        except OSError as error:
            self._give_up(error)

    def _link(self, name: str) -> int:
        """Return the number of the interface for frames of a link; describe it if it is new."""
        number = self._links.get(name)
        if number is None:
            number = self._links[name] = 1 + len(self._links)
            self._writer.add_interface(
                Interface(number, _ETHERNET, MAX_CAPTURED, name, description="neighbours on a link")
            )
        return number

    def flush(self) -> None:
        """Write what has waited for a second; to be called in loops that may stay idle."""
        if self._file is not None:
            try:
                self._file.flush_due()
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Write what waits and close the file; may be called twice, raises nothing."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._give_up(error)
            self._file = None

    def discard(self) -> None:
        """Close the file, and take it away if it was not there before and no packet is in it."""
        is_empty = self._file is not None and not self._file.records
        self.close()
        if self._is_new and is_empty:
            with suppress(OSError):
                unlink(self._name)  # noqa: PTH108  # pathlib costs a start 5 ms

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _give_up(self, error: OSError) -> None:
        self._file = None
        self._raw.close()
        reason = strerror(error.errno) if error.errno else str(error)
        self._complain(f"{self._name}: {reason}: no more evidence is written to it")
