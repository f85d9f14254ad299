"""Keep this kernel from answering for a raw TCP sender.

Whoever sends a TCP SYN through a raw socket gets the SYN-ACK back, and so does the kernel, which
knows of no such connection: RFC 9293 section 3.10.7.1 makes it send RST, and the peer drops the
connection before the next raw segment. Usual advice is a firewall rule, which needs CAP_NET_ADMIN
and stays behind when the program is killed. This needs no privilege that a raw sender has not (some
hardened kernels want CAP_NET_RAW for a filter on a TCP socket), and cannot stay behind:

1. A real TCP socket is bound to the source port, so nobody else gets it.
2. A classic BPF filter of one instruction, "return 0", is attached: it accepts no packet.
3. The socket listens. Now segments to the port that belong to no connection are looked up, find
   this socket (tcp_v4_rcv, tcp_v6_rcv), meet its filter (tcp_filter) and are dropped without an
   answer, before any state is looked at. Without listening the socket would not be found: a bound
   socket that neither listens nor is connected is in no table that receiving looks at.
4. Raw sockets, AF_PACKET sockets and tcpdump still see every segment: their copies are made before.
5. The socket ends with the process, by whatever signal, SIGKILL included, and the kernel answers
   again.

What else it does: a stranger who connects to the port gets no answer instead of RST, `ss -l` shows
a listener, and a port below 1024 needs CAP_NET_BIND_SERVICE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.sockets.addresses import candidates, to_endpoint
from sockwright.sockets.base import BlockingSocket
from sockwright.sockets.filter import NOTHING, attach_filter
from sockwright.sockets.opening import bound

if TYPE_CHECKING:
    from sockwright.sockets.endpoint import Endpoint

__all__ = ["QuietPort", "quiet_port"]


class QuietPort(BlockingSocket):
    """A TCP port on which this kernel stays silent, until it is closed; `port` is its number."""

    @property
    def port(self) -> int:
        """The port in host order."""
        return self.local_address.port


def quiet_port(endpoint: Endpoint | str) -> QuietPort:
    """Hold the TCP port of `endpoint` and keep the kernel's RST from leaving it.

        with quiet_port("tcp://10.0.0.1:0") as quiet, raw("raw://10.0.0.2?protocol=tcp") as sock:
            sock.send(bytes(TCP(src_port=quiet.port, ...)))

    Port 0 lets the kernel choose a free one. The address is the one that the raw segments carry as
    their source; ``*`` is every address.

    Raises:
        EndpointError: it is not a ``tcp://`` endpoint.
        OSError: EADDRINUSE, a real socket has the port; EADDRNOTAVAIL, the address is foreign;
            EACCES, the port is below 1024.
    """
    local = to_endpoint(endpoint, "tcp")
    held = bound(QuietPort, local, candidates(local, passive=True))
    try:
        # The filter first: between listen() and the filter a SYN could be answered.
        attach_filter(held.socket, NOTHING)
        held.socket.listen(0)
    except BaseException:
        held.close()
        raise
    return held
