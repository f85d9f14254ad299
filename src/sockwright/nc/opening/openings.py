"""The connections that a run opens: one, or one for each client of a relay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.nc.engine.outcome import outcome_of
from sockwright.nc.opening.opening import Opening
from sockwright.nc.opening.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.channels.channel import Channel
    from sockwright.nc.engine.loop import Loop
    from sockwright.nc.engine.outcome import Outcome
    from sockwright.nc.engine.settings import Limits, Side

__all__ = ["Openings"]


class Openings:
    """Connects as often as it is asked to; each may take as long as `limits` say."""

    def __init__(self, loop: Loop, limits: Limits) -> None:
        self._loop, self._limits = loop, limits
        self._shared = Shared(loop)
        self._under_way: dict[Opening, Channel | None] = {}

    def begin(
        self,
        side: Side,
        on_open: Callable[[Channel], None],
        on_error: Callable[[Outcome], None],
        *,
        client: Channel | None = None,
    ) -> None:
        """Connect to the socket of `side`, then call one of the two.

        `client` is who waits for it. If its connection breaks meanwhile, which is not seen where it
        only ended (FIN), since it may still want an answer, then that is the error.
        """

        def opened(channel: Channel) -> None:
            del self._under_way[opening]
            on_open(channel)

        def failed(outcome: Outcome) -> None:
            del self._under_way[opening]
            on_error(outcome)

        def lost(error: OSError) -> None:
            opening.cancel()
            name = "" if client is None else client.name
            failed(outcome_of(error, f"read from {name}"))

        opening = Opening(self._loop, side, self._limits, opened, failed, shared=self._shared)
        self._under_way[opening] = client
        if client is not None:
            client.await_loss(self._loop, lost)
        opening.start()

    def close(self) -> None:
        """Give up what is under way, and close the clients that wait for it."""
        for opening, client in self._under_way.items():
            opening.cancel()
            if client is not None:
                client.close()
        self._under_way.clear()
