"""What all the connections that one run opens have in common.

A thousand clients of a relay want the same name looked up at the same time, and the same
certificates to trust: that is done once for all of them. A thread for each would meet the limit of
threads, and the list of the system's authorities takes 50 ms and a megabyte to load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.sockets.addresses import candidates

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from sockwright.nc.engine.loop import Loop
    from sockwright.nc.tls.options import TLSOptions
    from sockwright.sockets.addresses import Candidate
    from sockwright.sockets.endpoint import Endpoint

    Then = Callable[[list[Candidate] | Exception], None]

__all__ = ["Shared"]


class Shared:
    """Lookups that are under way, and contexts for TLS.

    Nothing that was found is kept: who asks after the answer has come has it looked up anew.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: dict[Endpoint, set[Then]] = {}
        self._contexts: dict[TLSOptions, ssl.SSLContext] = {}

    def look_up(self, endpoint: Endpoint, then: Then) -> None:
        """Call `then` with the ways to `endpoint`, or with an error, once they are known."""
        if endpoint in self._waiting:
            self._waiting[endpoint].add(then)
            return
        self._waiting[endpoint] = {then}

        def found(ways: list[Candidate] | Exception) -> None:
            for each in self._waiting.pop(endpoint):
                each(ways)

        self._loop.in_thread(lambda: candidates(endpoint), found)

    def forget(self, endpoint: Endpoint, then: Then) -> None:
        """Do not call `then` any more; the lookup itself cannot be taken back."""
        self._waiting.get(endpoint, set()).discard(then)

    def context(self, options: TLSOptions) -> ssl.SSLContext:
        """Give the context of a client. Raises: TLSError, OSError: as `client_context`."""
        if options not in self._contexts:
            from sockwright.nc.tls.options import client_context

            self._contexts[options] = client_context(options)
        return self._contexts[options]
