"""`SCTPInfo`: what the kernel knows about an SCTP association (struct sctp_info, linux/sctp.h)."""

from __future__ import annotations

import socket
import sys

from sockwright.sockets.diag.structures.structure import Choice, Number, Octets, Structure

__all__ = ["STATES", "SCTPInfo", "addresses"]

STATES = (
    "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTAB", "SHUTDOWN_PENDING", "SHUTDOWN_SENT",
    "SHUTDOWN_RECEIVED", "ACK_SENT",
)  # fmt: skip
"""States of an association (RFC 9260 section 4) by the kernel's numbers, as ss(8) writes them."""

_STORAGE = 128  # octets of a sockaddr_storage


class SCTPInfo(Structure):
    """The state of an association, of its primary path (``p_``) and of its socket (``s_``).

    Names are those of the kernel without ``sctpi_``. Of an endpoint only ``s_`` is told, and of an
    association all but that.
    """

    __slots__ = ()

    tag = Number("u32", "Verification tag of this side")
    state = Choice("u32", STATES, "State of the association")
    rwnd = Number("u32", "Octets of the window that this side announces")
    unackdata = Number("u16", "DATA chunks sent and not acknowledged")
    penddata = Number("u16", "DATA chunks received and not yet read")
    instrms = Number("u16", "Streams from the peer")
    outstrms = Number("u16", "Streams to the peer")
    fragmentation_point = Number("u32", "Octets of the largest message that is not split")
    inqueue = Number("u32", "Chunks in the queue of what arrived")
    outqueue = Number("u32", "Octets in the queue of what is to be sent")
    overall_error = Number("u32", "Retransmissions in a row without answer")
    max_burst = Number("u32", "The most packets sent at once")
    maxseg = Number("u32", "Octets of the largest chunk")
    peer_rwnd = Number("u32", "Octets of the window that the peer announces")
    peer_tag = Number("u32", "Verification tag of the peer")
    peer_capable = Number("u8", "Bits for what the peer knows")
    peer_sack = Number(
        "u8", "Whether an acknowledgement to the peer is due, and bits of how those go"
    )
    reserved1 = Number("u16", "Nothing", hidden=True)
    isacks = Number("u64", "SACK chunks received")
    osacks = Number("u64", "SACK chunks sent")
    opackets = Number("u64", "Packets sent")
    ipackets = Number("u64", "Packets received")
    rtxchunks = Number("u64", "Chunks retransmitted")
    outofseqtsns = Number("u64", "Chunks received beyond the window")
    idupchunks = Number("u64", "Chunks received twice")
    gapcnt = Number("u64", "Acknowledgements of gaps received")
    ouodchunks = Number("u64", "Unordered chunks sent")
    iuodchunks = Number("u64", "Unordered chunks received")
    oodchunks = Number("u64", "Ordered chunks sent")
    iodchunks = Number("u64", "Ordered chunks received")
    octrlchunks = Number("u64", "Control chunks sent")
    ictrlchunks = Number("u64", "Control chunks received")
    p_storage = Octets(_STORAGE, "Address of the primary path, a sockaddr")
    p_state = Choice(
        "u32", ("inactive", "potentially failed", "active", "unconfirmed"), "State of that path"
    )
    p_cwnd = Number("u32", "Congestion window in octets")
    p_srtt = Number("u32", "Smoothed round-trip time", "ms")
    p_rto = Number("u32", "Retransmission timeout", "ms")
    p_hbinterval = Number("u32", "Time between heartbeats", "ms")
    p_pathmaxrxt = Number("u32", "Retransmissions after which the path is given up")
    p_sackdelay = Number("u32", "Time that an acknowledgement may wait", "ms")
    p_sackfreq = Number("u32", "Packets that one acknowledgement may be for")
    p_ssthresh = Number("u32", "Octets of the window at which slow start ends")
    p_partial_bytes_acked = Number("u32", "Octets acknowledged towards a larger window")
    p_flight_size = Number("u32", "Octets on their way")
    p_error = Number("u16", "Retransmissions in a row without answer on this path")
    reserved2 = Number("u16", "Nothing", hidden=True)
    s_autoclose = Number("u32", "Idle time after which an association is ended, 0 for never", "s")
    s_adaptation_ind = Number("u32", "Adaptation code point announced")
    s_pd_point = Number("u32", "Octets from which a message is handed over in parts")
    s_nodelay = Number("u8", "1 where small messages do not wait")
    s_disable_fragments = Number("u8", "1 where messages are not split")
    s_v4mapped = Number("u8", "1 where IPv4 addresses are told as IPv6 addresses")
    s_frag_interleave = Number("u8", "How parts of messages may be mixed")
    s_type = Choice(
        "u32", ("one-to-many", "one-to-many high bandwidth", "one-to-one"), "Style of the socket"
    )

    @property
    def p_address(self) -> str:
        """The address of the primary path; empty where there is none."""
        return next(iter(addresses(self.p_storage)), "")

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value; names of times end with their unit."""
        found = super().as_dict()
        # Every association has a tag; what the other kind of row does not tell is 0.
        if not self.tag:
            return {name: value for name, value in found.items() if name.startswith("s_")}
        told = {name: value for name, value in found.items() if not name.startswith("s_")}
        return told | {"p_address": self.p_address}


def addresses(octets: bytes) -> tuple[str, ...]:
    """Return the addresses in an array of sockaddr_storage, without their ports."""
    found = []
    for at in range(0, len(octets) - _STORAGE + 1, _STORAGE):
        family = int.from_bytes(octets[at : at + 2], sys.byteorder)
        if family == socket.AF_INET:
            found.append(socket.inet_ntop(family, octets[at + 4 : at + 8]))
        elif family == socket.AF_INET6:
            found.append(socket.inet_ntop(family, octets[at + 8 : at + 24]))
    return tuple(found)
