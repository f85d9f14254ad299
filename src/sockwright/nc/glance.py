"""Clients that have said all by the time they are accepted: a line for a log, a measured value.

For those there is nothing to watch and nothing to wait for. What they said goes to standard output
at once, and they are done with in a third of the time that a session takes.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.nc.channel import Channel

__all__ = ["take_at_once"]


def take_at_once(
    client: socket.socket, output: Channel, buffer: memoryview
) -> bytes | OSError | None:
    """Give what `client` has said to `output`; None: it has ended, and is closed.

    An error is that of the client, which is to be closed. Otherwise a session is to go on with it:
    the octets that come back were received from it, and `output` has not taken them; mostly there
    are none.

    Raises:
        OSError: `output` failed; the client is closed.
    """
    try:
        count = client.recv_into(buffer, 0, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""
    except OSError as error:
        return error
    if count:
        try:
            taken = output.send(buffer[:count])
        except OSError:
            client.close()
            raise
        if taken < count:
            return bytes(buffer[taken:count])
        try:
            count = client.recv_into(buffer, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""
        except OSError as error:
            return error
        if count:
            return bytes(buffer[:count])
    client.close()
    return None
