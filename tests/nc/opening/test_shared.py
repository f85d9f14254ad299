"""What many openings have in common is done once: lookups by one thread, contexts made once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.nc.moving import Bench

from sockwright.nc.engine.loop import Loop
from sockwright.nc.opening.shared import Shared
from sockwright.nc.tls.options import TLSOptions
from sockwright.sockets.endpoint import parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

_PLACE = parse_endpoint("tcp://localhost:80")


class CountingLoop(Loop):
    """Counts the threads that it starts."""

    threads = 0

    def in_thread(self, function: Callable[[], object], then: Callable[..., None]) -> None:
        self.threads += 1
        super().in_thread(function, then)


class Desk(Bench):
    """A loop that counts, and what is shared in it."""

    def __init__(self) -> None:
        super().__init__()
        self.counting = self.loop = CountingLoop()
        self.callback(self.loop.close)
        self.shared = Shared(self.loop)
        self.found: list[object] = []


def test_a_thousand_clients_have_a_name_looked_up_by_one_thread() -> None:
    with Desk() as desk:
        for _ in range(1000):
            desk.shared.look_up(_PLACE, partial(desk.found.append))
        desk.until(lambda: len(desk.found) == 1000)
        assert desk.counting.threads == 1


def test_an_answer_is_not_kept_for_those_who_ask_after_it_has_come() -> None:
    with Desk() as desk:
        for count in (1, 2):
            desk.shared.look_up(_PLACE, partial(desk.found.append))
            desk.until(lambda wanted=count: len(desk.found) == wanted)  # type: ignore[misc]
        assert desk.counting.threads == 2


def test_who_has_given_up_is_not_called() -> None:
    with Desk() as desk:

        def gone(_ways: object) -> None:
            desk.found.append("gone")

        desk.shared.look_up(_PLACE, gone)
        desk.shared.look_up(_PLACE, lambda _ways: desk.found.append("there"))
        desk.shared.forget(_PLACE, gone)
        desk.until(lambda: desk.found)
        assert desk.found == ["there"]


def test_a_context_is_made_once_for_all_that_want_the_same() -> None:
    with Desk() as desk:
        one = desk.shared.context(TLSOptions(verify=False))
        assert desk.shared.context(TLSOptions(verify=False)) is one
        assert desk.shared.context(TLSOptions()) is not one
