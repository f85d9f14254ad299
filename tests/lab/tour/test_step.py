"""How a step is judged: what goes another way than it should is told, not raised."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from sockwright.lab.tour.counters import MEANING
from sockwright.lab.tour.step import Step
from sockwright.wire.tcp import TCP

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.lab.tour import StepResult, Tour
    from sockwright.lab.tour.stage import Ready, Stage

pytestmark = pytest.mark.needs("namespaces")


def _play(tour: Tour, run: Callable[[Stage], None], expected: str = "") -> StepResult:
    return tour.play(Step("try", "A try", "", run, expected=expected))


def _send_bare_tcp(target: str, octets: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as sock:
        sock.sendto(octets, (target, 0))


def _zero_division() -> None:
    raise ZeroDivisionError("for the test")


def test_failed_expectation_is_the_error(tour: Tour) -> None:
    result = _play(tour, lambda stage: stage.expect(False, "it rained"))
    assert (result.ok, result.error, result.family) == (False, "it rained", None)


def test_exception_in_a_host_is_the_error(tour: Tour) -> None:
    result = _play(tour, lambda stage: stage.call(stage.a, _zero_division))
    assert (result.ok, result.error) == (False, "ZeroDivisionError: for the test")
    assert [one.name for one in result.code] == ["_zero_division"]


def test_what_the_kernel_lacks_is_no_failure(tour: Tour) -> None:
    def run(stage: Stage) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    result = _play(tour, run)
    assert (result.ok, result.error) == (None, None)
    assert result.skipped == f"this kernel: {os.strerror(errno.EAFNOSUPPORT)}"


def test_wrong_packet_fails_a_step_that_expects_none(tour: Tour) -> None:
    def run(stage: Stage) -> None:
        stage.call(
            stage.a, _send_bare_tcp, stage.b.ipv4, bytes(TCP(flags="S", src_port=9, dst_port=9))
        )
        stage.wait_for_counter("Tcp.InCsumErrors")

    assert _play(tour, run).error == "verify() found tcp-checksum"
    assert _play(tour, run, "tcp-checksum").ok
    assert _play(tour, run, "tcp-reserved").error == "verify() did not find tcp-reserved"


def test_counter_that_stays_is_the_error(tour: Tour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sockwright.lab.tour.stage.LIMIT", 0.01)
    result = _play(tour, lambda stage: stage.wait_for_counter("Tcp.InErrs"))
    assert result.error == "Tcp.InErrs of host b did not go up within 0.01 s"


def test_server_that_ends_before_it_is_ready_is_the_error(tour: Tour) -> None:
    def server(ready: Ready) -> None:
        raise LookupError("no such thing")

    result = _play(tour, lambda stage: stage.expect(stage.start(stage.b, server), ""))
    assert result.error == "LookupError: no such thing"


def test_server_that_is_never_ready_is_stopped(tour: Tour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sockwright.lab.tour.stage.LIMIT", 0.01)

    def server(ready: Ready) -> None:
        with socket.create_server(("", 7000)) as listener:
            listener.accept()

    def run(stage: Stage) -> None:
        stage.start(stage.b, server)

    assert _play(tour, run).error == "server was not ready in 0.01 s"
    monkeypatch.undo()
    # Its port is free again, or the next server would not get it.
    assert _play(tour, lambda stage: stage.call(stage.b, _listen)).ok


def _listen() -> None:
    socket.create_server(("", 7000)).close()


def test_every_counter_that_has_a_meaning_is_counted_by_this_kernel(tour: Tour) -> None:
    seen: list[set[str]] = []
    _play(tour, lambda stage: seen.append(set(stage.counters.read())))
    assert set(MEANING) <= seen[0]
