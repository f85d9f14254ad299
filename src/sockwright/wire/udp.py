"""User Datagram Protocol, RFC 768."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.checksum import value_of
from sockwright.wire.core.field import Derived, UInt, derived, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.transport_checksum import transport_checksum_findings
from sockwright.wire.core.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["UDP", "port_findings"]

_PROTOCOL = 17


def port_findings(
    header: Header, src_port: int, dst_port: int, reference: str
) -> Iterator[Finding]:
    """Yield findings on the ports of a datagram; `reference` says what a source port of 0 means."""
    if src_port == 0:
        yield header.finding(
            "src-port",
            "note",
            "src_port",
            "0",
            "1 to 65535",
            reference,
            "a source port of 0 says that no answer is expected",
        )
    if dst_port == 0:
        yield header.finding(
            "dst-port",
            "error",
            "dst_port",
            "0",
            "1 to 65535",
            "RFC 6335 section 6",
            "port 0 is reserved: no program can receive this",
        )


class UDP(Header, layer="udp", carried_by={"ip_protocol": _PROTOCOL}):
    """A UDP header, 8 octets.

    Headers of tunnels are found by `dst_port`, in the registry ``udp_port``; whatever else goes to
    a port is payload. The port is not derived: ``UDP(dst_port=4789) / VXLAN()`` has to say it.
    """

    __slots__ = ()
    walk = Walk(end="length", least=8, following=("dst_port", "udp_port"))

    src_port: UInt = uint(16, "port of the sender")
    dst_port: UInt = uint(16, "port of the receiver")
    length: Derived = derived(16, "octets of header and data")
    checksum: Derived = derived(16, "over pseudo-header, header and data; 0 for none")

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write length and checksum; a sum that comes out 0 is sent as 0xFFFF."""
        src_port, dst_port, length, checksum = self._values
        auto = self._auto
        size = 8 + len(body)
        if auto & _LENGTH:
            # Data too long for the field: as a jumbogram has it, RFC 2675 section 4.
            length = size if size <= 0xFFFF else 0
        if auto & _CHECKSUM:
            checksum = 0
            addresses = headers[index - 1].pseudo_sum(headers, index - 1) if index else None
            if addresses is not None:
                total = addresses + _PROTOCOL + size + src_port + dst_port + length
                checksum = -(total + value_of(body)) % 65535 or 0xFFFF
        return _pack(src_port, dst_port, length, checksum) + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Stop where the length says (surplus octets, RFC 9868, are a trailer); go on by port."""
        _, dst_port, length, checksum = self._values
        if not checksum:
            # Sent without a checksum, it stays without one when something else is edited.
            self._auto &= ~_CHECKSUM
        stop = offset + length
        if stop == end or not length:
            stop = end  # 0 is what a jumbogram has, RFC 2675 section 4
        elif length < 8:
            return offset + 8, end, None
        elif stop > end:
            packet.note("udp", offset, length, end - offset, "the length")
            stop = end
        return offset + 8, stop, tables["udp_port"].get(dst_port)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on ports, length and checksum."""
        yield from port_findings(self, self.src_port, self.dst_port, "RFC 768")
        upper = place.upper
        if upper is not None and self.dst_port not in upper.carried_by.get("udp_port", ()):
            yield self._not_announced(upper)
        yield from self._judge_length(place)
        if self.checksum:
            yield from transport_checksum_findings(place, _PROTOCOL, 6, "RFC 768")
        elif place.upper is None and place.network is not None and place.network.layer == "ipv6":
            yield self.finding(
                "checksum-zero",
                "error",
                "checksum",
                "0x0000",
                "a checksum",
                "RFC 8200 section 8.1",
                "over IPv6 a datagram without checksum is dropped, tunnels apart (RFC 6935)",
            )

    def _not_announced(self, upper: Header) -> Finding:
        name, ports = type(upper).__name__, upper.carried_by.get("udp_port")
        return self.finding(
            "dst-port",
            "error",
            "dst_port",
            self.dst_port,
            ports[0] if ports else "payload",
            "IANA registries",
            f"port {self.dst_port} does not announce {name}, which follows",
        )

    def _judge_length(self, place: Place) -> Iterator[Finding]:
        length, held = self.length, place.end - place.start
        cut = place.fragment or any(error.layer != "udp" for error in place.packet.errors)
        if length == 0 and held > 0xFFFF:
            return
        if length < 8:
            message = f"{length} octets are less than the header has"
        elif length > held and not cut:
            message = f"the length says {length} octets, {held} are there"
        elif length < held and not cut:
            message = f"the length says {length} octets, but the datagram has {held}"
        else:
            surplus = sum(len(octets) for at, octets in place.packet._rest[0] if at == place.index)
            if surplus:
                yield self.finding(
                    "surplus",
                    "note",
                    "length",
                    f"{length}",
                    f"{length + surplus}",
                    "RFC 9868 section 5",
                    f"{surplus} octets lie behind the length: UDP options, or padding",
                )
            return
        yield self.finding("length", "error", "length", f"{length}", f"{held}", "RFC 768", message)


_pack = UDP._layout.pack
_LENGTH, _CHECKSUM = UDP.length.mask, UDP.checksum.mask
