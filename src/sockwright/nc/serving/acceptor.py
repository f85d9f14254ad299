"""Listen, and let clients in: as many as are allowed, from where it is allowed, at one's own pace.

Rules:

- while as many are served as may be, or as there are descriptors for (`capacity`), nobody is
  accepted: further clients wait in the backlog. In the second case one line says so;
- when no descriptor is free (EMFILE, ENFILE) or no memory, accepting pauses until a client has
  left, half a second at most, and one line says so; nobody who is served notices. Where nobody is
  served, nobody will leave: too low a limit of this process is an error then;
- a client that is gone again before its turn came is no error, and neither is what the network said
  of it meanwhile;
- clients that come faster than they can be served share the turns with those that are served.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from typing import TYPE_CHECKING

from sockwright.nc.serving.capacity import room_for
from sockwright.sockets.addresses import candidates, endpoint_of
from sockwright.sockets.base import BaseSocket
from sockwright.sockets.explain import explained
from sockwright.sockets.opening import bound, listening, with_delivery

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.access import Access
    from sockwright.nc.engine.loop import Loop, Timer
    from sockwright.nc.engine.settings import Serving
    from sockwright.sockets.addresses import SocketAddress
    from sockwright.sockets.endpoint import Endpoint

__all__ = ["Acceptor", "bind_here", "listen_here"]

_TURN = 64  # clients accepted before those that are served have their turn
_PAUSE = 0.5
_TENTATIVE = 1024  # connections at once, one of which will turn out to be the client
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST
# What accept(2) passes on of a connection that is pending already; the next one may be well.
_GONE = {
    errno.ECONNABORTED,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENONET,
    errno.ENOPROTOOPT,
    errno.EPERM,
    errno.EPROTO,
    errno.ETIMEDOUT,
}
_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def listen_here(endpoint: Endpoint, backlog: int, family: int = 0) -> BaseSocket:
    """Listen on a tcp, unix or vsock endpoint.

    Raises:
        OSError: EADDRINUSE and what else the kernel says.
    """
    ways = candidates(endpoint, passive=True)
    wanted = {4: socket.AF_INET, 6: socket.AF_INET6}.get(family)
    ways = [way for way in ways if wanted in {None, way.family}] or ways
    return listening(BaseSocket, endpoint, ways, backlog)


def bind_here(endpoint: Endpoint, family: int = 0) -> BaseSocket:
    """Bind a udp endpoint, or one of unix datagrams.

    Raises:
        OSError: EADDRINUSE and what else the kernel says.
    """
    if endpoint.scheme in {"unix", "unix-abstract"}:
        endpoint = with_delivery(endpoint, "datagram")
    ways = candidates(endpoint, passive=True, delivery="datagram")
    wanted = {4: socket.AF_INET, 6: socket.AF_INET6}.get(family)
    ways = [way for way in ways if wanted in {None, way.family}] or ways
    return bound(BaseSocket, endpoint, ways)


class Acceptor:
    """Accepts clients of `listener`; each goes to `on_client(socket, address, said)`.

    `glance(descriptor, address)`, where it is set, looks at each client first: None is that it has
    been served and is closed, octets are what it has `said`.

    `each` is how many descriptors a client takes, with all that is opened for it. Where only one is
    wanted the first is the one, unless clients are `tentative`: then others are let in, too, until
    `close` is called, since a connection is not a client yet.
    """

    def __init__(
        self,
        loop: Loop,
        listener: BaseSocket,
        serving: Serving,
        access: Access | None,
        on_client: Callable[[socket.socket, SocketAddress, bytes], None],
        *,
        say: Callable[[str], None],
        each: int = 1,
        tentative: bool = False,
    ) -> None:
        self.listener = listener
        self.glance: Callable[[int, SocketAddress], bytes | None] | None = None
        self.served = 0
        self._loop, self._serving, self._access = loop, serving, access
        self._on_client, self._say = on_client, say
        self._goes_on = serving.keep or tentative
        self._most = _TENTATIVE if tentative else 1
        if serving.keep:
            self._most, loop.most_pipes = room_for(serving.max_connections, each)
        self._listening = False
        self._short = False
        self._pause: Timer | None = None
        self._some_left = False
        sock = listener.socket
        sock.setblocking(False)
        # As numbers: an enumeration made anew for each client takes longer than accept(2) itself.
        self._kind = (int(sock.family), int(sock.type), sock.proto)

    def start(self) -> None:
        """Begin to accept, or go on."""
        if not self._listening and not self.listener.closed:
            self._listening = True
            self._loop.watch(self.listener.fileno(), self._on_events, select.EPOLLIN)

    def pause(self) -> None:
        """Accept nobody until `start` is called."""
        if self._listening:
            self._listening = False
            self._loop.unwatch(self.listener.fileno())

    def close(self) -> None:
        """Stop listening."""
        self.pause()
        if self._pause is not None:
            self._pause.cancel()
        self.listener.close()

    def left(self) -> None:
        """Take note that a client has left: there is room for another."""
        self.served -= 1
        self._some_left = True
        if not self._listening and self._goes_on:
            self.start()

    def _on_events(self, _events: int) -> None:
        for _ in range(_TURN):
            if self.served >= self._most:
                self.pause()
                if self._serving.keep and self._most < self._serving.max_connections:
                    self._crowded()
                return
            try:
                descriptor, address = self.listener.socket._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - what accept() itself is made of
            except BlockingIOError:
                self._short = False
                return
            except OSError as error:
                if error.errno in _GONE:
                    continue
                self._run_short(error)
                return
            said = b""
            if self._access is None and self.glance is not None:
                seen = self.glance(descriptor, address)
                if seen is None:
                    continue
                said = seen
            sock = socket.socket(*self._kind, fileno=descriptor)
            if self._access is not None and not self._let_in(sock, address):
                # Reset, so that nobody takes it for a connection that was served.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                sock.close()
                continue
            self.served += 1
            if not self._goes_on:
                self.close()
            self._on_client(sock, address, said)
            if not self._listening:
                return

    def _let_in(self, sock: socket.socket, address: SocketAddress) -> bool:
        if sock.family not in {socket.AF_INET, socket.AF_INET6}:
            return True
        assert self._access is not None
        host = str(address[0]).partition("%")[0]
        if self._access.allows(host):
            return True
        self._say(f"refused {endpoint_of(sock, address)}: {self._access.refusal(host)}")
        return False

    def _crowded(self) -> None:
        if not self._short:
            self._short = True
            self._say(
                f"the descriptors of this process ('ulimit -n') are enough for {self._most} "
                "clients at once; others wait until one leaves"
            )

    def _run_short(self, error: OSError) -> None:
        """Wait until there are descriptors again."""
        never = error.errno == errno.EMFILE and not self.served and not self._some_left
        if error.errno not in _SHORT_OF or never:
            raise explained(error, "accept a connection")
        self.pause()
        if not self._short:
            self._short = True
            self._say(
                f"{explained(error, 'accept a connection').strerror}; "
                f"{self.served} clients are served, others wait until one leaves"
            )
        if self._pause is not None:
            self._pause.cancel()
        self._pause = self._loop.later(_PAUSE, self.start)
