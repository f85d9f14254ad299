"""`MPTCPInfo`: what the kernel knows about a Multipath TCP connection (linux/mptcp.h)."""

from __future__ import annotations

from sockwright.sockets.diag.structures.structure import Flag, MaybeNumber, Number, Structure

__all__ = ["MPTCPInfo"]


class MPTCPInfo(Structure):
    """The state of a connection of Multipath TCP (RFC 8684), struct mptcp_info.

    Names are those of the kernel without ``mptcpi_``. What a kernel does not tell yet is None.
    """

    __slots__ = ()

    subflows = Number("u8", "Subflows beside the first")
    add_addr_signal = Number("u8", "Addresses announced to the peer")
    add_addr_accepted = Number("u8", "Addresses accepted from the peer")
    subflows_max = Number("u8", "The most subflows beside the first")
    add_addr_signal_max = Number("u8", "The most addresses to announce")
    add_addr_accepted_max = Number("u8", "The most addresses to accept")
    flags = Number("u32", "MPTCP_INFO_FLAG_* bits", hidden=True)
    token = Number("u32", "The number of the connection here")
    write_seq = Number("u64", "Sequence number of the next octet that the program writes")
    snd_una = Number("u64", "Sequence number of the first octet not acknowledged")
    rcv_nxt = Number("u64", "Sequence number of the next octet expected")
    local_addr_used = Number("u8", "Addresses of this machine in use")
    local_addr_max = Number("u8", "The most of them")
    csum_enabled = Number("u8", "1 where data carry checksums")
    retransmits = MaybeNumber("u32", "How often data were sent again, on this or another subflow")
    bytes_retrans = MaybeNumber("u64", "Octets sent again")
    bytes_sent = MaybeNumber("u64", "Octets sent, those sent again among them")
    bytes_received = MaybeNumber("u64", "Octets received")
    bytes_acked = MaybeNumber("u64", "Octets sent and acknowledged")
    subflows_total = MaybeNumber("u8", "Subflows that are open, the first among them")
    endp_laminar_max = MaybeNumber("u8", "Endpoints with the flag laminar")
    endp_fullmesh_max = MaybeNumber("u8", "Endpoints with the flag fullmesh")
    last_data_sent = MaybeNumber("u32", "Time since data were sent", "ms")
    last_data_recv = MaybeNumber("u32", "Time since data arrived", "ms")
    last_ack_recv = MaybeNumber("u32", "Time since an acknowledgement arrived", "ms")

    fallback = Flag("flags", 1, "The connection is plain TCP: the peer or the path knows no more")
    remote_key_received = Flag("flags", 2, "The peer's key has arrived")
