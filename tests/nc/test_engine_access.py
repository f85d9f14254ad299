"""Who is let in to what: lists of addresses where there are addresses, programs for the known."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import events_of, served

from sockwright.errors import UsageError
from sockwright.nc.access import access_to
from sockwright.nc.ends import ExecEnd, StandardEnd, parse_end
from sockwright.nc.engine.settings import Job, Serving, Side

if TYPE_CHECKING:
    from pathlib import Path

_ALLOWED = Serving(keep=True, allow=("192.0.2.7",))


def program_at(place: str) -> Job:
    """Serve a program to those who come from one address."""
    return Job(Side(ExecEnd(("cat",))), Side(parse_end(place), listen=True), serving=_ALLOWED)


@pytest.mark.parametrize("scheme", ["unix", "unix-abstract", "vsock"])
def test_lists_of_addresses_are_refused_where_peers_have_none(scheme: str) -> None:
    assert access_to(scheme, (), ()) is None
    with pytest.raises(UsageError, match=f"peers of {scheme} have none"):
        access_to(scheme, ("192.0.2.7",), ())
    with pytest.raises(UsageError, match="take IP addresses"):
        access_to(scheme, (), ("192.0.2.7",))


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_lists_of_addresses_hold_where_peers_have_them(scheme: str) -> None:
    access = access_to(scheme, ("192.0.2.7",), ())
    assert access is not None
    assert not access.allows("192.0.2.8")


@pytest.mark.parametrize("place", ["unix:{}/s", "unix:{}/d?type=datagram", "vsock://*:50051"])
def test_a_listener_without_addresses_does_not_begin_with_a_list(
    place: str, tmp_path: Path
) -> None:
    end = parse_end(place.format(tmp_path))
    with pytest.raises(UsageError, match=r"peers of .* have none"):
        events_of(Job(Side(StandardEnd()), Side(end, listen=True), serving=_ALLOWED))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [True, False])
def test_datagrams_of_those_who_are_not_allowed_are_told_of_but_not_each_of_a_flood(
    keep: bool,
) -> None:
    place = Side(parse_end("udp://127.0.0.1:0"), listen=True)
    serving = Serving(keep=keep, allow=("192.0.2.7",))
    job = Job(Side(StandardEnd()), place, serving=serving, verbose=1, sends=False)
    with served(job, udp=True) as server, socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.connect(server.address)
        for _ in range(1000):
            sender.send(b"let me in")
        summed_up = "more refusals like these"  # others may come behind it
        server.wait_for(lambda events: any(event.text.endswith(summed_up) for event in events))
        assert 100 <= len(server.lines("refused")) < 500


def test_a_list_does_not_let_datagrams_from_elsewhere_start_programs() -> None:
    with pytest.raises(UsageError, match="any sender may write any address"):
        events_of(program_at("udp://*:0"))


def test_a_list_does_not_let_machines_without_addresses_start_programs() -> None:
    with pytest.raises(UsageError, match="peers of vsock have none"):
        events_of(program_at("vsock://*:50051"))
